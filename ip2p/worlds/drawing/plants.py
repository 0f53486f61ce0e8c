"""Trees, cacti, reeds: small figures of the backdrop, each standing at (x, y) with a height, looking as its season has it."""

import numpy as np

from . import distance
from .canvas import Array, Colour
from .fields import chance, cover, mix
from .painting import Painting
from .palette import SNOW, Season

BARK: Colour = (0.36, 0.25, 0.19)
PUFFS = ((0.0, 0.60, 0.26), (-0.20, 0.52, 0.20), (0.20, 0.50, 0.21), (-0.10, 0.76, 0.20), (0.12, 0.78, 0.18), (0.0, 0.42, 0.17))
"""The crown of a leafy tree of height 1: circles as (x, height, radius)."""


def leafy_tree(painting: Painting, x: float, y: float, height: float, season: Season, depth: float, kind: int) -> None:
    """A round crown on a trunk; bare branches in winter."""
    view = painting.window(x - 0.5 * height, y - 1.05 * height, x + 0.5 * height, y + 0.03 * height)
    if view.empty:
        return
    u, v = (view.plane.x - x) / height, (y - view.plane.y) / height
    px = view.plane.px / height
    if season.bare:
        _bare_tree(view, u, v, px, depth, kind)
        return
    trunk = distance.segment(u, v, (0, -0.02), (0, 0.6), 0.045, 0.025)
    view.paint(BARK, cover(trunk, px), depth)
    crown(view, u, v, px, season.leaves[kind % 3], depth, kind)


def crown(view: Painting, u: Array, v: Array, px: float, leaf: Colour, depth: float, kind: int) -> None:
    """Puffs of leaves, each with a lighter side towards the sun and shade below."""
    wobble = chance(kind, "crown").uniform(-0.035, 0.035, (len(PUFFS), 2))
    shapes = [distance.circle(u - a - dx, v - b - dy, r) for (a, b, r), (dx, dy) in zip(PUFFS, wobble, strict=True)]
    whole = np.minimum.reduce(shapes)
    view.paint(mix(leaf, (0.05, 0.08, 0.18), 0.22), cover(whole, px), depth)
    for (a, b, r), (dx, dy) in zip(PUFFS, wobble, strict=True):
        lit = distance.circle(u - a - dx - 0.25 * r * view.sun_side, v - b - dy - 0.25 * r, 0.78 * r)
        view.paint(mix(leaf, (1, 1, 0.85), 0.10 + 0.12 * (b - 0.4)), cover(np.maximum(lit, whole), px) * np.float32(0.8), depth)


def _bare_tree(view: Painting, u: Array, v: Array, px: float, depth: float, kind: int) -> None:
    """A trunk that forks into branches, snow on their upper sides."""
    lean = float(chance(kind, "bare").uniform(-0.04, 0.04))
    limbs = [((0.0, -0.02), (lean, 0.92), 0.045, 0.008), ((0, 0.34), (-0.24, 0.72), 0.026, 0.006), ((0, 0.42), (0.26, 0.78), 0.026, 0.006)]
    limbs += [
        ((lean, 0.55), (-0.14, 0.92), 0.018, 0.005),
        ((lean, 0.62), (0.13, 0.96), 0.016, 0.005),
        ((-0.13, 0.55), (-0.34, 0.60), 0.014, 0.005),
    ]
    limbs += [((0.14, 0.60), (0.36, 0.66), 0.014, 0.005)]
    wood = np.minimum.reduce([distance.segment(u, v, *limb) for limb in limbs])
    snow = np.minimum.reduce([distance.segment(u, v - 0.022, *limb) for limb in limbs[1:]])
    view.paint(SNOW, cover(snow, px), depth)
    view.paint((0.33, 0.27, 0.26), cover(wood, px), depth)


def conifer(painting: Painting, x: float, y: float, height: float, season: Season, depth: float, kind: int) -> None:
    """Four skirts of needles, snow on them in winter."""
    view = painting.window(x - 0.32 * height, y - 1.02 * height, x + 0.32 * height, y + 0.03 * height)
    if view.empty:
        return
    u, v = (view.plane.x - x) / height, (y - view.plane.y) / height
    px = view.plane.px / height
    view.paint(BARK, cover(distance.box(u, v - 0.06, 0.035, 0.08), px), depth)
    base = mix(season.needles, (1, 1, 1), 0.04 * (kind % 3))
    for low, reach in ((0.10, 0.27), (0.30, 0.22), (0.50, 0.17), (0.68, 0.12)):
        top = low + 0.34
        skirt = np.maximum((np.abs(u) * (top - low) / reach + v - top) * 0.7, low + 0.05 * np.cos(u * 40) * reach - v)
        shade = mix(mix(base, (0, 0.03, 0.12), 0.32), base, np.clip(0.5 + u * view.sun_side / reach, 0, 1)[..., None])
        view.paint(np.broadcast_to(shade, (*view.plane.shape, 3)), cover(skirt, px), depth)
        if season.snow:
            cap = np.maximum(skirt, low + 0.13 + 0.03 * np.cos(u * 60 + kind) - v)
            view.paint(SNOW, cover(cap, px), depth)


