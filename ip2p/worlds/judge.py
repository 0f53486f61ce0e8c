"""Was the edit made, and was all else kept? Decided from the pixels, without a network.

The judge knows the scene, so it knows the right picture and draws many wrong ones (`alternatives`). An edit is *done* when the picture is
nearer to the right answer than to every wrong one, each compared where these two differ. All else is *kept* when nothing beyond what an
autoencoder's round trip does sets the picture apart from the right answer: it is not nearer to a scene with something more changed
(`strays`), no window of it differs too much (`where` shows which do), and it is neither shifted nor blurred. The thresholds below were set
on other seeds than those on which `bench/judge.py` measures how often the judge is right.
"""

from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from PIL import Image
from scipy import ndimage

from ..metrics.colour_edge import lab
from .alternatives import Wrong, alternatives, strays
from .drawing import draw
from .edits import Edit, answers
from .scene import Scene
from .tasks import Task, grown

COARSE = 128
"""Side in pixels at which scenes are compared with each other; finer detail does not survive an autoencoder."""
COLOUR_BLUR = 1.2 / 128
"""Standard deviation, in parts of the side, of the blur before scenes are compared."""
EDGE_BLUR = 0.7
"""In pixels: before edges are compared."""
EDGE_WEIGHT = 1.5
INSTEAD = 1.35
"""How much nearer than to the right answer a picture must be to a wrong one to count as that."""
STRAY = {"whole": 1.1, "thing": 1.6, "material": 2.0}
"""The same for a scene with something changed that the instruction does not name: the finer, the more like an autoencoder's own error."""
SEEN = 0.005
"""Least mean distance at which such a change is looked for by comparing scenes; smaller ones are found by windows, if at all."""

WINDOW = 0.12
"""Side, in parts of the picture's, of the windows in which differences are averaged."""
WINDOW_BLUR = 2 / 128
ALLOWED, PER_EDGE = 0.05, 0.3
"""What a window may differ by: a little everywhere, and more where the right answer has strong edges ..."""
EXCESS, INSIDE = 4.5, 6.0
"""... this many times over, outside the mask and inside it."""
QUIET, LOUD = 0.015, 4.2
"""And no window may differ `LOUD` times as much as the picture does on the whole (its median, and `QUIET` for a perfect one)."""
OVERALL = 0.08
"""Largest median difference, which is of the colours on the whole."""
GRAIN = 256
"""Size in pixels at which these hold; an autoencoder errs by the pixel, so smaller pictures may differ more."""
SHIFT = 0.012
"""Largest displacement, in parts of the side."""
CONTOUR = 0.02
"""The part of the picture, its strongest contours, on which sharpness is measured ..."""
CONTOUR_BLUR = 2 / 128
DETAIL = 0.5
"""... and the pixels by which detail is coarser than the finest."""
SHARPNESS = 0.22
"""Least ratio there of the picture's finest detail to the right answer's: round trips leave a quarter and more, a visible blur a sixth."""
FORM = 0.25
"""Least part of the right answer's gradients along those contours that the picture has."""
FORM_BLUR = 0.8
TELLABLE = 0.004
"""Least mean distance between the right answer and a wrong one, for a task to be asked."""
WHOLE = 0.6
"""Part of the picture from which on an edit counts as one of the whole."""


