"""Desert and mountains."""

import numpy as np

from .. import plants
from ..canvas import Array, Colour
from ..fields import chance, cloudy, cover, mix, outline, ramp
from ..painting import Painting
from ..palette import DUNES, GRASS, SEASONS, SNOW, SNOW_SHADE
from .land import blades, ground, hill, line, shaded, strew, tree_row, under


def desert(painting: Painting, season: str, seed: int) -> None:
    """Table mountains far off, dunes with a lit and a dark side, cacti."""
    look, (near, far) = SEASONS[season], DUNES[season]
    _mesas(painting, season, seed)
    for name, height, depth in (("d1", 0.53, 0.7), ("d2", 0.58, 0.5), ("d3", 0.635, 0.36)):
        _dune(painting, seed, name, height, mix(far, near, (height - 0.5) * 4), depth)
    rng = chance(seed, "cacti")
    for number in range(4):
        x, tall = float(rng.uniform(0.02, 0.2)) + number * 0.25, float(rng.uniform(0.08, 0.16))
        plants.cactus(painting, x, 0.63 + 0.3 * tall, tall, look, 0.36, int(rng.integers(0, 1000)))
    edge = line(painting, seed, "front", 0.69, 0.03, 1.3, 2)
    whole = ground(painting, seed, edge, near, mix(near, far, 0.5), 0.66, 0.06)
    _ripples(painting, seed, whole)
    strew(painting, seed, "stones", whole, (mix(far, (0.3, 0.2, 0.2), 0.3),), 0.66, 0.09, 0.3)
    if season in ("spring", "autumn"):
        strew(painting, seed, "bloom", whole, look.petals, 0.66, 0.06, look.density)


def _mesas(painting: Painting, season: str, seed: int) -> None:
    steps = outline(painting.plane, chance(seed, "mesas"), 5, 1)
    edge = 0.53 - 0.16 * ramp(steps, -0.05, 0.12) - 0.04 * ramp(steps, 0.3, 0.38) + 0.004 * line(painting, seed, "rim", 0, 1, 40, 1)
    bands = 0.14 * np.sin(painting.plane.y * 150 + 2 * steps) + 0.12 * np.clip(np.gradient(edge[0]) * 60, -1, 1)[None] * painting.sun_side
    rock = mix(DUNES[season][1], (0.70, 0.42, 0.42), 0.45 if season != "winter" else 0.3)
    painting.paint(shaded(rock, bands + np.zeros(painting.plane.shape, np.float32)), under(painting, edge), 0.85)
    if season == "winter":
        painting.paint(SNOW, under(painting, edge) * cover(painting.plane.y - edge - 0.025, painting.plane.px), 0.85)


def _dune(painting: Painting, seed: int, name: str, height: float, colour: Array, depth: float) -> None:
    """A dune whose crest line winds down and parts light from shade."""
    edge = line(painting, seed, name, height, 0.05, 1.7, 1)
    hill(painting, seed, name, edge, colour, depth, 0.04)
    peak = float(painting.plane.x[0, int(edge[0].argmin())])
    below = painting.plane.y - edge
    crest = peak + 0.9 * below * painting.sun_side * -1 + 0.05 * np.sin(below * 60)
    dark = cover((crest - painting.plane.x) * -painting.sun_side * -1, 0.012) * under(painting, edge) * ramp(below, 0.16, 0.05)
    painting.tone(dark * ramp(np.abs(painting.plane.x - peak), 0.5, 0.2), -0.14)


def _ripples(painting: Painting, seed: int, where: Array) -> None:
    """Wind ripples, finer farther away."""
    wobble = cloudy(painting.plane, chance(seed, "ripples"), 3, 4, 2)
    waves = np.sin(np.clip(painting.plane.y - 0.6, 0.01, 1) ** 0.7 * 110 + 9 * wobble)
    painting.tone(where * ramp(waves, 0.2, 1.0), -0.06)
    painting.tone(where * ramp(waves, -0.2, -1.0), 0.10)


def mountains(painting: Painting, season: str, seed: int) -> None:
    """Snow-capped peaks in two ranges above woods and an alpine meadow."""
    look, (near, far) = SEASONS[season], GRASS[season]
    _range(painting, seed, "rear", 0.54, (0.20, 0.33), (0.55, 0.60, 0.74), 0.95, 0.15, look.snow)
    _range(painting, seed, "fore", 0.60, (0.14, 0.26), (0.44, 0.46, 0.56), 0.7, 0.07 if not look.snow else 0.16, look.snow)
    edge = line(painting, seed, "wood", 0.585, 0.03, 2)
    hill(painting, seed, "wood", edge, mix(far, look.needles, 0.0 if look.snow else 0.5), 0.5)
    tree_row(painting, seed, "trees", edge + 0.03, 16, (0.07, 0.13), look, 0.45, plants.conifer)
    front = line(painting, seed, "front", 0.655, 0.025, 1.5, 2)
    whole = ground(painting, seed, front, near, mix(near, far, 0.6), 0.64, 0.12)
    strew(painting, seed, "rocks", whole, ((0.55, 0.55, 0.58),), 0.62, 0.10, 0.35)
    if not look.snow:
        blades(painting, seed, whole, mix(near, (0.05, 0.25, 0.08), 0.35), 0.62)
        strew(painting, seed, "flowers", whole, look.petals, 0.62, 0.06, look.density)


def _range(
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
