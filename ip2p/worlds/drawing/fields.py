"""Smooth random fields and scattered points, the same at every resolution, and small helpers on arrays."""

from collections.abc import Sequence
from functools import lru_cache
from zlib import crc32

import numpy as np

from .canvas import Array, Canvas

CELLS = 64
"""Scattered points repeat after so many cells."""


@lru_cache(maxsize=4096)
def _entropy(seed: int, tags: tuple[str | int, ...]) -> tuple[int, int]:
    return seed, crc32("/".join(map(str, tags)).encode())


def chance(seed: int, *tags: str | int) -> np.random.Generator:
    """Random numbers that depend on the seed and on what they are for, on nothing else."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(_entropy(seed, tags))))


def mix(a: Array | Sequence[float] | float, b: Array | Sequence[float] | float, t: Array | float) -> Array:
    """`a` where `t` is 0, `b` where it is 1."""
    first = np.asarray(a, np.float32)
    return first + (np.asarray(b, np.float32) - first) * np.asarray(t, np.float32)


def tinted(colour: Array, tone: Array | float) -> Array:
    """A colour (H, W, 3) made darker (tone < 1) or lighter (tone > 1)."""
    share = np.asarray(tone, np.float32)
    share = share[..., None] if share.ndim else share
    return np.where(share > 1, mix(colour, 1.0, np.clip(share - 1, 0, 1)), colour * np.minimum(share, 1))


def ramp(values: Array, low: float, high: float) -> Array:
    """0 at `low`, 1 at `high` (which may be the smaller), smooth between."""
    t = np.clip((values - low) * np.float32(1 / (high - low)), 0, 1)
    return t * t * (3 - 2 * t)


def bump(values: Array, centre: float, width: float) -> Array:
    """1 at `centre`, falling off smoothly to 0 at `width` from it."""
    return ramp(np.abs(values - np.float32(centre)), width, 0)


def cover(distance: Array, px: float) -> Array:
    """Coverage in [0, 1] of a pixel of side `px` whose centre is at this signed distance from an edge (negative inside)."""
    return np.clip(0.5 - distance * np.float32(1 / px), 0, 1)


def _weights(places: Array, count: int) -> Array:
    """(N, count): how much each knot of a line weighs at each of N places, smooth between the knots."""
    first = np.clip(places.astype(int), 0, count - 2)
    t = np.clip(places - first, 0, 1)
    t = t * t * (3 - 2 * t)
    out = np.zeros((len(places), count), np.float32)
    rows = np.arange(len(places))
    out[rows, first], out[rows, first + 1] = 1 - t, t
    return out


def noise(plane: Canvas, rng: np.random.Generator, across: float, down: float) -> Array:
    """(H, W) in [0, 1]: random values at `across` x `down` knots of the scene, smooth between them."""
    columns, rows = int(across) + 2, int(down) + 2
    table = rng.random((rows, columns), np.float32)
    return _weights(plane.y[:, 0] * down, rows) @ table @ _weights(plane.x[0] * across, columns).T


def cloudy(plane: Canvas, rng: np.random.Generator, across: float, down: float, octaves: int = 4) -> Array:
    """(H, W), about 0 on average and within [-1, 1]: noise at `octaves` scales, each half as strong and twice as fine."""
    total = np.zeros(plane.shape, np.float32)
    for octave in range(octaves):
        scale = 2**octave
        total += (noise(plane, rng, across * scale, down * scale) * 2 - 1) / scale
    return total * 0.7


def outline(plane: Canvas, rng: np.random.Generator, waves: float, octaves: int = 3) -> Array:
    """(1, W), about 0 on average and within [-1, 1]: a line that rolls `waves` times over the scene, finer waves on it."""
    total = np.zeros(plane.x.shape, np.float32)
    for octave in range(octaves):
        scale = 2**octave
        count = int(waves * scale) + 2
        table = rng.random((count, 1), np.float32)
        total += ((_weights(plane.x[0] * waves * scale, count) @ table).T * 2 - 1) / scale**1.3
    return total * 0.7


def scatter(across: Array, down: Array, rng: np.random.Generator, margin: float = 0.25) -> tuple[Array, Array, Array]:
    """One point in each unit cell of (`across`, `down`), at least `margin` from its border, rows of cells shifted against each other.

    Returns the offsets from the cell's own point and a random value in [0, 1) that belongs to it.
    """
    tables, shifts = rng.random((3, CELLS, CELLS), np.float32), rng.random(CELLS, np.float32)
    row = np.floor(down)
    across = across + shifts[row.astype(int) % CELLS]
    column = np.floor(across)
    tables[:2] = margin + (1 - 2 * margin) * tables[:2]
    at = row.astype(int) % CELLS, column.astype(int) % CELLS
    return across - column - tables[0][at], down - row - tables[1][at], tables[2][at]
