"""A part of the world: fewer places, things and words, so that small networks learn it in little time."""

from dataclasses import astuple, dataclass

import numpy as np

from . import scene as world
from .chance import random_edit
from .edits import LIMITS, Edit
from .scene import Scene, SceneError, Thing

TRIES = 30
"""How often an edit is drawn again that leads out of the part."""


@dataclass(frozen=True)
class Subset:
    """What scenes may show; everything, unless said otherwise, and one to ``things`` (1..4) things. ``styled``: share of scenes in one of
    the ``styles`` other than the plain one. Raises SceneError for a word that the world doesn't have."""

    places: tuple[str, ...] = world.PLACES
    seasons: tuple[str, ...] = world.SEASONS
    weathers: tuple[str, ...] = world.WEATHERS
    times: tuple[str, ...] = world.TIMES
    styles: tuple[str, ...] = world.STYLES
    shapes: tuple[str, ...] = world.SHAPES
    colours: tuple[str, ...] = world.COLOURS
    materials: tuple[str, ...] = world.MATERIALS
    sizes: tuple[str, ...] = world.SIZES
    things: int = 4
    styled: float = 0.2

    def __post_init__(self) -> None:
        for name, known in KNOWN.items():
            chosen = getattr(self, name)
            if not chosen or (unknown := [value for value in chosen if value not in known]):
                what = f"{unknown[0]!r} is unknown" if chosen else "none is named"
                raise SceneError(f"Of the {name} of the world's part, {what}: use some of {', '.join(known)}.")
        if not 1 <= self.things <= 4 or not 0 <= self.styled <= 1:
            raise SceneError("A part of the world has scenes of 1 to 4 things, and a share of 0 to 1 of them styled.")

    def scene(self, rng: np.random.Generator) -> Scene:
        """Any scene of it, no two things of one shape and colour."""
        slots = [(flies, side) for flies in (False, True) for side in world.SIDES if self._shapes(flies)]
        chosen = sorted(rng.permutation(len(slots))[: rng.integers(1, self.things + 1)])
        things: list[Thing] = []
        for flies, side in (slots[number] for number in chosen):
            parts = (self._shapes(flies), self.colours, self.materials, self.sizes)
            shape, colour, material, size = (_one(rng, part) for part in parts)
            thing = Thing(shape, colour, material, size, side)
            if all((thing.shape, thing.colour) != (other.shape, other.colour) for other in things):
                things.append(thing)
        other = [style for style in self.styles if style != "plain"]
        style = _one(rng, other) if other and rng.random() < self.styled else "plain"
        place, season, weather, time = (_one(rng, part) for part in (self.places, self.seasons, self.weathers, self.times))
        return Scene(place, season, weather, time, style, tuple(things), int(rng.integers(2**31)))

    def edit(self, scene: Scene, kind: str, rng: np.random.Generator) -> Edit | None:
        """An edit of a kind that stays within the part (one of LIMITS may leave it); None where the scene allows none."""
        for _ in range(TRIES):
            edit = random_edit(scene, kind, rng)
            if edit is None or kind in LIMITS or self.holds(edit.apply(scene)):
                return edit
        return None

    def holds(self, scene: Scene) -> bool:
        """Whether it has all that a scene shows, and as many things."""
        whole = ((scene.place, self.places), (scene.season, self.seasons), (scene.weather, self.weathers), (scene.time, self.times))
        fit = all(value in part for value, part in whole) and (scene.style == "plain" or scene.style in self.styles)
        fit = fit and 1 <= len(scene.things) <= self.things
        parts = (self.shapes, self.colours, self.materials, self.sizes)
        return fit and all(value in part for thing in scene.things for value, part in zip(astuple(thing), parts, strict=False))

    def _shapes(self, flies: bool) -> list[str]:
        return [shape for shape in self.shapes if (shape in world.FLYING) == flies]


KNOWN = {
    "places": world.PLACES,
    "seasons": world.SEASONS,
    "weathers": world.WEATHERS,
    "times": world.TIMES,
    "styles": world.STYLES,
    "shapes": world.SHAPES,
    "colours": world.COLOURS,
    "materials": world.MATERIALS,
    "sizes": world.SIZES,
}


def _one(rng: np.random.Generator, values: tuple[str, ...] | list[str]) -> str:
    return str(values[int(rng.integers(len(values)))])
