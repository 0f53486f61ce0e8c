"""Beach and lake."""

import numpy as np

from .. import plants
from ..canvas import Array
from ..fields import chance, cloudy, cover, mix, ramp
from ..painting import Painting
from ..palette import GRASS, SEA, SEASONS, soil
from .dry import mountain_range
from .land import blades, fringe, ground, grove, hill, line, strew, tree_row, under


def beach(painting: Painting, season: str, seed: int) -> None:
    """Sea with an island, foam, sand, a palm at one side."""
    look, (dry, wet), rng = SEASONS[season], soil("beach", season), chance(seed, "beach")
    _island(painting, season, seed, float(rng.uniform(0.15, 0.85)))
    _water(painting, season, seed, 0.505, 0.16)
    slant, foot = float(rng.choice([-1, 1])), 0.655
    edge = foot + slant * 0.05 * (painting.plane.x - 0.5) + 0.012 * line(painting, seed, "foam", 0, 1, 4, 3)
    painting.paint((1, 1, 1), under(painting, edge - 0.014) * 0.92, 0.3)
    painting.paint(mix(wet, (0.5, 0.5, 0.5), 0.0 if look.snow else 0.12), under(painting, edge), 0.28)
    whole = ground(painting, seed, edge + 0.035 + 0.01 * line(painting, seed, "tide", 0, 1, 3, 2), dry, mix(dry, wet, 0.4), 0.66, 0.09)
    if season in ("spring", "autumn"):
        strew(painting, seed, "petals", whole, look.petals, 0.66, 0.06, 0.4 * look.density)
    strew(painting, seed, "shells", whole, (mix(dry, (0.5, 0.4, 0.3), 0.4), (1, 1, 1)), 0.66, 0.07, 0.22)
    side = 0.97 if slant > 0 else 0.03
    plants.palm(painting, side, 0.70, 0.40, look, 0.22, 0.20 * (-1 if slant > 0 else 1))


def _island(painting: Painting, season: str, seed: int, x: float) -> None:
    away = np.abs(painting.plane.x - x)
    edge = (
        0.51 - 0.05 * ramp(away, 0.17, 0.0) - 0.01 * line(painting, seed, "island", 0, 1, 12) * ramp(away, 0.17, 0.1) + 0.1 * (away > 0.17)
    )
    hill(painting, seed, "island", edge, mix(GRASS[season][1], (0.45, 0.60, 0.72), 0.4), 0.8)


def _water(painting: Painting, season: str, seed: int, shore: float, far: float) -> None:
    """Water from `shore` down: darker far away, crossed by ripples that widen towards the viewer."""
    near, distant = SEA[season]
    plane = painting.plane
    along = np.clip((plane.y - shore) / far, 0, 1)
    wide = cloudy(plane, chance(seed, "waves"), 5, 60, 2)
    ripples = np.sin(np.clip(plane.y - shore, 0, 1) ** 0.6 * 120 + 5 * wide)
    colour = mix(distant, near, along[..., None]) + (0.035 * ripples + 0.04 * wide)[..., None]
    depth = 0.62 - 0.34 * along
    painting.paint(
        colour.astype(np.float32),
        cover(shore - plane.y + np.zeros_like(plane.x), plane.px),
        depth + np.zeros_like(plane.x),
        water=0.42 - 0.22 * along,
    )


def lake(painting: Painting, season: str, seed: int) -> None:
    """A lake between mountains, a wood on the far shore, reeds on the near one."""
    look, (near, far) = SEASONS[season], soil("lake", season)
    mountain_range(painting, seed, "peaks", 0.53, (0.10, 0.24), (0.46, 0.53, 0.72), 0.92, 0.08 if not look.snow else 0.14, look.snow)
    edge = line(painting, seed, "far shore", 0.515, 0.03, 1.6, 2)
    hill(painting, seed, "far shore", edge, mix(far, (0.45, 0.62, 0.65), 0.3), 0.6)
    tree_row(painting, seed, "far trees", edge + 0.01, 12, (0.05, 0.10), look, 0.55, plants.conifer)
    grove(painting, seed, "grove", edge, float(chance(seed, "grove").uniform(0.2, 0.8)), 0.07, 7, 0.09, look, 0.52)
    _water(painting, season, seed, 0.545, 0.14)
    _mirror(painting)
    front = _near_shore(painting, seed)
    _reeds(painting, season, seed, front)
    painting.paint(mix(near, (0.80, 0.72, 0.56), 0.0 if look.snow else 0.7), under(painting, front - 0.012), 0.28)
    whole = ground(painting, seed, front, near, mix(near, far, 0.5), 0.66, 0.30 if look.snow else 0.12)
    if not look.snow:
        blades(painting, seed, whole, mix(near, (0.05, 0.25, 0.08), 0.35), 0.62)
        strew(painting, seed, "flowers", whole, look.petals, 0.64, 0.06, look.density * 0.8)
    fringe(painting, seed, near, look)


def _near_shore(painting: Painting, seed: int) -> Array:
    bay = float(chance(seed, "bay").uniform(0.3, 0.7))
    return line(painting, seed, "near shore", 0.68, 0.02, 3) + 0.06 * ramp(np.abs(painting.plane.x - bay), 0.5, 0.0) - 0.015


def _mirror(painting: Painting) -> None:
    """The lake mirrors more than the sea."""
    painting.water[...] *= 1.8


def _reeds(painting: Painting, season: str, seed: int, front: Array) -> None:
    rng = chance(seed, "reeds")
    for x in (0.03, 0.10, 0.34, 0.66, 0.90, 0.97):
        place = x + float(rng.uniform(-0.02, 0.02))
        foot = float(np.interp(place, painting.plane.x[0], front[0])) + 0.015
        plants.reeds(painting, place, foot, float(rng.uniform(0.09, 0.13)), SEASONS[season], 0.3, int(rng.integers(0, 1000)))
