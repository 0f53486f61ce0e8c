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
    ("day", "snowy"): ((0.79, 0.83, 0.92), (0.86, 0.89, 0.95), (0.93, 0.94, 0.97)),
    ("day", "foggy"): ((0.79, 0.79, 0.75), (0.82, 0.81, 0.77), (0.85, 0.84, 0.79)),
    ("sunset", "sunny"): ((0.30, 0.21, 0.50), (0.90, 0.42, 0.42), (1.00, 0.76, 0.38)),
    ("sunset", "cloudy"): ((0.42, 0.31, 0.42), (0.66, 0.43, 0.44), (0.88, 0.60, 0.45)),
    ("sunset", "rainy"): ((0.24, 0.17, 0.30), (0.40, 0.25, 0.36), (0.60, 0.36, 0.38)),
    ("sunset", "snowy"): ((0.74, 0.62, 0.78), (0.90, 0.73, 0.80), (0.99, 0.83, 0.77)),
    ("sunset", "foggy"): ((0.80, 0.60, 0.47), (0.88, 0.67, 0.49), (0.95, 0.74, 0.52)),
    ("night", "sunny"): ((0.02, 0.04, 0.16), (0.06, 0.11, 0.30), (0.14, 0.22, 0.46)),
    ("night", "cloudy"): ((0.13, 0.13, 0.19), (0.18, 0.18, 0.25), (0.24, 0.25, 0.32)),
    ("night", "rainy"): ((0.02, 0.06, 0.09), (0.05, 0.11, 0.15), (0.09, 0.17, 0.21)),
    ("night", "snowy"): ((0.33, 0.35, 0.52), (0.39, 0.41, 0.58), (0.45, 0.48, 0.64)),
    ("night", "foggy"): ((0.27, 0.31, 0.33), (0.31, 0.36, 0.37), (0.36, 0.41, 0.41)),
}
"""(time, weather) -> the sky at the top, half way and at the horizon."""

SUNLIGHT: dict[str, tuple[Colour, Colour]] = {
    "day": ((1.0, 1.0, 1.0), (0.0, 0.0, 0.0)),
    "sunset": ((0.95, 0.68, 0.58), (0.07, 0.01, 0.04)),
    "night": ((0.31, 0.38, 0.60), (0.0, 0.01, 0.05)),
}
"""time -> what the colours of the land are multiplied by, and what is added."""

AIR: dict[str, tuple[Colour, float, float, float]] = {
    "sunny": ((1.0, 1.0, 0.98), 1.0, 0.0, 0.55),
    "cloudy": ((0.80, 0.81, 0.84), 0.72, 0.04, 0.75),
    "rainy": ((0.62, 0.68, 0.76), 0.70, 0.03, 1.1),
    "snowy": ((0.93, 0.95, 1.02), 0.62, 0.24, 1.3),
    "foggy": ((0.90, 0.90, 0.88), 0.60, 0.36, 3.2),
}
"""weather -> multiplier of the land, its saturation, share of haze on what is nearest, and how much thicker it gets with depth."""


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
        fair = self.tint + (1 - self.tint) * np.float32(0.30)
        grey = (colour @ LUMA)[..., None]
        return (grey + (colour - grey) * np.float32(0.4 + 0.6 * self.saturation)) * fair + self.lift * np.float32(0.5)

    def haze(self, depth: Array | float) -> Array:
        """Share of the horizon's colour in front of what is this deep (0..1) in the picture."""
        return 1 - (1 - np.float32(self.near)) * np.exp(-np.float32(self.thickness) * np.asarray(depth, np.float32))

    def through_air(self, colour: Array, depth: Array | float) -> Array:
        """Colours (..., 3) at this depth seen through the haze."""
        share = np.asarray(self.haze(depth))
        return mix(colour, self.horizon, share[..., None] if share.ndim else float(share))


@lru_cache(maxsize=16)
def light(time: str, weather: str) -> Light:
    """The light at this time in this weather."""
    top, middle, horizon = SKIES[time, weather]
    multiplier, lift = (np.array(value, np.float32) for value in SUNLIGHT[time])
    air, saturation, near, thickness = AIR[weather]
    glow = {"day": 0.0, "sunset": 0.55, "night": 1.0}[time]
    sun = {"sunny": 1.0, "cloudy": 0.25}.get(weather, 0.0) * {"day": 1.0, "sunset": 0.8, "night": 0.5}[time]
    return Light(top, middle, horizon, multiplier * np.array(air, np.float32), lift, saturation, near, thickness, glow, sun)
