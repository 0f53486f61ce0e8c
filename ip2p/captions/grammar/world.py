"""The small world's captions, read into their parts, edited and said again in exactly the world's words.

`worlds.language` and `small.captioned` word them; only a caption that is said again letter for letter counts as one of the world's.
"""

import re
from dataclasses import dataclass, replace

import numpy as np

from ...worlds import wordings
from ...worlds.language import article, listed
from ...worlds.scene import COLOURS, FLYING, MATERIALS, SEASONS, SHAPES, SIDES, STANDING, TIMES, WEATHERS
from .asking import POLITE, Edit, one

MEDIA = ("pencil_sketch", "oil_painting", "pixel_art", "cartoon")
LOOKS = ("black_and_white", "sepia", "negative")
MOST = 4
"""Things of a scene."""
NEAR = "a close view of "
WHERE = {(side, False): "in the middle" if side == "middle" else f"on the {side}" for side in SIDES}
WHERE |= {(side, True): f"in the sky {WHERE[side, False]}" for side in SIDES}
_ANY = "|".join
THING = re.compile(
    rf"(?P<number>an?|two|three) (?:(?P<size>small|large) )?(?:(?P<colour>{_ANY(COLOURS)}) )?(?:(?P<material>{_ANY(MATERIALS[1:])}) )?"
    rf"(?P<shape>{_ANY(SHAPES)})s?\b(?P<where>(?: in the sky)?(?: in the middle| on the left| on the right)?)"
)
REST = re.compile(
    rf"(?P<comma>, )?(?:(?P<place>{_ANY(inside for _, inside in wordings.PLACES.values())}))?"
    rf"(?: ?(?:at|on) a (?:(?P<weather>{_ANY(WEATHERS)}) )?(?P<time>{_ANY(TIMES)}))?(?: ?in (?P<season>{_ANY(SEASONS)}))?"
    rf"(?:, (?P<style>{_ANY(wordings.STYLES.values())}))?"
)


@dataclass(frozen=True)
class Said:
    """A thing as a caption says it; what it leaves out is ""."""

    shape: str
    colour: str = ""
    material: str = ""
    size: str = ""
    where: str = ""
    number: str = "a"

    def words(self, where: bool = True) -> str:
        """ "a large red striped ball on the left", "two blue kites in the sky"."""
        name = " ".join(word for word in (self.size, self.colour, self.material, self.shape) if word)
        counted = article(name) if self.number == "a" else f"{self.number} {name}s"
        return f"{counted} {self.where}" if where and self.where else counted

    @property
    def flies(self) -> bool:
        """Whether it is in the sky."""
        return self.shape in FLYING

    @property
    def alike(self) -> tuple[str, ...]:
        """Things of which this is the same are counted together by a caption."""
        return self.shape, self.colour, self.material, self.size


@dataclass(frozen=True)
class Scene:
    """What a caption of the world says; "" for what it leaves out. `comma` stands before the place where everything is said."""

    things: tuple[Said, ...]
    near: bool = False
    comma: bool = False
    place: str = ""
    weather: str = ""
    time: str = ""
    season: str = ""
    style: str = ""

    def words(self) -> str:
        """The caption."""
        shown = listed([thing.words() for thing in self.things])
        alone, inside = wordings.PLACES[self.place] if self.place else ("", "")
        text = f"{shown}{', ' if self.comma and inside else ' ' if inside else ''}{inside}" if shown else alone
        if self.time:
            text += f" {'at' if self.time == 'sunset' else 'on'} a {self.weather + ' ' if self.weather else ''}{self.time}"
        text += f" in {self.season}" if self.season else ""
        return (NEAR if self.near else "") + text + (f", {wordings.STYLES[self.style]}" if self.style else "")


