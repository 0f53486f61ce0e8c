"""Pieces of land that several places share: hills, the ground in front, what is strewn on it, rows of trees."""

from collections.abc import Callable

import numpy as np

from .. import plants
from ..canvas import Array, Tint
from ..fields import bump, chance, cloudy, cover, mix, outline, ramp, scatter
from ..painting import Painting
from ..palette import Season

Tree = Callable[[Painting, float, float, float, Season, float, int], None]


def line(painting: Painting, seed: int, name: str, height: float, swing: float, waves: float, octaves: int = 3) -> Array:
    """(1, W): y of a rolling horizon around `height`."""
    return height + swing * outline(painting.plane, chance(seed, name), waves, octaves)


def under(painting: Painting, edge: Array) -> Array:
    """(H, W): coverage of what lies under the line (1, W)."""
    slope = np.gradient(edge[0], painting.plane.px)[None] if edge.shape[1] > 1 else 0
    return cover((edge - painting.plane.y) / np.sqrt(1 + slope**2), painting.plane.px)


def hill(painting: Painting, seed: int, name: str, edge: Array, colour: Tint, depth: float, contrast: float = 0.10) -> None:
    """A hill below the line: a lighter crest towards the sun, soft patches, darker downwards."""
    plane = painting.plane
    below = np.clip(plane.y - edge, 0, 1)
    patches = cloudy(plane, chance(seed, name, "patches"), 6, 14, 3)
    slope = np.gradient(edge[0])[None] / plane.px * np.float32(painting.sun_side)
    value = patches * contrast + ramp(below, 0.10, 0.0) * (0.10 - 0.35 * np.clip(-slope, -0.3, 0.3)) - ramp(below, 0.0, 0.25) * 0.10
    painting.paint(shaded(colour, value), under(painting, edge), depth)


def shaded(colour: Tint, value: Array) -> Array:
    """A colour made lighter and warmer where `value` (H, W) is positive, darker and cooler where it is negative."""
    lighter = mix(np.asarray(colour, np.float32), (1.0, 0.99, 0.88), np.clip(value, 0, 1)[..., None])
    return mix(lighter, np.asarray(colour, np.float32) * np.array((0.35, 0.38, 0.50), np.float32), np.clip(-value, 0, 1)[..., None])


def near_depth(painting: Painting, top: float) -> Array:
    """(H, 1): depth of the ground, from 0.35 at `top` to 0.04 at the picture's lower border."""
    return 0.04 + 0.31 * np.clip((1 - painting.plane.y) / (1 - top), 0, 1) ** 1.5


def ground(painting: Painting, seed: int, edge: Array, near: Tint, far: Tint, top: float, contrast: float = 0.10) -> Array:
    """The ground in front, below the line; returns its coverage (H, W)."""
    plane = painting.plane
    whole = under(painting, edge)
    along = ramp(plane.y, top, 1.0)
    patches = cloudy(plane, chance(seed, "ground"), 3, 11, 4)
    colour = mix(far, near, along[..., None])
    painting.paint(
        shaded(np.broadcast_to(colour, (*plane.shape, 3)), patches * contrast),
        whole,
        np.broadcast_to(near_depth(painting, top), plane.shape),
    )
    return whole


def spread(painting: Painting, top: float) -> tuple[Array, Array, Array]:
    """Coordinates on the ground in perspective: across (H, W) and away (H, 1), alike in scale, and their scale (H, 1), 1 at the bottom."""
    scale = 0.22 + 0.78 * np.clip((painting.plane.y - top) / (1 - top), 0, 1.2)
    return (painting.plane.x - 0.5) / scale, np.log(scale) * ((1 - top) / 0.78), scale


def strew(
    painting: Painting,
    seed: int,
    name: str,
    where: Array,
    colours: tuple[Tint, ...],
    top: float,
    size: float,
    share: float,
    flat: float = 0.6,
) -> None:
    """Flowers, leaves or stones on the ground: one in `share` of the cells that are `size` wide, in patches."""
    across, away, scale = spread(painting, top)
    patch = cloudy(painting.plane, chance(seed, name, "patch"), 4, 9, 2) * 0.5
    for number, colour in enumerate(colours):
        dx, dy, luck = scatter(across / size + 7.3 * number, away / size / flat, chance(seed, name, number), 0.2)
        spot = np.hypot(dx, dy) - (0.10 + 0.12 * luck / max(share, 0.01))
        chosen = (luck < share * np.clip(0.55 + 2.2 * patch * (-1) ** number, 0.1, 1.3)) * ramp(scale, 0.30, 0.45)
        painting.paint(colour, cover(spot * size * scale, painting.plane.px) * chosen * where)


def blades(painting: Painting, seed: int, where: Array, colour: Array, top: float) -> None:
    """Short strokes of grass."""
    across, away, scale = spread(painting, top)
    dx, dy, luck = scatter(across / 0.030, away / 0.045, chance(seed, "blades"), 0.2)
    width = 0.10 * np.clip(0.35 - dy, 0, 0.7)
    stroke = np.maximum(np.abs(dx + 0.3 * (luck - 0.5) * dy) - width, np.abs(dy) - 0.32)
    painting.paint(colour, cover(stroke * 0.030 * scale, painting.plane.px) * where * 0.75)


