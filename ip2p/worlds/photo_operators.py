"""Photo edits with one right answer each.

Every operator takes and returns a float32 picture (H, W, 3) in [0, 1]. All are deterministic; their scales are in pixels, independent
of the picture's size and of the position in it, so that a crop of an edited picture is (up to its border) the edit of the crop.
"""

from collections.abc import Collection

import numpy as np
from scipy import ndimage

from . import photo_looks
from .photo_tools import Operator, Picture, blurred, brightness, edges, kuwahara, ramp, saturated, tinted

BLOCK = 8
"""Side in pixels of a block of pixel art."""


def apply(kind: str, picture: Picture) -> Picture:
    """The right answer of the edit ``kind`` for ``picture``. Raises ValueError for an unknown kind or a shape that is not (H, W, 3)."""
    if kind not in OPERATORS:
        raise ValueError(f"The edit kind '{kind}' is unknown; use one of {', '.join(OPERATORS)}.")
    if picture.ndim != 3 or picture.shape[2] != 3:
        raise ValueError(f"A picture has the shape (height, width, 3), not {picture.shape}; convert it to RGB.")
    return np.clip(OPERATORS[kind](picture.astype(np.float32)), 0, 1).astype(np.float32)


def unchanged(picture: Picture) -> Picture:
    """The picture itself."""
    return picture


def black_and_white(picture: Picture) -> Picture:
    """Brightness only."""
    return np.repeat(brightness(picture), 3, axis=2)


def sepia(picture: Picture) -> Picture:
    """Brown-toned old photograph."""
    grey = brightness(picture)
    return np.concatenate([grey**0.80 * 1.04 + 0.02, grey * 0.88 + 0.02, grey**1.2 * 0.66], axis=2)


def negative(picture: Picture) -> Picture:
    """Inverted colours."""
    return 1 - picture


def night(picture: Picture) -> Picture:
    """Dark, blue, lights kept a little."""
    dim = saturated(np.clip(picture, 0, 1) ** 1.5, 0.55)
    return tinted(dim, (0.25, 0.35, 0.62)) + np.array([0.0, 0.015, 0.06], dtype=np.float32)


def sunset(picture: Picture) -> Picture:
    """Low orange light: warm highlights, purple shadows."""
    grey = brightness(picture)
    light = np.array([1.0, 0.58, 0.22], dtype=np.float32)
    shadow = np.array([0.30, 0.10, 0.22], dtype=np.float32)
    toned = shadow * (1 - grey) * 0.7 + light * grey * 1.15
    return 0.62 * toned + 0.38 * tinted(picture, (1.05, 0.75, 0.55))


def fog(picture: Picture) -> Picture:
    """A pale haze that softens and washes out."""
    soft = saturated(blurred(picture, 1.0), 0.45)
    return 0.42 * soft + 0.58 * np.array([0.83, 0.85, 0.87], dtype=np.float32)


def snow(picture: Picture) -> Picture:
    """Winter: cool and pale, white on whatever is light or lies under an edge seen from above."""
    pale = saturated(picture, 0.35)
    light = brightness(blurred(picture, 1.0))
    above = np.clip(-ndimage.sobel(brightness(blurred(picture, 1.5)), axis=0) * 0.9, 0, 0.6)
    cover = np.clip(ramp(light, 0.30, 0.68) * 0.85 + above, 0, 0.95)
    cold = tinted(pale, (0.84, 0.93, 1.04)) * 0.8 + 0.12
    return cold * (1 - cover) + np.array([0.94, 0.96, 1.0], dtype=np.float32) * cover


def sketch(picture: Picture) -> Picture:
    """Pencil on white paper: the dodge of a picture with its blurred negative, darkened."""
    grey = brightness(blurred(picture, 0.6))
    dodge = np.clip((grey + 0.07) / (blurred(grey, 4.0) + 0.07), 0, 1) ** 2.2
    shade = 0.74 + 0.26 * ramp(blurred(grey, 2.0), 0.02, 0.5)
    return np.repeat(np.clip(dodge * shade, 0, 1), 3, axis=2)


def oil_painting(picture: Picture) -> Picture:
    """Flat strokes in rich colours."""
    strokes = kuwahara(kuwahara(picture, 4), 4)
    rich = saturated(strokes, 1.5)
    return (rich - 0.5) * 1.12 + 0.5


def pixel_art(picture: Picture) -> Picture:
    """Square blocks of one colour."""
    height, width = picture.shape[:2]
    rows, columns = (np.arange(0, side, BLOCK) for side in (height, width))
    sums = np.add.reduceat(np.add.reduceat(picture, rows, axis=0), columns, axis=1)
    counts = np.minimum(BLOCK, height - rows)[:, None, None] * np.minimum(BLOCK, width - columns)[None, :, None]
    blocks = (saturated(sums / counts, 1.7) - 0.5) * 1.15 + 0.5
    return np.repeat(np.repeat(blocks, BLOCK, axis=0), BLOCK, axis=1)[:height, :width]


def blur(picture: Picture) -> Picture:
    """Out of focus."""
    return blurred(picture, 3.0)


def sharpen(picture: Picture) -> Picture:
    """Unsharp mask, strong."""
    return picture + 3.0 * (picture - blurred(picture, 2.2))


