"""Scenes and edits by chance, from a random generator that the caller seeds."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from .edits import KINDS, LIMITS, Add, Edit, Replace, Several, find, free_slots, limits, local, shapes_for, touched, whole
from .scene import COLOURS, MATERIALS, PLACES, SEASONS, SIDES, SIZES, TIMES, WEATHERS, Scene, Thing


def random_edit(scene: Scene, kind: str, rng: np.random.Generator) -> Edit | None:
    """An edit of a kind, None where the scene allows none. Raises ValueError for an unknown kind."""
    if kind not in (*KINDS, *LIMITS):
        raise ValueError(f"The kind of edit {kind!r} is unknown; use one of {', '.join((*KINDS, *LIMITS))}.")
    special: dict[str, Callable[[Scene, np.random.Generator], Edit | None]] = {"add": _random_add, "several": _random_several}
    if kind in special:
        return special[kind](scene, rng)
    every = [edit for edit in (*local(scene), *whole(scene), *limits(scene)) if edit.kind == kind]
    if not every:
        return None
    edit = every[rng.integers(len(every))]
    return _richer(scene, edit, rng) if isinstance(edit, Replace) and rng.random() < 0.5 else edit


def _richer(scene: Scene, edit: Replace, rng: np.random.Generator) -> Replace:
    """A replacement that also names another colour, and, if the thing is large enough, sometimes another material."""
    old = find(scene, edit.slot)
    colour = str(rng.choice([colour for colour in COLOURS if colour != old.colour]))
    if old.size == "small" or rng.random() < 0.5:
        return replace(edit, colour=colour)
    return replace(edit, colour=colour, material=str(rng.choice([material for material in MATERIALS if material != old.material])))


def _random_add(scene: Scene, rng: np.random.Generator) -> Edit | None:
    free = free_slots(scene)
    if not free:
        return None
    flies, side = free[rng.integers(len(free))]
    return Add(random_thing(flies, side, rng))


def _random_several(scene: Scene, rng: np.random.Generator) -> Edit | None:
    """Two edits that do not concern the same thing or attribute; no style, which would hide the other."""
    kinds = [kind for kind in KINDS if kind not in ("several", "style")]
    first, second = (str(kind) for kind in rng.choice(kinds, 2, replace=False))
    one = random_edit(scene, first, rng)
    other = random_edit(scene, second, rng)
    if one is None or other is None or touched(one) & touched(other):
        return None
    return Several((one, other) if rng.random() < 0.5 else (other, one))


def random_thing(flies: bool, side: str, rng: np.random.Generator) -> Thing:
    """Any thing for a slot; half of all things are plain, and small ones always."""
    size = str(rng.choice(SIZES, p=[0.2, 0.45, 0.35]))
    material = "plain" if size == "small" or rng.random() < 0.5 else str(rng.choice(MATERIALS[1:]))
    return Thing(str(rng.choice(shapes_for(flies))), str(rng.choice(COLOURS)), material, size, side)


def random_scene(rng: np.random.Generator) -> Scene:
    """Any scene with one to four things, no two of them of one shape and colour, in the plain style."""
    slots = [(flies, side) for flies in (False, True) for side in SIDES]
    chosen = rng.permutation(len(slots))[: rng.integers(1, 5)]
    things: list[Thing] = []
    for slot in sorted(chosen):
        thing = random_thing(slots[slot][0], slots[slot][1], rng)
        if not any((thing.shape, thing.colour) == (other.shape, other.colour) for other in things):
            things.append(thing)
    return Scene(
        place=str(rng.choice(PLACES)),
        season=str(rng.choice(SEASONS)),
        weather=str(rng.choice(WEATHERS)),
        time=str(rng.choice(TIMES)),
        things=tuple(things),
        seed=int(rng.integers(2**31)),
    )
