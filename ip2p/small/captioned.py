"""The captioned stage: scenes of the world, encoded once, from which captions are worded anew each time they are met."""

from collections import Counter
from collections.abc import Callable
from dataclasses import astuple, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..training.cpu import quicken
from ..worlds import language, wordings
from ..worlds.chance import random_edit, random_scene
from ..worlds.drawing import draw
from ..worlds.scene import Scene, Thing
from ..worlds.subset import Subset
from . import files
from .autoencoder import Encoder
from .config import Captioned

THINGS = (0.45, 0.3, 0.17, 0.08)
"""How often a scene has one thing, two, three or four: most captions that people write name few."""
STYLED = 0.2
"""Share of scenes in another style than the plain one."""
WHOLE_WORLD = Subset()
WHOLE, NAMED = 0.5, 0.6
"""Share of captions that say everything there is, and how likely the others are to name each part."""


@dataclass(frozen=True)
class Drawn:
    """Encoded scenes: ``latent`` (N, 4, h, w), unscaled means in float16, and what each shows."""

    latent: Tensor
    scenes: list[Scene]


def write(encoder: Encoder, config: Captioned, folder: Path, part: Subset = WHOLE_WORLD) -> None:
    """Draw and encode all scenes, a file at a time; files that are there are kept."""
    quicken(encoder.eval())
    some = some_scene if part == WHOLE_WORLD else part.scene
    files.write(folder, config.files, lambda number: _file(encoder, config, some, np.random.default_rng([config.seed, number])))


@torch.no_grad()
def _file(encoder: Encoder, config: Captioned, some: Callable[[np.random.Generator], Scene], rng: np.random.Generator) -> dict[str, Any]:
    scenes = [some(rng) for _ in range(config.scenes)]
    pictures = torch.from_numpy(np.stack([draw(scene, config.size).picture for scene in scenes])).permute(0, 3, 1, 2)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        means = [encoder(part.contiguous(memory_format=torch.channels_last) * 2 - 1)[0].half() for part in pictures.split(16)]
    return {"latent": torch.cat(means), "scenes": [_plain(scene) for scene in scenes]}


def some_scene(rng: np.random.Generator) -> Scene:
    """Any scene, with few things more often than with many, some in another style."""
    scene = random_scene(rng)
    count = min(len(scene.things), 1 + int(rng.choice(len(THINGS), p=THINGS)))
    scene = replace(scene, things=tuple(scene.things[number] for number in sorted(rng.permutation(len(scene.things))[:count])))
    edit = random_edit(scene, "style", rng) if rng.random() < STYLED else None
    return scene if edit is None else edit.apply(scene)


def _plain(scene: Scene) -> dict[str, Any]:
    """A scene as what a file of weights may hold: words and numbers."""
    return {**vars(scene), "things": [astuple(thing) for thing in scene.things]}


def _scene(stored: dict[str, Any]) -> Scene:
    return Scene(**{**stored, "things": tuple(Thing(*thing) for thing in stored["things"])})


def read(folder: Path) -> Drawn:
    """All files of a folder, in order. Raises DataError."""
    parts = files.read(folder)
    return Drawn(torch.cat([part["latent"] for part in parts]), [_scene(one) for part in parts for one in part["scenes"]])


def caption(scene: Scene, rng: np.random.Generator) -> str:
    """The scene's caption, or one that leaves out some of what there is, as people's captions do; its things are always named."""
    if rng.random() < WHOLE:
        return language.caption(scene)
    told = {name: bool(rng.random() < NAMED) for name in ("side", "place", "weather", "time", "season")}
    things, counted = [], Counter((thing.shape, thing.colour, thing.material, thing.size) for thing in scene.things)
    for thing in scene.things:
        number = counted.pop((thing.shape, thing.colour, thing.material, thing.size), 0)
        words = language.described(thing, size=bool(rng.random() < NAMED))
        named = language.article(words) if number == 1 else f"{wordings.NUMBERS.get(number, str(number))} {words}s"
        if number:
            things.append(f"{named} {language.where(thing.slot)}" if told["side"] and number == 1 else named)
    return _joined(language.listed(things), scene, told)


def _joined(things: str, scene: Scene, told: dict[str, bool]) -> str:
    alone, inside = wordings.PLACES[scene.place]
    words = " ".join(part for part in (things, inside if told["place"] else "") if part) or alone
    weather = f"{scene.weather} " if told["weather"] else ""
    if told["time"]:
        words += f" {'at' if scene.time == 'sunset' else 'on'} a {weather}{scene.time}"
    if told["season"]:
        words += f" in {scene.season}"
    return words + (f", {wordings.STYLES[scene.style]}" if scene.style != "plain" else "")
