"""The sky: gradient, sun, moon and stars, and clouds in the style of cut paper."""

from dataclasses import dataclass

import numpy as np

from . import distance
from .canvas import Array, Canvas, Colour
from .fields import bump, chance, cover, mix, outline, ramp, scatter
from .light import Light, toned

CLOUDS: dict[tuple[str, str], tuple[Colour, Colour, float]] = {
    ("day", "sunny"): ((1.0, 1.0, 1.0), (0.78, 0.87, 0.96), 0.95),
    ("day", "cloudy"): ((0.80, 0.81, 0.83), (0.44, 0.47, 0.53), 0.85),
    ("day", "rainy"): ((0.45, 0.50, 0.57), (0.18, 0.23, 0.31), 0.85),
    ("day", "snowy"): ((0.97, 0.98, 1.0), (0.74, 0.79, 0.89), 0.55),
    ("day", "foggy"): ((0.88, 0.87, 0.83), (0.76, 0.75, 0.70), 0.35),
    ("sunset", "sunny"): ((1.0, 0.80, 0.58), (0.74, 0.34, 0.50), 0.9),
    ("sunset", "cloudy"): ((0.80, 0.55, 0.48), (0.34, 0.25, 0.36), 0.85),
    ("sunset", "rainy"): ((0.48, 0.30, 0.38), (0.18, 0.12, 0.24), 0.85),
    ("sunset", "snowy"): ((1.0, 0.88, 0.85), (0.76, 0.60, 0.74), 0.55),
    ("sunset", "foggy"): ((0.96, 0.76, 0.58), (0.78, 0.56, 0.42), 0.35),
    ("night", "sunny"): ((0.22, 0.29, 0.50), (0.10, 0.14, 0.32), 0.8),
    ("night", "cloudy"): ((0.32, 0.30, 0.38), (0.14, 0.12, 0.18), 0.85),
    ("night", "rainy"): ((0.12, 0.20, 0.24), (0.03, 0.07, 0.10), 0.85),
    ("night", "snowy"): ((0.50, 0.52, 0.68), (0.30, 0.32, 0.48), 0.55),
    ("night", "foggy"): ((0.38, 0.43, 0.43), (0.26, 0.30, 0.31), 0.35),
}
"""(time, weather) -> clouds where lit, where in shade, and how dense."""


@dataclass(frozen=True)
class Look:
    """What the sky depends on."""

    place: str
    season: str
    weather: str
    time: str
    seed: int

    @property
    def clouds(self) -> tuple[Colour, Colour, float]:
        """Their colours, lit and in shade, and their density."""
        lit, shade, density = CLOUDS[self.time, self.weather]
        strength = 0.3 if self.weather == "sunny" else 1.0
        return toned(lit, self.season, strength), toned(shade, self.season, strength), density

    def chance(self, *tags: str | int) -> np.random.Generator:
        """Random numbers of this layout."""
        return chance(self.seed, self.place, *tags)


def sky(plane: Canvas, look: Look, light: Light, sun: tuple[float, float]) -> Array:
    """(H, W, 3) the whole sky, as if nothing stood before it."""
    half = np.clip(plane.y / 0.27, 0, 1), np.clip((plane.y - 0.27) / 0.28, 0, 1)
    column = mix(mix(light.top, light.middle, half[0][..., None]), light.horizon, half[1][..., None])
    picture = np.broadcast_to(column, (*plane.shape, 3)).copy()
    if look.weather != "sunny":
        _overcast(picture, plane, look)
        return picture
    if look.time == "night":
        _stars(picture, plane, look)
    _sun_or_moon(picture, plane, look.time, sun)
    _clouds(picture, plane, look, sun[0])
    return picture


def _sun_or_moon(picture: Array, plane: Canvas, time: str, sun: tuple[float, float]) -> None:
    x, y = sun[0], sun[1] if time != "sunset" else 0.40
    u, v = plane.x - x, plane.y - y
    away = np.hypot(u, v)
    if time == "night":
        _add(picture, np.exp(-away / 0.12) * 0.30, (0.75, 0.82, 1.0))
        disc = np.maximum(away - 0.055, 0.052 - np.hypot(u - 0.026, v + 0.012))
        _over(picture, cover(disc, plane.px), (1.0, 0.97, 0.84))
        return
    colour = (1.0, 0.96, 0.70) if time == "day" else (1.0, 0.86, 0.45)
    _over(picture, np.exp(-away / 0.16) * 0.75, colour)
    _over(picture, cover(away - 0.105, plane.px) * 0.30, (1, 1, 0.9))
    _over(picture, cover(away - (0.065 if time == "day" else 0.085), plane.px), (1.0, 0.98, 0.82) if time == "day" else (1.0, 0.93, 0.62))


