"""The lit backdrop of a scene, without things: painted once for each place, season and seed, then put in the light."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from .backdrop import PLACES, SHORES
from .backdrop.land import spread
from .canvas import Array, Canvas, canvas
from .fields import bump, chance, cloudy, cover, mix, ramp, scatter
from .light import Light, light
from .painting import Painting, blank
from .sky import Look, shimmer, sky

NO_WATER = 0.5


@dataclass(frozen=True)
class Stage:
    """`picture` (H, W, 3) is the lit backdrop, read-only; `sun_side` is -1 where light comes from the left, 1 from the right."""

    picture: Array
    plane: Canvas
    light: Light
    sun_side: float


def sun_place(place: str, seed: int) -> tuple[float, float]:
    """Where sun and moon stand in the sky of this layout."""
    rng = chance(seed, place, "sun")
    away, side, height = float(rng.uniform(0.14, 0.30)), float(rng.choice([-1.0, 1.0])), float(rng.uniform(0.12, 0.20))
    return 0.5 + side * away, height


@lru_cache(maxsize=12)
def painted(place: str, season: str, seed: int, size: int, zoom: float) -> Painting:
    """The place in plain daylight."""
    sun = sun_place(place, seed)
    painting = blank(canvas(size, zoom), -1.0 if sun[0] < 0.5 else 1.0, SHORES.get(place, NO_WATER))
    PLACES[place](painting, season, seed)
    return painting


@lru_cache(maxsize=12)
def stage(place: str, season: str, weather: str, time: str, seed: int, size: int, zoom: float) -> Stage:
    """The place in its light and weather, all but what falls in front of things."""
    painting, lamp = painted(place, season, seed, size, zoom), light(time, weather, season)
    sun = sun_place(place, seed)
    above = sky(painting.plane, Look(place, season, weather, time, seed), lamp, sun)
    land = lamp.through_air(lamp.on(painting.colour), painting.depth)
    picture = mix(land, above, painting.clear[..., None])
    if place in SHORES:
        _reflect(picture, painting, above, lamp, sun, weather)
    if weather == "rainy":
        _puddles(picture, painting, lamp, seed)
    if weather == "foggy":
        _mist(picture, painting, lamp, seed)
    _lamps(picture, painting, lamp)
    picture = np.clip(picture, 0, 1)
    picture.flags.writeable = False
    return Stage(picture, painting.plane, lamp, painting.sun_side)


def _reflect(picture: Array, painting: Painting, above: Array, lamp: Light, sun: tuple[float, float], weather: str) -> None:
    """Water mirrors the sky and what is far above its far shore, and glitters under a clear sun or moon."""
    plane = painting.plane
    wanted = 2 * painting.shore - plane.y[:, 0] + 0.004 * np.sin(plane.y[:, 0] * 900)
    rows = np.clip(np.searchsorted(plane.y[:, 0], wanted), 0, len(wanted) - 1)
    far = mix(above, picture, ramp(painting.depth, 0.35, 0.45)[..., None])
    picture[...] = mix(picture, far[rows], painting.water[..., None])
    if weather == "sunny":
        strength = shimmer(plane, sun[0], painting.shore) * np.clip(painting.water * 2.5, 0, 1)
        picture[...] = mix(picture, (1.0, 0.97, 0.85), (np.clip(strength, 0, 1) * 0.6)[..., None])


def _puddles(picture: Array, painting: Painting, lamp: Light, seed: int) -> None:
    """Wet ground: darker, with pools that show the sky."""
    across, away, scale = spread(painting, 0.64)
    dx, dy, luck = scatter(across / 0.44, away / 0.19, chance(seed, "puddles"), 0.42)
    wobble = 0.05 * cloudy(painting.plane, chance(seed, "pools"), 9, 20, 2)
    edge = (np.hypot(dx, dy) - 0.18 - 0.24 * luck + wobble) * 0.19 * scale
    ground = (1 - painting.water) * (1 - painting.clear) * ramp(painting.plane.y, 0.66, 0.70)
    pool = cover(edge, painting.plane.px) * (luck < 0.75) * ground
    inner = cover(edge + 0.006, 0.008) * (luck < 0.75) * ground
    picture[...] = mix(picture, picture * 0.90, (ground * 0.8)[..., None])
    picture[...] = mix(picture, mix(lamp.middle, 0.0, 0.15), (pool * 0.45)[..., None])
    picture[...] = mix(picture, mix(lamp.horizon, 1.0, 0.22), (inner * 0.75)[..., None])


def _mist(picture: Array, painting: Painting, lamp: Light, seed: int) -> None:
    """Banks of mist that lie in the middle distance."""
    plane = painting.plane
    banks = ramp(cloudy(plane, chance(seed, "mist"), 2, 14, 3), -0.2, 0.5) * bump(plane.y, 0.56, 0.22)
    picture[...] = mix(picture, mix(lamp.horizon, 1.0, 0.12), (banks * 0.55)[..., None])


def _lamps(picture: Array, painting: Painting, lamp: Light) -> None:
    """Lit windows."""
    if lamp.glow:
        shown = (painting.lamp * np.float32(lamp.glow) * (1 - 0.6 * lamp.haze(painting.depth))[..., None]).astype(np.float32)
        picture[...] = np.maximum(picture, picture * 0.3 + shown)
