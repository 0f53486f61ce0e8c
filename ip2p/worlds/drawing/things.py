"""Puts things into a lit picture: where each stands, its shadow, its parts in the light."""

from dataclasses import dataclass

import numpy as np

from ..scene import Thing
from .canvas import Array, Canvas
from .fields import chance, cover, mix, tinted
from .light import Light
from .materials import MATERIALS, colour_of
from .palette import COLOURS
from .shapes import SHAPES, Part

RADII = {"small": 0.085, "medium": 0.12, "large": 0.15}
SIDES = {"left": 0.175, "middle": 0.5, "right": 0.825}


@dataclass(frozen=True)
class Place:
    """Where a thing is: its middle (`x`, `y`) and half its side (`radius`), in shares of the picture's side at zoom 1."""

    x: float
    y: float
    radius: float


def place(thing: Thing, seed: int) -> Place:
    """The slot's point, moved a little as the seed has it; what stands keeps its foot there, what flies its middle."""
    rng = chance(seed, "slot", str(thing.slot))
    radius = RADII[thing.size]
    x = SIDES[thing.side] + float(rng.uniform(-0.012, 0.012))
    if thing.flies:
        return Place(x, float(rng.uniform(0.20, 0.27)), radius)
    return Place(x, float(rng.uniform(0.78, 0.88)) - radius, radius)


def cast_shadow(picture: Array, plane: Canvas, thing: Thing, seed: int, lamp: Light, side: float) -> None:
    """Darkens the ground where a standing thing touches it, and beside it under a hard light."""
    if thing.flies:
        return
    at = place(thing, seed)
    foot, r = at.y + at.radius, at.radius
    span = plane.span(at.x - 2.4 * r, foot - 0.5 * r, at.x + 2.4 * r, foot + 0.5 * r)
    part = plane.part(span)
    if 0 in part.shape:
        return
    u, v = (part.x - at.x) / r, (part.y - foot) / r
    contact = np.clip(1.15 - np.hypot(u / 1.05, (v + 0.06) / 0.20), 0, 1)
    cast = np.clip(1.25 - np.hypot((u + side * 0.75) / 1.25, (v + 0.04) / 0.17), 0, 1) ** 1.2
    dark = np.maximum(contact * (0.30 + 0.2 * lamp.sun), cast * 0.42 * lamp.sun) * (1 - float(lamp.haze(0.1)) * 0.6)
    picture[span] = mix(picture[span], picture[span] * np.array((0.25, 0.25, 0.38), np.float32), dark[..., None])


def put(picture: Array, plane: Canvas, thing: Thing, seed: int, lamp: Light, side: float) -> Array:
    """Draws the thing into `picture` (H, W, 3); returns its coverage (H, W)."""
    mask = np.zeros(plane.shape, np.float32)
    at = place(thing, seed)
    reach = at.radius * 1.06
    span = plane.span(at.x - reach, at.y - reach, at.x + reach, at.y + reach)
    part = plane.part(span)
    if 0 in part.shape:
        return mask
    u, v, px = (part.x - at.x) / at.radius, (part.y - at.y) / at.radius, part.px / at.radius
    under = picture[span].copy()
    for piece in SHAPES[thing.shape](u, v, side):
        shape = cover(piece.edge, px)
        colour, solid = _lit(piece, thing, px, lamp, side)
        seen = mix(under, colour, solid)
        picture[span] = mix(picture[span], seen, shape[..., None])
        mask[span] = np.maximum(mask[span], shape)
    return mask


def _lit(piece: Part, thing: Thing, px: float, lamp: Light, side: float) -> tuple[Array, Array | float]:
    """Colour (H, W, 3) and solidity of a part in the light and the air of the scene."""
    material = MATERIALS["plain" if piece.colour else thing.material]
    surface = material(colour_of(piece.colour or COLOURS[thing.colour]), piece, px)
    colour = _shaded(tinted(surface.colour, piece.tone), piece, surface.shading, surface.gloss, lamp, side)
    if piece.lamp and lamp.glow:
        colour = mix(colour, piece.lamp, lamp.glow * 0.9)
    colour = lamp.through_air(colour, 0.07)
    solid = np.asarray(surface.solid, np.float32)
    return colour, solid[..., None] if solid.ndim else float(solid)


def _shaded(colour: Array, piece: Part, shading: float, gloss: float, lamp: Light, side: float) -> Array:
    """Light from above on the sun's side, a highlight, and a pale rim."""
    across, down = np.asarray(piece.across, np.float32), np.asarray(piece.down, np.float32)
    facing = np.sqrt(np.clip(1 - across**2 - down**2, 0, 1))
    direct = np.clip(across * side * 0.50 - down * 0.62 + facing * 0.60, -0.2, 1)
    soft = 0.62 + 0.38 * lamp.sun
    value = 1 + shading * soft * 0.62 * (direct - 0.72)
    shine = np.clip(across * side * 0.40 - down * 0.52 + facing * 0.755, 0, 1) ** 24 * gloss * (0.5 + 0.5 * lamp.sun)
    rim = (
        np.clip(1 + piece.edge / 0.10, 0, 1) ** 2
        * np.clip(0.35 + across * side * 0.5 - down * 0.5, 0, 1)
        * (0.12 if piece.colour is None else 0.0)
    )
    lit = lamp.on_things(tinted(colour, np.minimum(value, 1) + 0 * piece.edge))
    bright = np.clip(np.maximum(value - 1, 0) * 0.6 + shine + rim, 0, 1) + 0 * piece.edge
    return mix(lit, lamp.on_things(np.ones(3, np.float32)), bright[..., None])