@dataclass(frozen=True)
class Verdict:
    """`done`: the asked edit is there. `kept`: nothing else changed. `where` (H, W) is 0 where the picture is as it should be, 1 where
    it differs wrongly. `reason` says in a sentence what is wrong, or that nothing is."""

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
    """What the judge sees of a picture: CIELAB over 100, and of that colours without detail, and edges."""

    picture: np.ndarray

    @cached_property
    def lab(self) -> np.ndarray:
        """CIELAB over 100, (H, W, 3)."""
        return np.asarray(lab(self.picture) / 100, dtype=np.float32)

    @cached_property
    def colour(self) -> np.ndarray:
        """Colours without detail, (H, W, 3)."""
        return self.blurred(COLOUR_BLUR)

    @cached_property
    def edges(self) -> np.ndarray:
        """Length of the lightness's gradient (H, W), per 1/128 of the side."""
        rows, columns = np.gradient(ndimage.gaussian_filter(self.lab[..., 0], EDGE_BLUR))
        return np.hypot(rows, columns) * len(self.picture) / 128

    def blurred(self, sigma: float) -> np.ndarray:
        """CIELAB over 100 after a Gaussian of `sigma` parts of the side."""
        pixels = sigma * len(self.picture)
        return ndimage.gaussian_filter(self.lab, (pixels, pixels, 0))

    def apart(self, other: "Features") -> np.ndarray:
        """The distance at each pixel (H, W); 0 for equal pictures, about 1 between black and white."""
        return np.linalg.norm(self.colour - other.colour, axis=-1) + EDGE_WEIGHT * np.abs(self.edges - other.edges)


@lru_cache(maxsize=288)
def features(scene: Scene, size: int = COARSE) -> Features:
    """The features of a scene's picture; those of a whole task (up to about 250 scenes) are kept, for the next picture of it."""
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
    seen = fitted(picture, task.size)
    coarse = Features(seen if task.size == COARSE else fitted(seen, COARSE))
    answer = min(task.answers, key=lambda scene: float(coarse.apart(features(scene)).mean()))
    wrong = taken_for(coarse, answer, alternatives(task.scene, task.edit), INSTEAD)
    start = features(task.scene)
    undone = bool(wrong) and coarse.apart(start).mean() < coarse.apart(features(answer)).mean()
    kept_as = task.scene if undone else answer  # of what was not edited, the rest is that of the source
    right, fine = features(kept_as, task.size), Features(seen)
    mask = task.mask() > 0
    local = mask.mean() < WHOLE
    allowed = np.where(mask & local, INSIDE, EXCESS)
    excess = windows(fine, right) / allowed
    if not wrong and local and (excess > 1)[mask].any():
        wrong = "it is not what was asked"
    spoilt = [_moved(fine, right), _blur(fine, right), _tint(fine, right)]
    spoilt += [taken_for(coarse, kept_as, scenes, STRAY[how], SEEN) for how, scenes in strays(kept_as, task.edit).items()]
    beyond = (excess > 1) & ~grown(mask, WINDOW / 2 * task.size) if local else excess > 1
    if beyond.any():
        spoilt.append(_place(beyond, excess))
    said = [text for text in (wrong, *spoilt) if text]
    where = windows(fine, features(answer, task.size)) / allowed if undone else excess
    return Verdict(not wrong, not any(spoilt), (where > 1).astype(np.float32), "; ".join(said) or "edited as asked, and all else kept")


def fitted(picture: np.ndarray, size: int) -> np.ndarray:
    """A picture as a float array (size, size, 3) in [0, 1]. Raises ValueError for another shape, or values that are no numbers."""
    array: np.ndarray = np.asarray(picture, dtype=np.float32)
    if array.ndim != 3 or array.shape[2] != 3 or not np.isfinite(array).all():
        raise ValueError(f"The judge takes one picture of finite numbers with the shape (height, width, 3), not {array.shape}; convert it.")
    if array.shape[:2] != (size, size):
        image = Image.fromarray((array.clip(0, 1) * 255).round().astype(np.uint8))
        array = (
            np.asarray(image.resize((size, size), Image.Resampling.BOX if size < len(array) else Image.Resampling.BICUBIC), np.float32)
            / 255
        )
    return array.clip(0, 1)


def taken_for(seen: Features, answer: Scene, wrong: list[Wrong], times: float, least: float = 0.0) -> str:
    """What is wrong with the scene that the picture is nearest to, if it is `times` nearer than the right answer; else empty.

    Each is compared with the right answer where the two differ, and `least` at least on the whole.
    """
    right = features(answer)
    own, found = seen.apart(right), ""
    for reason, scene in wrong:
        other = features(scene)
        weight = right.apart(other)
        ratio = float((weight * own).sum() / max((weight * seen.apart(other)).sum(), 1e-9))
        if ratio > times and weight.mean() > least:
            times, found = ratio, reason
    return found


