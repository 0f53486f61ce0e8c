"""The light of a scene: the colours of the sky, what they make of the land and of things, and how thick the air is."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from .canvas import Array, Colour
from .fields import mix

LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)

SKIES: dict[tuple[str, str], tuple[Colour, Colour, Colour]] = {
    ("day", "sunny"): ((0.20, 0.50, 0.87), (0.47, 0.75, 0.95), (0.80, 0.92, 0.97)),
    ("day", "cloudy"): ((0.50, 0.53, 0.59), (0.62, 0.65, 0.69), (0.74, 0.76, 0.77)),
    ("day", "rainy"): ((0.25, 0.32, 0.42), (0.35, 0.43, 0.53), (0.47, 0.55, 0.62)),
    ("day", "snowy"): ((0.80, 0.85, 0.95), (0.87, 0.90, 0.97), (0.93, 0.95, 0.99)),
    ("day", "foggy"): ((0.73, 0.74, 0.71), (0.77, 0.77, 0.74), (0.81, 0.81, 0.77)),
    ("sunset", "sunny"): ((0.30, 0.21, 0.50), (0.90, 0.42, 0.42), (1.00, 0.76, 0.38)),
    ("sunset", "cloudy"): ((0.42, 0.31, 0.42), (0.66, 0.43, 0.44), (0.88, 0.60, 0.45)),
    ("sunset", "rainy"): ((0.24, 0.17, 0.30), (0.40, 0.25, 0.36), (0.60, 0.36, 0.38)),
    ("sunset", "snowy"): ((0.74, 0.62, 0.80), (0.90, 0.73, 0.82), (0.99, 0.83, 0.80)),
    ("sunset", "foggy"): ((0.78, 0.58, 0.45), (0.86, 0.65, 0.47), (0.93, 0.73, 0.52)),
    ("night", "sunny"): ((0.03, 0.05, 0.18), (0.08, 0.13, 0.34), (0.17, 0.25, 0.50)),
    ("night", "cloudy"): ((0.22, 0.20, 0.28), (0.29, 0.26, 0.35), (0.36, 0.33, 0.43)),
    ("night", "rainy"): ((0.05, 0.13, 0.17), (0.09, 0.19, 0.23), (0.14, 0.26, 0.31)),
    ("night", "snowy"): ((0.36, 0.38, 0.56), (0.43, 0.45, 0.63), (0.50, 0.53, 0.70)),
    ("night", "foggy"): ((0.28, 0.33, 0.35), (0.33, 0.38, 0.40), (0.38, 0.44, 0.45)),
}
"""(time, weather) -> the sky at the top, half way and at the horizon."""

SUNLIGHT: dict[str, tuple[Colour, Colour, float]] = {
    "day": ((1.0, 1.0, 1.0), (0.0, 0.0, 0.0), 1.0),
    "sunset": ((0.90, 0.70, 0.64), (0.07, 0.02, 0.05), 0.88),
    "night": ((0.44, 0.50, 0.70), (0.0, 0.01, 0.05), 1.05),
}
"""time -> what the colours of the land are multiplied by, what is added, and their saturation."""

AIR: dict[str, tuple[Colour, float, float, float]] = {
    "sunny": ((1.0, 1.0, 0.98), 1.0, 0.0, 0.50),
    "cloudy": ((0.80, 0.81, 0.84), 0.74, 0.02, 0.75),
    "rainy": ((0.64, 0.73, 0.78), 1.05, 0.02, 0.9),
    "snowy": ((0.95, 0.97, 1.03), 0.74, 0.10, 1.2),
    "foggy": ((0.92, 0.92, 0.90), 0.80, 0.08, 2.1),
}
"""weather -> multiplier of the land, its saturation, share of haze on what is nearest, and how much thicker it gets with depth."""

TONES: dict[str, tuple[Colour, Colour, float]] = {
    "spring": ((1.06, 1.05, 0.95), (1.0, 0.93, 0.90), 0.20),
    "summer": ((0.88, 0.98, 1.00), (0.3, 0.75, 1.0), 0.03),
    "autumn": ((1.12, 0.96, 0.80), (1.0, 0.80, 0.55), 0.05),
    "winter": ((0.97, 1.00, 1.06), (0.86, 0.93, 1.0), 0.14),
}
"""season -> multiplier of the colours of the sky and the air, and a tint laid over them with its share."""


@dataclass(frozen=True)
class Light:
    """`top`, `middle`, `horizon`: colours of the sky; `tint`, `lift`, `saturation`: what becomes of a colour on the land;
    `near`, `thickness`: haze in front of the nearest and its growth with depth; `glow`: strength of lamps; `sun`: hardness of shadows."""

    top: Colour
    middle: Colour
    horizon: Colour
    tint: Array
    lift: Array
    saturation: float
    near: float
    thickness: float
    glow: float
    sun: float

    def on(self, colour: Array) -> Array:
        """Colours (..., 3) of the land in this light."""
        grey = (colour @ LUMA)[..., None]
        return (grey + (colour - grey) * np.float32(self.saturation)) * self.tint + self.lift

    def on_things(self, colour: Array) -> Array:
        """As `on`, with a floor of light and of colour, so that things can be told apart at night and in fog."""
        fair = self.tint + (1 - self.tint) * np.float32(0.55)
        grey = (colour @ LUMA)[..., None]
        return (grey + (colour - grey) * np.float32(0.7 + 0.3 * self.saturation)) * fair + self.lift * np.float32(0.5)

    def haze(self, depth: Array | float) -> Array:
        """Share of the horizon's colour in front of what is this deep (0..1) in the picture."""
        return 1 - (1 - np.float32(self.near)) * np.exp(-np.float32(self.thickness) * np.asarray(depth, np.float32))

    def through_air(self, colour: Array, depth: Array | float) -> Array:
        """Colours (..., 3) at this depth seen through the haze."""
        share = np.asarray(self.haze(depth))
        return mix(colour, self.horizon, share[..., None] if share.ndim else float(share))


@lru_cache(maxsize=64)
def light(time: str, weather: str, season: str) -> Light:
    """The light at this time in this weather; the season tones the sky and the air."""
    strength = (0.3, 0.6, 1.0) if weather == "sunny" else (1.0, 1.0, 1.0)
    top, middle, horizon = (toned(colour, season, share) for colour, share in zip(SKIES[time, weather], strength, strict=True))
    multiplier, lift = (np.array(value, np.float32) for value in SUNLIGHT[time][:2])
    air, saturation, near, thickness = AIR[weather]
    glow = {"day": 0.0, "sunset": 0.55, "night": 1.0}[time]
    sun = {"sunny": 1.0, "cloudy": 0.25}.get(weather, 0.0) * {"day": 1.0, "sunset": 0.8, "night": 0.5}[time]
    tint = multiplier * np.array(air, np.float32)
    return Light(top, middle, horizon, tint, lift, saturation * SUNLIGHT[time][2], near, thickness, glow, sun)


def toned(colour: Colour, season: str, strength: float = 1.0) -> Colour:
    """A colour of the sky as the season has it, as far as `strength` (0..1) goes."""
    multiplier, over, share = TONES[season]
    bright = max(colour)
    full = (min(c * m, 1.0) * (1 - share) + o * share * bright for c, m, o in zip(colour, multiplier, over, strict=True))
    red, green, blue = (c + (f - c) * strength for c, f in zip(colour, full, strict=True))
    return red, green, blue
