"""Adaptive projected guidance (Sadat, Hilliges and Weber 2024, "Eliminating Oversaturation and Artifacts of High Guidance Scales in
Diffusion Models", section 4), for each of the two terms of equation 3 by itself.

The part of a term that is parallel to the prediction mostly raises contrast and saturation; the part orthogonal to it makes the edit.
So the parallel part may be weakened, a term may be kept from growing beyond a norm, and a negative momentum takes back what earlier steps
have pushed already.
"""

import math
from dataclasses import dataclass, field
from typing import Literal

from torch import Tensor

from .engine import Part, Step
from .guidance import Passes, Terms

Term = Literal["text", "image"]
TERMS: dict[str, tuple[Term, ...]] = {"both": ("text", "image"), "text": ("text",), "image": ("image",)}
"""What people choose."""


def split(term: Tensor, prediction: Tensor) -> tuple[Tensor, Tensor]:
    """The parts of each row of a term (B, ...) parallel and orthogonal to the same row of a prediction."""
    rows = tuple(range(1, term.ndim))
    length = prediction.square().sum(rows, keepdim=True).clamp(min=1e-24)
    parallel = (term * prediction).sum(rows, keepdim=True) / length * prediction
    return parallel, term - parallel


def limited(term: Tensor, threshold: float) -> Tensor:
    """Rows of a term whose Euclidean norm exceeds the threshold, shortened to it; 0 sets no limit."""
    if threshold == 0:
        return term
    norm = term.square().sum(tuple(range(1, term.ndim)), keepdim=True).sqrt()
    return term * (threshold / norm.clamp(min=1e-12)).clamp(max=1)


def projected(term: Tensor, prediction: Tensor, parallel: float = 0.0, threshold: float = 0.0) -> Tensor:
    """A term (B, ...) limited in its norm, with only the share ``parallel`` of what is parallel to the prediction.

    A share of 1 and a threshold of 0 give the term itself.
    """
    term = limited(term, threshold)
    return term if parallel == 1 else term - (1 - parallel) * split(term, prediction)[0]


@dataclass(frozen=True)
class Projected(Part):
    """Projected guidance for one term; at `parallel` 1, `threshold` 0 and `momentum` 0 nothing changes, to the bit.

    ``parallel``: share of the parallel part that stays, 0 to 1 (1: all; the paper takes 0). ``threshold``: largest norm of the term over
    a whole latent, in its units (0: none; the paper takes 2.5 to 15). ``momentum``: how much of the running sum is carried on, -0.99 to
    0.99 (0: none; the paper takes -0.75 to -0.25). Raises ValueError for numbers out of these ranges.
    """

    term: Term = "text"
    parallel: float = 0.0
    threshold: float = 0.0
    momentum: float = 0.0
    _held: dict = field(default_factory=dict, compare=False, repr=False)
    order = 20

    def __post_init__(self) -> None:
        if self.term not in ("text", "image"):
            raise ValueError(f"There is no {self.term!r} term to project: use text or image.")
        ranges = {"parallel": (self.parallel, 0, 1), "threshold": (self.threshold, 0, math.inf), "momentum": (self.momentum, -0.99, 0.99)}
        for name, (value, low, high) in ranges.items():
            if not (math.isfinite(value) and low <= value <= high):
                raise ValueError(f"The {name} of projected guidance is {value:g}: use {low:g} to {high:g}.")

    @property
    def neutral(self) -> bool:
        """Whether the term stays as it is."""
        return self.parallel == 1 and self.threshold == 0 and self.momentum == 0

    def begin(self) -> "Projected":
        """The part with nothing summed up yet."""
        return Projected(self.term, self.parallel, self.threshold, self.momentum)

    def wants(self, step: Step, passes: Passes) -> Passes:
        """The two terms apart from each other, even where equal scales would let them be taken as one."""
        return passes if self.neutral or not (passes.text and passes.null) else passes._replace(image=True)

    def terms(self, step: Step, text: Tensor, terms: Terms) -> Terms:
        """The terms, this one projected."""
        if self.neutral:
            return terms
        term = self._summed(step, getattr(terms, self.term))
        return terms._replace(**{self.term: projected(term, text, self.parallel, self.threshold)})

    def _summed(self, step: Step, term: Tensor) -> Tensor:
        """The term and ``momentum`` times the sum so far, which starts anew where the conditioning or the batch is another one."""
        if self.momentum == 0:
            return term
        mark = (step.key, term.shape)
        if mark in self._held:
            term = term + self.momentum * self._held[mark]
        self._held.clear()
        self._held[mark] = term
        return term
