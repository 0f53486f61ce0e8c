"""Perceptual hashes: pictures that look alike have hashes that differ in few bits (the DCT hash of Zauner 2010, chapter 3)."""

from collections.abc import Iterable
from functools import cache

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

SIDE, KEPT, BITS = 32, 8, 64
BANDS = 4
NEAR = 3
"""Bits by which the hashes of two pictures that count as the same may differ: fewer than there are bands, so that one band is equal."""
LUMA = (0.299, 0.587, 0.114)

Pair = tuple[str, str]


def hashes(pair: Tensor) -> list[str]:
    """The hashes of both pictures (2, H, W, 3) in [0, 1]: 16 hexadecimal digits each."""
    return [perceptual_hash(picture) for picture in pair]


def perceptual_hash(picture: Tensor) -> str:
    """64 bits of the brightness of (H, W, 3) in [0, 1]: which of the 8 x 8 lowest cosine frequencies lie above their median."""
    grey = picture.float().cpu() @ torch.tensor(LUMA)
    small = F.interpolate(grey[None, None], (SIDE, SIDE), mode="bilinear", antialias=True, align_corners=False)[0, 0].double().numpy()
    low = (_cosines() @ small @ _cosines().T).ravel()
    bits = low > np.median(low[1:])  # the first is the mean brightness, which says nothing of the content
    return np.packbits(bits).tobytes().hex()


@cache
def _cosines() -> np.ndarray:
    """(8, 32): the lowest rows of the cosine transform."""
    return np.cos(np.pi / SIDE * np.outer(np.arange(KEPT), np.arange(SIDE) + 0.5))


def distance(one: str, other: str) -> int:
    """In how many of the 64 bits two hashes differ."""
    return (int(one, 16) ^ int(other, 16)).bit_count()


class Seen:
    """Pairs met so far. A pair is a duplicate where both of its pictures are within `near` bits of those of one that was added.

    Found by the pigeonhole principle: of hashes that differ in fewer bits than there are bands, at least one band is equal. About 1 kB
    a pair, whatever the size of the set. Raises ValueError for another distance than 0 to 3.
    """

    def __init__(self, near: int = NEAR) -> None:
        if not 0 <= near < BANDS:
            raise ValueError(f"The distance of duplicates is {near} bits; use 0 to {BANDS - 1}.")
        self.near = near
        self._bands: dict[tuple[int, str], list[Pair]] = {}

    def has(self, pair: Iterable[str]) -> bool:
        """Whether a pair of hashes is that of a pair met before, or nearly."""
        first, second = pair
        met = (other for key in _keys(first) for other in self._bands.get(key, ()))
        return any(distance(first, other[0]) <= self.near and distance(second, other[1]) <= self.near for other in met)

    def add(self, pair: Iterable[str]) -> None:
        """Meet a pair."""
        first, second = pair
        for key in _keys(first):
            self._bands.setdefault(key, []).append((first, second))


def _keys(one: str) -> list[tuple[int, str]]:
    digits = len(one) // BANDS
    return [(band, one[band * digits : (band + 1) * digits]) for band in range(BANDS)]
