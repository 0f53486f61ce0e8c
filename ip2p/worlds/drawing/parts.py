"""The parts that shapes are made of: an outline, the way its surface faces, and where on it a pattern goes."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from . import distance
from .canvas import Array, Colour

Corners = Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Part:
    """`edge`: signed distance; `across`, `down`: the surface's normal (towards the right, downwards); `s`, `t`: coordinates of a pattern
    on it, about -1..1. `tone` makes the thing's colour lighter (> 1) or darker; a part with a `colour` of its own has no pattern, and
    one with a `lamp` gives light when it is dark."""

    edge: Array
    across: Array | float
    down: Array | float
    s: Array
    t: Array
    tone: Array | float = 1.0
    colour: Colour | None = None
    lamp: Colour | None = None


def detail(edge: Array, colour: Colour, across: Array | float = 0.0, down: Array | float = -0.3, lamp: Colour | None = None) -> Part:
    """A part with a colour of its own."""
    return Part(edge, across, down, edge, edge, 1.0, colour, lamp)


def flat(u: Array, v: Array, corners: Corners, normal: tuple[float, float], tone: float = 1.0, skew: tuple[float, float] = (0, 0)) -> Part:
    """A flat face; `skew` slants its pattern: s += skew[0] * v, t += skew[1] * u."""
    return Part(distance.polygon(u, v, corners), normal[0], normal[1], u + skew[0] * v, v + skew[1] * u, tone)


def turned(u: Array, v: Array, half: Array, top: float, bottom: float, curve: float = 0.1, lean: Array | float = 0.0) -> Part:
    """A solid of revolution: `half` its half width at each v, round at the foot; `lean` tilts its normals up or down."""
    across = np.clip(u / np.maximum(half, 1e-3), -1, 1)
    sag = curve * (1 - np.sqrt(np.clip(1 - across**2, 0, 1)))
    slope = np.gradient(half[:, 0])[:, None] / max(float(v[1, 0] - v[0, 0]), 1e-6) if len(v) > 1 else 0.0
    side = (np.abs(u) - half) / np.sqrt(1 + np.square(slope))
    edge = np.maximum(np.maximum(side, top - v), v - bottom + sag)
    return Part(edge, across * 0.95, lean + 0 * across, np.arcsin(across) / 1.2, v + sag * 0.8)
