"""`draw`: a scene as a picture, with the mask of each thing in it."""

from dataclasses import dataclass

import numpy as np

from .. import photo_operators
from ..scene import Scene, SceneError
from . import things
from .canvas import Array
from .fields import mix
from .stage import stage
from .weather import veil

OPERATORS = {"plain": "unchanged", "pencil_sketch": "sketch"}
"""Styles whose photo operator has another name."""


@dataclass(frozen=True)
class Drawn:
    """`picture` (H, W, 3) in [0, 1]; `masks` (things, H, W) in [0, 1], how far each thing covers a pixel, in the scene's order."""

    picture: Array
    masks: Array


def draw(scene: Scene, size: int = 128) -> Drawn:
    """The scene in `size` x `size` pixels, 64..512; the same scene in another size is the same picture, finer or coarser.

    Raises SceneError for another size.
    """
    if not 64 <= size <= 512:
        raise SceneError(f"A picture of {size} pixels can't be drawn; use a size from 64 to 512.")
    behind = stage(scene.place, scene.season, scene.weather, scene.time, scene.seed, size, float(scene.zoom))
    picture = behind.picture.copy()
    for thing in scene.things:
        things.cast_shadow(picture, behind.plane, thing, scene.seed, behind.light, behind.sun_side)
    masks = [things.put(picture, behind.plane, thing, scene.seed, behind.light, behind.sun_side) for thing in scene.things]
    picture = np.clip(_veiled(picture, scene, size), 0, 1).astype(np.float32)
    picture = photo_operators.apply(OPERATORS.get(scene.style, scene.style), picture)
    return Drawn(picture, np.stack(masks) if masks else np.zeros((0, size, size), np.float32))


def _veiled(picture: Array, scene: Scene, size: int) -> Array:
    """With the rain or the snow in front of it."""
    falling = veil(scene.weather, scene.time, scene.season, scene.seed, size, float(scene.zoom))
    return picture if falling is None else mix(picture, falling[1], falling[0])
