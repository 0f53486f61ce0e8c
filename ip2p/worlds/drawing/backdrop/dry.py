"""Desert and mountains."""

import numpy as np

from .. import plants
from ..canvas import Array, Colour
from ..fields import chance, cloudy, cover, mix, outline, ramp
from ..painting import Painting
from ..palette import DUNES, SEASONS, SNOW, SNOW_SHADE, soil
from .land import blades, fringe, ground, hill, line, shaded, strew, tree_row, under


def desert(painting: Painting, season: str, seed: int) -> None:
    """Table mountains far off, dunes with a lit and a dark side, cacti."""
    look, (near, far) = SEASONS[season], soil("desert", season)
    _mesas(painting, season, seed)
    for name, height, depth in (("d1", 0.535, 0.62), ("d2", 0.59, 0.45), ("d3", 0.65, 0.33)):
        _dunes(painting, seed, name, height, mix(far, near, (height - 0.5) * 5), depth)
    rng = chance(seed, "cacti")
    for number in range(4):
        x, tall = float(rng.uniform(0.02, 0.2)) + number * 0.25, float(rng.uniform(0.08, 0.17))
        plants.cactus(painting, x, 0.635 + 0.35 * tall, tall, look, 0.3, int(rng.integers(0, 1000)))
    edge = line(painting, seed, "front", 0.70, 0.06, 1.3, 2)
    whole = ground(painting, seed, edge, near, mix(near, far, 0.5), 0.66, 0.20 if look.snow else 0.06)
    _ripples(painting, seed, whole)
    strew(painting, seed, "stones", whole, (mix(far, (0.3, 0.2, 0.2), 0.3),), 0.66, 0.09, 0.3)
    if season in ("spring", "autumn"):
        strew(painting, seed, "bloom", whole, look.petals, 0.66, 0.06, look.density)


def _mesas(painting: Painting, season: str, seed: int) -> None:
    """Flat-topped mountains of banded rock, the low and wide ones in front."""
    rng = chance(seed, "mesas")
    white = season == "winter"
    rock = mix(DUNES[season][1], (0.74, 0.40, 0.40), 0.35 if white else 0.5)
    for number in range(5):
        x, half, top = float(rng.uniform(0, 1)), 0.035 + 0.028 * number, 0.355 + 0.027 * number
        view = painting.window(x - half - 0.09, top - 0.01, x + half + 0.09, 0.6)
        if not view.empty:
            _mesa(view, view.plane.x - x, view.plane.y - top, half, rock, int(rng.integers(0, 1000)), white)


def _mesa(view: Painting, u: Array, v: Array, half: float, rock: Array, kind: int, white: bool) -> None:
    foot = 0.09
    rough = 0.004 * cloudy(view.plane, chance(kind, "cliff"), 70, 30, 2)
    edge = np.maximum((np.abs(u) - half - np.where(v < foot, 0.10 * v, 0.10 * foot + 0.75 * (v - foot))) * 0.8, 0.002 - v) + rough
    whole = cover(edge.astype(np.float32), view.plane.px)
    bands = 0.10 * np.sin(v * 170 + kind) + 0.05 * np.sin(v * 390)
    gullies = 0.12 * np.sin(u * 260 + kind + 2 * np.sin(v * 60)) * (v < foot)
    view.paint(shaded(rock, bands * (v < foot) + gullies + 0.28 * np.clip(u / half, -1, 1) * view.sun_side), whole, 0.8)
    if white:
        view.paint(SNOW, whole * cover(v - 0.020 - rough * 2, view.plane.px), 0.8)
        view.paint(SNOW, whole * ramp(v, foot, foot + 0.03), 0.8)


def _dunes(painting: Painting, seed: int, name: str, base: float, colour: Array, depth: float) -> None:
    """Crescent dunes: gentle towards the sun, a dark face beyond a crest that winds down."""
    rng, plane, side = chance(seed, name), painting.plane, painting.sun_side
    peaks = (np.arange(3) + rng.uniform(0.1, 0.9, 3)) / 3 * 1.3 - 0.15
    tops, widths = base - rng.uniform(0.03, 0.085, 3), rng.uniform(0.16, 0.30, 3)
    flanks = []
    for peak, top, width in zip(peaks.tolist(), tops.tolist(), widths.tolist(), strict=True):
        off = (plane.x - peak) * side
        flanks.append(top + (base + 0.03 - top) * (1 - np.exp(-(np.abs(off / np.where(off > 0, width, 0.5 * width)) ** 1.25))))
    stack = np.concatenate(flanks)
    owner, edge = stack.argmin(0), stack.min(0, keepdims=True).astype(np.float32)
    hill(painting, seed, name, edge, colour, depth, 0.03)
    below = plane.y - tops[owner]
    crest = peaks[owner] - side * (1.1 * below - 0.035 * np.sin(below * 45))
    lee = cover(((plane.x - crest) * side).astype(np.float32), 0.006) * ramp(below, 0.13, 0.04)
    painting.tone(under(painting, edge) * lee, -0.20)


