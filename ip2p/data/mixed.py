"""Several training sets as one: "0.6*photos:FOLDER + 0.4*world:recolour,add"."""

import math
from pathlib import Path

import numpy as np

from .example import DataError
from .pairs import Group, PairSet, open_pairs

LARGEST = 10_000_000
"""Groups of a mixture at most; the sets repeat to fill their shares."""


def open_mixed(spec: str, split: str = "train", size: int = 0, cache: Path | None = None) -> PairSet:
    """The sets of a spec in the shares of their weights; without weights each as often as it has groups. Raises DataError."""
    parts = [_weighted(part) for part in spec.split(" + ")]
    sets = [open_pairs(source, split, size, cache) for _, source in parts]
    given = [weight for weight, _ in parts if weight is not None]
    if given and len(given) < len(parts):
        raise DataError(f"Only some sets of {spec!r} have a weight: write one before each, as in 0.5*world.")
    shares = [weight / sum(given) for weight in given] or [pairs.length / sum(p.length for p in sets) for pairs in sets]
    length = min(LARGEST, math.ceil(max(pairs.length / share for pairs, share in zip(sets, shares, strict=True))))
    ends = np.round(np.cumsum(shares) * length).astype(int)

    def place(number: int) -> tuple[int, int]:
        which = int(np.searchsorted(ends, number, side="right"))
        return which, (number - (int(ends[which - 1]) if which else 0)) % sets[which].length

    def group(number: int) -> Group:
        which, inner = place(number)
        return sets[which].group(inner)

    def key(number: int, pair: int) -> str:
        which, inner = place(number)
        return sets[which].key(inner, pair)

    skipped = tuple(reason for pairs in sets for reason in pairs.skipped)
    return PairSet(" + ".join(pairs.name for pairs in sets), int(ends[-1]), group, key, skipped)


def _weighted(part: str) -> tuple[float | None, str]:
    weight, star, source = part.strip().partition("*")
    if not star:
        return None, part.strip()
    try:
        value = float(weight)
    except ValueError:
        return None, part.strip()
    if not 0 < value < math.inf:
        raise DataError(f"The weight in {part.strip()!r} can't be had: use a number above 0.")
    return value, source.strip()
