"""What things are made of: patterns coarse enough for 128 pixels, and how metal and glass take the light."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from .canvas import Array, Colour
from .fields import bump, cover, mix, ramp
from .shapes import Part

LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)
PERIOD = 0.62
"""Of stripes, dots and checks, in units in which a thing is two wide."""


@dataclass(frozen=True)
class Surface:
    """`colour` (H, W, 3) before the light; `gloss` how strong the highlight is; `solid` in [0, 1], below 1 where one sees through;
    `shading` how much the light's direction counts."""

    colour: Array
    gloss: float = 0.25
    solid: Array | float = 1.0
    shading: float = 1.0


Material = Callable[[Array, Part, float], Surface]


def accent(base: Array) -> Array:
    """The second colour (3,) of a pattern on this one: pale on dark colours, dark on pale ones."""
    bright = float(base @ LUMA)
    return mix(base, (1.0, 0.98, 0.90), 0.78) if bright < 0.58 else mix(base * np.float32(0.5), (0.20, 0.22, 0.42), 0.25)


def _filled(part: Part, base: Array) -> Array:
    return np.broadcast_to(base, (*part.edge.shape, 3))


def _patterned(part: Part, base: Array, share: Array) -> Array:
    return mix(_filled(part, base), accent(base), share[..., None])


def plain(base: Array, part: Part, px: float) -> Surface:
    """One colour."""
    return Surface(_filled(part, base))


def striped(base: Array, part: Part, px: float) -> Surface:
    """Bands along the surface."""
    band = np.abs((part.t / PERIOD + 0.25) % 1 - 0.5) * PERIOD - 0.22 * PERIOD
    return Surface(_patterned(part, base, cover(band, px * 1.3)))


def dotted(base: Array, part: Part, px: float) -> Surface:
    """Round spots, every second row shifted."""
    row = np.floor(part.t / (0.87 * PERIOD) + 0.5)
    x = (part.s / PERIOD + 0.5 * (row % 2)) % 1 - 0.5
    y = part.t / PERIOD - row * 0.87
    return Surface(_patterned(part, base, cover((np.hypot(x, y) - 0.29) * PERIOD, px * 1.3)))


def checkered(base: Array, part: Part, px: float) -> Surface:
    """Squares."""
    side = 0.72 * PERIOD
    x, y = (0.25 - np.abs((value / side / 2 + 0.25) % 1 - 0.5) for value in (part.s, part.t))
    sign = cover(np.minimum(np.abs(x), np.abs(y)) * 2 * side * -np.sign(x * y), px * 1.3)
    return Surface(_patterned(part, base, sign))


def wooden(base: Array, part: Part, px: float) -> Surface:
    """Stained planks with grain and knots."""
    plank = np.floor(part.s / 0.5 + 0.5)
    shift = np.sin(plank * 12.9) * 3
    x, y = part.s / 0.5 + 0.5 - plank - 0.5, part.t + shift
    knot = np.exp(-((x / 0.30) ** 2 + ((y % 1.7 - 0.85) / 0.16) ** 2))
    grain = np.sin((x * 2.6 + 0.35 * np.sin(2.1 * y + plank) + 1.3 * knot) * 2 * np.pi)
    seam = cover((np.abs(np.abs(x) - 0.5) - 0.055) * 0.5, px)
    value = 0.55 + 0.45 * ramp(grain, -0.6, 0.8) - 0.40 * knot + 0.05 * np.sin(plank * 7)
    pale = mix(base, (0.86, 0.64, 0.40), 0.30)
    stained = mix(base * np.float32(0.30), pale, np.clip(value, 0, 1)[..., None])
    return Surface(mix(stained, base * np.float32(0.25), (seam * 0.9)[..., None]), 0.06, 1.0, 0.8)


def metal(base: Array, part: Part, px: float) -> Surface:
    """Polished: a bright sky, a dark horizon and a light ground seen in it."""
    view = part.down * 0.75 + part.across * 0.35 + 0.42 * part.t + 0.25 * part.s
    band = 0.95 * bump(view, -0.42, 0.20) + 0.55 * bump(view, 0.36, 0.16) - 0.75 * bump(view, 0.02, 0.26) - 0.35 * ramp(view, 0.5, 0.9)
    silvered = mix(base, (0.62, 0.64, 0.68), 0.12)
    light = mix(_filled(part, silvered), (1.0, 1.0, 1.0), np.clip(band, 0, 1)[..., None] * np.float32(0.85))
    return Surface(mix(light, silvered * np.float32(0.22), np.clip(-band, 0, 1)[..., None]), 0.6, 1.0, 0.35)


def glass(base: Array, part: Part, px: float) -> Surface:
    """Clear inside, stronger and brighter towards the rim."""
    rim = ramp(part.edge, -0.24, -0.02)
    facing = np.sqrt(np.clip(1 - np.square(part.across) - np.square(part.down), 0, 1)) + 0 * part.edge
    streak = bump(part.s - 0.4 * part.t, -0.30, 0.11) * ramp(part.edge, -0.10, -0.22)
    pale = mix(_filled(part, base), (0.95, 0.98, 1.0), (0.04 + 0.34 * rim)[..., None])
    pale = mix(pale, base * np.float32(0.45), (0.6 * bump(part.edge, -0.24, 0.14))[..., None])
    return Surface(
        mix(pale, (1, 1, 1), streak[..., None] * np.float32(0.8)),
        0.9,
        np.clip(0.56 + 0.38 * rim + 0.35 * streak + 0.1 * (1 - facing), 0, 1),
        0.35,
    )


MATERIALS: dict[str, Material] = {
    "plain": plain,
    "striped": striped,
    "dotted": dotted,
    "checkered": checkered,
    "wooden": wooden,
    "metal": metal,
    "glass": glass,
}


def colour_of(value: Colour) -> Array:
    """A colour as an array (3,)."""
    return np.array(value, np.float32)
