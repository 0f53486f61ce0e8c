"""The stage that makes pairs: a prompt in, its samples out, with their scores."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from ..captions.triplet import Triplet
from ..sampling import OnStep
from .draws import Sample, Settings, chunks
from .early_stop import EarlyStop, Midway
from .score import CLIP_SCORES, HASHES, Facts

Score = Callable[..., list[Facts]]
"""`score.Scorer`, or the same under a host's memory management."""
DROPPED, PASSES = "dropped", "passes"
NO_NUMBERS = "the network's numbers overflowed"
"""Why a sample without finite scores is dropped: half precision is too small for some models."""


class Paint(Protocol):
    """Makes the pictures (M, 2, H, W, 3) in [0, 1] of samples that share a network's batch; `midway` is told of every pass, and may drop
    some samples on the way."""

    def __call__(self, samples: Sequence[Sample], midway: Midway, on_step: OnStep | None = None) -> Tensor: ...

    def decode(self, denoised: Tensor) -> Tensor:
        """Pictures (B, H, W, 3) of denoised latents on the network's scale."""


@dataclass(frozen=True)
class Made:
    """A sample, what is known of it (as a line of the authors' `metadata.jsonl`), and its pictures (2, H, W, 3); None for one that was
    dropped midway."""

    sample: Sample
    facts: Facts
    pictures: Tensor | None


class Generate:
    """The stage. A call makes the samples of a prompt that aren't known, in order, in groups of a fixed composition: the same bytes come
    out whether a prompt is made in one go, gone on with, or made elsewhere."""

    def __init__(self, paint: Paint, score: Score, settings: Settings, early: EarlyStop | None = None) -> None:
        self.paint, self.score, self.settings, self.early = paint, score, settings, early

    def __call__(self, triplet: Triplet, known: Mapping[int, Facts] | None = None, on_step: OnStep | None = None) -> Iterator[Made]:
        """The samples besides those ``known`` by their seeds, until there are `settings.samples`, or the early stop ends it."""
        known, met = known or {}, dict[int, Facts]()
        for chunk in chunks(triplet, self.settings):
            if self.early is not None and self.early.ends(triplet.kind, met):
                return
            if any(sample.seed not in known for sample in chunk):  # all of it again: rounding depends on the company
                for made in self._made(chunk, on_step):
                    met[made.sample.seed] = made.facts
                    if made.sample.seed not in known:
                        yield made
            met |= {sample.seed: known[sample.seed] for sample in chunk if sample.seed in known}

    @torch.no_grad()
    def _made(self, chunk: Sequence[Sample], on_step: OnStep | None) -> list[Made]:
        midway = Midway(chunk, self.early, self.paint.decode, self.score)
        pictures = self.paint(chunk, midway, on_step)
        left = [chunk[place] for place in midway.under_way]
        scores = self.score(pictures, [(sample.triplet.caption, sample.triplet.edited_caption) for sample in left])
        found: dict[int, tuple[Facts, Tensor | None]] = {place: ({}, None) for place in midway.reasons}
        found |= {place: (scores[row], pictures[row]) for row, place in enumerate(midway.under_way)}
        return [_one(sample, place, midway, *found[place]) for place, sample in enumerate(chunk)]


def _one(sample: Sample, place: int, midway: Midway, scores: Facts, pictures: Tensor | None) -> Made:
    facts: Facts = {"number": sample.number, "p2p_threshold": sample.p, "cfg_scale": sample.guidance}
    facts |= {name: scores[name] for name in (*CLIP_SCORES, *sorted(scores.keys() - {*CLIP_SCORES, HASHES}), HASHES) if name in scores}
    facts[PASSES] = midway.passes[place]
    if broken := any(isinstance(value, float) and not math.isfinite(value) for value in facts.values()):
        facts = {name: value for name, value in facts.items() if not isinstance(value, float) or math.isfinite(value)}
    if broken or place in midway.reasons:
        facts[DROPPED] = NO_NUMBERS if broken else midway.reasons[place]
    return Made(sample, facts, None if broken else pictures)
