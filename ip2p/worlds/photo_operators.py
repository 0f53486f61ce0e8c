"""Photo edits with one right answer each.

Every operator takes and returns a float32 picture (H, W, 3) in [0, 1]. All are deterministic; their scales are in pixels, independent
of the picture's size and of the position in it, so that a crop of an edited picture is (up to its border) the edit of the crop.
"""

from collections.abc import Callable

import numpy as np
from scipy import ndimage

Picture = np.ndarray
Operator = Callable[[Picture], Picture]

LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)
BLOCK = 8
"""Side in pixels of a block of pixel art."""


def apply(kind: str, picture: Picture) -> Picture:
    """The right answer of the edit ``kind`` for ``picture``. Raises ValueError for an unknown kind or a shape that is not (H, W, 3)."""
    if kind not in OPERATORS:
        raise ValueError(f"The edit kind '{kind}' is unknown; use one of {', '.join(OPERATORS)}.")
    if picture.ndim != 3 or picture.shape[2] != 3:
        raise ValueError(f"A picture has the shape (height, width, 3), not {picture.shape}; convert it to RGB.")
    return np.clip(OPERATORS[kind](picture.astype(np.float32)), 0, 1).astype(np.float32)


def _grey(picture: Picture) -> Picture:
    """Brightness, (H, W, 1)."""
    return (picture @ LUMA)[..., None]


def _tinted(picture: Picture, colour: tuple[float, float, float]) -> Picture:
    return picture * np.array(colour, dtype=np.float32)


def _saturated(picture: Picture, amount: float) -> Picture:
    grey = _grey(picture)
    return grey + (picture - grey) * amount


def _blurred(picture: Picture, sigma: float) -> Picture:
    """Gaussian of ``sigma`` pixels, nothing across channels."""
    return ndimage.gaussian_filter(picture, (sigma, sigma, 0), mode="reflect")


