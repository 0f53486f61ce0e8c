"""What SDEdit's strength means (Meng et al. 2022, section 3): the part of the noise schedule that is gone through."""

import math
from collections.abc import Callable

from torch import Tensor

WHOLE = 0.9999
"""Strengths above this count as 1, as in the host."""
SMALLEST = 0.01


def check_strength(strength: float) -> float:
    """Return the strength, or raise ValueError for one outside 0.01..1."""
    if not math.isfinite(strength) or not SMALLEST <= strength <= 1:
        raise ValueError(f"The strength is {strength}; use 0.01 (nearly the picture) to 1 (the text alone), such as 0.6.")
    return strength


def partial_schedule(schedule: Callable[[int], Tensor], steps: int, strength: float) -> Tensor:
    """(steps + 1,) sigmas: the last `steps` steps of a whole schedule of `int(steps / strength)`, as the host's `denoise` takes them.

    diffusers counts the other way: it runs the last `int(whole * strength)` of `whole` steps. Both are the same where
    `steps = whole * strength` is a whole number. Raises ValueError for a strength outside 0.01..1.
    """
    check_strength(strength)
    whole = steps if strength > WHOLE else int(steps / strength)
    return schedule(whole)[-(steps + 1) :]