def brighter(picture: Picture) -> Picture:
    """More light everywhere."""
    return 1 - (1 - picture) ** 1.9


def darker(picture: Picture) -> Picture:
    """Less light everywhere, colours kept."""
    return picture**1.35 * 0.55


def warmer(picture: Picture) -> Picture:
    """Colour temperature down: more red, less blue."""
    return tinted(picture, (1.16, 1.0, 0.66)) + np.array([0.05, 0.015, 0.0], dtype=np.float32)


def cooler(picture: Picture) -> Picture:
    """Colour temperature up: more blue, less red."""
    return tinted(picture, (0.70, 0.95, 1.16)) + np.array([0.0, 0.01, 0.07], dtype=np.float32)


def vivid(picture: Picture) -> Picture:
    """Much stronger colours."""
    return saturated(picture, 2.3)


def faded(picture: Picture) -> Picture:
    """An old colour print: low contrast, lifted shadows, weak colours, a yellow-pink cast."""
    weak = saturated(picture, 0.45)
    return weak * np.array([0.58, 0.54, 0.46], dtype=np.float32) + np.array([0.34, 0.30, 0.27], dtype=np.float32)


def cartoon(picture: Picture) -> Picture:
    """Flat bright colours inside dark outlines."""
    flat = kuwahara(blurred(picture, 0.6), 4)
    edge = edges(brightness(blurred(picture, 1.2)))
    colours = 1 - (1 - np.clip(saturated(flat, 1.7), 0, 1)) ** 1.35
    return colours * (1 - 0.88 * ramp(edge, 0.8, 1.7))


def high_contrast(picture: Picture) -> Picture:
    """Darks to black and lights to white."""
    return 1 / (1 + np.exp(-10.0 * (picture - 0.48)))


OPERATORS: dict[str, Operator] = {
    "unchanged": unchanged,
    "black_and_white": black_and_white,
    "sepia": sepia,
    "negative": negative,
    "night": night,
    "sunset": sunset,
    "fog": fog,
    "snow": snow,
    "sketch": sketch,
    "oil_painting": oil_painting,
    "pixel_art": pixel_art,
    "blur": blur,
    "sharpen": sharpen,
    "brighter": brighter,
    "darker": darker,
    "warmer": warmer,
    "cooler": cooler,
    "vivid": vivid,
    "faded": faded,
    "cartoon": cartoon,
    "high_contrast": high_contrast,
    "autumn": photo_looks.autumn,
    "underwater": photo_looks.underwater,
    "cyanotype": photo_looks.cyanotype,
    "night_vision": photo_looks.night_vision,
    "thermal": photo_looks.thermal,
    "cyberpunk": photo_looks.cyberpunk,
    "pink": photo_looks.pink,
    "sandstorm": photo_looks.sandstorm,
    "x_ray": photo_looks.x_ray,
    "chalk": photo_looks.chalk,
    "watercolour": photo_looks.watercolour,
    "relief": photo_looks.relief,
}

KINDS = tuple(OPERATORS)
EDITS = tuple(kind for kind in KINDS if kind != "unchanged")

_PARTNERS = {
    "snow": "oil_painting pixel_art cartoon watercolour night sunset cyberpunk warmer cooler sepia",
    "autumn": "oil_painting pixel_art cartoon watercolour cyberpunk vivid",
    "sketch": "night sunset cyberpunk warmer cooler faded pink sepia cyanotype sandstorm underwater",
    "oil_painting": "cyberpunk warmer cooler vivid",
    "pixel_art": "sunset cyberpunk warmer cooler vivid black_and_white sepia cyanotype",
    "cartoon": "sunset cyberpunk warmer cooler faded pink black_and_white sepia underwater",
    "chalk": "warmer cooler cyberpunk pink sepia",
    "watercolour": "night sunset cyberpunk warmer cooler vivid pink sepia cyanotype black_and_white",
    "relief": "night sunset warmer cooler pink sepia cyanotype",
    "fog": "sunset warmer cooler sepia cyberpunk",
    "sandstorm": "night sunset",
    "night": "black_and_white sepia",
    "sunset": "vivid",
    "brighter": "warmer cooler vivid",
    "darker": "warmer cooler",
    "high_contrast": "black_and_white sepia",
}
PAIRS = tuple((first, second) for first, seconds in _PARTNERS.items() for second in seconds.split())
"""Two edits that make sense together, in the order in which they are applied: first what lies on the ground, then how the picture is
made, then the air, the light and the colours. The answer of each is plainly another than those of its kinds alone and of the other
pairs of these kinds: on four photos of five, by 0.08 or more in colour and edges."""


def in_order(kinds: Collection[str]) -> tuple[str, ...]:
    """The kinds in the order in which they are applied. Raises ValueError for more than one kind that are not one of PAIRS."""
    if len(kinds) <= 1:
        return tuple(kinds)
    for pair in PAIRS:
        if sorted(pair) == sorted(kinds):
            return pair
    raise ValueError(f"The edits {' and '.join(kinds)} are not made together; use one of the pairs in PAIRS.")


def apply_all(kinds: Collection[str], picture: Picture) -> Picture:
    """The right answer of no edit, one, or a pair of PAIRS in any order. Raises ValueError as `apply` and `in_order` do."""
    for kind in in_order(kinds):
        picture = apply(kind, picture)
    return picture
