"""A scene, an edit of it and an instruction for it: one question with a known answer."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import ndimage

from . import language
from .chance import random_edit, random_scene
from .drawing import draw
from .edits import KINDS, Edit, answers
from .scene import Scene

CHANGED = 2 / 255
"""A pixel may change where the right picture differs by more than this."""
MARGIN = 0.02
"""Parts of the side by which the mask reaches beyond the pixels that do change."""
TRIES = 200


@dataclass(frozen=True)
class Task:
    """One edit to be made. Pictures are float32 arrays (size, size, 3) in [0, 1], masks (size, size)."""

    scene: Scene
    edit: Edit
    instruction: str
    size: int = 256
    id: str = ""

    @property
    def kind(self) -> str:
        """The edit's kind, one of `edits.KINDS` or `edits.LIMITS`."""
        return self.edit.kind

    @property
    def caption(self) -> str:
        """What the source shows."""
        return language.caption(self.scene)

    @property
    def edited_caption(self) -> str:
        """What the right answer shows."""
        return language.caption(self.edit.apply(self.scene))

    @cached_property
    def answers(self) -> tuple[Scene, ...]:
        """Every right scene, the usual one first."""
        return tuple(answers(self.scene, self.edit))

    def source(self) -> np.ndarray:
        """The picture to edit."""
        return draw(self.scene, self.size).picture

    def answer(self) -> np.ndarray:
        """The right picture."""
        return draw(self.answers[0], self.size).picture

    def mask(self) -> np.ndarray:
        """Where the picture may change: 1 where a right answer differs from the source, and a little around it; else 0."""
        changed = np.zeros((self.size, self.size), dtype=bool)
        for scene in self.answers:
            changed |= np.abs(draw(scene, self.size).picture - self.source()).max(axis=-1) > CHANGED
        return grown(changed, MARGIN * self.size).astype(np.float32)


def grown(mask: np.ndarray, radius: float) -> np.ndarray:
    """A boolean mask (H, W) and all within `radius` pixels of it."""
    return ndimage.distance_transform_edt(~mask) <= radius if mask.any() else mask


def random_task(seed: int, kinds: Sequence[str] = KINDS, size: int = 256) -> Task:
    """The task of a seed: any scene, an edit of one of the kinds that it allows, and any of its phrasings.

    Tasks whose answer can't be told by eye from a wrong one (a white thing in snow made of glass) are passed over. Raises ValueError
    for an unknown kind or none.
    """
    if not kinds:
        raise ValueError(f"No kind of edit is named; use some of {', '.join(KINDS)}.")
    from .judge import tellable

    rng = np.random.default_rng([seed, *"+".join(kinds).encode()])
    for _ in range(TRIES):
        scene = random_scene(rng)
        edit = random_edit(scene, str(rng.choice(list(kinds))), rng)
        if edit is None or not tellable(scene, edit):
            continue
        phrasings = language.instructions(scene, edit)
        return Task(scene, edit, phrasings[rng.integers(len(phrasings))], size, f"{edit.kind}-{seed}")
    raise ValueError(f"No scene of {TRIES} allows an edit of the kinds {', '.join(kinds)}; name others.")
