"""The world's colours: of things, and of what grows and lies on the ground in each place and season."""

from dataclasses import dataclass

import numpy as np

from .canvas import Array, Colour

COLOURS: dict[str, Colour] = {
    "red": (0.86, 0.11, 0.13),
    "orange": (0.98, 0.50, 0.06),
    "yellow": (1.00, 0.87, 0.14),
    "green": (0.13, 0.62, 0.24),
    "blue": (0.05, 0.38, 0.93),
    "purple": (0.60, 0.14, 0.66),
    "pink": (0.99, 0.50, 0.73),
    "white": (0.97, 0.97, 0.95),
    "black": (0.07, 0.07, 0.09),
    "brown": (0.57, 0.34, 0.17),
}

SNOW: Colour = (0.95, 0.97, 1.0)
SNOW_SHADE: Colour = (0.74, 0.82, 0.94)


@dataclass(frozen=True)
class Season:
    """How plants look: `leaves` light to dark, whether trees are `bare` or in `blossom`, whether `snow` lies; `needles` of conifers;
    `petals` lie or grow on the ground at this `density`."""

    leaves: tuple[Colour, Colour, Colour]
    needles: Colour
    petals: tuple[Colour, ...]
    density: float
    blossom: bool = False
    bare: bool = False
    snow: bool = False


SEASONS: dict[str, Season] = {
    "spring": Season(
        ((0.98, 0.74, 0.84), (0.66, 0.86, 0.38), (0.97, 0.84, 0.88)),
        (0.36, 0.62, 0.38),
        ((1.0, 0.95, 0.98), (1.0, 0.62, 0.78), (1.0, 0.87, 0.32)),
        0.7,
        blossom=True,
    ),
    "summer": Season(
        ((0.22, 0.55, 0.22), (0.13, 0.44, 0.20), (0.32, 0.60, 0.20)),
        (0.10, 0.36, 0.24),
        ((0.98, 0.30, 0.26), (1.0, 0.85, 0.25), (0.55, 0.40, 0.90)),
        0.3,
    ),
    "autumn": Season(
        ((0.92, 0.50, 0.13), (0.78, 0.25, 0.11), (0.96, 0.72, 0.20)),
        (0.36, 0.38, 0.18),
        ((0.90, 0.38, 0.10), (0.72, 0.22, 0.10), (0.97, 0.70, 0.18)),
        0.6,
    ),
    "winter": Season(
        ((0.88, 0.92, 0.97), (0.80, 0.86, 0.95), (0.95, 0.97, 1.0)),
        (0.25, 0.38, 0.42),
        (SNOW,),
        0.0,
        bare=True,
        snow=True,
    ),
}

GRASS: dict[str, tuple[Colour, Colour]] = {
    "spring": ((0.64, 0.88, 0.36), (0.74, 0.92, 0.50)),
    "summer": ((0.23, 0.52, 0.18), (0.34, 0.59, 0.27)),
    "autumn": ((0.78, 0.54, 0.22), (0.81, 0.48, 0.22)),
    "winter": (SNOW, (0.86, 0.91, 0.98)),
}
"""season -> grass near and far."""

SAND: dict[str, tuple[Colour, Colour]] = {
    "spring": ((0.90, 0.90, 0.66), (0.78, 0.86, 0.62)),
    "summer": ((0.98, 0.83, 0.55), (0.96, 0.76, 0.45)),
    "autumn": ((0.78, 0.58, 0.38), (0.72, 0.48, 0.30)),
    "winter": (SNOW, (0.86, 0.91, 0.98)),
}
"""season -> beach sand, dry and wet."""

DUNES: dict[str, tuple[Colour, Colour]] = {
    "spring": ((0.90, 0.88, 0.58), (0.74, 0.82, 0.52)),
    "summer": ((0.98, 0.74, 0.36), (0.93, 0.60, 0.26)),
    "autumn": ((0.76, 0.42, 0.24), (0.62, 0.30, 0.20)),
    "winter": (SNOW, (0.84, 0.89, 0.97)),
}
"""season -> desert sand near and far."""

SEA: dict[str, tuple[Colour, Colour]] = {
    "spring": ((0.45, 0.82, 0.78), (0.25, 0.62, 0.72)),
    "summer": ((0.16, 0.70, 0.78), (0.05, 0.42, 0.68)),
    "autumn": ((0.38, 0.52, 0.50), (0.24, 0.38, 0.42)),
    "winter": ((0.66, 0.80, 0.88), (0.45, 0.60, 0.74)),
}
"""season -> water near and far."""

PAVING: dict[str, tuple[Colour, Colour]] = {
    "spring": ((0.84, 0.84, 0.74), (0.60, 0.61, 0.62)),
    "summer": ((0.64, 0.61, 0.60), (0.34, 0.35, 0.40)),
    "autumn": ((0.66, 0.52, 0.38), (0.46, 0.38, 0.33)),
    "winter": (SNOW, (0.80, 0.85, 0.92)),
}
"""season -> pavement and road."""

SOILS: dict[str, tuple[dict[str, tuple[Colour, Colour]], Colour, float, Colour]] = {
    "meadow": (GRASS, (0.0, 0.0, 0.0), 0.0, (1.0, 1.0, 1.0)),
    "beach": (SAND, (0.0, 0.0, 0.0), 0.0, (0.97, 0.99, 0.97)),
    "desert": (DUNES, (0.0, 0.0, 0.0), 0.0, (1.0, 0.97, 0.92)),
    "mountains": (GRASS, (0.46, 0.56, 0.60), 0.20, (0.86, 0.91, 0.98)),
    "city": (PAVING, (0.0, 0.0, 0.0), 0.0, (0.88, 0.88, 0.90)),
    "forest": (GRASS, (0.22, 0.22, 0.08), 0.32, (0.88, 0.94, 0.93)),
    "lake": (GRASS, (0.30, 0.60, 0.44), 0.20, (0.83, 0.94, 0.98)),
    "farm": (GRASS, (0.86, 0.74, 0.30), 0.15, (1.0, 0.97, 0.95)),
}
"""place -> its ground by season, what colour that leans to and how much, and what snow is multiplied by there."""


def soil(place: str, season: str) -> tuple[Array, Array]:
    """Colours (3,) of the ground of this place, near and far."""
    table, leaning, share, snow = SOILS[place]
    pair = (np.array(colour, np.float32) for colour in table[season])
    if SEASONS[season].snow:
        near, far = (colour * np.array(snow, np.float32) for colour in pair)
    else:
        near, far = (colour + (np.array(leaning, np.float32) - colour) * np.float32(share) for colour in pair)
    return near, far
