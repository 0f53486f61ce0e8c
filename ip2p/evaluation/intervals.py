"""Means with their 95% intervals, in closed form."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

Z = 1.959963984540054
"""The normal distribution's 97.5% point."""


@dataclass(frozen=True)
class Mean:
    """A mean of `n` values, and the 95% interval around it; for a single value that is no share it is not finite."""

    value: float
    low: float
    high: float
    n: int


def mean(values: Sequence[float], share: bool = False) -> Mean:
    """The mean and its interval: Wilson's for a `share` (every value 0 or 1), Student's t otherwise. Raises ValueError for no values."""
    if not values:
        raise ValueError("There are no values to take the mean of.")
    n = len(values)
    middle = math.fsum(values) / n
    if share:
        return Mean(middle, *wilson(middle, n), n)
    if n == 1:
        return Mean(middle, -math.inf, math.inf, 1)
    spread = math.sqrt(math.fsum((value - middle) ** 2 for value in values) / (n - 1))
    reach = student(n - 1) * spread / math.sqrt(n)
    return Mean(middle, middle - reach, middle + reach, n)


def wilson(share: float, n: int) -> tuple[float, float]:
    """Wilson's score interval of a share of `n`: never outside 0..1, and sensible for shares of 0 and 1 (Wilson 1927)."""
    centre = (share + Z**2 / (2 * n)) / (1 + Z**2 / n)
    reach = Z / (1 + Z**2 / n) * math.sqrt(share * (1 - share) / n + Z**2 / (4 * n**2))
    return max(0.0, min(share, centre - reach)), min(1.0, max(share, centre + reach))


def student(freedom: int) -> float:
    """The 97.5% point of Student's t: exact for 1, 2 and 4 degrees of freedom, else within 0.3% by its expansion in 1/freedom.

    Abramowitz and Stegun, 26.7.5.
    """
    if freedom == 1:
        return math.tan(math.pi * 0.475)
    if freedom == 2:
        return 0.95 * math.sqrt(2 / (1 - 0.95**2))
    terms = (
        (Z**3 + Z) / 4,
        (5 * Z**5 + 16 * Z**3 + 3 * Z) / 96,
        (3 * Z**7 + 19 * Z**5 + 17 * Z**3 - 15 * Z) / 384,
        (79 * Z**9 + 776 * Z**7 + 1482 * Z**5 - 1920 * Z**3 - 945 * Z) / 92160,
    )
    return Z + sum(term / freedom**power for power, term in enumerate(terms, start=1))
