"""Means and other statistics with their 95% intervals."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

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


def wilson(share: float, n: float) -> tuple[float, float]:
    """Wilson's score interval of a share of `n`: never outside 0..1, and sensible for shares of 0 and 1 (Wilson 1927)."""
    centre = (share + Z**2 / (2 * n)) / (1 + Z**2 / n)
    reach = Z / (1 + Z**2 / n) * math.sqrt(share * (1 - share) / n + Z**2 / (4 * n**2))
    return max(0.0, min(share, centre - reach)), min(1.0, max(share, centre + reach))


def student(freedom: float) -> float:
    """The 97.5% point of Student's t, of any number of degrees of freedom."""
    from scipy.special import stdtrit

    return float(stdtrit(freedom, 0.975))


def jackknife(statistic: Callable[..., float], sizes: Sequence[int]) -> Mean:
    """A statistic of measurements that cross several samples, such as trained networks and tasks, with its 95% interval over all of them.

    ``statistic`` is given, for each sample of ``sizes`` units, the numbers (arrays) of the units to use. Each sample's share of the
    variance is Tukey's, from leaving out one unit after another (Efron and Stein 1981); the shares are added, and Student's t has the
    degrees of freedom that Satterthwaite (1946) gives such a sum. With crossed samples this counts what the two have in common twice, so
    it errs to the wide side. `n` is the product of the sizes. The interval is not finite where a sample has a single unit, or where the
    statistic is not defined without some.
    """
    whole = [np.arange(size) for size in sizes]
    value, shares = statistic(*whole), []
    if min(sizes) < 2:
        return Mean(value, -math.inf, math.inf, math.prod(sizes))
    for place, size in enumerate(sizes):
        left = [statistic(*whole[:place], np.delete(whole[place], unit), *whole[place + 1 :]) for unit in range(size)]
        middle = math.fsum(left) / size
        shares.append((size - 1) / size * math.fsum((one - middle) ** 2 for one in left))
    if not math.isfinite(value) or not all(map(math.isfinite, shares)):
        return Mean(value, -math.inf, math.inf, math.prod(sizes))
    variance = math.fsum(shares)
    weight = math.fsum(share**2 / (size - 1) for share, size in zip(shares, sizes, strict=True))
    reach = student(variance**2 / weight) * math.sqrt(variance) if weight else 0.0
    return Mean(value, value - reach, value + reach, math.prod(sizes))
