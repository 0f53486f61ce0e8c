"""What the photo operators are made of: float32 pictures (H, W, 3) in [0, 1], all scales in pixels."""

from collections.abc import Callable, Sequence

import numpy as np
from scipy import ndimage

Picture = np.ndarray
Operator = Callable[[Picture], Picture]
Colour = tuple[float, float, float]

LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)


def brightness(picture: Picture) -> Picture:
    """Brightness, (H, W, 1)."""
    return (picture @ LUMA)[..., None]


def tinted(picture: Picture, colour: Colour) -> Picture:
    return picture * np.array(colour, dtype=np.float32)


def saturated(picture: Picture, amount: float) -> Picture:
    grey = brightness(picture)
    return grey + (picture - grey) * amount


def blurred(picture: Picture, sigma: float) -> Picture:
    """Gaussian of ``sigma`` pixels, nothing across channels."""
    return ndimage.gaussian_filter(picture, (sigma, sigma, 0), mode="reflect")


def ramp(values: Picture, low: float, high: float) -> Picture:
    """0 below ``low``, 1 above ``high``, smooth between."""
    t = np.clip((values - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def kuwahara(picture: Picture, radius: int) -> Picture:
    """Each pixel takes the mean of that one of its four neighbouring squares that varies least."""
    size = radius + 1
    grey = brightness(picture)
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


def palette(values: Picture, colours: Sequence[Colour]) -> Picture:
    """Colours (H, W, 3) of values (H, W, 1): ``colours`` lie at even steps from 0 to 1, straight lines between them."""
    steps = np.linspace(0, 1, len(colours))
    planes = [np.interp(values[..., 0], steps, [colour[channel] for colour in colours]) for channel in range(3)]
    return np.stack(planes, axis=2).astype(np.float32)


def edges(values: Picture) -> Picture:
    """Length of the gradient (H, W, 1) of values (H, W, 1), by Sobel: 8 times the difference of neighbours."""
    return np.hypot(ndimage.sobel(values, axis=0), ndimage.sobel(values, axis=1))