def _ripples(painting: Painting, seed: int, where: Array) -> None:
    """Wind ripples, finer farther away."""
    wobble = cloudy(painting.plane, chance(seed, "ripples"), 3, 4, 2)
    waves = np.sin(np.clip(painting.plane.y - 0.6, 0.01, 1) ** 0.7 * 110 + 9 * wobble)
    painting.tone(where * ramp(waves, 0.2, 1.0), -0.06)
    painting.tone(where * ramp(waves, -0.2, -1.0), 0.10)


def mountains(painting: Painting, season: str, seed: int) -> None:
    """Snow-capped peaks in two ranges above woods and an alpine meadow."""
    look, (near, far) = SEASONS[season], soil("mountains", season)
    mountain_range(painting, seed, "rear", 0.54, (0.20, 0.33), (0.55, 0.60, 0.74), 0.95, 0.15, look.snow)
    mountain_range(painting, seed, "fore", 0.60, (0.14, 0.26), (0.44, 0.46, 0.56), 0.7, 0.07 if not look.snow else 0.16, look.snow)
    edge = line(painting, seed, "wood", 0.585, 0.03, 2)
    hill(painting, seed, "wood", edge, mix(far, look.needles, 0.0 if look.snow else 0.5), 0.5)
    tree_row(painting, seed, "trees", edge + 0.03, 16, (0.07, 0.13), look, 0.45, plants.conifer)
    front = line(painting, seed, "front", 0.655, 0.025, 1.5, 2)
    whole = ground(painting, seed, front, near, mix(near, far, 0.6), 0.64, 0.30 if look.snow else 0.12)
    strew(painting, seed, "rocks", whole, ((0.55, 0.55, 0.58),), 0.62, 0.10, 0.35)
    if not look.snow:
        blades(painting, seed, whole, mix(near, (0.05, 0.25, 0.08), 0.35), 0.62)
        strew(painting, seed, "flowers", whole, look.petals, 0.62, 0.06, look.density)
    fringe(painting, seed, near, look)


def mountain_range(
    painting: Painting, seed: int, name: str, base: float, heights: tuple[float, float], rock: Colour, depth: float, cap: float, white: bool
) -> None:
    """Jagged peaks, each with a lit and a dark face and snow `cap` high on top."""
    rng, plane = chance(seed, name), painting.plane
    count = 5
    peaks = (np.arange(count) + rng.uniform(0.15, 0.85, count)) / count * 1.3 - 0.15
    tops, slopes = base - rng.uniform(*heights, count), rng.uniform(0.9, 1.5, (count, 2))
    jag = 0.035 * outline(plane, rng, 12, 4)
    flanks = np.stack(
        [top + np.where(plane.x < x, (x - plane.x) * a, (plane.x - x) * b) for x, top, (a, b) in zip(peaks, tops, slopes, strict=True)]
    )
    owner = flanks.argmin(0)
    edge = (flanks.min(0) + jag * ramp(flanks.min(0) - tops[owner], 0.0, 0.05)).astype(np.float32)
    crest = peaks[owner] + 0.07 * cloudy(plane, rng, 1, 16, 3) * ramp(plane.y - tops[owner], 0, 0.1)
    face = np.clip((plane.x - crest) * painting.sun_side / 0.012, -1, 1)
    rough = cloudy(plane, rng, 14, 14, 3)
    whole = under(painting, edge)
    painting.paint(shaded(rock, 0.20 * face + 0.16 * rough - 0.05), whole, depth)
    line_of_snow = (plane.y - tops[owner] - cap - 0.05 * rough - 0.03 * np.sin((plane.x - peaks[owner]) * 90)).astype(np.float32)
    snow = mix(SNOW_SHADE, SNOW, np.clip(0.5 + 0.5 * face, 0, 1)[..., None])
    painting.paint(snow, whole * cover(line_of_snow, 0.006), depth)
    if white:
        painting.paint(SNOW, whole * 0.45 * ramp(rough, -0.3, 0.3), depth)