def read(text: str) -> Scene | None:
    """The parts of a caption of the world; None for any other caption."""
    rest = text.removeprefix(NEAR)
    things: list[Said] = []
    while found := THING.match(rest):
        parts = {name: value or "" for name, value in found.groupdict().items()}
        things.append(Said(**parts | {"where": parts["where"].strip(), "number": "a" if parts["number"] == "an" else parts["number"]}))
        rest = rest[found.end() :]
        joint = next((joint for joint in (" and ", ", ") if rest.startswith(joint) and THING.match(rest[len(joint) :])), "")
        rest = rest[len(joint) :]
        if not joint:
            break
    scene = _scene(tuple(things), rest, text.startswith(NEAR))
    return scene if scene and scene.words() == text else None


def _scene(things: tuple[Said, ...], rest: str, near: bool) -> Scene | None:
    alone = "" if things else next((place for place, said in wordings.PLACES.items() if rest.startswith(said[0])), "")
    if not things and not alone:
        return None
    found = REST.fullmatch(rest[len(wordings.PLACES[alone][0]) :] if alone else rest if rest.startswith(",") else rest.lstrip())
    if not found:
        return None
    said = {name: value or "" for name, value in found.groupdict().items() if name != "comma"}
    said["place"] = alone or next((place for place, (_, inside) in wordings.PLACES.items() if inside == said["place"]), "")
    said["style"] = next((style for style, words in wordings.STYLES.items() if words == said["style"]), "")
    return Scene(things, near, bool(found["comma"]) or not things, **said)


def edited(scene: Scene, kind: str, rng: np.random.Generator) -> Edit | None:
    """An edit of a kind of the grammar, in the world's words; None where the scene has nothing for it."""
    if kind in ("replace", "recolour", "material", "remove"):
        made = _local(scene, kind, rng)
    else:
        made = _add(scene, rng) if kind == "add" else _whole(scene, kind, rng)
    if made is None:
        return None
    text, after = made
    if text.split()[0] in wordings.VERBS and rng.random() < POLITE:
        text = f"{one(rng, wordings.OPENINGS)} {text}"
    return Edit(text, after.words())


def _local(scene: Scene, kind: str, rng: np.random.Generator) -> tuple[str, Scene] | None:
    for number in rng.permutation(len(scene.things)):
        thing = scene.things[number]
        names = _names(scene, thing)
        if not names:
            continue
        if kind == "remove":
            if len(scene.things) > 1 or scene.place:
                others = tuple(other for other in scene.things if other is not thing)
                return one(rng, wordings.REMOVE).format(t=one(rng, names)), replace(scene, things=others)
            continue
        new = _new(scene, thing, kind, rng)
        if new is None or any(new.alike == other.alike for other in scene.things):
            continue
        text = one(rng, _forms(kind, new)).format(t=one(rng, names), n=_bare(thing, new), c=new.colour, m=new.material or "plain")
        return text, replace(scene, things=tuple(new if other is thing else other for other in scene.things))
    return None


def _new(scene: Scene, thing: Said, kind: str, rng: np.random.Generator) -> Said | None:
    if kind == "recolour":
        taken = {other.colour for other in scene.things if other.shape == thing.shape}
        return replace(thing, colour=one(rng, [colour for colour in COLOURS if colour not in taken]))
    if kind == "material":
        fit = [value for value in MATERIALS if value != (thing.material or "plain")]
        value = one(rng, fit)
        return None if thing.size == "small" else replace(thing, material="" if value == "plain" else value)
    taken = {other.shape for other in scene.things}
    new = replace(thing, shape=one(rng, [shape for shape in (FLYING if thing.flies else STANDING) if shape not in taken]))
    return replace(new, colour=one(rng, [colour for colour in COLOURS if colour != thing.colour])) if rng.random() < 0.5 else new


def _forms(kind: str, new: Said) -> tuple[str, ...]:
    if kind == "recolour":
        return wordings.RECOLOUR
    if kind == "replace":
        return wordings.REPLACE
    return (*wordings.MATERIAL["any"], *wordings.MATERIAL[new.material or "plain"])


