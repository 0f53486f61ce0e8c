"""Meadow and forest."""

import numpy as np

from .. import plants
from ..canvas import Array
from ..fields import chance, cloudy, cover, mix, ramp, scatter
from ..painting import Painting
from ..palette import SEASONS, Season, soil
from .land import blades, fringe, ground, grove, hill, line, path, shaded, strew, tree_row


def meadow(painting: Painting, season: str, seed: int) -> None:
    """Rolling hills one behind the other, clumps of trees, a path, flowers in front."""
    look, (near, far) = SEASONS[season], soil("meadow", season)
    hill(painting, seed, "far", line(painting, seed, "far", 0.455, 0.16, 2.6), mix(far, (0.45, 0.58, 0.84), 0.62), 0.85, 0.08)
    hill(painting, seed, "mid", line(painting, seed, "mid", 0.51, 0.13, 2.0, 2), mix(far, (0.42, 0.62, 0.70), 0.32), 0.6)
    edge = line(painting, seed, "hill", 0.565, 0.11, 1.6, 2)
    for number, centre in enumerate(chance(seed, "groves").uniform(0, 0.33, 3)):
        grove(painting, seed, f"grove{number}", edge, float(centre) + number / 3, 0.045, 4, 0.115, look, 0.45)
    hill(painting, seed, "hill", edge, mix(far, near, 0.4), 0.4)
    front = line(painting, seed, "front", 0.645, 0.08, 1.2, 2)
    whole = ground(painting, seed, front, near, mix(near, far, 0.6), 0.62, _contrast(look))
    if not look.snow:
        blades(painting, seed, whole, mix(near, (0.05, 0.25, 0.08), 0.35), 0.60)
        strew(painting, seed, "flowers", whole, look.petals, 0.60, 0.055, look.density)
    path(painting, seed, whole, mix(near, (0.62, 0.70, 0.85) if look.snow else (0.93, 0.80, 0.58), 0.55), 0.63)
    fringe(painting, seed, near, look)


def _contrast(look: Season) -> float:
    """How strongly the ground is mottled: snow lies in drifts."""
    return 0.30 if look.snow else 0.14


def forest(painting: Painting, season: str, seed: int) -> None:
    """Trees in three depths around a clearing, leaves overhead."""
    look, (near, far) = SEASONS[season], soil("forest", season)
    air = mix(look.leaves[1], (0.62, 0.78, 0.80), 0.5)
    hill(painting, seed, "far", line(painting, seed, "far", 0.42, 0.05, 7, 4), air, 0.95)
    edge = line(painting, seed, "rear", 0.56, 0.015, 2)
    tree_row(painting, seed, "rear trees", edge, 15, (0.17, 0.27), look, 0.7, _mixed)
    hill(painting, seed, "rear", edge, mix(far, (0.1, 0.3, 0.2), 0.0 if look.snow else 0.25), 0.55)
    edge = line(painting, seed, "middle", 0.61, 0.015, 2)
    tree_row(painting, seed, "middle trees", edge, 9, (0.20, 0.30), look, 0.45, _mixed)
    whole = ground(painting, seed, edge, mix(near, (0.20, 0.30, 0.10), 0.0 if look.snow else 0.25), far, 0.60, _contrast(look) + 0.04)
    strew(painting, seed, "litter", whole, look.petals, 0.60, 0.05, look.density)
    fringe(painting, seed, mix(near, (0.10, 0.30, 0.12), 0.3), look)
    _trunks(painting, seed, look)
    _canopy(painting, seed, look)


def _mixed(painting: Painting, x: float, y: float, height: float, season: Season, depth: float, kind: int) -> None:
    """A conifer or a leafy tree."""
    (plants.conifer if kind % 5 < 2 else plants.leafy_tree)(painting, x, y, height, season, depth, kind)


def _trunks(painting: Painting, seed: int, look: Season) -> None:
    """Two tall trunks that frame the picture."""
    rng = chance(seed, "trunks")
    for x, width in ((float(rng.uniform(-0.01, 0.02)), 0.035), (float(rng.uniform(0.98, 1.01)), 0.04)):
        _trunk(painting, x, width, float(rng.uniform(0.67, 0.70)), look, seed)


def _trunk(painting: Painting, x: float, width: float, foot: float, look: Season, seed: int) -> None:
    view = painting.window(x - 0.1, -0.1, x + 0.1, foot + 0.02)
    if view.empty:
        return
    u, y = view.plane.x - x, view.plane.y
    half = width * (0.75 + 0.25 * y) + 0.03 * ramp(y, foot - 0.08, foot + 0.02) ** 2
    bark = cloudy(view.plane, chance(seed, "bark"), 60, 8, 2) * 0.35 + np.clip(u * view.sun_side / width, -1, 1) * 0.25 - 0.05
    shape = np.maximum(np.abs(u) - half, y - foot - 0.012 * np.cos(u / width))
    view.paint(shaded((0.42, 0.31, 0.24), bark), cover(shape, view.plane.px), 0.16)
    if look.snow:
        view.paint((0.95, 0.97, 1), cover(np.maximum(shape, np.abs(u + view.sun_side * half * 0.75) - 0.25 * half), view.plane.px) * 0.85)


def _canopy(painting: Painting, seed: int, look: Season) -> None:
    """Leaves along the upper border, thick in the corners."""
    view = painting.window(-0.1, -0.1, 1.1, 0.30)
    if view.empty:
        return
    middle = np.abs(view.plane.x - 0.5)
    low = 0.035 + 0.75 * middle**2.6
    for number, leaf in enumerate((look.leaves[1], look.leaves[0], look.leaves[2])):
        shade = mix(leaf, (0.04, 0.10, 0.10), 0.32 - 0.15 * number) if not look.snow else mix(leaf, (0.5, 0.6, 0.75), 0.3 - 0.12 * number)
        view.paint(shade, cover(_leaves(view, seed, number, low * (1 - 0.22 * number)), view.plane.px), 0.12)


def _leaves(view: Painting, seed: int, number: int, low: Array) -> Array:
    """(H, W): distance to round tufts that fill the space above the line `low` (1, W)."""
    scale = 15 + 5 * number
    dx, dy, luck = scatter(view.plane.x * scale, view.plane.y * scale, chance(seed, "canopy", number), 0.32)
    tufts = (np.hypot(dx, dy) - 0.22 - 0.10 * luck) / scale
    return np.minimum(
        np.maximum(tufts, view.plane.y - low - 0.03), view.plane.y - low + 0.035 + 0.012 * np.sin(view.plane.x * 90 + 5 * number)
    )
