"""What editors are asked on: held-out tasks of the world's part, chains of edits (Figure 11) and known limits (Figure 13).

Each is drawn from a hash of its own name, so that it stays the same whatever others there are, and its scene is none that anything was
trained on: a scene's hills and clouds come from one of 2^31 seeds.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeVar

import numpy as np

from ..ids import chance_of
from ..worlds import language
from ..worlds.edits import Edit, touched
from ..worlds.judge import tellable
from ..worlds.scene import Scene
from ..worlds.subset import Subset
from ..worlds.tasks import Task
from .config import STAGES, Config

TRIES = 300
"""How many scenes are drawn in search of one that allows an edit."""
T = TypeVar("T")


@dataclass(frozen=True)
class Chain:
    """Edits of one scene that leave each other alone, so that any of them may be made without the others; each with its instruction."""

    id: str
    scene: Scene
    edits: tuple[Edit, ...]
    instructions: tuple[str, ...]
    size: int

    @property
    def kind(self) -> str:
        """The kinds of its edits, in their order."""
        return "+".join(edit.kind for edit in self.edits)

    def shown(self, made: Collection[int]) -> Scene:
        """The scene with some of the edits, by their numbers from 0, made."""
        scene = self.scene
        for number in sorted(made):
            scene = self.edits[number].apply(scene)
        return scene

    def task(self, number: int, made: Collection[int]) -> Task:
        """One of the edits where some others are made."""
        others = [other for other in made if other != number]
        return Task(self.shown(others), self.edits[number], self.instructions[number], self.size, f"{self.id}-{number}")


@lru_cache(maxsize=4)
def tasks(config: Config) -> tuple[Task, ...]:
    """The tasks of Figures 4, 8 and 10, their kinds in turn. Raises ValueError for a kind that the part doesn't allow."""
    asked = config.evaluation
    return tuple(_task(config, asked.kinds[number % len(asked.kinds)], number) for number in range(asked.tasks))


@lru_cache(maxsize=4)
def limits(config: Config) -> tuple[Task, ...]:
    """The tasks of Figure 13: so many of each kind of limit. Raises ValueError where the part allows none."""
    asked = config.evaluation
    return tuple(_task(config, kind, number) for kind in asked.limit_kinds for number in range(asked.limits))


@lru_cache(maxsize=4)
def chains(config: Config) -> tuple[Chain, ...]:
    """The chains of Figure 11. Raises ValueError where the part allows no three edits of different kinds."""
    return tuple(_chain(config, number) for number in range(config.evaluation.chains))


def every(config: Config) -> list[Task | Chain]:
    """All of them, in the order in which they are shared out among shards."""
    return [*tasks(config), *chains(config), *limits(config)]


def _task(config: Config, kind: str, number: int) -> Task:
    def drawn(rng: np.random.Generator) -> Task | None:
        scene = config.world.scene(rng)
        edit = _edit(config.world, scene, kind, rng)
        return Task(scene, edit, _worded(scene, edit, rng), config.painter.size, f"{kind}-{number}") if edit else None

    cure = "leave the kind out of 'evaluation'"
    return _first(drawn, f"an edit of the kind {kind!r}", cure, "task", config.evaluation.seed, kind, number)


def _chain(config: Config, number: int) -> Chain:
    size = config.painter.size

    def drawn(rng: np.random.Generator) -> Chain | None:
        start = scene = config.world.scene(rng)
        edits: list[Edit] = []
        instructions: list[str] = []
        for kind in rng.permutation(list(config.evaluation.kinds))[:STAGES]:
            edit = _edit(config.world, scene, str(kind), rng)
            if edit is None or any(touched(edit) & touched(other) for other in edits):
                return None
            edits.append(edit)
            instructions.append(_worded(scene, edit, rng))
            scene = edit.apply(scene)
        chain = Chain(f"chain-{number}", start, tuple(edits), tuple(instructions), size)
        return chain if len(edits) == STAGES and _lasting(chain) else None

    what = f"{STAGES} edits of different kinds one after another"
    return _first(drawn, what, "set 'evaluation.chains' to 0", "chain", config.evaluation.seed, number)


def _lasting(chain: Chain) -> bool:
    """Can each edit still be told by eye when all are made? (What colour a thing got can't in a black and white picture.)"""
    every = range(STAGES)
    return all(tellable(task.scene, task.edit) for task in (chain.task(number, every) for number in every))


def _edit(part: Subset, scene: Scene, kind: str, rng: np.random.Generator) -> Edit | None:
    """An edit of a kind whose answer can be told by eye from wrong ones; None where the scene allows none."""
    edit = part.edit(scene, kind, rng)
    return edit if edit and tellable(scene, edit) else None


def _worded(scene: Scene, edit: Edit, rng: np.random.Generator) -> str:
    phrasings = language.instructions(scene, edit)
    return phrasings[int(rng.integers(len(phrasings)))]


def _first(drawn: Callable[[np.random.Generator], T | None], what: str, cure: str, *seed: str | int) -> T:
    """What the first of the tries gives."""
    for attempt in range(TRIES):
        found = drawn(chance_of(*seed, attempt))
        if found is not None:
            return found
    raise ValueError(f"No scene of {TRIES} of this part of the world allows {what}: enlarge 'world', or {cure}.")