def _stars(picture: Array, plane: Canvas, look: Look) -> None:
    for cells, size in ((13, 0.0042), (26, 0.0026)):
        dx, dy, luck = scatter(plane.x * cells, plane.y * cells, look.chance("stars", cells), 0.1)
        glow = cover(np.hypot(dx, dy) / cells - size, max(plane.px, size)) * (luck < 0.4) * (0.5 + luck)
        _over(picture, np.clip(glow * ramp(plane.y, 0.55, 0.25), 0, 1), (1.0, 0.98, 0.90))


def _overcast(picture: Array, plane: Canvas, look: Look) -> None:
    """Banks of cloud one behind the other, the highest nearest and darkest, each with a scalloped hem."""
    lit, shade, density = look.clouds
    rng = look.chance("overcast")
    for number, low in enumerate((0.36, 0.27, 0.18, 0.08)):
        hem = low - 0.03 + 0.03 * outline(plane, rng, 2, 1) + _scallops(plane, rng, 0.13 - 0.014 * number)
        above = hem - plane.y
        body = mix(lit, shade, np.clip(0.18 + 0.25 * number - above / 0.16 * 0.18, 0, 1)[..., None])
        light_hem = mix(body, lit, (ramp(above, 0.035, 0.0) * 0.5)[..., None])
        whole = cover(-above, max(plane.px, 0.012 if look.weather == "foggy" else 0.0)) * np.float32(density)
        picture[...] = mix(picture, light_hem, whole[..., None])


def _scallops(plane: Canvas, rng: np.random.Generator, width: float) -> Array:
    """(1, W): a hem of hanging arcs about `width` wide."""
    count = int(1.3 / width) + 2
    places = (np.arange(count) + rng.uniform(0.2, 0.8, count)) * width - 0.1
    sizes = width * rng.uniform(0.6, 1.0, count)
    rise = np.sqrt(np.clip(1 - ((plane.x - places[:, None]) / sizes[:, None]) ** 2, 0, 1)) * sizes[:, None]
    return (np.maximum((rise**8).sum(0, keepdims=True) ** 0.125, 0.55 * width) * 0.45).astype(np.float32)


def _clouds(picture: Array, plane: Canvas, look: Look, sun_x: float) -> None:
    """A few flat-bottomed heaps."""
    rng = look.chance("clouds")
    for number in range(4):
        x, y = float(rng.uniform(0, 0.3)) + 0.3 * number - 0.05, float(rng.uniform(0.08, 0.38))
        width, heaps = float(rng.uniform(0.09, 0.17)), rng.uniform(0.55, 1.0, 5)
        span = plane.span(x - 1.4 * width, y - width, x + 1.4 * width, y + 0.4 * width)
        part = plane.part(span)
        if 0 not in part.shape:
            _cloud(picture[span], (part.x - x) / width, (part.y - y) / width, part.px / width, heaps, look.clouds, sun_x - x)


def _cloud(picture: Array, u: Array, v: Array, px: float, heaps: Array, look: tuple[Colour, Colour, float], sun: float) -> None:
    """One cloud in coordinates in which it is two wide and stands on v = 0.2."""
    side = 0.12 if sun > 0 else -0.12
    places = np.linspace(-0.8, 0.8, 5)
    sizes = heaps * np.array([0.26, 0.42, 0.52, 0.40, 0.25])
    puffs = [distance.circle(u - a, v - 0.2 + 0.75 * r, r) for a, r in zip(places, sizes, strict=True)]
    lights = [distance.circle(u - a - side * r, v - 0.2 + 0.9 * r, 0.86 * r) for a, r in zip(places, sizes, strict=True)]
    base = distance.box(u, v - 0.12, 1.0, 0.09, 0.09)
    whole = np.maximum(np.minimum(np.minimum.reduce(puffs), base), v - 0.2)
    bright = np.maximum(np.minimum.reduce(lights), whole)
    lit, shade, density = look
    _over(picture, cover(whole, px) * density, shade)
    _over(picture, np.clip(0.5 - bright / max(px, 0.10), 0, 1) * cover(whole, px) * density, lit)


def shimmer(plane: Canvas, sun_x: float, shore: float) -> Array:
    """(H, W): glitter of the sun or the moon on water below it."""
    below = np.clip((plane.y - shore) / 0.3, 0, 1)
    waves = 0.5 + 0.5 * np.sin(plane.y * 420 / (0.4 + 1.6 * below) + 2.2 * np.sin(plane.x * 31))
    return bump(plane.x - sun_x, 0, 0.06) * ramp(waves, 0.35, 0.9) * (1 - 0.6 * below) + 0.25 * bump(plane.x - sun_x, 0, 0.16) * waves


def _over(picture: Array, coverage: Array, colour: Colour) -> None:
    picture[...] = mix(picture, colour, coverage[..., None].astype(np.float32))


def _add(picture: Array, strength: Array, colour: Colour) -> None:
    picture[...] = picture + strength[..., None].astype(np.float32) * np.array(colour, np.float32)
