"""Scenes and edits in words: captions, names for things, and instructions in many phrasings."""

from collections import Counter
from collections.abc import Callable
from typing import Any

from . import wordings
from .edits import Add, Count, Edit, Recolour, Rematerial, Remove, Replace, Several, Slot, Swap, Whole, Zoom, find
from .scene import Scene, Thing


def caption(scene: Scene) -> str:
    """The scene in one sentence without a full stop."""
    things, counted = [], Counter(_kind(thing) for thing in scene.things)
    for thing in scene.things:
        number = counted.pop(_kind(thing), 0)
        if number == 1:
            things.append(f"{article(described(thing))} {where(thing.slot)}")
        elif number:
            things.append(f"{wordings.NUMBERS[number]} {described(thing)}s{' in the sky' if thing.flies else ''}")
    alone, inside = wordings.PLACES[scene.place]
    when = f"{'at' if scene.time == 'sunset' else 'on'} a {scene.weather} {scene.time} in {scene.season}"
    shown = f"{listed(things)}, {inside} {when}" if things else f"{alone} {when}"
    style = f", {wordings.STYLES[scene.style]}" if scene.style != "plain" else ""
    return f"{'a close view of ' if scene.zoom > 1 else ''}{shown}{style}"


def _kind(thing: Thing) -> tuple[str, ...]:
    return thing.shape, thing.colour, thing.material, thing.size


def described(thing: Thing, size: bool = True, colour: bool = True, material: bool = True) -> str:
    """A thing's words without an article: "large red striped ball". Of medium size and of no pattern is not said."""
    words = [
        thing.size if size and thing.size != "medium" else "",
        thing.colour if colour else "",
        thing.material if material and thing.material != "plain" else "",
        thing.shape,
    ]
    return " ".join(word for word in words if word)


def where(slot: Slot) -> str:
    """A slot in words: "in the sky on the left", "in the middle"."""
    flies, side = slot
    place = "in the middle" if side == "middle" else f"on the {side}"
    return f"in the sky {place}" if flies else place


def article(text: str) -> str:
    """The text with "a" or "an" before it."""
    return f"{'an' if text[0] in 'aeiou' else 'a'} {text}"


def listed(texts: list[str]) -> str:
    """ "a, b and c"."""
    return " and ".join([", ".join(texts[:-1]), texts[-1]]) if len(texts) > 1 else "".join(texts)


def names(scene: Scene, slot: Slot) -> list[str]:
    """Every way to name one thing of a scene so that no other is meant, with "the" before it; the shortest first."""
    thing = find(scene, slot)
    others = [other for other in scene.things if other is not thing]
    alike = [other for other in others if other.shape == thing.shape]
    out = [] if alike else [thing.shape]
    if all(other.colour != thing.colour for other in alike):
        out.append(described(thing, size=False, material=False))
    if thing.material != "plain" and all(other.material != thing.material for other in alike):
        out.append(described(thing, size=False, colour=False))
    if all(_kind(other) != _kind(thing) for other in alike):
        out.append(described(thing))
    out.append(f"{described(thing, size=False)} {where(slot)}")
    return [f"the {name}" for name in dict.fromkeys(out)]


def instructions(scene: Scene, edit: Edit) -> tuple[str, ...]:
    """Every phrasing that asks for the edit of this scene, without repeats; from about ten to some hundreds."""
    plain = _FORMS[type(edit)](scene, edit)
    verbs = [text for text in plain if text.split()[0] in wordings.VERBS]
    return tuple(dict.fromkeys([*plain, *(f"{opening} {text}" for text in verbs for opening in wordings.OPENINGS)]))


def _replace(scene: Scene, edit: Replace) -> list[str]:
    new = find(edit.apply(scene), edit.slot)
    said = article(described(new, size=False, colour=edit.colour is not None, material=edit.material is not None))
    return [form.format(t=name, n=said) for name in names(scene, edit.slot) for form in wordings.REPLACE]


def _recolour(scene: Scene, edit: Recolour) -> list[str]:
    return [form.format(t=name, c=edit.colour) for name in names(scene, edit.slot) for form in wordings.RECOLOUR]


def _material(scene: Scene, edit: Rematerial) -> list[str]:
    forms = [*wordings.MATERIAL["any"], *wordings.MATERIAL[edit.material]]
    return [form.format(t=name, m=edit.material) for name in names(scene, edit.slot) for form in dict.fromkeys(forms)]


def _add(scene: Scene, edit: Add) -> list[str]:
    return [form.format(n=article(described(edit.thing)), w=where(edit.thing.slot)) for form in wordings.ADD]


def _remove(scene: Scene, edit: Remove) -> list[str]:
    return [form.format(t=name) for name in names(scene, edit.slot) for form in wordings.REMOVE]


def _whole(scene: Scene, edit: Whole) -> list[str]:
    if edit.kind == "background":
        alone, inside = wordings.PLACES[edit.value]
        old = "the " + wordings.PLACES[scene.place][0].split(" ", 1)[1]
        return [form.format(p=alone, i=inside, o=old) for form in wordings.BACKGROUND]
    if edit.kind == "season":
        return [form.format(s=word, o=scene.season) for word in _seasons(edit.value) for form in wordings.SEASON]
    if edit.kind == "weather":
        return [form.format(w=edit.value) for form in (*wordings.WEATHER["any"], *wordings.WEATHER[edit.value])]
    return list((wordings.TIME if edit.kind == "time" else wordings.STYLE)[edit.value])


def _seasons(season: str) -> list[str]:
    return [season, "fall"] if season == "autumn" else [season]


def _several(scene: Scene, edit: Several) -> list[str]:
    """Pairs of phrasings, each of one part paired with a few of the other's."""
    first, second = (_FORMS[type(part)](scene, part) for part in edit.parts)
    pairs = [(first[i % len(first)], second[i * 5 % len(second)]) for i in range(max(len(first), len(second)))]
    return [form.format(a=a.rstrip("?"), b=b.rstrip("?")) for a, b in pairs for form in wordings.SEVERAL]


def _swap(scene: Scene, edit: Swap) -> list[str]:
    pairs = zip(names(scene, edit.one), names(scene, edit.other), strict=False)
    return [form.format(a=a, b=b) for a, b in pairs for form in wordings.SWAP]


def _count(scene: Scene, edit: Count) -> list[str]:
    thing = find(scene, edit.slot)
    said = [described(thing, size=False) + "s", described(thing, size=False, material=False) + "s"]
    return [form.format(k=wordings.NUMBERS[edit.number], n=name) for name in dict.fromkeys(said) for form in wordings.COUNT]


_FORMS: dict[type, Callable[[Scene, Any], list[str]]] = {
    Replace: _replace,
    Recolour: _recolour,
    Rematerial: _material,
    Add: _add,
    Remove: _remove,
    Whole: _whole,
    Several: _several,
    Zoom: lambda scene, edit: list(wordings.ZOOM),
    Swap: _swap,
    Count: _count,
}
