"""Early stop, where it is asked for: hopeless samples go midway, and a prompt ends once it has enough good pairs.

The authors make 100 samples of every prompt to the end and keep 4 at most. Midway the denoised latent already shows the composition; CLIP
scores of its rough picture are near enough to the final ones to tell what will never pass.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from torch import Tensor

from .draws import Sample
from .hashes import Seen
from .score import HASHES, Facts
from .thresholds import Rules

Decode = Callable[[Tensor], Tensor]
"""The pictures (B, H, W, 3) of latents (B, C, h, w) on the network's scale."""
PASSES = 4
"""Network passes of a pair in one step: two pictures, with their caption and without."""
MIDWAY = "hopeless midway: "


@dataclass(frozen=True)
class EarlyStop:
    """When to give up. After the share ``at`` of the steps, a sample goes whose rough scores miss a threshold by more than ``slack``;
    a prompt ends with ``enough`` good pairs, which pass every threshold, the direction by ``margin`` more, and are no duplicates, or
    after ``patience`` samples none of which passes (0: never).

    Shares and cosines, 0 to 1. Raises ValueError with one sentence.
    """

    rules: Rules = field(default_factory=Rules)
    at: float = 0.65
    slack: float = 0.15
    enough: int = 4
    margin: float = 0.05
    patience: int = 0

    def __post_init__(self) -> None:
        for name in ("at", "slack", "margin"):
            if not (math.isfinite(value := getattr(self, name)) and 0 <= value <= 1):
                raise ValueError(f"The early stop's {name} is {value}; use 0 to 1.")
        if not 1 <= self.enough <= 1000:
            raise ValueError(f"The number of good pairs that are enough is {self.enough}; use 1 to 1000.")
        if self.patience < 0:
            raise ValueError(f"The early stop's patience is {self.patience} samples; use at least 1, or 0 for no end.")

    def ends(self, kind: str, found: Mapping[int, Facts]) -> bool:
        """Whether a prompt ends with the samples made so far, by seed: with enough good ones, or without hope."""
        hopeless = 0 < self.patience <= len(found) and all(self.rules.of(kind).failed(facts) for facts in found.values())
        return hopeless or self.has_enough(kind, found)

    def has_enough(self, kind: str, found: Mapping[int, Facts]) -> bool:
        """Whether the samples made so far, by seed, hold enough good pairs."""
        thresholds, seen, good = self.rules.of(kind), Seen(), 0
        if thresholds.direction is not None:
            thresholds = replace(thresholds, direction=min(1.0, thresholds.direction + self.margin))
        for facts in found.values():
            if HASHES in facts and not thresholds.failed(facts) and not seen.has(facts[HASHES]):  # dropped ones have no hashes
                seen.add(facts[HASHES])
                good += 1
        return good >= self.enough

    def told(self) -> dict[str, Any]:
        """As JSON values."""
        return {**asdict(self), "rules": self.rules.told()}


class Midway:
    """What a painter asks after each step of some samples that are made together: it drops the hopeless once, and keeps count.

    The painter tells it the network passes over single pictures that each sample under way has taken (`count`). Afterwards ``passes`` has
    them for each sample, ``reasons`` why some were dropped, by their places.
    """

    def __init__(self, samples: Sequence[Sample], early: EarlyStop | None, decode: Decode, score: Callable[..., list[Facts]]) -> None:
        self.samples, self.early, self.decode, self.score = samples, early, decode, score
        self.under_way = list(range(len(samples)))
        self.passes = [0] * len(samples)
        self.reasons: dict[int, str] = {}

    def __call__(self, done: int, total: int, denoised: Tensor) -> list[int] | None:
        """Which of the samples under way go on, as `prompt_to_prompt.paint` wants it: None for all. ``denoised`` is (2n, C, h, w)."""
        if done != self.at(total):
            return None
        captions = [(self.samples[place].triplet.caption, self.samples[place].triplet.edited_caption) for place in self.under_way]
        rough = self.score(self.decode(denoised).unflatten(0, (-1, 2)), captions, rough=True)
        reasons = [self._reason(place, scores) for place, scores in zip(self.under_way, rough, strict=True)]
        self.reasons |= {place: MIDWAY + reason for place, reason in zip(self.under_way, reasons, strict=True) if reason}
        going = [number for number, reason in enumerate(reasons) if not reason]
        self.under_way = [self.under_way[number] for number in going]
        return None if len(going) == len(reasons) else going

    def at(self, total: int) -> int:
        """After how many of all steps samples are dropped; 0: never."""
        middle = 0 if self.early is None else max(1, round(self.early.at * total))
        return middle if middle < total else 0

    def count(self, passes: int = PASSES) -> None:
        """Each of those under way has taken so many passes more."""
        for place in self.under_way:
            self.passes[place] += passes

    def _reason(self, place: int, scores: Facts) -> str:
        assert self.early is not None
        thresholds = replace(self.early.rules.of(self.samples[place].triplet.kind), aesthetic=None, nsfw=None)
        return thresholds.failed(scores, self.early.slack)
