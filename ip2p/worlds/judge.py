"""Was the edit made, and was all else kept? Decided from the pixels, without a network.

The judge knows the scene, so it knows the right picture and draws many wrong ones (`alternatives`). An edit is *done* when the picture is
nearer to the right answer than to every wrong one, each compared where these two differ. All else is *kept* when nothing beyond what an
autoencoder's round trip does sets the picture apart from the right answer: no window of it (`where` shows which), no shift, no blur.
The distance is that of `metrics.colour_edge`, the thresholds are in `LIMITS_OF` and were set on other seeds than those that measure it
(`bench/judge.py`).
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from PIL import Image
from scipy import ndimage

from ..metrics.colour_edge import lab
from .alternatives import alternatives
from .drawing import draw
from .edits import Edit, answers
from .scene import Scene
from .tasks import Task

COLOUR_BLUR = 1.2 / 128
"""Standard deviation, in parts of the side, of the blur before colours are compared: an autoencoder's own error is finer."""
EDGE_BLUR = 0.7
"""In pixels: before edges are compared, and before sharpness is measured."""
EDGE_WEIGHT = 1.5
WINDOW = 0.07
"""Side, in parts of the picture's, of the windows in which differences are averaged."""
OUTSIDE = 0.09
"""Largest mean distance in a window where nothing may change."""
INSIDE = 0.16
"""The same where it may."""
SHIFT = 0.008
"""Largest displacement, in parts of the side."""
SHARPNESS = 0.7
"""Least ratio of the picture's edge strength to the right answer's."""
FILLED = 0.15
"""Least part of a window that must lie in the region for its mean to count."""
WHOLE = 0.6
"""Part of the picture from which on an edit counts as one of the whole."""
TELLABLE = 0.0015
"""Least mean distance between the right answer and a wrong one, for a task to be asked."""


@dataclass(frozen=True)
class Verdict:
    """`done`: the asked edit is there. `kept`: nothing else changed. `where` (H, W) is 0 where the picture is as it should be, towards 1
    where it differs wrongly. `reason` says in a sentence what is wrong, or that nothing is."""

    done: bool
    kept: bool
    where: np.ndarray
    reason: str

    @property
    def right(self) -> bool:
        """Edited as asked, and all else kept."""
        return self.done and self.kept


@dataclass(frozen=True)
class Features:
    """What the judge sees of a picture: blurred CIELAB over 100 (H, W, 3) and edge strength (H, W)."""

    picture: np.ndarray

    @cached_property
    def _lab(self) -> np.ndarray:
        return np.asarray(lab(self.picture) / 100, dtype=np.float32)

    @property
    def lightness(self) -> np.ndarray:
        """CIELAB lightness over 100, with all its detail."""
        return self._lab[..., 0]

    @cached_property
    def colour(self) -> np.ndarray:
        """Colours without detail."""
        sigma = COLOUR_BLUR * len(self.picture)
        return ndimage.gaussian_filter(self._lab, (sigma, sigma, 0))

    @cached_property
    def edges(self) -> np.ndarray:
        """Length of the lightness's gradient, per 1/128 of the side."""
        rows, columns = np.gradient(ndimage.gaussian_filter(self._lab[..., 0], EDGE_BLUR))
        return np.hypot(rows, columns) * len(self.picture) / 128

    def apart(self, other: "Features") -> np.ndarray:
        """The distance at each pixel (H, W); 0 for equal pictures, about 1 between black and white."""
        return np.linalg.norm(self.colour - other.colour, axis=-1) + EDGE_WEIGHT * np.abs(self.edges - other.edges)


def features(scene: Scene, size: int) -> Features:
    """The features of a scene's picture."""
    return Features(draw(scene, size).picture)


def tellable(scene: Scene, edit: Edit, size: int = 64) -> bool:
    """Whether the right answers of an edit look different enough from every wrong one."""
    right = [features(answer, size) for answer in answers(scene, edit)]
    wrong = (features(other, size) for _, other in alternatives(scene, edit))
    return all(float(one.apart(other).mean()) > TELLABLE for other in wrong for one in right)


