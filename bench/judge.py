"""How often the world's judge is right about right pictures and about wrong ones: `python bench/judge.py [--count N] [--size 256]`.

For every task the right picture is shown to it as drawn, after JPEG, and after the embedded editor's autoencoder; then pictures that are
wrong in one way each, as drawn and after the autoencoder. The thresholds of the judge were set on seeds below 300,000; the tasks here
have seeds from there on. The last line is one JSON object.
"""

import argparse
import io
import json
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from scipy import ndimage

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from ip2p.edit import Editor  # noqa: E402
from ip2p.noising import SCALE  # noqa: E402
from ip2p.worlds.alternatives import alternatives  # noqa: E402
from ip2p.worlds.chance import random_edit  # noqa: E402
from ip2p.worlds.drawing import draw  # noqa: E402
from ip2p.worlds.edits import KINDS, touched  # noqa: E402
from ip2p.worlds.judge import features, judge  # noqa: E402
from ip2p.worlds.tasks import Task, random_task  # noqa: E402

FIRST_SEED = 300_000
Picture = np.ndarray
Change = Callable[[Picture], Picture]


def main() -> None:
    options = _options()
    through = _autoencoder(options.model)
    counts: dict[str, list[bool]] = defaultdict(list)
    started = time.perf_counter()
    for number in range(options.count):
        task = random_task(options.seed + number, (KINDS[number % len(KINDS)],), options.size)
        rng = np.random.default_rng(options.seed + number)
        for name, picture in right_pictures(task, through):
            _count(counts, f"right, {name}", judge(picture, task).right, True, task, options.verbose)
        for name, picture in wrong_pictures(task, rng):
            _count(counts, f"wrong, {name}", judge(picture, task).right, False, task, options.verbose)
            _count(counts, f"wrong, {name}, autoencoder", judge(through(picture), task).right, False, task, options.verbose)
    for name, results in counts.items():
        print(f"{name:45s} {np.mean(results):7.2%} of {len(results)}")
    print(f"{time.perf_counter() - started:.0f} s")
    print(json.dumps(_summary(counts, options)))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=77, help="tasks, spread evenly over the kinds of edit")
    parser.add_argument("--size", type=int, default=256, help="side of the pictures")
    parser.add_argument("--seed", type=int, default=FIRST_SEED, help="the first task's seed")
    parser.add_argument("--model", default="embedded", help="the checkpoint whose autoencoder the pictures go through")
    parser.add_argument("--verbose", action="store_true", help="name every mistake")
    return parser.parse_args()


def _autoencoder(model: str) -> Change:
    editor = Editor.load(model)

    @torch.no_grad()
    def through(picture: Picture) -> Picture:
        latent = editor.encode(torch.from_numpy(np.ascontiguousarray(picture, dtype=np.float32))[None])
        return editor.decode(latent * SCALE)[0].numpy()

    return through


def right_pictures(task: Task, through: Change) -> Iterator[tuple[str, Picture]]:
    """(how it was shown, picture) for pictures that are as asked."""
    for number, scene in enumerate(task.answers):
        answer = draw(scene, task.size).picture
        if number == 0:
            yield "as drawn", answer
            yield "JPEG", _jpeg(answer)
        yield "autoencoder", through(answer)


def wrong_pictures(task: Task, rng: np.random.Generator) -> Iterator[tuple[str, Picture]]:
    """(what is wrong, picture): one of each way to be wrong that the task allows."""
    answer = task.answer()
    yield "edit missing", task.source()
    elsewhere = [scene for reason, scene in alternatives(task.scene, task.edit) if reason.startswith(("it was", "the part"))]
    others = elsewhere or [scene for _, scene in alternatives(task.scene, task.edit)[1:]]
    if others:
        yield (
            "on another thing, or half of it" if elsewhere else "another edit",
            draw(others[rng.integers(len(others))], task.size).picture,
        )
    for name, picture in (("something else changed too", _more(task, rng)), ("a patch pasted in", _patched(answer, rng))):
        if picture is not None:
            yield name, picture
    yield "tinted", _tinted(answer, rng)
    sigma = rng.uniform(0.012, 0.025) * task.size
    yield "blurred", ndimage.gaussian_filter(answer, (sigma, sigma, 0))
    angle, far = rng.uniform(0, 2 * np.pi), rng.uniform(0.02, 0.06) * task.size
    yield "shifted", ndimage.shift(answer, (far * np.sin(angle), far * np.cos(angle), 0), order=1, mode="nearest")


def _more(task: Task, rng: np.random.Generator) -> Picture | None:
    """The right answer, and one more thing edited than was asked."""
    done = task.answers[0]
    for _ in range(50):
        edit = random_edit(done, str(rng.choice(["replace", "recolour", "add", "remove", "background", "season", "weather", "time"])), rng)
        if edit is not None and not touched(edit) & touched(task.edit):
            more = edit.apply(done)
            if features(more).apart(features(done)).mean() > VISIBLE:
                return draw(more, task.size).picture
    return None


VISIBLE = 0.005
"""Least mean distance of a further edit from the right answer: what is black may be invisible at night, or in a sketch."""


def _patched(picture: Picture, rng: np.random.Generator) -> Picture | None:
    """A piece of the picture, a fifth of the side or more, put where other colours belong; None where all of it is of one colour."""
    size = len(picture)
    side = int(rng.uniform(0.18, 0.3) * size)
    for _ in range(100):
        a, b, c, d = rng.integers(0, size - side, 4)
        piece, place = picture[a : a + side, b : b + side], picture[c : c + side, d : d + side]
        if np.abs(piece.mean((0, 1)) - place.mean((0, 1))).mean() > PATCH:
            out = picture.copy()
            out[c : c + side, d : d + side] = piece
            return out
    return None


PATCH = 0.15
"""Least difference of the mean colours of a patch and of what it covers."""


def _tinted(picture: Picture, rng: np.random.Generator) -> Picture:
    """A third of one colour over all of the picture, one that is not its own."""
    while True:
        colour = rng.random(3).astype(np.float32)
        if np.abs(colour - picture.mean((0, 1))).mean() > FOREIGN:
            return (picture * 2 + colour) / 3


FOREIGN = 0.35
"""Least mean difference of a tint from the picture's mean colour."""


def _jpeg(picture: Picture) -> Picture:
    file = io.BytesIO()
    Image.fromarray((picture * 255).round().astype(np.uint8)).save(file, "JPEG", quality=85)
    return np.asarray(Image.open(file), dtype=np.float32) / 255


def _count(counts: dict[str, list[bool]], name: str, said: bool, truth: bool, task: Task, verbose: bool) -> None:
    counts[name].append(said == truth)
    if verbose and said != truth:
        print(f"  mistaken: {name}: {task.id} {task.instruction!r} in {task.caption!r}")


def _summary(counts: dict[str, list[bool]], options: argparse.Namespace) -> dict[str, object]:
    right = [one for name, results in counts.items() if name.startswith("right") for one in results]
    wrong = [one for name, results in counts.items() if name.startswith("wrong") for one in results]
    return {
        "accuracy_right": round(float(np.mean(right)), 4),
        "accuracy_wrong": round(float(np.mean(wrong)), 4),
        "n": len(right) + len(wrong),
        "n_right": len(right),
        "n_wrong": len(wrong),
        "tasks": options.count,
        "size": options.size,
        "per_case": {name: round(float(np.mean(results)), 4) for name, results in counts.items()},
    }


if __name__ == "__main__":
    main()
