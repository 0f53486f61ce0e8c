"""Signed distances to flat shapes: negative inside, in the units of the coordinates. All take arrays that broadcast together."""

from collections.abc import Sequence

import numpy as np

from .canvas import Array


def circle(x: Array, y: Array, radius: float) -> Array:
    """A disc around the origin."""
    return np.hypot(x, y) - np.float32(radius)


def ellipse(x: Array, y: Array, across: float, down: float) -> Array:
    """An ellipse around the origin with these half axes; exact at its edge, about right near it."""
    inner = np.hypot(x / across, y / down)
    slope = np.hypot(x / across**2, y / down**2)
    return inner * (inner - 1) / np.maximum(slope, 1e-4)


def box(x: Array, y: Array, across: float, down: float, corner: float = 0.0) -> Array:
    """A box around the origin with these half sides and rounded corners."""
    right, below = np.abs(x) - np.float32(across - corner), np.abs(y) - np.float32(down - corner)
    outside = np.hypot(np.maximum(right, 0), np.maximum(below, 0))
    return outside + np.minimum(np.maximum(right, below), 0) - np.float32(corner)


def segment(x: Array, y: Array, start: tuple[float, float], end: tuple[float, float], thick: float, tip: float | None = None) -> Array:
    """A line with round ends; `thick` is half its width at the start, `tip` at the end."""
    dx, dy = end[0] - start[0], end[1] - start[1]
    along = np.clip(((x - start[0]) * dx + (y - start[1]) * dy) / (dx * dx + dy * dy), 0, 1)
    thin = thick if tip is None else thick + (tip - thick) * along
    return np.hypot(x - start[0] - along * dx, y - start[1] - along * dy) - thin


def polygon(x: Array, y: Array, corners: Sequence[tuple[float, float]]) -> Array:
    """A polygon without crossings, in either direction."""
    nearest, inside = np.float32(1e9), np.zeros(np.broadcast(x, y).shape, bool)
    for (ax, ay), (bx, by) in zip(corners, [*corners[1:], corners[0]], strict=True):
        nearest = np.minimum(nearest, segment(x, y, (ax, ay), (bx, by), 0.0))
        crosses = (ay > y) != (by > y)
        if ay != by:
            inside ^= crosses & (x < (bx - ax) * (y - ay) / (by - ay) + ax)
    return np.where(inside, -nearest, nearest).astype(np.float32)


def star(x: Array, y: Array, points: int, outer: float, inner: float) -> Array:
    """A star around the origin, one point up."""
    turns = np.arange(2 * points) * np.pi / points - np.pi / 2
    reach = np.where(np.arange(2 * points) % 2, inner, outer)
    return polygon(x, y, list(zip((reach * np.cos(turns)).tolist(), (reach * np.sin(turns)).tolist(), strict=True)))


def heart(x: Array, y: Array) -> Array:
    """A heart that fills about -1..1 in both directions, its tip down at (0, 1)."""
    across, up = np.abs(x) * 0.62, (0.98 - y) * 0.56
    beside = np.hypot(across - 0.25, up - 0.75) - np.float32(np.sqrt(2) / 4)
    middle = 0.5 * np.maximum(across + up, 0)
    below = np.sqrt(np.minimum(across**2 + (up - 1) ** 2, (across - middle) ** 2 + (up - middle) ** 2)) * np.sign(across - up)
    return np.where(across + up > 1, beside, below) / 0.6
