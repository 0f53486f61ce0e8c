"""The triplets of a reproduction: captions of a part of the world, edited by the grammar so that they stay within it (section 3.1.1)."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ..captions import files
from ..captions.filters import NEARLY, Filters, filtered
from ..captions.grammar import world
from ..captions.grammar.source import Grammar
from ..captions.triplet import Triplet
from ..ids import chance_of
from ..worlds import language
from ..worlds.scene import Scene, Thing
from ..worlds.subset import Subset
from . import places
from .config import Config, Prompts

TRIES = 60
"""How often a caption's edit of a kind is drawn again that leads out of the part."""


def triplets(out: Path, config: Config) -> None:
    """Write the triplets of a run. Raises ValueError where the part of the world allows none."""
    found = made(config.world, config.prompts)
    if not found:
        raise ValueError("No caption of this part of the world allows any of 'prompts.kinds': name other kinds, or enlarge 'world'.")
    files.write(places.triplets(out), found)


def read(out: Path) -> list[Triplet]:
    """The triplets of a run. Raises ValueError where they are not made yet."""
    return list(files.read(places.triplets(out)))


def made(part: Subset, config: Prompts) -> list[Triplet]:
    """At most ``each`` triplets of ``count`` captions, the kinds about equally often. Near duplicates stay: in a small world all are."""
    return list(filtered(_balanced(part, config), Filters(off=frozenset([NEARLY])), Counter()))


def _balanced(part: Subset, config: Prompts) -> Iterator[Triplet]:
    """Each caption gets the kinds that it allows and that were the rarest so far."""
    there = Counter[str]()
    for number in range(config.count):
        caption = language.caption(part.scene(chance_of("prompts", config.seed, number)))
        left = config.each
        for kind in sorted(config.kinds, key=there.__getitem__):
            triplet = edited(caption, kind, part, config.seed) if left else None
            if triplet is not None:
                there[kind] += 1
                left -= 1
                yield triplet


def edited(caption: str, kind: str, part: Subset, seed: int) -> Triplet | None:
    """The grammar's first edit of a kind that stays within the part; None where there is none. Raises ValueError for an unknown kind."""
    grammar = Grammar((kind,))
    for number in range(TRIES):
        [answer] = grammar.edits(caption, 1, seed + number)
        if not isinstance(answer, Triplet):
            return None
        scene = pictured(answer.edited_caption)
        if scene is not None and part.holds(scene):
            return answer
    return None


def pictured(caption: str, seed: int = 0) -> Scene | None:
    """A scene that a caption of the world describes, drawn as ``seed`` decides what it doesn't say; None for a caption that leaves out a
    thing's place or colour, where the scene is, its season, weather or time, or that counts things."""
    said = world.read(caption)
    if said is None or said.near or not all((said.place, said.season, said.weather, said.time)):
        return None
    if any(not thing.where.endswith(world.SIDES) or not thing.colour or thing.number != "a" for thing in said.things):
        return None
    things = tuple(_thing(thing) for thing in said.things)
    return Scene(said.place, said.season, said.weather, said.time, said.style or "plain", things, seed)


def drawn(caption: str, seed: int, size: int) -> np.ndarray:
    """The picture (size, size, 3), float32 in [0, 1], of a scene that a caption describes (see `pictured`). Raises ValueError."""
    from ..worlds.drawing import draw

    scene = pictured(caption, seed)
    if scene is None:
        raise ValueError(
            f"The caption {caption!r} doesn't say all that a scene shows: make the triplets with 'reproduce', or leave it out."
        )
    return draw(scene, size).picture


def _thing(said: world.Said) -> Thing:
    return Thing(said.shape, said.colour, said.material or "plain", said.size or "medium", said.where.split()[-1])
