"""Training sets that are made on the fly: scenes of the world, and formulas on photos."""

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ..pictures import from_pil
from .example import DataError, Example
from .opening import decoded, once, printable
from .pairs import Lazily, PairSet, divided
from .photo_files import HELD_OUT, Photo, StoredPhoto, find_photos, held_out
from .world import FIRST_SEED, SIZE, check_size, task_example

if TYPE_CHECKING:
    from ..worlds.tasks import Task

SCENES = 1_000_000
"""Scenes to train on, their seeds 0, 1, ...: far below those of the evaluation."""
DESCRIBED = 1000
"""Photos whose captions are used in instructions."""
OPERATORS = 1
"""Raised when the formulas change, so that what was kept of the old ones is not used."""
assert SCENES <= FIRST_SEED


def open_world_pairs(kinds: Sequence[str] = (), split: str = "train", size: int = 0) -> PairSet:
    """A million scenes of `size` pixels (0: 256), an edit of each. Raises DataError for an unknown kind or a size that can't be drawn."""
    from ..worlds.edits import KINDS, LIMITS
    from ..worlds.tasks import random_task

    check_size(size)
    chosen, side = tuple(kinds) or KINDS, size or SIZE
    if unknown := [kind for kind in chosen if kind not in (*KINDS, *LIMITS)]:
        raise DataError(f"The world has no edits of the kind {unknown[0]!r}; use {', '.join((*KINDS, *LIMITS))}.")
    name = f"world:{','.join(chosen)}" if chosen != KINDS else "world"

    def kind_of(number: int) -> str:
        return chosen[number % len(chosen)]

    def group(number: int) -> tuple[Example]:
        task = random_task(number, (kind_of(number),), side)
        return (replace(task_example(task), ask=lambda rng: _worded(task, rng)),)

    def key(number: int, pair: int) -> str:
        return f"world|{kind_of(number)}|{number}|{side}"

    return divided(PairSet(f"{name} at {side} px", SCENES, group, key), split)


def _worded(task: "Task", rng: np.random.Generator) -> str:
    from ..worlds import language

    options = language.instructions(task.scene, task.edit)
    return options[int(rng.integers(len(options)))]


def open_photo_pairs(place: str, split: str = "train", size: int = 0) -> PairSet:
    """Every kind of edit of every photo of a folder or tar, and every pair of kinds, made at a short side of `size` pixels (0: 256).

    "train" are the photos and wordings that may be trained on, "val" and "test" the held-out ones of both, with their judge; "all" are
    all photos in training's words. Raises DataError.
    """
    if not place.strip():
        raise DataError("No folder of photos to train on is named: write photos:FOLDER.")
    found, damaged = find_photos(place)
    held = split in ("val", "test")
    photos = [photo for photo in found if split == "all" or held_out(photo.name) == held]
    if not photos:
        raise DataError(f"{place} has no photos for the {split} part ({HELD_OUT:.0%} of all photos are held out): add more photos.")
    side, words, edits = size or SIZE, _Words(photos), _held_out_edits() if held else _edits()

    def group(number: int) -> Lazily:
        stored = photos[number]
        return Lazily(len(edits), lambda pair: _judged(stored, edits[pair], side) if held else _edit(stored, edits[pair], side, words))

    def key(number: int, pair: int) -> str:
        return f"{photos[number].key}|{named(edits[pair])}|{side}|{OPERATORS}"

    return PairSet(f"photos:{Path(place).name} at {side} px", len(photos), group, key, tuple(damaged))


def _edits() -> tuple[tuple[str, ...], ...]:
    """What may be done to a photo: single kinds, each several times, so that they are about as often as pairs of kinds."""
    from ..worlds.photo_operators import KINDS, PAIRS

    return (*((kind,) for kind in KINDS for _ in range(max(1, len(PAIRS) // len(KINDS)))), *PAIRS)


def _held_out_edits() -> tuple[tuple[str, ...], ...]:
    from ..worlds.photo_operators import KINDS, PAIRS

    return (*((kind,) for kind in KINDS), *PAIRS)


def named(kinds: Sequence[str]) -> str:
    """How one or two kinds at once are called; `photos.kinds_in` takes it apart."""
    return "+".join(kinds)


class _Words:
    """Training instructions; captions of some of the photos describe scenes in passing."""

    def __init__(self, photos: Sequence[StoredPhoto]) -> None:
        self.photos = photos

    @cached_property
    def captions(self) -> list[str]:
        from ..worlds.asking import neutral

        some = self.photos[:: max(1, len(self.photos) // DESCRIBED)]
        return neutral([caption for photo in some if photo.text for caption in photo.read().captions])

    def ask(self, kinds: Sequence[str], rng: np.random.Generator) -> str:
        """Any wording for one kind of edit or two."""
        from ..worlds.asking import ask, ask_two

        return ask_two(kinds[0], kinds[1], rng, self.captions) if len(kinds) == 2 else ask(kinds[0], rng, self.captions)


def _edit(stored: StoredPhoto, kinds: Sequence[str], side: int, words: _Words) -> Example:
    from ..worlds.photo_operators import apply_all

    source, kind = once(lambda: sized(stored.read(), side)), named(kinds)
    usual = np.random.default_rng([*stored.name.encode("utf-8", "replace"), *kind.encode()])
    return Example(
        id=f"{printable(stored.name)}-{kind}",
        instruction=words.ask(kinds, usual),
        image=source,
        edited=lambda: torch.from_numpy(apply_all(kinds, source().numpy())),
        kind=kind,
        ask=lambda rng: words.ask(kinds, rng),
    )


def _judged(stored: StoredPhoto, kinds: Sequence[str], side: int) -> Example:
    from .photos import example_of

    return example_of(stored.read(), named(kinds), side)


def sized(photo: Photo, side: int) -> Tensor:
    """(H, W, 3) with a short side of `side` pixels; Lanczos."""
    image = decoded(photo.data, photo.name).convert("RGB")
    factor = side / min(image.size)
    target = max(side, round(image.width * factor)), max(side, round(image.height * factor))
    return from_pil(image.resize(target, Image.Resampling.LANCZOS))[0]
