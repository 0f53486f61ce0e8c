"""Changes of a scene: what an instruction asks for, as a function from scene to scene with one right result.

Each class is one form of change, applied by `apply`; `applicable` lists every one that a scene allows. Things are named by their slot,
(in the sky, side), which no edit changes unless it says so.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any, Protocol

from .scene import (
    COLOURS,
    FLYING,
    MATERIALS,
    PLACES,
    SEASONS,
    SIDES,
    SIZES,
    STANDING,
    STYLES,
    TIMES,
    WEATHERS,
    Scene,
    SceneError,
    Thing,
)

Slot = tuple[bool, str]

WHOLE = {
    "background": ("place", PLACES),
    "season": ("season", SEASONS),
    "weather": ("weather", WEATHERS),
    "time": ("time", TIMES),
    "style": ("style", STYLES),
}
"""Kind of a whole-picture edit -> (the scene's attribute, its values)."""

KINDS = ("replace", "recolour", "material", "add", "remove", *WHOLE, "several")
LIMITS = ("zoom", "count", "swap")
"""What the paper finds the method unable to do (Figure 13): a nearer view, a number of things, two things that change places."""
ZOOM = 2.0


class Edit(Protocol):
    """One change of a scene."""

    @property
    def kind(self) -> str:
        """One of KINDS or LIMITS."""
        ...

    def apply(self, scene: Scene) -> Scene:
        """The edited scene. Raises SceneError where the scene does not allow it."""
        ...


@dataclass(frozen=True)
class Replace:
    """Another shape in the same slot and size; colour and material stay unless they are given."""

    slot: Slot
    shape: str
    colour: str | None = None
    material: str | None = None
    kind = "replace"

    def apply(self, scene: Scene) -> Scene:
        """See Edit."""
        old = find(scene, self.slot)
        new = Thing(self.shape, self.colour or old.colour, self.material or old.material, old.size, old.side)
        if new.flies != old.flies:
            raise SceneError(f"A {old.shape} can't become a {new.shape}: one is in the sky, the other on the ground.")
        return _with(scene, self.slot, new)


@dataclass(frozen=True)
class Recolour:
    """Another colour for one thing."""

    slot: Slot
    colour: str
    kind = "recolour"

    def apply(self, scene: Scene) -> Scene:
        """See Edit."""
        return _with(scene, self.slot, replace(find(scene, self.slot), colour=self.colour))


@dataclass(frozen=True)
class Rematerial:
    """Another material or pattern for one thing."""

    slot: Slot
    material: str
    kind = "material"

    def apply(self, scene: Scene) -> Scene:
        """See Edit."""
        return _with(scene, self.slot, replace(find(scene, self.slot), material=self.material))


@dataclass(frozen=True)
class Add:
    """One more thing, in a free slot."""

    thing: Thing
    kind = "add"

    def apply(self, scene: Scene) -> Scene:
        """See Edit."""
        return replace(scene, things=(*scene.things, self.thing))


@dataclass(frozen=True)
class Remove:
    """One thing less."""

    slot: Slot
    kind = "remove"

    def apply(self, scene: Scene) -> Scene:
        """See Edit."""
        gone = find(scene, self.slot)
        return replace(scene, things=tuple(thing for thing in scene.things if thing is not gone))


@dataclass(frozen=True)
class Whole:
    """Another place, season, weather, time of day or style; `kind` is a key of WHOLE."""

    kind: str
    value: str

    def apply(self, scene: Scene) -> Scene:
        """See Edit."""
        changed: dict[str, Any] = {WHOLE[self.kind][0]: self.value}
        return replace(scene, **changed)


@dataclass(frozen=True)
class Several:
    """Two or more changes in one instruction."""

    parts: tuple[Edit, ...]
    kind = "several"

    def apply(self, scene: Scene) -> Scene:
        """See Edit."""
        for part in self.parts:
            scene = part.apply(scene)
        return scene


@dataclass(frozen=True)
class Zoom:
    """A nearer view of the picture's middle (a limit of the method: Figure 13)."""

    factor: float
    kind = "zoom"

    def apply(self, scene: Scene) -> Scene:
        """See Edit."""
        return replace(scene, zoom=self.factor)


@dataclass(frozen=True)
class Swap:
    """Two things of one row change places (a limit of the method: Figure 13)."""

    one: Slot
    other: Slot
    kind = "swap"

    def apply(self, scene: Scene) -> Scene:
        """See Edit."""
        a, b = find(scene, self.one), find(scene, self.other)
        moved = {a: replace(a, side=b.side), b: replace(b, side=a.side)}
        return replace(scene, things=tuple(moved.get(thing, thing) for thing in scene.things))


@dataclass(frozen=True)
class Count:
    """As many of one thing as said, in the free slots of its row from the left (a limit of the method: Figure 13)."""

    slot: Slot
    number: int
    kind = "count"

    def apply(self, scene: Scene) -> Scene:
        """See Edit."""
        return self.answers(scene)[0]

    def answers(self, scene: Scene) -> list[Scene]:
        """One scene for every choice of free places. Raises SceneError where there are too few."""
        thing = find(scene, self.slot)
        free = [side for flies, side in free_slots(scene) if flies == thing.flies]
        if not 2 <= self.number <= len(free) + 1:
            raise SceneError(f"There is no room for {self.number} of them: the scene has {len(free)} free places in that row.")
        chosen = combinations(free, self.number - 1)
        return [replace(scene, things=(*scene.things, *(replace(thing, side=side) for side in sides))) for sides in chosen]


def answers(scene: Scene, edit: Edit) -> list[Scene]:
    """Every right result: `apply`'s first, then those that the instruction allows as well (other free places when things are counted)."""
    return edit.answers(scene) if isinstance(edit, Count) else [edit.apply(scene)]


def find(scene: Scene, slot: Slot) -> Thing:
    """The thing in a slot. Raises SceneError where there is none."""
    for thing in scene.things:
        if thing.slot == slot:
            return thing
    raise SceneError(f"Nothing {'flies' if slot[0] else 'stands'} on the {slot[1]} of this scene.")


def free_slots(scene: Scene) -> list[Slot]:
    """The slots in which nothing is, those on the ground first."""
    taken = {thing.slot for thing in scene.things}
    return [slot for flies in (False, True) for side in SIDES if (slot := (flies, side)) not in taken]


def _with(scene: Scene, slot: Slot, new: Thing) -> Scene:
    return replace(scene, things=tuple(new if thing.slot == slot else thing for thing in scene.things))


def shapes_for(flies: bool) -> tuple[str, ...]:
    """The shapes that a slot of the sky, or of the ground, can hold."""
    return FLYING if flies else STANDING


def local(scene: Scene) -> Iterator[Edit]:
    """Every change of one thing, but for additions."""
    for thing in scene.things:
        yield from (Replace(thing.slot, shape) for shape in shapes_for(thing.flies) if shape != thing.shape)
        yield from (Recolour(thing.slot, colour) for colour in COLOURS if colour != thing.colour)
        if thing.size != "small":  # a pattern on a small thing is a matter of a few pixels
            yield from (Rematerial(thing.slot, material) for material in MATERIALS if material != thing.material)
        yield Remove(thing.slot)


def whole(scene: Scene) -> Iterator[Edit]:
    """Every change of the whole picture, or of its background."""
    for kind, (attribute, values) in WHOLE.items():
        yield from (Whole(kind, value) for value in values if value not in (getattr(scene, attribute), "plain"))


def limits(scene: Scene) -> Iterator[Edit]:
    """Every change of the kinds in LIMITS."""
    if scene.zoom < ZOOM:
        yield Zoom(ZOOM)
    for one, other in combinations(scene.things, 2):
        if one.flies == other.flies:
            yield Swap(one.slot, other.slot)
    for thing in scene.things:
        room = sum(flies == thing.flies for flies, _ in free_slots(scene))
        yield from (Count(thing.slot, number) for number in range(2, room + 2))


def additions(scene: Scene) -> Iterator[Edit]:
    """Every addition of a thing in any free slot: thousands."""
    for flies, side in free_slots(scene):
        for shape in shapes_for(flies):
            for size in SIZES:
                for material in MATERIALS if size != "small" else MATERIALS[:1]:
                    yield from (Add(Thing(shape, colour, material, size, side)) for colour in COLOURS)


def applicable(scene: Scene) -> list[Edit]:
    """Every single edit that the scene allows, without `several` (pairs of these, see `random_edit`) and without LIMITS."""
    return [*local(scene), *additions(scene), *whole(scene)]


def touched(edit: Edit) -> set[object]:
    """The slots that an edit changes, and its kind if it changes the whole picture."""
    if isinstance(edit, Several):
        return set().union(*(touched(part) for part in edit.parts))
    if isinstance(edit, Add):
        return {edit.thing.slot}
    if isinstance(edit, Swap):
        return {edit.one, edit.other}
    return {getattr(edit, "slot", edit.kind)}
