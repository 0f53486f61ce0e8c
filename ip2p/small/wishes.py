"""Instructions with what they ask for, word by word: what the small text encoder learns to read."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from ..worlds import language
from ..worlds.asking import ask, ask_two
from ..worlds.chance import random_edit, random_scene
from ..worlds.edits import Add, Edit, Recolour, Rematerial, Replace, find
from ..worlds.photo_operators import KINDS, PAIRS
from ..worlds.scene import COLOURS, MATERIALS, SHAPES, SIDES, SIZES, Scene

TWO = 0.25
"""Share of photo edits that are two at once."""
LOCAL = ("replace", "recolour", "material", "add", "remove")
"""The world's edits of one thing."""
THING: dict[str, tuple[str, ...]] = {
    "shape": ("", *SHAPES),
    "colour": ("", *COLOURS),
    "material": ("", *MATERIALS),
    "size": ("", *SIZES),
    "side": ("", *SIDES),
    "row": ("", "sky"),
}
"""What may be said of a thing; "" where it is not said."""
READ = {"does": ("photo", *LOCAL), **{f"{which}_{name}": values for which in ("old", "new") for name, values in THING.items()}}
"""Everything to be read of an instruction: what it does, the words for the thing it is about, and for what that becomes."""


@dataclass(frozen=True)
class Wish:
    """An instruction, the kinds of photo edit in it (none for the world's) and what is said, by the names in READ."""

    text: str
    kinds: tuple[str, ...] = ()
    said: Mapping[str, str] = field(default_factory=dict)

    def labels(self) -> list[int]:
        """The number of each of READ's values that is said; 0, the first, where nothing is."""
        return [values.index(self.said.get(name, values[0])) for name, values in READ.items()]

    def asked(self) -> list[float]:
        """1 for each of KINDS that is asked for, else 0."""
        return [float(kind in self.kinds) for kind in KINDS]


def photo_wish(rng: np.random.Generator, captions: list[str]) -> Wish:
    """Any instruction for a photo."""
    kinds = random_kinds(rng)
    return Wish(ask_for(kinds, rng, captions), kinds)


def random_kinds(rng: np.random.Generator) -> tuple[str, ...]:
    """A kind of photo edit, or, in the share TWO of cases, two that go together."""
    if rng.random() < TWO:
        return PAIRS[int(rng.integers(len(PAIRS)))]
    return (KINDS[int(rng.integers(len(KINDS)))],)


def ask_for(kinds: Sequence[str], rng: np.random.Generator, captions: list[str]) -> str:
    """A training instruction for one kind or for two."""
    return ask_two(kinds[0], kinds[1], rng, captions) if len(kinds) > 1 else ask(kinds[0], rng, captions)


def world_wish(rng: np.random.Generator) -> Wish:
    """Any instruction for one thing of the world."""
    while True:
        scene, kind = random_scene(rng), LOCAL[int(rng.integers(len(LOCAL)))]
        edit = random_edit(scene, kind, rng)
        if edit is not None:
            options = language.instructions(scene, edit)
            return read_wish(options[int(rng.integers(len(options)))], scene, edit)


def read_wish(text: str, scene: Scene, edit: Edit) -> Wish:
    """The wish of an instruction for an edit of one thing of a scene."""
    return Wish(text, (), {"does": edit.kind} | _old(text, scene, edit) | _new(scene, edit))


def _old(text: str, scene: Scene, edit: Edit) -> dict[str, str]:
    """The words by which the edited thing is named: the longest of its names that stands in the text."""
    if isinstance(edit, Add):
        return {}
    slot = edit.slot  # type: ignore[attr-defined]
    name = max((name for name in language.names(scene, slot) if re.search(rf"\b{name}\b", text)), key=len, default="")
    return _said(name, "old")


def _said(name: str, which: str) -> dict[str, str]:
    words = set(name.split())
    found = {part: next((value for value in values if value in words), "") for part, values in THING.items()}
    return {f"{which}_{part}": value for part, value in found.items()}


def _new(scene: Scene, edit: Edit) -> dict[str, str]:
    if isinstance(edit, Add):
        return _said(f"{language.described(edit.thing)} {language.where(edit.thing.slot)}", "new")
    if isinstance(edit, Replace):
        shape = find(edit.apply(scene), edit.slot).shape
        return {"new_shape": shape, "new_colour": edit.colour or "", "new_material": edit.material or ""}
    if isinstance(edit, Recolour):
        return {"new_colour": edit.colour}
    return {"new_material": edit.material} if isinstance(edit, Rematerial) else {}
