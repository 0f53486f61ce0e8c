"""The sixteen shapes, each a list of parts painted one over the other.

Coordinates of a shape: `u` to the right and `v` down, both about -1..1; what stands rests on v = 1. `aside` is the side the light comes
from: -1 left, 1 right.
"""

from collections.abc import Callable

import numpy as np

from . import distance
from .canvas import Array, Colour
from .fields import bump, ramp
from .parts import Part, detail, flat, turned

CREAM: Colour = (0.96, 0.91, 0.80)
DARK: Colour = (0.20, 0.19, 0.23)
WOOD: Colour = (0.50, 0.34, 0.22)
PANE: Colour = (0.60, 0.76, 0.88)


Shape = Callable[[Array, Array, float], list[Part]]


def _swollen(u: Array, v: Array, edge: Array, depth: float) -> Part:
    """A cushion with this outline, `depth` how far in from the edge it goes on rising."""
    rise = np.sqrt(np.clip(1 - (1 + np.minimum(edge, 0) / depth).clip(0) ** 2, 0, 1)) * depth
    step = max(float(u[0, 1] - u[0, 0]), 1e-6) if u.shape[1] > 1 else 1.0
    down, across = np.gradient(rise, step) if min(edge.shape) > 1 else (edge * 0, edge * 0)
    length = np.sqrt(1 + across**2 + down**2)
    return Part(edge, -across / length, -down / length, u, v)


def ball(u: Array, v: Array, aside: float) -> list[Part]:
    """A sphere; patterns bend around it."""
    x, y = u / 0.96, (v - 0.04) / 0.96
    out = np.clip(np.hypot(x, y), 0, 1)
    bend = np.arcsin(out) / np.maximum(out, 1e-3) / 1.25
    c, s = np.cos(0.35), np.sin(0.35)
    return [Part((np.hypot(x, y) - 1) * 0.96, x, y, (x * c + y * s) * bend, (y * c - x * s) * bend)]


def cube(u: Array, v: Array, aside: float) -> list[Part]:
    """A box seen from above at a corner; its lit side is the one towards the light."""
    m = -aside
    front = [(-0.92 * m, -0.38), (0.42 * m, -0.38), (0.42 * m, 1.0), (-0.92 * m, 1.0)]
    side = [(0.42 * m, -0.38), (0.92 * m, -0.76), (0.92 * m, 0.60), (0.42 * m, 1.0)]
    top = [(-0.92 * m, -0.38), (-0.40 * m, -0.76), (0.92 * m, -0.76), (0.42 * m, -0.38)]
    return [
        flat(u, v, side, (0.8 * m, 0.0), 0.72, (0, 0.78 * m)),
        Part(distance.polygon(u, v, top), 0.0, -0.95, u + 1.3 * m * (v + 0.38), (v + 0.38) * 2.4 - 0.38, 1.12),
        flat(u, v, front, (-0.35 * m, 0.0), 1.0),
    ]


def cone(u: Array, v: Array, aside: float) -> list[Part]:
    """A pointed cone."""
    half = np.clip((v + 0.96) / 1.9 * 0.86, 0.001, 1)
    return [turned(u, v, half, -0.96, 1.0, 0.14, -0.25)]


def pyramid(u: Array, v: Array, aside: float) -> list[Part]:
    """Two faces of stone that meet at an edge, one in the light and one in the dark."""
    m = -aside
    edge = (0.30 * m, 1.0)
    lit, dark = [(0.0, -0.72), (-1.0 * m, 0.80), edge], [(0.0, -0.72), edge, (1.0 * m, 0.66)]
    return [flat(u, v, dark, (0.75 * m, 0.1), 0.62, (0, -0.48 * m)), flat(u, v, lit, (-0.5 * m, -0.4), 1.08, (0, 0.15 * m))]


def barrel(u: Array, v: Array, aside: float) -> list[Part]:
    """Bulging staves, three hoops, a lid."""
    middle = (v - 0.08) / 0.92
    half = 0.62 + 0.18 * (1 - middle**2) + 0 * v
    body = turned(u, v, half, -0.84, 1.0, 0.16)
    sag = body.t - v
    hoops = [
        detail(np.maximum(np.abs(v + sag * 1.25 - at) - 0.055, body.edge - 0.015), (0.36, 0.36, 0.40), body.across)
        for at in (-0.56, 0.12, 0.80)
    ]
    lid = distance.ellipse(u, v + 0.84, 0.63, 0.14)
    inner = distance.ellipse(u, v + 0.84, 0.53, 0.10)
    return [body, *hoops, Part(lid, 0.0, -0.9, u, v * 2, 1.1), Part(inner, 0.0, -0.6, u, v * 2, 0.75)]


