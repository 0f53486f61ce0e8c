"""How far apart two pictures are in colour and in the strength of their edges; the judge of edits with known right answers.

The distance was fixed before the first results were seen: the mean CIELAB difference (the length of the difference of L, a and b, over
100) of the slightly blurred pictures, plus twice the mean difference of their edge strengths.
"""

import numpy as np
from scipy import ndimage

COLOUR_BLUR = 1.5
EDGE_BLUR = 0.7
EDGE_WEIGHT = 2.0
TO_XYZ = np.array([[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]])
WHITE = np.array([0.95047, 1.0, 1.08883])


def lab(picture: np.ndarray) -> np.ndarray:
    """sRGB (H, W, 3) in [0, 1] to CIELAB under D65: L in 0..100, a and b about -100..100."""
    linear = np.where(picture <= 0.04045, picture / 12.92, ((picture + 0.055) / 1.055) ** 2.4)
    xyz = linear @ TO_XYZ.T / WHITE
    f = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.stack([116 * f[..., 1] - 16, 500 * (f[..., 0] - f[..., 1]), 200 * (f[..., 1] - f[..., 2])], axis=-1)


def features(picture: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Blurred CIELAB over 100 (H, W, 3), and the gradient's length of the lightness over 100 (H, W), of an sRGB picture in [0, 1]."""
    colours = lab(np.asarray(picture, dtype=np.float64)) / 100
    rows, columns = np.gradient(ndimage.gaussian_filter(colours[..., 0], EDGE_BLUR))
    return ndimage.gaussian_filter(colours, (COLOUR_BLUR, COLOUR_BLUR, 0)), np.hypot(rows, columns)


def between(a: tuple[np.ndarray, np.ndarray], b: tuple[np.ndarray, np.ndarray]) -> float:
    """The distance of two pictures' features."""
    colour = np.linalg.norm(a[0] - b[0], axis=-1).mean()
    return float(colour + EDGE_WEIGHT * np.abs(a[1] - b[1]).mean())


def distance(a: np.ndarray, b: np.ndarray) -> float:
    """The distance of two sRGB pictures (H, W, 3) in [0, 1] of the same size; 0 for equal ones. Raises ValueError for unequal sizes."""
    if a.shape != b.shape:
        raise ValueError(f"Pictures of the shapes {a.shape} and {b.shape} can't be compared; bring them to one size.")
    return between(features(a), features(b))
