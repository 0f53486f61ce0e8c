"""City and farm."""

import numpy as np

from .. import distance, plants
from ..canvas import Array, Colour
from ..fields import chance, cloudy, cover, mix, ramp
from ..painting import Painting
from ..palette import GRASS, SEASONS, SNOW, soil
from .land import ground, grove, hill, line, shaded, strew, tree_row, under

FACADES: tuple[Colour, ...] = (
    (0.72, 0.50, 0.42),
    (0.82, 0.72, 0.58),
    (0.55, 0.62, 0.70),
    (0.66, 0.58, 0.62),
    (0.50, 0.55, 0.58),
    (0.85, 0.80, 0.72),
)


def city(painting: Painting, season: str, seed: int) -> None:
    """A skyline in two depths, trees along the pavement, a road in front."""
    look, (pavement, road) = SEASONS[season], soil("city", season)
    _blocks(painting, seed, "far", 13, (0.22, 0.40), 0.85, season)
    _blocks(painting, seed, "near", 8, (0.33, 0.50), 0.38, season)
    edge = np.full_like(painting.plane.x, 0.635)
    hill(painting, seed, "park", edge - 0.02, GRASS[season][0], 0.42)
    tree_row(painting, seed, "trees", edge, 7, (0.12, 0.16), look, 0.4, plants.leafy_tree)
    whole = ground(painting, seed, edge + 0.015, pavement, pavement, 0.64, 0.05)
    _slabs(painting, whole)
    for x in (0.335, 0.665):
        _street_lamp(painting, x, look.snow)
    strew(painting, seed, "litter", whole, look.petals, 0.64, 0.05, look.density * 0.7)
    _road(painting, road, seed)


def _blocks(painting: Painting, seed: int, name: str, count: int, heights: tuple[float, float], depth: float, season: str) -> None:
    rng = chance(seed, name, "blocks")
    for number in range(count):
        x, half = (number + float(rng.uniform(0.3, 0.7))) / count, float(rng.uniform(0.42, 0.60)) / count
        top, kind = 0.64 - float(rng.uniform(*heights)) * (0.75 + 0.25 * abs(2 * x - 1)), int(rng.integers(0, 10**6))
        _building(painting, x, half, top, depth, kind, season)


def _building(painting: Painting, x: float, half: float, top: float, depth: float, kind: int, season: str) -> None:
    """A block with rows of windows, some of them lit, and one of three roofs."""
    view = painting.window(x - half, top - 0.07, x + half, 0.66)
    if view.empty:
        return
    u, v, px = view.plane.x - x, view.plane.y - top, view.plane.px
    wall = mix(FACADES[kind % len(FACADES)], (0.62, 0.70, 0.80), 0.10)
    whole = cover(np.maximum(np.abs(u) - half + 0.004, -v), px)
    if kind % 3 == 1:
        whole = np.maximum(whole, cover(np.maximum(np.abs(u) - 0.5 * half, -v - 0.03), px))
    if kind % 3 == 2:
        whole = np.maximum(whole, cover(np.maximum(np.abs(u) - 0.004, -v - 0.06), px))
    view.paint(shaded(wall, 0.16 * np.clip(u * view.sun_side / half, -1, 1) - 0.15 * ramp(v, 0, 0.4)), whole, depth)
    _windows(view, u, v, half, depth, kind)
    if season == "winter":
        view.paint(SNOW, whole * cover(v - 0.016 - 0.005 * np.cos(u * 200), px))


def _windows(view: Painting, u: Array, v: Array, half: float, depth: float, kind: int) -> None:
    across = max(2, round(half / 0.017))
    cell = 2 * (half - 0.008) / across
    column, row = (u + half - 0.008) / cell, (v - 0.02) / (1.35 * cell)
    at = np.clip(np.floor(column).astype(int), 0, across - 1), np.clip(np.floor(row).astype(int), 0, 39)
    luck = chance(kind, "windows").random((40, across), np.float32)[at[1], at[0]]
    pane = np.maximum(np.abs(column - np.floor(column) - 0.5) - 0.27, np.abs(row - np.floor(row) - 0.5) - 0.30) * cell
    inside = np.maximum(np.maximum(np.abs(u) - half + 0.010, -row * cell), v - 0.55)
    glass = mix((0.30, 0.38, 0.48), (0.62, 0.74, 0.84), luck[..., None])
    lamp = np.array((1.0, 0.80, 0.42), np.float32) * ((luck > 0.45) * (0.55 + 0.45 * luck))[..., None]
    view.paint(glass, cover(np.maximum(pane, inside), view.plane.px) * 0.85, depth, lamp)