def _bare(old: Said, new: Said) -> str:
    """The new thing with no more than its instruction must say."""
    return replace(new, size="", material="", colour=new.colour if new.colour != old.colour else "").words(where=False)


def _names(scene: Scene, thing: Said) -> list[str]:
    """Every way to name one thing so that no other is meant."""
    others = [other for other in scene.things if other is not thing and other.shape == thing.shape]
    many = "" if thing.number == "a" else "s"
    out = [f"the {thing.shape}{many}"] if not others else []
    if thing.colour and all(other.colour != thing.colour for other in others):
        out.append(f"the {thing.colour} {thing.shape}{many}")
    if thing.material and all(other.material != thing.material for other in others):
        out.append(f"the {thing.material} {thing.shape}{many}")
    if thing.where.endswith(SIDES) and thing.number == "a":
        out.append(f"the {thing.colour} {thing.shape} {thing.where}".replace("  ", " "))
    return out


def _add(scene: Scene, rng: np.random.Generator) -> tuple[str, Scene] | None:
    """One more thing, in a free place where the caption says the places."""
    if len(scene.things) >= MOST or scene.near:
        return None
    placed = scene.comma or any(thing.where.endswith(SIDES) for thing in scene.things)
    taken = {thing.where for thing in scene.things}
    slots = [slot for slot in WHERE if WHERE[slot] not in taken]
    side, flies = slots[int(rng.integers(len(slots)))]
    shapes = [shape for shape in (FLYING if flies else STANDING) if shape not in {thing.shape for thing in scene.things}]
    size = one(rng, ["", "", "large", "small"])
    material = one(rng, MATERIALS[1:]) if size != "small" and rng.random() < 0.4 else ""
    new = Said(one(rng, shapes), one(rng, COLOURS), material, size, WHERE[side, flies] if placed else "")
    forms = [form if placed else form.replace(" {w}", "") for form in wordings.ADD if placed or not form.startswith("{w}")]
    text = one(rng, forms).format(n=new.words(where=False), w=new.where)
    return text, replace(scene, things=tuple(sorted([*scene.things, new], key=_slot)))


def _slot(thing: Said) -> tuple[bool, int]:
    """Things are said from the left of the ground to the right of the sky."""
    return thing.flies, next((number for number, side in enumerate(SIDES) if thing.where.endswith(side)), len(SIDES))


def _whole(scene: Scene, kind: str, rng: np.random.Generator) -> tuple[str, Scene] | None:
    if kind in ("style", "medium"):
        style = one(rng, [style for style in (MEDIA if kind == "medium" else LOOKS) if style != scene.style])
        return one(rng, wordings.STYLE[style]), replace(scene, style=style)
    if kind == "place":
        return _moved(scene, rng)
    if kind == "season":
        season = one(rng, [season for season in SEASONS if season != scene.season])
        forms = [form for form in wordings.SEASON if scene.season or "{o}" not in form]
        said = one(rng, [season, "fall"]) if season == "autumn" else season
        return one(rng, forms).format(s=said, o=scene.season), replace(scene, season=season)
    if kind == "time":
        time = one(rng, [time for time in TIMES if time != scene.time])
        return one(rng, wordings.TIME[time]), replace(scene, time=time)
    weather = one(rng, [weather for weather in WEATHERS if weather != scene.weather])
    forms = [*wordings.WEATHER["any"], *wordings.WEATHER[weather]]
    return one(rng, forms).format(w=weather), replace(scene, weather=weather, time=scene.time or "day")


def _moved(scene: Scene, rng: np.random.Generator) -> tuple[str, Scene]:
    place = one(rng, [place for place in wordings.PLACES if place != scene.place])
    alone, inside = wordings.PLACES[place]
    old = "the " + wordings.PLACES[scene.place][0].split(" ", 1)[1] if scene.place else ""
    forms = [form for form in wordings.BACKGROUND if old or "{o}" not in form]
    return one(rng, forms).format(p=alone, i=inside, o=old), replace(scene, place=place)
