"""The world's plates and its speed: `python bench/world.py [--page docs]`.

Draws a plate of scenes (world.jpg) and one scene with an edit of every kind (world_edits.jpg), and times drawing and judging. The last
line is one JSON object: milliseconds a picture at 128 and 256 pixels, where all is new and where only the things changed, and a judgement.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from ip2p.evaluation.sheet import Panel, Strip, sheet  # noqa: E402
from ip2p.pictures import save_picture  # noqa: E402
from ip2p.worlds import language  # noqa: E402
from ip2p.worlds.chance import random_scene  # noqa: E402
from ip2p.worlds.drawing import draw  # noqa: E402
from ip2p.worlds.edits import Add, Edit, Recolour, Rematerial, Remove, Replace, Several, Whole  # noqa: E402
from ip2p.worlds.judge import judge  # noqa: E402
from ip2p.worlds.scene import COLOURS, Scene, Thing  # noqa: E402
from ip2p.worlds.tasks import random_task  # noqa: E402

PLATE = (5, 8)
CELL = 160
SCENE = Scene(
    "meadow",
    "summer",
    "sunny",
    "day",
    things=(Thing("house", "red", "plain", "large", "left"), Thing("ball", "blue", "striped"), Thing("kite", "orange", side="right")),
    seed=4,
)
BALL, KITE = (False, "middle"), (True, "right")
EDITS: tuple[Edit, ...] = (
    Replace(BALL, "mushroom"),
    Recolour(BALL, "yellow"),
    Rematerial(BALL, "wooden"),
    Add(Thing("car", "purple", side="right")),
    Remove(KITE),
    Whole("background", "beach"),
    Whole("season", "winter"),
    Whole("weather", "snowy"),
    Whole("time", "night"),
    Whole("style", "pencil_sketch"),
    Several((Recolour(BALL, "green"), Whole("time", "sunset"))),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--page", type=Path, help="folder for the plates")
    parser.add_argument("--count", type=int, default=30, help="pictures to time")
    options = parser.parse_args()
    if options.page:
        options.page.mkdir(parents=True, exist_ok=True)
        save_picture(plate(), options.page / "world.jpg")
        save_picture(edits_plate(), options.page / "world_edits.jpg")
    print(json.dumps(timings(options.count)))


def plate() -> torch.Tensor:
    """Forty scenes, side by side."""
    rows, columns = PLATE
    scenes = [random_scene(np.random.default_rng(1000 + number)) for number in range(rows * columns)]
    pictures = [draw(scene, CELL).picture for scene in scenes]
    lines = [np.concatenate(pictures[row * columns : (row + 1) * columns], axis=1) for row in range(rows)]
    return torch.from_numpy(np.concatenate(lines))


def edits_plate() -> torch.Tensor:
    """One scene, and the right answer of an edit of every kind."""
    panels = [Panel(torch.from_numpy(draw(SCENE, 256).picture), "the source")]
    for edit in EDITS:
        shown = torch.from_numpy(draw(edit.apply(SCENE), 256).picture)
        panels.append(Panel(shown, min(language.instructions(SCENE, edit)[:14], key=len)))
    return sheet([Strip("", tuple(panels[start : start + 4])) for start in range(0, len(panels), 4)], 256)


def timings(count: int) -> dict[str, float]:
    """Milliseconds a picture, or judgement, on one core."""
    found = {}
    for size in (128, 256):
        scenes = [random_scene(np.random.default_rng(number)) for number in range(count)]
        found[f"new_{size}_ms"] = _each([partial(draw, scene, size) for scene in scenes])
        draw(SCENE, size)
        others = [replace(SCENE, things=(replace(SCENE.things[0], colour=colour), *SCENE.things[1:])) for colour in COLOURS]
        found[f"things_{size}_ms"] = _each([partial(draw, scene, size) for scene in others])
    tasks = [random_task(number) for number in range(max(2, count // 3))]
    answers = [task.answer() for task in tasks]
    found["judge_256_ms"] = _each([partial(judge, *pair) for pair in zip(answers, tasks, strict=True)])
    return found


def _each(jobs: list[Callable[[], object]]) -> float:
    started = time.perf_counter()
    for job in jobs:
        job()
    return round((time.perf_counter() - started) / len(jobs) * 1000, 1)


if __name__ == "__main__":
    main()
