"""What a pair must reach in the run's own CLIP, set by drawn right and wrong answers of the run's triplets before any pair is looked at."""

import json
import logging
from dataclasses import replace
from pathlib import Path

import numpy as np

from ..captions.files import beside
from ..captions.triplet import Triplet
from ..ids import chance_of, seed_of
from ..pairs.thresholds import Rules, Thresholds
from . import places, prompts
from .config import Config

log = logging.getLogger(__name__)

FILE = "thresholds.json"
COUNT = 40
"""Pairs of a kind that are drawn; triplets of which there are fewer are drawn several times."""


def rules(out: Path, config: Config) -> Rules:
    """The thresholds of each kind, from the file beside the data sets, which is written where it is missing. Raises ValueError."""
    path = places.pairs(out, FILE)
    if not path.is_file():
        with beside(path) as part:
            part.write_text(json.dumps(measured(out, config).told(), indent=1) + "\n", encoding="utf-8")
    return Rules.of_told(json.loads(path.read_text(encoding="utf-8")))


def measured(out: Path, config: Config) -> Rules:
    """The thresholds by the run's CLIP."""
    import torch

    from ..pairs.calibrate import scored, thresholds
    from ..pairs.score import Scorer

    torch.set_num_threads(1)
    scorer, found = Scorer.load(str(places.clip(out))), {}
    for kind, triplets in of_kinds(prompts.read(out)).items():
        known = [triplets[number % len(triplets)] for number in range(COUNT)]
        drawn = (_drawn(triplet, number, config) for number, triplet in enumerate(known))
        pictures = (np.stack(each) for each in zip(*drawn, strict=True))
        right = thresholds(scored(scorer, [(triplet.caption, triplet.edited_caption) for triplet in known], *pictures))
        found[kind] = _eased(right, config.pairs.slack)
        log.info("%s: %s", kind, found[kind])
    return Rules(kinds=found)


def _eased(right: Thresholds, slack: float) -> Thresholds:
    """Thresholds lowered by a share of their size, which a small painter's pictures get for being rougher than drawn ones."""
    names = ("image", "caption", "edited_caption", "direction")
    known = {name: value for name in names if (value := getattr(right, name)) is not None}
    return replace(right, **{name: max(-1.0, round(value - slack * abs(value), 2)) for name, value in known.items()})


def of_kinds(triplets: list[Triplet]) -> dict[str, list[Triplet]]:
    """The triplets of each kind."""
    kinds = sorted({triplet.kind for triplet in triplets})
    return {kind: [triplet for triplet in triplets if triplet.kind == kind] for kind in kinds}


def _drawn(triplet: Triplet, number: int, config: Config) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A scene of a triplet, its right answer, and the scene after an edit of another kind."""
    seed, size = seed_of(triplet.id, "thresholds", number), config.painter.size
    texts = triplet.caption, triplet.edited_caption, _otherwise(triplet, config)
    source, answer, other = (prompts.drawn(text, seed, size) for text in texts)
    return source, answer, other


def _otherwise(triplet: Triplet, config: Config) -> str:
    """The caption after an edit of another kind; as it is where the part of the world has none."""
    kinds = [kind for kind in config.prompts.kinds if kind != triplet.kind]
    for place in chance_of(triplet.id, "otherwise").permutation(len(kinds)):
        other = prompts.edited(triplet.caption, kinds[place], config.world, config.prompts.seed)
        if other is not None and other.edited_caption != triplet.edited_caption:
            return other.edited_caption
    return triplet.caption