def palm(painting: Painting, x: float, y: float, height: float, season: Season, depth: float, lean: float) -> None:
    """A bent trunk with a fan of long leaves."""
    reach = 0.5 * height
    view = painting.window(x - reach - abs(lean) * height, y - 1.4 * height, x + reach + abs(lean) * height, y + 0.03 * height)
    if view.empty:
        return
    u, v = (view.plane.x - x) / height, (y - view.plane.y) / height
    px = view.plane.px / height
    bend = u - lean * np.clip(v, 0, 1) ** 1.6
    trunk = np.maximum(np.abs(bend) - (0.045 - 0.02 * v), np.maximum(v - 0.98, -0.02 - v))
    bark = mix((0.55, 0.40, 0.26), (0.42, 0.29, 0.19), (np.sin(v * 70) > 0)[..., None] * np.float32(1))
    view.paint(np.broadcast_to(bark, (*view.plane.shape, 3)), cover(trunk, px), depth)
    _fronds(view, u - lean, v - 0.97, px, season, depth)


def _fronds(view: Painting, u: Array, v: Array, px: float, season: Season, depth: float) -> None:
    """Leaves that arch out of the trunk's top and hang."""
    leaf = season.leaves[1] if not season.snow else (0.50, 0.60, 0.52)
    for turn, (reach, rise) in enumerate(
        ((-0.34, -0.06), (0.33, -0.08), (-0.46, 0.05), (0.46, 0.04), (-0.40, 0.16), (0.42, 0.15), (-0.20, 0.20), (0.22, 0.19))
    ):
        along = np.clip(u / reach, 0, 1)
        arch = v - (rise * 4 * along * (1 - along) - 0.20 * along**2 + rise * along)
        thick = 0.075 * np.sin(np.pi * np.clip(along * 0.93 + 0.07, 0, 1))
        blade = np.maximum(np.abs(arch + 0.3 * thick) - thick, np.maximum(-u / reach, u / reach - 1) * abs(reach))
        tint = mix(leaf, (1, 1, 0.7), 0.04 + 0.04 * (turn % 3))
        view.paint(tint, cover(blade, px), depth)
        if season.snow:
            view.paint(SNOW, cover(np.maximum(blade, 0.012 - arch), px), depth)


def cactus(painting: Painting, x: float, y: float, height: float, season: Season, depth: float, kind: int) -> None:
    """A ribbed column with two arms; it blooms in spring and carries snow in winter."""
    view = painting.window(x - 0.4 * height, y - 1.08 * height, x + 0.4 * height, y + 0.03 * height)
    if view.empty:
        return
    u, v = (view.plane.x - x) / height * (1 if kind % 2 else -1), (y - view.plane.y) / height
    px = view.plane.px / height
    limbs = [((0, 0), (0, 0.9), 0.10), ((0, 0.38), (0.25, 0.42), 0.06), ((0.25, 0.42), (0.25, 0.68), 0.06)]
    limbs += [((0, 0.28), (-0.22, 0.32), 0.055), ((-0.22, 0.32), (-0.22, 0.52), 0.055)]
    whole = np.minimum.reduce([distance.segment(u, v, *limb) for limb in limbs])
    skin = (0.44, 0.52, 0.22) if season.needles[0] > 0.33 and not season.blossom else (0.24, 0.52, 0.32)
    stripes = (0.5 + 0.5 * np.cos(u * 75))[..., None] * np.float32(0.3)
    view.paint(np.broadcast_to(mix(skin, (0.05, 0.22, 0.2), stripes), (*view.plane.shape, 3)), cover(whole, px), depth)
    for tip in ((0.0, 1.0), (0.25, 0.75), (-0.22, 0.58)):
        if season.blossom:
            view.paint((1.0, 0.45, 0.65), cover(distance.circle(u - tip[0], v - tip[1], 0.055), px), depth)
        if season.snow:
            cap = np.maximum(whole, distance.circle(u - tip[0], v - tip[1], 0.10))
            view.paint(SNOW, cover(cap, px), depth)


def reeds(painting: Painting, x: float, y: float, height: float, season: Season, depth: float, kind: int) -> None:
    """A tuft of thin stalks, some with a brown head."""
    view = painting.window(x - 0.5 * height, y - 1.1 * height, x + 0.5 * height, y + 0.02)
    if view.empty:
        return
    u, v = (view.plane.x - x) / height, (y - view.plane.y) / height
    px = view.plane.px / height
    rng = chance(kind, "reeds")
    stalk = (0.62, 0.50, 0.30) if season.snow else mix(season.leaves[1], (0.45, 0.45, 0.15), 0.35)
    for number in range(7):
        foot, lean, tall = float(rng.uniform(-0.2, 0.2)), float(rng.uniform(-0.2, 0.2)), float(rng.uniform(0.6, 1.0))
        view.paint(stalk, cover(distance.segment(u, v, (foot, 0), (foot + lean, tall), 0.022, 0.008), px), depth)
        if number % 2:
            head = distance.segment(u, v, (foot + lean * 0.8, tall * 0.8), (foot + lean * 0.97, tall * 0.97), 0.035)
            view.paint((0.42, 0.25, 0.14), cover(head, px), depth)
