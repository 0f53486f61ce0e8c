"""What is measured of the generated pairs (section 3.1.2): does p govern how alike two pictures are, and how many pass the filter?"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ..data.samples import Samples
from ..evaluation.intervals import Mean, jackknife
from ..pairs.score import IMAGE
from . import places, sets
from .claim import SHARE, Claim
from .config import Config

WEAK = 0.1
"""The smallest correlation that counts."""


def claims(out: Path, config: Config) -> Iterator[Claim]:
    """Both claims, with intervals over prompts; none of a run without samples. Raises ValueError or DataError for broken ones."""
    if not places.samples(out).is_dir():
        return
    prompts = scores(out, config)
    yield Claim(
        "pairs-p",
        "pairs",
        "3.1.2",
        "Prompt-to-Prompt has as a parameter that can control the similarity between the two images: the fraction of denoising steps p "
        "with shared attention weights",
        "Of two pairs of one prompt, the one with the greater p has the more alike pictures: correlation of p and CLIP image similarity "
        "within prompts.",
        "correlation",
        (),
        lambda _: correlation(prompts),
        margin=WEAK,
    )
    yield Claim(
        "pairs-pass",
        "pairs",
        "3.1.2",
        "",
        "Share of all samples that reach every threshold of the filter.",
        SHARE,
        (),
        lambda _: passing(prompts),
    )


def scores(out: Path, config: Config) -> list[np.ndarray]:
    """Of each prompt its samples (N, 3): p, CLIP image similarity, and 1 for those that pass the filter."""
    made, rules = Samples(places.samples(out)), sets.wish(out, config).rules
    found = []
    for name in made.names():
        own, known = rules.of(made.triplet(name).kind), made.known(name).values()
        found.append(np.array([(facts["p2p_threshold"], facts[IMAGE], not own.failed(facts)) for facts in known if IMAGE in facts]))
    return [prompt for prompt in found if len(prompt)]


def correlation(prompts: list[np.ndarray]) -> Mean:
    """Pearson's, of p and similarity less the means of their prompt; `n` is the number of samples."""
    centred = [prompt[:, :2] - prompt[:, :2].mean(axis=0) for prompt in prompts]
    both, first, second = (np.array([(one[:, a] * one[:, b]).sum() for one in centred]) for a, b in ((0, 1), (0, 0), (1, 1)))

    def statistic(kept: np.ndarray) -> float:
        spread = float(np.sqrt(first[kept].sum() * second[kept].sum()))
        return float(both[kept].sum()) / spread if spread else float("nan")

    return _of_samples(jackknife(statistic, [len(prompts)]), prompts)


def passing(prompts: list[np.ndarray]) -> Mean:
    """The share that passes; `n` is the number of samples."""
    passed, all_of = (np.array([each(prompt) for prompt in prompts]) for each in (lambda prompt: prompt[:, 2].sum(), len))
    return _of_samples(jackknife(lambda kept: float(passed[kept].sum() / all_of[kept].sum()), [len(prompts)]), prompts)


def _of_samples(found: Mean, prompts: list[np.ndarray]) -> Mean:
    return Mean(found.value, found.low, found.high, sum(map(len, prompts)))