def _street_lamp(painting: Painting, x: float, snow: bool) -> None:
    """A lamp post whose lantern gives light in the dark."""
    view = painting.window(x - 0.09, 0.36, x + 0.09, 0.70)
    if view.empty:
        return
    u, v, px = view.plane.x - x, view.plane.y, view.plane.px
    halo = np.clip(1 - np.hypot(u, v - 0.452) / 0.085, 0, 1) ** 2
    view.lamp[...] = np.maximum(view.lamp, np.array((0.9, 0.7, 0.35), np.float32) * (halo * 0.55)[..., None])
    post = np.minimum(distance.segment(u, v, (0, 0.475), (0, 0.685), 0.0035, 0.0055), distance.box(u, v - 0.682, 0.013, 0.008, 0.004))
    view.paint((0.20, 0.24, 0.28), cover(post, px), 0.3)
    lantern = distance.polygon(u, v, [(-0.017, 0.438), (0.017, 0.438), (0.010, 0.476), (-0.010, 0.476)])
    view.paint((0.98, 0.93, 0.75), cover(lantern, px), 0.3, (1.0, 0.88, 0.55))
    roof = distance.polygon(u, v, [(-0.022, 0.438), (0.0, 0.420), (0.022, 0.438)])
    view.paint(SNOW if snow else (0.20, 0.24, 0.28), cover(roof, px), 0.3)


def _slabs(painting: Painting, where: Array) -> None:
    """Joints of the pavement, in perspective."""
    plane = painting.plane
    scale = 0.35 + 0.65 * (plane.y - 0.64) / 0.36
    across = np.abs((plane.x - 0.5) / scale * 7 % 1 - 0.5) / 7 * scale
    away = np.abs(np.log(np.maximum(scale, 0.05)) * 6.5 % 1 - 0.5) * scale / 12
    painting.tone(where * np.maximum(cover(across - 0.0012, plane.px), cover(away - 0.0012, plane.px)), -0.13)


def _road(painting: Painting, colour: Array, seed: int) -> None:
    """Kerb, asphalt and a dashed line along the lower border."""
    y, x, px = painting.plane.y, painting.plane.x, painting.plane.px
    flat = np.zeros_like(x)
    painting.paint(mix(colour, (1, 1, 1), 0.35), cover(0.905 - y + flat, px))
    grain = cloudy(painting.plane, chance(seed, "asphalt"), 20, 40, 2) * 0.06
    painting.paint(shaded(colour, grain), cover(0.918 - y + flat, px))
    dash = np.maximum(np.abs(y - 0.963) - 0.007, np.abs(x * 6 % 1 - 0.5) / 6 - 0.05)
    painting.paint(mix(colour, (1, 1, 1), 0.75), cover(dash, px))


def farm(painting: Painting, season: str, seed: int) -> None:
    """Patchwork hills, a silo and a windmill, rows of crops that run to the horizon, a fence."""
    look, (near, far) = SEASONS[season], soil("farm", season)
    hill(painting, seed, "far", line(painting, seed, "far", 0.49, 0.04, 2.2), mix(far, (0.48, 0.62, 0.80), 0.5), 0.85)
    edge = line(painting, seed, "fields", 0.545, 0.025, 1.4, 2)
    rng = chance(seed, "farm")
    _silo(painting, float(rng.uniform(0.08, 0.38)), 0.565, season)
    _windmill(painting, float(rng.uniform(0.62, 0.92)), 0.565, season)
    grove(painting, seed, "grove", edge, float(rng.uniform(0.4, 0.6)), 0.05, 5, 0.08, look, 0.6)
    hill(painting, seed, "fields", edge, far, 0.55)
    _patches(painting, edge, season, seed)
    front = line(painting, seed, "front", 0.635, 0.012, 1.2, 2)
    whole = ground(painting, seed, front, near, mix(near, far, 0.5), 0.62, 0.08)
    _rows(painting, season, whole, float(rng.uniform(0.3, 0.7)))
    _fence(painting, front, season)


CROPS: dict[str, tuple[Colour, Colour]] = {
    "spring": ((0.66, 0.53, 0.38), (0.66, 0.92, 0.40)),
    "summer": ((0.58, 0.52, 0.16), (0.96, 0.80, 0.30)),
    "autumn": ((0.40, 0.26, 0.17), (0.72, 0.46, 0.20)),
    "winter": ((0.60, 0.57, 0.58), SNOW),
}
"""season -> the furrows and the ridges of a field."""