def windows(seen: Features, right: Features) -> np.ndarray:
    """How much more the picture differs from the right answer around each pixel than it may, times over, (H, W)."""
    side = round(WINDOW * len(right.picture))
    mean = ndimage.uniform_filter(coarsely(seen, right), side)
    texture = ndimage.uniform_filter(right.edges, side)
    grain = min(1.0, len(mean) / GRAIN)
    relative = mean / (QUIET + np.median(mean)) / LOUD * EXCESS
    return np.maximum(mean / (ALLOWED + PER_EDGE * texture) * grain**0.5, relative * grain)


def coarsely(seen: Features, right: Features) -> np.ndarray:
    """The distance of the colours without detail at each pixel, (H, W)."""
    return np.linalg.norm(seen.blurred(WINDOW_BLUR) - right.blurred(WINDOW_BLUR), axis=-1)


def shift(seen: Features, right: Features) -> float:
    """How far the picture's edges are displaced from the right answer's, in parts of the side."""
    size = len(right.edges)
    a, b = (np.fft.rfft2(edges - edges.mean()) for edges in (seen.edges, right.edges))
    match = np.fft.irfft2(a * b.conj(), s=(size, size))
    row, column = np.unravel_index(np.argmax(match), match.shape)
    down, across = (min(int(at), size - int(at)) for at in (row, column))
    return float(np.hypot(down, across) / size)


def contours(right: Features) -> np.ndarray:
    """Where the right answer's strongest contours are, (H, W)."""
    strength = np.hypot(*np.gradient(right.blurred(CONTOUR_BLUR)[..., 0]))
    return np.asarray(strength >= np.quantile(strength, 1 - CONTOUR))


def sharpness(seen: Features, right: Features) -> float:
    """The picture's finest detail along the right answer's strongest contours, over the right answer's own: 1, or less if blurred."""
    near = ndimage.binary_dilation(contours(right), iterations=round(CONTOUR_BLUR * len(right.picture)))
    ours, theirs = (one.lab[..., 0] - ndimage.gaussian_filter(one.lab[..., 0], DETAIL) for one in (seen, right))
    return float(np.sqrt((ours[near] ** 2).sum() / max((theirs[near] ** 2).sum(), 1e-9)))


def form(seen: Features, right: Features) -> float:
    """The part of the right answer's gradients, along its strongest contours, that the picture has: 1, or about 0 where shapes are lost."""
    there = contours(right)
    ours, theirs = (np.stack(np.gradient(ndimage.gaussian_filter(one.lab[..., 0], FORM_BLUR)))[:, there] for one in (seen, right))
    return float((ours * theirs).sum() / max((theirs**2).sum(), 1e-9))


def _moved(seen: Features, right: Features) -> str:
    moved = shift(seen, right)
    return f"the picture is shifted by {moved:.1%} of its side" if moved > SHIFT else ""


def _blur(seen: Features, right: Features) -> str:
    if sharpness(seen, right) < SHARPNESS:
        return "the picture is blurred"
    return "the shapes in the picture changed" if form(seen, right) < FORM else ""


def _tint(seen: Features, right: Features) -> str:
    allowed = OVERALL * max(1.0, GRAIN / len(right.picture)) ** 0.5
    return "the colours of the whole picture changed" if np.median(coarsely(seen, right)) > allowed else ""


def _place(beyond: np.ndarray, excess: np.ndarray) -> str:
    """Where the picture differs most, in words."""
    row, column = np.unravel_index(np.argmax(np.where(beyond, excess, 0)), excess.shape)
    down = ("top", "middle", "bottom")[int(3 * row / len(excess))]
    across = ("left", "middle", "right")[int(3 * column / len(excess))]
    return f"something else changed ({down} {across})" if down != across else "something else changed (in the middle)"