def vase(u: Array, v: Array, aside: float) -> list[Part]:
    """A belly, a narrow neck and a flared lip."""
    belly = 0.30 + 0.45 * ramp(v, -0.55, 0.12) * ramp(v, 1.35, 0.15) - 0.06 * ramp(v, 0.85, 1.0)
    half = belly + 0.16 * ramp(v, -0.66, -0.90) - 0.04 * bump(v, -0.58, 0.25)
    body = turned(u, v, half, -0.88, 1.0, 0.12, 0.25 * ramp(v, 0.2, 1.0) - 0.25 * ramp(v, 0.2, -0.4))
    rim = distance.ellipse(u, v + 0.88, 0.46, 0.11)
    mouth = distance.ellipse(u, v + 0.87, 0.37, 0.07)
    return [body, Part(rim, 0.0, -0.8, u, v, 1.15), Part(mouth, 0.0, 0.4, u, v, 0.35)]


def mushroom(u: Array, v: Array, aside: float) -> list[Part]:
    """A domed cap in the thing's colour on a pale stem."""
    half = 0.26 + 0.12 * ramp(v, 0.2, 1.0) + 0 * v
    stem = turned(u, v, half, -0.1, 1.0, 0.10)
    gills = distance.ellipse(u, v - 0.16, 0.86, 0.18)
    dome = np.maximum(distance.ellipse(u, v - 0.16, 0.98, 1.02), v - 0.16 - 0.10 * np.sqrt(np.clip(1 - u**2, 0, 1)))
    x, y = u / 0.98, (v - 0.16) / 1.02
    cap = Part(dome, x, y, np.arcsin(np.clip(x, -1, 1)) / 1.2, y * 1.1 - 0.12 * (1 - x**2))
    return [detail(stem.edge, (0.95, 0.90, 0.80), stem.across), detail(gills, (0.72, 0.62, 0.52)), cap]


def umbrella(u: Array, v: Array, aside: float) -> list[Part]:
    """An open umbrella planted upright: gores, a scalloped hem, a hooked handle."""
    pole = distance.box(u, v - 0.05, 0.035, 0.86)
    hook = np.maximum(np.abs(np.hypot(u - 0.13, v - 0.85) - 0.13) - 0.045, 0.83 - v)
    tip = distance.segment(u, v, (0, -0.99), (0, -0.8), 0.025, 0.05)
    y = (v - 0.10) / 0.98
    reach = np.sqrt(np.clip(1 - y**2, 0.02, 1))
    gore = np.clip(u / reach, -1, 1)
    turn = np.arcsin(gore) / (np.pi / 2) * 2.5
    hem = v - 0.10 + 0.10 * np.abs(np.cos(np.clip(u, -1, 1) * np.pi * 2.5 / 1.0 - np.pi / 2 * 0)) * 0.9
    dome = np.maximum(distance.ellipse(u, v - 0.10, 0.98, 0.98), hem)
    seam = 1 - 0.30 * bump(turn - np.round(turn - 0.5) - 0.5, 0, 0.13) * ramp(y, -1.0, -0.8)
    canopy = Part(dome, gore * 0.85, y * 0.8, turn / 2.5 * 1.25, y * 1.15, seam)
    return [detail(np.minimum(pole, hook), (0.36, 0.26, 0.20), u / 0.05), detail(tip, (0.36, 0.26, 0.20)), canopy]


def house(u: Array, v: Array, aside: float) -> list[Part]:
    """A cottage from the front: gable, roof, door, two windows, a chimney."""
    wall = [(-0.76, 1.0), (-0.76, -0.14), (0.0, -0.78), (0.76, -0.14), (0.76, 1.0)]
    left, right = ((-0.89, -0.10), (0.0, -0.86)), ((0.89, -0.10), (0.0, -0.86))
    chimney = distance.box(u - 0.48, v + 0.66, 0.11, 0.30)
    body = flat(u, v, wall, (0.3 * aside, -0.1))
    shadow = 1 - 0.25 * ramp(np.abs(v + 0.86 - 0.86 * np.abs(u)), 0.36, 0.18)
    roofs = [Part(distance.segment(u, v, *side, 0.10), n * 0.5, -0.5, u, v, 0.55) for side, n in ((left, -1), (right, 1))]
    door = np.maximum(distance.box(u, v - 0.72, 0.17, 0.38, 0.1), v - 1.0)
    details = [detail(door - 0.05, CREAM), detail(door, WOOD), detail(distance.circle(u - 0.09, v - 0.74, 0.03), (0.9, 0.8, 0.4))]
    for x in (-0.46, 0.46):
        pane = distance.box(u - x, v - 0.30, 0.145, 0.17, 0.02)
        bars = np.maximum(pane, np.minimum(np.abs(u - x), np.abs(v - 0.30)) - 0.022)
        details += [detail(pane - 0.05, CREAM), detail(pane, PANE, lamp=(1.0, 0.82, 0.42)), detail(bars, CREAM)]
    return [Part(chimney, 0.3 * aside, 0.0, u, v, 0.62), Part(body.edge, body.across, body.down, u, v, shadow), *roofs, *details]