def fringe(painting: Painting, seed: int, grass: Tint, season: Season) -> None:
    """Tall grass and flowers along the lower border, in front of where things stand; dry stalks in the snow in winter."""
    view = painting.window(-0.1, 0.88, 1.1, 1.1)
    if view.empty:
        return
    rng = chance(seed, "fringe")
    middle = 1 - 0.75 * ramp(np.abs(view.plane.x - float(rng.uniform(0.3, 0.7))), 0.42, 0.05)
    tall = (0.035 + 0.055 * middle) * (0.45 if season.snow else 1.0)
    for layer, shade in enumerate((0.30, 0.16, 0.02)):
        stalk = (0.70, 0.60, 0.44) if season.snow else grass
        blade = _stalks(view, rng, tall * (1.1 - 0.15 * layer), 38 - 6 * layer, 0.25 if season.snow else 1.0)
        view.paint(mix(stalk, (0.05, 0.16, 0.10), shade), blade, 0.05)
    if season.density:
        _heads(view, rng, tall, season)


def _stalks(view: Painting, rng: np.random.Generator, tall: Array, count: int, share: float) -> Array:
    """(H, W): coverage of bent blades, `count` of them across, about `tall` (1, W) high."""
    u = view.plane.x * count
    cell = np.floor(u).astype(int) % 64
    place, bend = rng.uniform(0.35, 0.65, 64), rng.uniform(-0.9, 0.9, 64)
    height = rng.uniform(0.45, 1.0, 64) * (rng.random(64) < share)
    rise = np.clip((1.0 - view.plane.y) / (tall * height[cell] + 1e-4), 0, 2)
    off = np.abs(u - np.floor(u) - place[cell] - 0.35 * bend[cell] * rise**2) / count
    return cover((off - (0.22 / count) * (1 - rise)).astype(np.float32), view.plane.px) * (rise < 1)


def _heads(view: Painting, rng: np.random.Generator, tall: Array, season: Season) -> None:
    """Round flowers of five petals; in autumn dry leaves."""
    for number, petal in enumerate(season.petals):
        x, luck, kind = rng.uniform(0, 1, 5), rng.random(5), rng.random(5)
        for a, b, c in zip(x.tolist(), luck.tolist(), kind.tolist(), strict=True):
            y = 0.985 - float(np.interp(a, view.plane.x[0], tall[0])) * (0.3 + 0.7 * b)
            part = view.window(a - 0.02, y - 0.02, a + 0.02, y + 0.02)
            if b < season.density and not part.empty:
                _flower(part, part.plane.x - a, part.plane.y - y, 0.0095 + 0.004 * c, mix(petal, 1.0, 0.08 * number), 6.3 * c)


def _flower(part: Painting, u: Array, v: Array, radius: float, petal: Tint, turn: float) -> None:
    away = np.hypot(u, v)
    edge = away - radius * (0.78 + 0.22 * np.cos(5 * np.arctan2(v, u) + turn))
    part.paint(petal, cover(edge, part.plane.px), 0.04)
    part.paint((0.98, 0.80, 0.25), cover(away - 0.34 * radius, part.plane.px), 0.04)


def path(painting: Painting, seed: int, where: Array, colour: Tint, top: float) -> None:
    """A footpath that winds from the lower border to the hills."""
    rng = chance(seed, "path")
    start, swing, turn = float(rng.uniform(0.3, 0.7)), float(rng.choice([-1, 1])) * 0.10, float(rng.uniform(0, 3))
    p = np.clip((painting.plane.y - top) / (1 - top), 0, 1)
    middle = start + swing * np.sin(turn + 4.2 * p**0.6) + 0.10 * (1 - p) * np.sign(0.5 - start)
    edge = np.abs(painting.plane.x - middle) - (0.010 + 0.075 * p**1.4)
    rough = 0.004 * cloudy(painting.plane, rng, 30, 60, 2) * (0.3 + p)
    painting.paint(mix(colour, (0.2, 0.2, 0.1), 0.12), cover(edge + rough - 0.006 * p, painting.plane.px) * where * 0.8)
    painting.paint(colour, cover(edge + rough, painting.plane.px) * where * 0.9)


def tree_row(
    painting: Painting, seed: int, name: str, edge: Array, count: int, height: tuple[float, float], season: Season, depth: float, tree: Tree
) -> None:
    """`count` trees along the line, their heights between the two of `height`, the near ones last."""
    rng = chance(seed, name)
    places = (np.arange(count) + rng.uniform(0.05, 0.95, count)) / count * 1.1 - 0.05
    heights, sinks, kinds = rng.uniform(*height, count), rng.uniform(0, 0.02, count), rng.integers(0, 1000, count)
    for index in np.argsort(sinks):
        foot = float(np.interp(places[index], painting.plane.x[0], edge[0])) + float(sinks[index])
        tree(painting, float(places[index]), foot, float(heights[index]), season, depth, int(kinds[index]))


def grove(
    painting: Painting,
    seed: int,
    name: str,
    edge: Array,
    centre: float,
    width: float,
    count: int,
    height: float,
    season: Season,
    depth: float,
) -> None:
    """A clump of leafy trees around x = `centre`."""
    rng = chance(seed, name)
    places, heights = rng.normal(centre, width, count), height * rng.uniform(0.7, 1.15, count)
    sinks, kinds = rng.uniform(0, 0.02, count), rng.integers(0, 1000, count)
    for index in np.argsort(sinks):
        foot = float(np.interp(places[index], painting.plane.x[0], edge[0])) + float(sinks[index])
        plants.leafy_tree(painting, float(places[index]), foot, float(heights[index]), season, depth, int(kinds[index]))


def sheen(painting: Painting, x: float, y: float, across: float, down: float, colour: Tint, strength: float) -> None:
    """A soft oval of light or shade."""
    away = np.hypot((painting.plane.x - x) / across, (painting.plane.y - y) / down)
    painting.paint(colour, bump(away, 0, 1) * np.float32(strength))