def judge(picture: np.ndarray, task: Task) -> Verdict:
    """The verdict on an edited picture, (H, W, 3) in [0, 1] (an array or a CPU tensor), brought to the task's size if it has another.

    Raises ValueError for what is not such a picture.
    """
    seen = Features(fitted(picture, task.size))
    right = min((features(scene, task.size) for scene in task.answers), key=lambda answer: float(seen.apart(answer).mean()))
    mask = task.mask() > 0
    wrong = instead(seen, right, task)
    excess = np.maximum(windows(seen.apart(right), ~mask) / OUTSIDE, windows(seen.apart(right), mask) / INSIDE)
    spoilt = [text for text in (_moved(seen, right), _sharpness(seen, right)) if text]
    inside_counts = mask.mean() > WHOLE  # a change of the whole picture has no outside by which to tell what was kept
    beyond = excess > 1 if inside_counts else (excess > 1) & ~mask
    if not wrong and not inside_counts and (excess[mask] > 1).any():
        wrong = "it is not what was asked"
    if beyond.any():
        spoilt.insert(0, _place(beyond, excess))
    reason = "; ".join([*([wrong] if wrong else []), *spoilt]) or "edited as asked, and all else kept"
    return Verdict(not wrong, not spoilt, np.clip(excess - 1, 0, 1).astype(np.float32), reason)


def fitted(picture: np.ndarray, size: int) -> np.ndarray:
    """A picture as a float array (size, size, 3) in [0, 1]. Raises ValueError for another shape, or values that are no numbers."""
    array: np.ndarray = np.asarray(picture, dtype=np.float32)
    if array.ndim != 3 or array.shape[2] != 3 or not np.isfinite(array).all():
        raise ValueError(f"The judge takes one picture of finite numbers with the shape (height, width, 3), not {array.shape}; convert it.")
    if array.shape[:2] != (size, size):
        image = Image.fromarray((array.clip(0, 1) * 255).round().astype(np.uint8)).resize((size, size), Image.Resampling.LANCZOS)
        array = np.asarray(image, dtype=np.float32) / 255
    return array.clip(0, 1)


def instead(seen: Features, right: Features, task: Task) -> str:
    """What the picture is nearer to than to the right answer, where the two differ; empty when it is nearest to the right answer."""
    worst, reason = 1.0, ""
    own = seen.apart(right)
    for text, scene in alternatives(task.scene, task.edit):
        other = features(scene, task.size)
        weight = right.apart(other)
        ratio = float((weight * own).sum() / max((weight * seen.apart(other)).sum(), 1e-9))
        if ratio > worst:
            worst, reason = ratio, text
    return reason


def windows(distance: np.ndarray, part: np.ndarray) -> np.ndarray:
    """The mean distance (H, W) in a window around each pixel, over the pixels of `part` (H, W) only; 0 where it has too few of them."""
    side = max(3, round(WINDOW * len(distance)))
    share = ndimage.uniform_filter(part.astype(np.float32), side)
    summed = ndimage.uniform_filter(distance * part, side)
    return np.where(share > FILLED, summed / np.maximum(share, FILLED), 0) * part


def shift(seen: Features, right: Features) -> float:
    """How far the picture's edges are displaced from the right answer's, in parts of the side."""
    size = len(right.edges)
    a, b = (np.fft.rfft2(edges - edges.mean()) for edges in (seen.edges, right.edges))
    match = np.fft.irfft2(a * b.conj(), s=(size, size))
    row, column = np.unravel_index(np.argmax(match), match.shape)
    down, across = (min(int(at), size - int(at)) for at in (row, column))
    return float(np.hypot(down, across) / size)


def sharpness(seen: Features, right: Features) -> float:
    """The part of the right answer's gradients that the picture has: 1 for the same, below for a blurred one."""
    ours, theirs = (np.stack(np.gradient(one.lightness)) for one in (seen, right))
    return float((ours * theirs).sum() / max((theirs**2).sum(), 1e-9))


def _moved(seen: Features, right: Features) -> str:
    moved = shift(seen, right)
    return f"the picture is shifted by {moved:.1%} of its side" if moved > SHIFT else ""


def _sharpness(seen: Features, right: Features) -> str:
    return "the picture is blurred" if sharpness(seen, right) < SHARPNESS else ""


def _place(beyond: np.ndarray, excess: np.ndarray) -> str:
    """Where the picture differs most, in words."""
    row, column = np.unravel_index(np.argmax(np.where(beyond, excess, 0)), excess.shape)
    down = ("top", "middle", "bottom")[int(3 * row / len(excess))]
    across = ("left", "middle", "right")[int(3 * column / len(excess))]
    return f"something else changed ({down} {across})" if down != across else "something else changed (in the middle)"
