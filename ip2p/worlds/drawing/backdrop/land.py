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
    patches = cloudy(plane, chance(seed, "ground"), 5, 16, 4)
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
        chosen = luck < share * np.clip(0.55 + 2.2 * patch * (-1) ** number, 0.1, 1.3)
        painting.paint(colour, cover(spot * size * scale, painting.plane.px) * chosen * where)


def blades(painting: Painting, seed: int, where: Array, colour: Array, top: float) -> None:
    """Short strokes of grass."""
    across, away, scale = spread(painting, top)
    dx, dy, luck = scatter(across / 0.030, away / 0.045, chance(seed, "blades"), 0.2)
    width = 0.10 * np.clip(0.35 - dy, 0, 0.7)
    stroke = np.maximum(np.abs(dx + 0.3 * (luck - 0.5) * dy) - width, np.abs(dy) - 0.32)
    painting.paint(colour, cover(stroke * 0.030 * scale, painting.plane.px) * where * 0.75)


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