def _ramp(values: Picture, low: float, high: float) -> Picture:
    """0 below ``low``, 1 above ``high``, smooth between."""
    t = np.clip((values - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def unchanged(picture: Picture) -> Picture:
    """The picture itself."""
    return picture


def black_and_white(picture: Picture) -> Picture:
    """Brightness only."""
    return np.repeat(_grey(picture), 3, axis=2)


def sepia(picture: Picture) -> Picture:
    """Brown-toned old photograph."""
    grey = _grey(picture)
    return np.concatenate([grey**0.80 * 1.04 + 0.02, grey * 0.88 + 0.02, grey**1.2 * 0.66], axis=2)


def negative(picture: Picture) -> Picture:
    """Inverted colours."""
    return 1 - picture


def night(picture: Picture) -> Picture:
    """Dark, blue, lights kept a little."""
    dim = _saturated(np.clip(picture, 0, 1) ** 1.5, 0.55)
    return _tinted(dim, (0.25, 0.35, 0.62)) + np.array([0.0, 0.015, 0.06], dtype=np.float32)


def sunset(picture: Picture) -> Picture:
    """Low orange light: warm highlights, purple shadows."""
    grey = _grey(picture)
    light = np.array([1.0, 0.58, 0.22], dtype=np.float32)
    shadow = np.array([0.30, 0.10, 0.22], dtype=np.float32)
    toned = shadow * (1 - grey) * 0.7 + light * grey * 1.15
    return 0.62 * toned + 0.38 * _tinted(picture, (1.05, 0.75, 0.55))


def fog(picture: Picture) -> Picture:
    """A pale haze that softens and washes out."""
    soft = _saturated(_blurred(picture, 1.0), 0.45)
    return 0.42 * soft + 0.58 * np.array([0.83, 0.85, 0.87], dtype=np.float32)


def snow(picture: Picture) -> Picture:
    """Winter: cool and pale, white on whatever is light or lies under an edge seen from above."""
    pale = _saturated(picture, 0.35)
    light = _grey(_blurred(picture, 1.0))
    above = np.clip(-ndimage.sobel(_grey(_blurred(picture, 1.5)), axis=0) * 0.9, 0, 0.6)
    cover = np.clip(_ramp(light, 0.30, 0.68) * 0.85 + above, 0, 0.95)
    cold = _tinted(pale, (0.84, 0.93, 1.04)) * 0.8 + 0.12
    return cold * (1 - cover) + np.array([0.94, 0.96, 1.0], dtype=np.float32) * cover


def sketch(picture: Picture) -> Picture:
    """Pencil on white paper: the dodge of a picture with its blurred negative, darkened."""
    grey = _grey(_blurred(picture, 0.6))
    dodge = np.clip((grey + 0.07) / (_blurred(grey, 4.0) + 0.07), 0, 1) ** 2.2
    shade = 0.74 + 0.26 * _ramp(_blurred(grey, 2.0), 0.02, 0.5)
    return np.repeat(np.clip(dodge * shade, 0, 1), 3, axis=2)


def _kuwahara(picture: Picture, radius: int) -> Picture:
    """Each pixel takes the mean of that one of its four neighbouring squares that varies least."""
    size = radius + 1
    grey = _grey(picture)
    mean = ndimage.uniform_filter(picture, (size, size, 0), mode="reflect")
    first = ndimage.uniform_filter(grey, (size, size, 0), mode="reflect")
    spread = ndimage.uniform_filter(grey**2, (size, size, 0), mode="reflect") - first**2
    half = radius // 2
    shifts = [(dy, dx) for dy in (-half, half) for dx in (-half, half)]
    spreads = np.stack([_shift(spread, shift) for shift in shifts])
    means = np.stack([_shift(mean, shift) for shift in shifts])
    best = spreads.argmin(axis=0)[None]
    return np.take_along_axis(means, np.broadcast_to(best, (1, *picture.shape)), axis=0)[0]


def _shift(values: Picture, by: tuple[int, int]) -> Picture:
    """Values moved by (rows, columns), the border repeated."""
    pad = max(abs(by[0]), abs(by[1]))
    padded = np.pad(values, ((pad, pad), (pad, pad), (0, 0)), mode="reflect")
    top, left = pad - by[0], pad - by[1]
    return padded[top : top + values.shape[0], left : left + values.shape[1]]


def oil_painting(picture: Picture) -> Picture:
    """Flat strokes in rich colours."""
    strokes = _kuwahara(_kuwahara(picture, 4), 4)
    rich = _saturated(strokes, 1.5)
    return (rich - 0.5) * 1.12 + 0.5


def pixel_art(picture: Picture) -> Picture:
    """Square blocks of one colour."""
    height, width = picture.shape[:2]
    rows, columns = (np.arange(0, side, BLOCK) for side in (height, width))
    sums = np.add.reduceat(np.add.reduceat(picture, rows, axis=0), columns, axis=1)
    counts = np.minimum(BLOCK, height - rows)[:, None, None] * np.minimum(BLOCK, width - columns)[None, :, None]
    blocks = _saturated(sums / counts, 1.25)
    return np.repeat(np.repeat(blocks, BLOCK, axis=0), BLOCK, axis=1)[:height, :width]


def blur(picture: Picture) -> Picture:
    """Out of focus."""
    return _blurred(picture, 3.0)


def sharpen(picture: Picture) -> Picture:
    """Unsharp mask, strong."""
    return picture + 2.0 * (picture - _blurred(picture, 1.6))


def brighter(picture: Picture) -> Picture:
    """More light everywhere."""
    return 1 - (1 - picture) ** 1.9


def darker(picture: Picture) -> Picture:
    """Less light everywhere, colours kept."""
    return picture**1.35 * 0.55


def warmer(picture: Picture) -> Picture:
    """Colour temperature down: more red, less blue."""
    return _tinted(picture, (1.16, 1.0, 0.66)) + np.array([0.05, 0.015, 0.0], dtype=np.float32)


def cooler(picture: Picture) -> Picture:
    """Colour temperature up: more blue, less red."""
    return _tinted(picture, (0.70, 0.95, 1.16)) + np.array([0.0, 0.01, 0.07], dtype=np.float32)


def vivid(picture: Picture) -> Picture:
    """Much stronger colours."""
    return _saturated(picture, 2.3)


def faded(picture: Picture) -> Picture:
    """An old colour print: low contrast, lifted shadows, weak colours, a yellow-pink cast."""
    weak = _saturated(picture, 0.45)
    return weak * np.array([0.58, 0.54, 0.46], dtype=np.float32) + np.array([0.34, 0.30, 0.27], dtype=np.float32)


def cartoon(picture: Picture) -> Picture:
    """Flat bright colours inside dark outlines."""
    flat = _kuwahara(_blurred(picture, 0.6), 4)
    grey = _grey(_blurred(picture, 1.2))
    edge = np.hypot(ndimage.sobel(grey, axis=0), ndimage.sobel(grey, axis=1))
    colours = 1 - (1 - np.clip(_saturated(flat, 1.7), 0, 1)) ** 1.35
    return colours * (1 - 0.88 * _ramp(edge, 0.8, 1.7))


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
}

KINDS = tuple(OPERATORS)
EDITS = tuple(kind for kind in KINDS if kind != "unchanged")
