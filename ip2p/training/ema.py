"""A moving average of weights, the authors' way."""

from collections.abc import Iterable

import torch
from torch import Tensor


def decay_at(updates: int, decay: float) -> float:
    """The decay after ``updates`` earlier updates: min(decay, (1 + n) / (10 + n)), so that early averages forget quickly."""
    return min(decay, (1 + updates) / (10 + updates))


@torch.no_grad()
def update(average: list[Tensor], weights: Iterable[Tensor], updates: int, decay: float) -> None:
    """``average <- d average + (1 - d) weights`` in place, d from `decay_at`; both in the same order."""
    torch._foreach_lerp_(average, [weight.detach() for weight in weights], 1 - decay_at(updates, decay))
