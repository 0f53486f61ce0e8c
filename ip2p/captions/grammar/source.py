"""The grammar as a source of triplets: each caption edited by chance, always in the same way."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from ...ids import chance_of
from ..source import Answer, Refused
from ..triplet import Triplet
from . import parts, places, things, whole, world
from .asking import Edit, spoken
from .english import Caption, tidy

Make = Callable[[Caption, np.random.Generator], Edit | None]

EDITS: dict[str, Make] = {
    "replace": things.replace,
    "add": parts.add,
    "remove": parts.remove,
    "recolour": things.recolour,
    "material": things.material,
    **whole.EDITS,
    "place": places.place,
}
KINDS = tuple(EDITS)
"""Kinds of edit, as `kind` of a triplet says them."""
NOTHING = "nothing to edit"
"""Why a caption gets no triplet."""
RARE = {"remove": 4.0, "recolour": 1.5, "place": 1.5}
"""How much more often than others a kind has the first turn, because few captions by people allow it."""
TRIES = 6
"""How often an edit is drawn again that was made of the caption before."""


class Grammar:
    """Edits captions; `kinds` empty means all of them. See `source.Source`. Raises ValueError for an unknown kind."""

    name = "grammar"
    batch = 64

    def __init__(self, kinds: Sequence[str] = ()) -> None:
        if unknown := [kind for kind in kinds if kind not in EDITS]:
            raise ValueError(f"The kind of edit {unknown[0]!r} is unknown; use some of {', '.join(KINDS)}.")
        self.kinds = tuple(kind for kind in KINDS if not kinds or kind in kinds)
        self.settings: dict[str, Any] = {"kinds": list(self.kinds)}

    def ask(self, captions: Sequence[str], count: int, seed: int) -> Iterator[Answer]:
        """See `source.Source`: fewer than `count` triplets where a caption gives no more."""
        return (self.edits(caption, count, seed) for caption in captions)

    def edits(self, caption: str, count: int, seed: int) -> Answer:
        """At most `count` different triplets of a caption, of as many kinds as it allows; a refusal where it allows none."""
        text = tidy(caption)
        found: dict[str, Triplet] = {}
        if _english(text):
            order = self._order(text, seed)
            for number in range(count):
                triplet = self._one(text, seed, number, order, set(found))
                if triplet is None:
                    break
                order.append(order.pop(order.index(triplet.kind)))  # its turn comes again after all others
                found[triplet.edited_caption] = triplet
        return list(found.values()) or [Refused(text, NOTHING)]

    def _order(self, text: str, seed: int) -> list[str]:
        """The kinds in the order in which this caption gets them."""
        rng = chance_of(text, seed, "kinds")
        if world.read(text):
            return [self.kinds[number] for number in rng.permutation(len(self.kinds))]
        turns = {kind: float(rng.random()) ** (1 / RARE.get(kind, 1.0)) for kind in self.kinds}
        return sorted(self.kinds, key=turns.__getitem__, reverse=True)

    def _one(self, text: str, seed: int, number: int, order: list[str], taken: set[str]) -> Triplet | None:
        """The triplet of a number: of the first kind in the order that the caption allows."""
        caption, rng = Caption(text), chance_of(text, seed, number)
        scene = world.read(text)
        for kind in order:
            for _ in range(TRIES):
                edit = world.edited(scene, kind, rng) if scene else EDITS[kind](caption, rng)
                if edit is None:
                    break
                if edit.edited not in taken and edit.edited.lower() != text.lower():
                    instruction = edit.instruction if scene else spoken(rng, edit.instruction)
                    return Triplet(text, instruction, edit.edited, source=self.name, kind=kind)
        return None


def _english(text: str) -> bool:
    """Whether most letters are such as English has."""
    letters = [letter for letter in text if letter.isalpha()]
    return 2 * sum(letter.isascii() for letter in letters) > len(letters)
