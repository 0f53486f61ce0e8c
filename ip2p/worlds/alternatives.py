"""What else an editor could have made of a task: wrong scenes, each with what is then wrong, for the judge to compare with."""

from collections.abc import Iterator
from dataclasses import replace

from .edits import (
    WHOLE,
    Add,
    Count,
    Edit,
    Recolour,
    Rematerial,
    Remove,
    Replace,
    Several,
    Slot,
    Swap,
    Whole,
    Zoom,
    answers,
    find,
    shapes_for,
    touched,
)
from .language import described
from .scene import COLOURS, MATERIALS, SIDES, SIZES, Scene, SceneError, Thing

Wrong = tuple[str, Scene]
"""(what is wrong, the scene as it then is)."""


def alternatives(scene: Scene, edit: Edit) -> list[Wrong]:
    """Wrong results: nothing done, done to another thing, done halfway, or something else done instead; none is a right answer."""
    right = set(answers(scene, edit))
    wrong: dict[Scene, str] = {}
    for reason, other in (("nothing was edited", scene), *_of(scene, edit)):
        if other not in right:
            wrong.setdefault(other, reason)
    return [(reason, other) for other, reason in wrong.items()]


def _of(scene: Scene, edit: Edit) -> Iterator[Wrong]:
    if isinstance(edit, Several):
        yield from _several(scene, edit)
    elif isinstance(edit, Whole):
        attribute, values = WHOLE[edit.kind]
        for value in values:
            yield f"the {attribute} is {value.replace('_', ' ')}", _whole(scene, attribute, value)
    elif isinstance(edit, Zoom):
        yield from ((f"the view is {zoom:g} times as near", replace(scene, zoom=zoom)) for zoom in (1.0, 1.3, 3.0))
    elif isinstance(edit, Count):
        yield from _counts(scene, edit)
    elif isinstance(edit, Swap):
        yield from _copies(scene, edit)
    else:
        yield from _elsewhere(scene, edit)
        yield from _instead(scene, edit)


def _whole(scene: Scene, attribute: str, value: str) -> Scene:
    changed: dict[str, str] = {attribute: value}
    return replace(scene, **changed)  # type: ignore[arg-type]


def _elsewhere(scene: Scene, edit: Edit) -> Iterator[Wrong]:
    """The same done to another thing, or, for an addition, in another place."""
    if isinstance(edit, Add):
        sides = [side for side in SIDES if side != edit.thing.side]
        places = [replace(edit, thing=replace(edit.thing, side=side)) for side in sides]
        yield from (("it was added in another place", other) for place in places if (other := _tried(place, scene)))
        return
    for thing in scene.things:
        if thing.slot != getattr(edit, "slot", None):
            moved = replace(edit, slot=thing.slot)  # type: ignore[type-var]
            if other := _tried(moved, scene):
                yield f"it was done to the {described(thing)}", other


def _tried(edit: Edit, scene: Scene) -> Scene | None:
    try:
        return edit.apply(scene)
    except SceneError:
        return None


def _instead(scene: Scene, edit: Edit) -> Iterator[Wrong]:
    """Right place, wrong result: another shape, colour, material or size, or nothing there."""
    right = edit.apply(scene)
    slot = edit.thing.slot if isinstance(edit, Add) else getattr(edit, "slot", None)
    if slot is None or isinstance(edit, Remove):
        return
    new = find(right, slot)
    yield "nothing is there", Remove(slot).apply(right)
    yield from ((f"it is {colour}", _set(right, slot, replace(new, colour=colour))) for colour in COLOURS)
    if not isinstance(edit, Rematerial):
        yield from ((f"it is a {shape}", _set(right, slot, replace(new, shape=shape))) for shape in shapes_for(new.flies))
    if isinstance(edit, Rematerial) or getattr(edit, "material", None) or (isinstance(edit, Add) and new.material != "plain"):
        yield from ((f"it is {material}", _set(right, slot, replace(new, material=material))) for material in MATERIALS)
    if isinstance(edit, Replace) and not isinstance(edit, Recolour):
        old = find(scene, slot)
        yield "only its colour and material changed", _set(right, slot, replace(new, shape=old.shape))
    if isinstance(edit, Add):
        yield from (
            (f"it is {size}", _set(right, slot, replace(new, size=size))) for size in SIZES if {size, new.size} == {"small", "large"}
        )


def _set(scene: Scene, slot: Slot, thing: Thing) -> Scene:
    return replace(scene, things=tuple(thing if other.slot == slot else other for other in scene.things))


def _several(scene: Scene, edit: Several) -> Iterator[Wrong]:
    """Each part undone or done wrongly while the others are done."""
    for number, part in enumerate(edit.parts):
        others = edit.parts[:number] + edit.parts[number + 1 :]
        done = Several(others).apply(scene)
        yield f"the part {number + 1} of {len(edit.parts)} is missing", done
        yield from _of(done, part)


def _counts(scene: Scene, edit: Count) -> Iterator[Wrong]:
    thing = find(scene, edit.slot)
    row = [side for side in SIDES if (thing.flies, side) not in {other.slot for other in scene.things}]
    for number in range(2, len(row) + 2):
        if number != edit.number:
            yield from ((f"there are {number}", other) for other in Count(edit.slot, number).answers(scene))
    yield "there are none", Remove(edit.slot).apply(scene)


def _copies(scene: Scene, edit: Swap) -> Iterator[Wrong]:
    """Only one of the two moved, so that the same thing stands twice; or one is gone."""
    one, other = find(scene, edit.one), find(scene, edit.other)
    yield "both are the same", _set(scene, edit.other, replace(one, side=other.side))
    yield "both are the same", _set(scene, edit.one, replace(other, side=one.side))
    right = edit.apply(scene)
    yield from (("one of them is gone", Remove(slot).apply(right)) for slot in (edit.one, edit.other))


def strays(right: Scene, edit: Edit) -> dict[str, list[Wrong]]:
    """Scenes that are as asked but for one thing more that the edit does not name: a "whole" attribute of the picture, a "thing" that is
    gone or of another colour or shape, or a thing's "material"."""
    named = touched(edit)
    others = [thing for thing in right.things if thing.slot not in named]
    kinds = [kind for kind in WHOLE if kind not in named and kind != "style"]
    return {
        "whole": [one for kind in kinds for one in _swerves(right, kind)],
        "thing": [one for thing in others for one in _altered(right, thing)],
        "material": [
            (f"the {described(thing)} became {material}", Rematerial(thing.slot, material).apply(right))
            for thing in others
            for material in MATERIALS
            if material != thing.material
        ],
    }


def _swerves(right: Scene, kind: str) -> Iterator[Wrong]:
    attribute, values = WHOLE[kind]
    there = getattr(right, attribute)
    yield from ((f"the {attribute} became {value}", Whole(kind, value).apply(right)) for value in values if value != there)


def _altered(right: Scene, thing: Thing) -> Iterator[Wrong]:
    said = f"the {described(thing)}"
    yield f"{said} is gone", Remove(thing.slot).apply(right)
    yield from ((f"{said} became {colour}", Recolour(thing.slot, colour).apply(right)) for colour in COLOURS if colour != thing.colour)
    shapes = [shape for shape in shapes_for(thing.flies) if shape != thing.shape]
    yield from ((f"{said} became a {shape}", Replace(thing.slot, shape).apply(right)) for shape in shapes)
