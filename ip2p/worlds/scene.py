"""What a picture of the world shows: a place, a season, weather, a time of day, and up to six things, each said in a few words.

A `Scene` is a value: equal scenes are drawn alike (`drawing.draw`), and an edit makes another scene of it (`edits`). Positions are in
slots: three on the ground and three in the sky, so that a thing keeps its place whatever happens to the others.
"""

from dataclasses import dataclass

PLACES = ("meadow", "beach", "desert", "mountains", "city", "forest", "lake", "farm")
SEASONS = ("spring", "summer", "autumn", "winter")
WEATHERS = ("sunny", "cloudy", "rainy", "snowy", "foggy")
TIMES = ("day", "sunset", "night")
STYLES = ("plain", "pencil_sketch", "oil_painting", "pixel_art", "cartoon", "black_and_white", "sepia", "negative")
"""How the whole picture is rendered: "plain", or an operator of `photo_operators`."""

STANDING = ("ball", "cube", "cone", "pyramid", "barrel", "vase", "mushroom", "umbrella", "house", "tent", "car", "boat")
FLYING = ("balloon", "kite", "star", "heart")
SHAPES = STANDING + FLYING
COLOURS = ("red", "orange", "yellow", "green", "blue", "purple", "pink", "white", "black", "brown")
MATERIALS = ("plain", "striped", "dotted", "checkered", "wooden", "metal", "glass")
SIZES = ("small", "medium", "large")
SIDES = ("left", "middle", "right")


class SceneError(ValueError):
    """A scene that can't be drawn, in one sentence."""


@dataclass(frozen=True)
class Thing:
    """One object. Flying shapes are in the sky, standing ones on the ground; `side` is the slot."""

    shape: str
    colour: str = "red"
    material: str = "plain"
    size: str = "medium"
    side: str = "middle"

    def __post_init__(self) -> None:
        for name, options in {"shape": SHAPES, "colour": COLOURS, "material": MATERIALS, "size": SIZES, "side": SIDES}.items():
            _check(name, getattr(self, name), options)

    @property
    def flies(self) -> bool:
        """Whether its slot is in the sky."""
        return self.shape in FLYING

    @property
    def slot(self) -> tuple[bool, str]:
        """(in the sky, side): no two things of a scene have the same."""
        return self.flies, self.side


@dataclass(frozen=True)
class Scene:
    """A picture's description. `seed` decides what has no words: hills, clouds, the exact places of things within their slots.

    `zoom` (1..4) is how much nearer the camera is to the picture's middle; 1 shows all of it.
    """

    place: str = "meadow"
    season: str = "summer"
    weather: str = "sunny"
    time: str = "day"
    style: str = "plain"
    things: tuple[Thing, ...] = ()
    seed: int = 0
    zoom: float = 1.0

    def __post_init__(self) -> None:
        names = {"place": PLACES, "season": SEASONS, "weather": WEATHERS, "time": TIMES, "style": STYLES}
        for name, options in names.items():
            _check(name, getattr(self, name), options)
        if len({thing.slot for thing in self.things}) < len(self.things):
            raise SceneError("Two things stand in the same slot: give each ground thing, and each flying thing, a side of its own.")
        if not 0 <= self.seed < 2**63:
            raise SceneError(f"The scene's seed is {self.seed}; use a whole number from 0 to {2**63 - 1}.")
        if not 1 <= self.zoom <= 4:
            raise SceneError(f"The zoom is {self.zoom}; use 1 (all of the picture) to 4.")


def _check(name: str, value: str, options: tuple[str, ...]) -> None:
    if value not in options:
        raise SceneError(f"The {name} {value!r} is unknown; use one of {', '.join(options)}.")
