"""More photo edits with one right answer each, most of them new colours; see photo_operators.py, which lists them."""

import numpy as np
from scipy import ndimage

from .photo_tools import Picture, blurred, brightness, edges, kuwahara, palette, ramp, saturated, tinted

HEAT = ((0.0, 0.0, 0.42), (0.0, 0.35, 1.0), (0.0, 0.85, 0.45), (1.0, 0.9, 0.0), (1.0, 0.35, 0.0), (0.85, 0.0, 0.0))
NEON = ((0.05, 0.0, 0.20), (0.30, 0.03, 0.60), (0.88, 0.10, 0.72), (0.62, 0.45, 1.0), (0.25, 0.98, 1.0))


def autumn(picture: Picture) -> Picture:
    """Leaves and grass turned orange-brown, golden light on everything."""
    red, green, blue = (picture[..., channel : channel + 1] for channel in range(3))
    leaves = ramp(green - 0.5 * (np.minimum(red, green) + blue), 0.0, 0.12)
    turned = np.concatenate([np.maximum(red, green) * 1.35 + 0.08, green * 0.62 + 0.02, blue * 0.25], axis=2)
    golden = tinted(saturated(picture, 0.75), (1.18, 0.88, 0.36)) + np.array([0.08, 0.03, 0.0], dtype=np.float32)
    return golden * (1 - leaves) + turned * leaves


def underwater(picture: Picture) -> Picture:
    """Deep water: teal, soft, hardly any red and little contrast."""
    soft = saturated(blurred(picture, 1.0), 0.6)
    return tinted(soft, (0.14, 0.55, 0.50)) + np.array([0.0, 0.22, 0.30], dtype=np.float32)


def cyanotype(picture: Picture) -> Picture:
    """A blueprint: Prussian blue where it was dark, white where it was light."""
    return palette(ramp(brightness(picture), -0.1, 1.0), ((0.02, 0.12, 0.42), (0.22, 0.45, 0.80), (0.96, 0.98, 1.0)))


def night_vision(picture: Picture) -> Picture:
    """Light amplified to one bright green."""
    return palette(np.clip(brightness(picture), 0, 1) ** 0.75, ((0.0, 0.10, 0.02), (0.10, 0.62, 0.14), (0.55, 1.0, 0.50)))


def thermal(picture: Picture) -> Picture:
    """A heat camera: brightness as colours from blue over green and yellow to red."""
    return palette(brightness(blurred(picture, 1.5)), HEAT)


def cyberpunk(picture: Picture) -> Picture:
    """Neon: violet shadows, magenta and cyan lights."""
    neon = palette(ramp(brightness(picture), -0.15, 1.05), NEON)
    return 0.8 * neon + 0.2 * tinted(saturated(picture, 1.5), (1.0, 0.5, 1.1))


def pink(picture: Picture) -> Picture:
    """Seen through rose-tinted glass."""
    return tinted(saturated(picture, 0.45), (0.62, 0.62, 0.60)) + np.array([0.38, 0.08, 0.24], dtype=np.float32)


def sandstorm(picture: Picture) -> Picture:
    """Orange dust in the air: soft, hazy, little contrast."""
    soft = saturated(blurred(picture, 1.2), 0.3)
    return 0.36 * soft + 0.64 * np.array([0.84, 0.52, 0.20], dtype=np.float32)


def x_ray(picture: Picture) -> Picture:
    """Light and dark swapped, bluish, the light parts glowing on near black."""
    inverse = 1 - brightness(picture)
    glow = np.clip(0.65 * inverse + 0.35 * blurred(inverse, 3.0), 0, 1) ** 1.5
    return palette(glow, ((0.0, 0.02, 0.08), (0.08, 0.36, 0.62), (0.70, 0.95, 1.0)))


def chalk(picture: Picture) -> Picture:
    """White chalk lines on a dark green slate board."""
    grey = brightness(blurred(picture, 1.2))
    lines = ramp(edges(grey), 0.15, 1.0) * 0.9
    board = np.array([0.10, 0.19, 0.15], dtype=np.float32) + 0.07 * grey
    return board * (1 - lines) + np.array([0.95, 0.95, 0.90], dtype=np.float32) * lines


def watercolour(picture: Picture) -> Picture:
    """Pale flat washes on white paper, a little darker at their rims."""
    wash = np.clip(saturated(blurred(kuwahara(kuwahara(picture, 6), 6), 0.7), 2.6), 0, 1)
    pale = 1 - (1 - wash**0.8) * 0.5
    rim = ramp(edges(brightness(blurred(wash, 0.8))), 0.15, 1.0) * 0.4
    return tinted(pale * (1 - rim), (1.0, 0.975, 0.90))


def relief(picture: Picture) -> Picture:
    """Carved in grey stone, lit from the upper left."""
    grey = brightness(blurred(picture, 1.0))
    slope = ndimage.sobel(grey, axis=0) + ndimage.sobel(grey, axis=1)
    shade = 0.52 + np.clip(slope * 0.5, -0.45, 0.45)
    return shade * np.array([1.0, 0.96, 0.90], dtype=np.float32)