def tent(u: Array, v: Array, aside: float) -> list[Part]:
    """A ridge tent: the open front, its flaps, and one long side."""
    m = -aside
    front = [(-0.96 * m, 1.0), (-0.28 * m, -0.80), (0.40 * m, 1.0)]
    side = [(-0.28 * m, -0.80), (0.52 * m, -0.62), (0.98 * m, 0.72), (0.40 * m, 1.0)]
    gap = [(-0.62 * m, 1.0), (-0.28 * m, -0.36), (0.06 * m, 1.0)]
    flap = [(-0.28 * m, -0.36), (-0.62 * m, 1.0), (-0.46 * m, 1.0)]
    pole = distance.segment(u, v, (-0.28 * m, -0.96), (-0.28 * m, 1.0), 0.028)
    rope = distance.segment(u, v, (0.52 * m, -0.62), (0.99 * m, 0.98), 0.014)
    return [
        detail(rope, (0.75, 0.68, 0.55)),
        detail(pole, WOOD),
        flat(u, v, side, (0.6 * m, -0.35), 0.78, (-0.3 * m, -0.2 * m)),
        flat(u, v, front, (-0.4 * m, -0.2), 1.05),
        detail(distance.polygon(u, v, gap), (0.16, 0.13, 0.16), lamp=(0.95, 0.68, 0.32)),
        flat(u, v, flap, (-0.7 * m, -0.2), 0.82),
    ]


def car(u: Array, v: Array, aside: float) -> list[Part]:
    """A small car from the side."""
    cabin = distance.polygon(u, v, [(-0.66, 0.18), (-0.44, -0.46), (0.26, -0.46), (0.60, 0.18)]) - 0.06
    body = distance.box(u, v - 0.42, 0.98, 0.36, 0.22)
    whole = np.minimum(body, cabin)
    arches = np.minimum(distance.circle(u + 0.54, v - 0.77, 0.26), distance.circle(u - 0.54, v - 0.77, 0.26))
    swell = _swollen(u, v, whole, 0.35)
    shell = Part(np.maximum(whole, -arches), swell.across * 0.8, swell.down * 0.8, u, v, 1 - 0.12 * ramp(v, 0.5, 0.75))
    parts = [shell, detail(np.maximum(arches - 0.02, v - 0.76), (0.10, 0.10, 0.12))]
    for corners in (
        [(-0.48, 0.08), (-0.36, -0.35), (-0.11, -0.35), (-0.11, 0.08)],
        [(0.05, 0.08), (0.05, -0.35), (0.22, -0.35), (0.43, 0.08)],
    ):
        parts.append(detail(distance.polygon(u, v, corners) - 0.01, PANE, 0.0, -0.6))
    for x in (-0.54, 0.54):
        wheel = np.hypot(u - x, v - 0.77)
        parts += [
            detail(wheel - 0.23, (0.13, 0.13, 0.15)),
            detail(wheel - 0.11, (0.80, 0.81, 0.83)),
            detail(wheel - 0.04, (0.3, 0.3, 0.33)),
        ]
    lights = ((0.90, (1.0, 0.95, 0.72), (1.0, 0.95, 0.7)), (-0.92, (0.75, 0.12, 0.12), (1.0, 0.25, 0.2)))
    return parts + [detail(np.maximum(distance.ellipse(u - x, v - 0.34, 0.08, 0.09), body), tint, lamp=lamp) for x, tint, lamp in lights]


