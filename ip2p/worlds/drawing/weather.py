"""What falls in front of everything: rain, snow, and a breath of fog."""

from functools import lru_cache

import numpy as np

from .canvas import Array, canvas
from .fields import chance, cover, scatter
from .light import light


@lru_cache(maxsize=24)
def veil(weather: str, time: str, season: str, seed: int, size: int, zoom: float) -> tuple[Array, Array] | None:
    """What is between the things and the viewer: its coverage (H, W, 1) and its colour (3,); None in dry weather."""
    if weather not in ("rainy", "snowy"):
        return None
    drops = _rain(seed, size, zoom) if weather == "rainy" else _flakes(seed, size, zoom)
    strength = {"day": 1.0, "sunset": 0.9, "night": 0.75}[time]
    base = np.array(light(time, weather, season).horizon, np.float32)
    white = 0.55 if weather == "rainy" else 0.9
    colour = base + (1 - base) * np.float32(white * strength)
    coverage = drops[..., None] * np.float32(0.42 if weather == "rainy" else 0.9)
    coverage.flags.writeable = False
    return coverage, colour


@lru_cache(maxsize=8)
def _rain(seed: int, size: int, zoom: float) -> Array:
    """(H, W): slanting streaks in two depths."""
    plane = canvas(size, zoom)
    total = np.zeros(plane.shape, np.float32)
    for cells, thick, strength in ((26, 0.0030, 1.0), (42, 0.0022, 0.6)):
        across, down = (plane.x + 0.22 * plane.y) * cells, plane.y * cells * 0.2 + np.zeros_like(plane.x)
        down = down + chance(seed, "fall", cells).random(256, np.float32)[np.floor(across).astype(int) % 256]
        dx, dy, luck = scatter(across, down, chance(seed, "rain", cells), 0.15)
        streak = cover(np.abs(dx) / cells - thick, max(plane.px, thick)) * np.clip(1.1 - np.abs(dy) * 3.5, 0, 1)
        total = np.maximum(total, streak * (luck < 0.75) * strength)
    return total


@lru_cache(maxsize=8)
def _flakes(seed: int, size: int, zoom: float) -> Array:
    """(H, W): flakes in three depths."""
    plane = canvas(size, zoom)
    total = np.zeros(plane.shape, np.float32)
    for cells, radius, share in ((9, 0.0105, 0.55), (15, 0.0072, 0.65), (25, 0.0045, 0.7)):
        dx, dy, luck = scatter(plane.x * cells, plane.y * cells, chance(seed, "flakes", cells), 0.2)
        size_here = radius * (0.7 + 0.4 * luck / share)
        total = np.maximum(total, cover(np.hypot(dx, dy) / cells - size_here, max(plane.px, 0.4 * radius)) * (luck < share))
    return total