def _rows(painting: Painting, season: str, where: Array, vanishing: float) -> None:
    """Furrows that meet at the horizon."""
    plane = painting.plane
    p = np.clip((plane.y - 0.55) / 0.45, 0.02, 1.5)
    turn = (plane.x - vanishing) / p
    wave = 0.5 + 0.5 * np.cos(turn * 2 * np.pi * 5.5)
    clear = ramp(1 / (p * 11) / plane.px * p, 0, 1) if plane.px > 1 else np.float32(1)
    furrow, ridge = CROPS[season]
    field = mix(furrow, ridge, ramp(wave, 0.25, 0.75)[..., None])
    strips = 0.06 * np.sin(turn * 2 * np.pi * 5.5 + 1.2)
    painting.paint(shaded(field, strips * painting.sun_side), where * 0.62 * clear)


def _patches(painting: Painting, edge: Array, season: str, seed: int) -> None:
    """Fields of other crops on the hill behind."""
    plane = painting.plane
    stripe = plane.x * 5 + (plane.y - edge) * 9
    luck = chance(seed, "patches").random(24, np.float32)[np.clip(stripe.astype(int) + 4, 0, 23)]
    furrow, ridge = CROPS[season]
    inside = under(painting, edge + 0.012) * cover(np.abs(stripe % 1 - 0.5) / 9 - 0.053, plane.px)
    painting.paint(mix(ridge, furrow, luck[..., None] * 0.6), inside * (luck > 0.35) * 0.75, 0.5)


def _silo(painting: Painting, x: float, foot: float, season: str) -> None:
    view = painting.window(x - 0.06, foot - 0.2, x + 0.06, foot + 0.01)
    if view.empty:
        return
    u, v, px = view.plane.x - x, foot - view.plane.y, view.plane.px
    shade = 0.2 * np.clip(u / 0.022, -1, 1) * view.sun_side - 0.1 * (np.sin(v * 260) > 0.8)
    view.paint(shaded((0.72, 0.74, 0.76), shade), cover(distance.box(u, v - 0.065, 0.022, 0.065), px), 0.6)
    dome = np.maximum(distance.circle(u, v - 0.128, 0.0235), 0.128 - v)
    view.paint(SNOW if season == "winter" else (0.62, 0.28, 0.24), cover(dome, px), 0.6)


def _windmill(painting: Painting, x: float, foot: float, season: str) -> None:
    view = painting.window(x - 0.1, foot - 0.22, x + 0.1, foot + 0.01)
    if view.empty:
        return
    u, v, px = view.plane.x - x, foot - view.plane.y, view.plane.px
    tower = distance.polygon(u, v, [(-0.026, 0), (0.026, 0), (0.016, 0.12), (-0.016, 0.12)])
    view.paint(shaded((0.88, 0.84, 0.78), 0.2 * np.clip(u / 0.02, -1, 1) * view.sun_side), cover(tower, px), 0.6)
    cap = np.maximum(distance.circle(u, v - 0.12, 0.019), 0.12 - v)
    view.paint(SNOW if season == "winter" else (0.50, 0.32, 0.26), cover(cap, px), 0.6)
    for turn in np.arange(4) * np.pi / 2 + 0.5:
        c, s = float(np.cos(turn)), float(np.sin(turn))
        a, b = u * c + (v - 0.125) * s, -u * s + (v - 0.125) * c
        view.paint((0.95, 0.93, 0.88), cover(distance.box(a - 0.045, b - 0.006, 0.032, 0.008), px), 0.6)
        view.paint((0.40, 0.30, 0.25), cover(distance.box(a - 0.038, b, 0.040, 0.0018), px), 0.6)


def _fence(painting: Painting, front: Array, season: str) -> None:
    """Posts and two rails along the field's far border."""
    plane = painting.plane
    up = front + 0.012 - plane.y
    post = np.maximum(np.abs(plane.x * 11 % 1 - 0.5) / 11 - 0.0055, np.maximum(up - 0.052, -up))
    rails = np.minimum(np.abs(up - 0.038), np.abs(up - 0.020)) - 0.0035
    painting.paint((0.62, 0.48, 0.36), cover(rails, plane.px), 0.34)
    painting.paint((0.52, 0.39, 0.29), cover(post, plane.px), 0.34)
    if season == "winter":
        painting.paint(SNOW, cover(np.abs(up - 0.043) - 0.003, plane.px), 0.34)