def boat(u: Array, v: Array, aside: float) -> list[Part]:
    """A sailing boat: hull, mast, two sails, a pennant."""
    hull = distance.polygon(u, v, [(-0.98, 0.42), (0.98, 0.36), (0.62, 1.0), (-0.66, 1.0)])
    hull = np.maximum(hull, 0.42 - v - 0.10 * np.clip(u, -1, 1) ** 2)
    mast = distance.segment(u, v, (0.02, 0.5), (0.02, -0.98), 0.035)
    swell = 0.10 * np.sin(np.clip((v + 0.92) / 1.14, 0, 1) * np.pi)
    main = distance.polygon(u - swell, v, [(0.07, -0.92), (0.07, 0.24), (0.82, 0.20)])
    jib = distance.polygon(u + 0.4 * swell, v, [(-0.04, -0.74), (-0.04, 0.24), (-0.62, 0.24)])
    trim = np.maximum(hull, np.abs(v - 0.48 + 0.10 * u**2 * 0.8) - 0.055)
    return [
        detail(mast, WOOD),
        Part(main, 0.35, -0.2, u, v, 1.0),
        Part(jib, -0.3, -0.2, u, v, 0.86),
        Part(hull, u * 0.4, 0.25 + 0 * u, u, v, 0.92),
        detail(trim, CREAM),
    ]


def balloon(u: Array, v: Array, aside: float) -> list[Part]:
    """A toy balloon on a string."""
    low = np.clip(v + 0.28, 0, 1)
    x, y = u / (0.70 * (1 - 0.16 * low)), (v + 0.28) / 0.70
    body = (np.hypot(x, y) - 1) * 0.68
    string = np.maximum(np.abs(u - 0.05 * np.sin((v - 0.5) * 9)) - 0.018, np.maximum(0.5 - v, v - 1.0))
    knot = distance.polygon(u, v, [(0, 0.36), (0.10, 0.53), (-0.10, 0.53)])
    bend = np.arcsin(np.clip(np.hypot(x, y), 0, 1)) / np.maximum(np.hypot(x, y), 1e-3) / 1.45
    return [detail(string, (0.93, 0.92, 0.88)), Part(knot, 0.0, 0.3, u, v, 0.8), Part(body, x * 0.97, y * 0.97, x * bend, y * bend)]


def kite(u: Array, v: Array, aside: float) -> list[Part]:
    """A diamond of cloth in four panels with crossed spars and a tail with bows."""
    c, s = np.cos(0.3), np.sin(0.3)
    a, b = u * c + v * s, -u * s + v * c
    cloth = distance.polygon(a, b, [(0, -0.98), (0.76, -0.28), (0, 0.62), (-0.76, -0.28)])
    tone = 1.0 - 0.16 * (a > 0) - 0.10 * (b > -0.28)
    spars = np.maximum(np.minimum(np.abs(a), np.abs(b + 0.28)) - 0.022, cloth)
    way = 0.10 * np.sin((b - 0.6) * 13)
    tail = np.maximum(np.abs(a - way) - 0.022, np.maximum(0.6 - b, b - 1.0))
    parts = [
        detail(tail, (0.93, 0.92, 0.88)),
        Part(cloth, 0.15, -0.35, a * 1.2, (b + 0.2) * 1.2, tone),
        detail(spars, (0.45, 0.32, 0.24)),
    ]
    for at in (0.74, 0.93):
        x, y = a - 0.10 * np.sin((at - 0.6) * 13), b - at
        bow = np.maximum(np.abs(y) - 0.03 - 0.45 * np.abs(x), np.abs(x) - 0.11)
        parts.append(Part(bow, 0.0, -0.3, u, v, 0.95))
    return parts


def star(u: Array, v: Array, aside: float) -> list[Part]:
    """A five-pointed star with faceted arms."""
    edge = distance.star(u, v - 0.08, 5, 1.0, 0.50) - 0.03
    turn = np.arctan2(u, -(v - 0.08)) / (2 * np.pi / 10)
    facet = np.floor(turn)
    centre = (facet + 0.5) * (2 * np.pi / 10)
    tilt = np.where(facet % 2 == 0, 0.62, -0.62)
    across, down = np.sin(centre) * 0.25 + np.cos(centre) * tilt, -np.cos(centre) * 0.25 + np.sin(centre) * tilt
    return [Part(edge, across * 0.8, down * 0.8, u, v)]


def heart(u: Array, v: Array, aside: float) -> list[Part]:
    """A plump heart."""
    return [_swollen(u, v, distance.heart(u, v), 0.62)]


SHAPES: dict[str, Shape] = {
    "ball": ball,
    "cube": cube,
    "cone": cone,
    "pyramid": pyramid,
    "barrel": barrel,
    "vase": vase,
    "mushroom": mushroom,
    "umbrella": umbrella,
    "house": house,
    "tent": tent,
    "car": car,
    "boat": boat,
    "balloon": balloon,
    "kite": kite,
    "star": star,
    "heart": heart,
}
