"""Thresholds for a CLIP, from pairs of drawn scenes that are known to be right or wrong: `python bench/pair_thresholds.py [--count 40]`.

For each kind of edit: the scores of right pairs, of a picture with another edit of the same scene, with itself, with another scene, and of
right pairs turned round. Of the direction, the threshold at which the shares of right and of wrong pairs that pass are furthest apart
(Youden 1950); of the pictures, what 97.5% of the right pairs reach. The last line is one JSON object with both by kind, and the shares
of each sort of pair that pass the thresholds that go with the CLIP (`ip2p.pairs.thresholds.own`).
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from ip2p.pairs.calibrate import SORTS, Rows, column, lowest, scored, youden  # noqa: E402
from ip2p.pairs.score import DIRECTION, IMAGE, Scorer  # noqa: E402
from ip2p.pairs.thresholds import own  # noqa: E402
from ip2p.small.captioned import some_scene  # noqa: E402
from ip2p.worlds.chance import random_edit  # noqa: E402
from ip2p.worlds.drawing import draw  # noqa: E402
from ip2p.worlds.edits import KINDS  # noqa: E402
from ip2p.worlds.judge import tellable  # noqa: E402
from ip2p.worlds.tasks import Task  # noqa: E402

FIRST_SEED = 10_000_000
"""Scenes that the CLIP was not trained on."""
SIZE = 128


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clip", default="world", help="the CLIP, by name or folder")
    parser.add_argument("--count", type=int, default=40, help="scenes of each kind of edit")
    options = parser.parse_args()
    scorer = Scorer.load(options.clip, device="cpu")
    found = {kind: rows_of(scorer, kind, options.count) for kind in KINDS}
    for kind, rows in found.items():
        print(f"{kind:11s} {said(rows)}", flush=True)
    rules = own(scorer.clip.model.config)
    kept = {sort: [not rules.of(kind).failed(one) for kind, rows in found.items() for one in rows[sort]] for sort in SORTS}
    passed = {sort: round(float(np.mean(each)), 3) for sort, each in kept.items()}
    image = {kind: lowest(rows["right"], IMAGE) for kind, rows in found.items()}
    print(json.dumps({"direction": {kind: youden(rows) for kind, rows in found.items()}, "image": image, "passed": passed}))


def rows_of(scorer: Scorer, kind: str, count: int) -> Rows:
    """The scores of each sort of pair, of scenes with edits of a kind."""
    tasks = [task_of(kind, FIRST_SEED + number) for number in range(count)]
    drawn = ([task.source() for task in tasks], [task.answer() for task in tasks], [otherwise(task) for task in tasks])
    return scored(scorer, [(task.caption, task.edited_caption) for task in tasks], *map(np.stack, drawn))


def task_of(kind: str, seed: int) -> Task:
    """An edit of a kind of a scene such as captions tell of: with few things more often than with many."""
    rng = np.random.default_rng([seed, *kind.encode()])
    while True:
        scene = some_scene(rng)
        edit = random_edit(scene, kind, rng)
        if edit is not None and tellable(scene, edit):
            return Task(scene, edit, "", SIZE, f"{kind}-{seed}")


def otherwise(task: Task) -> np.ndarray:
    """The scene after an edit of another kind."""
    rng = np.random.default_rng([*task.id.encode()])
    while True:
        edit = random_edit(task.scene, str(rng.choice([kind for kind in KINDS if kind != task.kind])), rng)
        if edit is not None:
            return draw(edit.apply(task.scene), task.size).picture


def said(rows: Rows) -> str:
    """Median direction of each sort of pair."""
    return ", ".join(f"{sort} {np.median(column(rows[sort], DIRECTION)):.2f}" for sort in SORTS)


if __name__ == "__main__":
    main()
