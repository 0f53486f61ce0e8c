"""A claim: what the paper says, a statement that can be measured for it, its estimate, and what decides whether it holds."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from ..evaluation.intervals import Mean
from .blocks import Blocks, Statistic, estimated, plain

VERDICTS = ("reproduced", "not reproduced", "cannot be told", "measured")
"""The last where the paper says nothing."""
COSINE, POINTS, SHARE = "cosine", "points", "share"
"""Units: of CLIP's axes; of differences of shares; of shares."""
SMALLEST = {COSINE: 0.01, POINTS: 0.03, SHARE: 0.03}
"""The smallest effect that counts, by unit."""
LEAST = {POINTS: -1.0, SHARE: 0.0}
"""The least that is possible of what is at most 1."""
SAME = 1e-9
"""An interval narrower than this has no width."""


@dataclass(frozen=True)
class Claim:
    """A measurable ``statement`` for what the ``paper`` says ("" where it says nothing) of a ``figure``, or in a ``section``.

    It holds where the estimate is above ``null`` (with ``below``: below it). ``needs`` are the blocks that it is estimated from; where
    they are ``empty``, it can't be told whatever the estimate is. What ``detail`` gives stands beside it.
    """

    id: str
    figure: str
    section: str
    paper: str
    statement: str
    unit: str
    needs: tuple[str, ...]
    estimate: Callable[[Blocks], Mean]
    null: float = 0.0
    below: bool = False
    margin: float | None = None
    empty: Callable[[Blocks], bool] | None = None
    detail: Callable[[Blocks], dict[str, Any]] | None = None

    @property
    def smallest(self) -> float:
        """The smallest effect that counts."""
        return SMALLEST.get(self.unit, 0.0) if self.margin is None else self.margin

    def verdict(self, found: Mean) -> str:
        """One of VERDICTS: the whole interval has to lie on the statement's side of the null value, or to leave no room for an effect of
        the smallest size that counts; between these it can't be told."""
        if not self.paper:
            return "measured"
        if found.high - found.low < SAME:
            return "cannot be told"  # everything was the same, which tells no spread
        low, high = found.low - self.null, found.high - self.null
        low, high = (-high, -low) if self.below else (low, high)
        return "reproduced" if low > 0 else "not reproduced" if high < self.smallest else "cannot be told"

    def found(self, blocks: Blocks) -> dict[str, Any]:
        """The claim as JSON has it."""
        mean = self.estimate(blocks)
        if self.unit in LEAST and math.isfinite(mean.high - mean.low):
            mean = replace(mean, low=max(LEAST[self.unit], mean.low), high=min(1.0, mean.high))
        told = plain(mean)
        said = {name: getattr(self, name) for name in ("id", "figure", "section", "paper", "statement", "unit")}
        numbers = {"estimate": told.pop("value"), **told, "margin": self.smallest}
        verdict = "cannot be told" if self.empty and self.empty(blocks) else self.verdict(mean)
        return {**said, **numbers, "verdict": verdict, "detail": self.detail(blocks) if self.detail else {}}


def of_statistic(name: str, statement: str, unit: str, statistic: Statistic, *, needs: tuple[str, ...], **more: Any) -> Claim:
    """A claim about a statistic of all the blocks that it needs."""
    return Claim(name, statement=statement, unit=unit, needs=needs, estimate=partial(estimate, statistic, needs), **more)


def estimate(statistic: Statistic, needs: tuple[str, ...], blocks: Blocks) -> Mean:
    """A statistic of the blocks of these names."""
    return estimated(statistic, *(blocks[name] for name in needs))
