"""Whether auto scales beat the fixed default: `python bench/auto_scales.py [--photos N] [--world N] [--steps 12] [--rows FILE]`.

Every edit is made with the default pair of scales and with the pair that auto scales picks for it from a coarse sweep, from the same noise,
and judged: photos by the nearest right answer, the drawn world by its judge; `l1` is the mean distance to the right answer. The world is
picked twice, without captions and with them and the world's CLIP (`world_clip`). Photos and tasks on which the margins were set are left
out. With --rows the same command goes on where it stopped. The last line is one JSON object: means, and the paired gains with their 95%
intervals.
"""

import argparse
import json
import sys
import time
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from torch import Tensor  # noqa: E402

from ip2p import auto_scales  # noqa: E402
from ip2p.data.example import Example  # noqa: E402
from ip2p.data.photos import open_photos  # noqa: E402
from ip2p.data.world import open_world  # noqa: E402
from ip2p.edit import Editor  # noqa: E402
from ip2p.evaluation.intervals import mean  # noqa: E402
from ip2p.evaluation.settings import Setting, seed_of  # noqa: E402
from ip2p.metrics.measures import Measures  # noqa: E402

KINDS = ("time", "weather", "season", "style", "recolour", "material", "replace", "add", "remove", "background")
SEEN_PHOTOS, SEEN_TASKS = ("flower", "chelsea", "coffee"), 10
"""The photos, and how many of the world's first tasks, on which the margins of auto scales were set."""
Row = dict[str, Any]
Pair = tuple[float, float]


def main() -> None:
    options = _options()
    editor, clip = Editor.load(options.model), Measures.load(clip=str(ROOT / "models" / "world_clip"), device="cpu")
    done: dict[str, Row] = {}
    if options.rows and options.rows.is_file():
        done = {row["id"]: row for row in map(json.loads, options.rows.read_text(encoding="utf-8").splitlines())}
    rows = []
    for part, example in jobs(options.photos, options.world):
        name = f"{part} {example.id}"
        row = done.get(name) or {"id": name, "part": part} | compared(
            editor, clip if part == "world_clip" else None, example, options.steps
        )
        if name not in done and options.rows:
            with options.rows.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
        rows.append(row)
        print(f"{len(rows)} {name}: default {row['default']}, auto {row['auto']} at {row['pair']}", flush=True)
    print(json.dumps({part: summary([row for row in rows if row["part"] == part]) for part in ("photos", "world", "world_clip")}))


def jobs(photos: int, world: int) -> Iterator[tuple[str, Example]]:
    """Edits of photos, of every kind in turn, photo by photo (whose answers take long to make), then edits of the world."""
    every = open_photos()
    unseen = (example for example in map(every.__getitem__, range(len(every))) if not example.id.startswith(SEEN_PHOTOS))
    yield from (("photos", example) for example in sorted(islice(unseen, photos), key=lambda one: one.id))
    tasks = open_world(KINDS, SEEN_TASKS + world)
    for part in ("world", "world_clip"):
        yield from ((part, tasks[SEEN_TASKS + number]) for number in range(world))


def compared(editor: Editor, clip: Measures | None, example: Example, steps: int) -> Row:
    """One edit by the default pair and by the picked one: each (right, distance to the right answer)."""
    source, seed = example.image()[None], seed_of(example.id, Setting("ip2p"))
    captions = (example.caption, example.edited_caption) if clip else ("", "")
    started = time.process_time()
    choice, found = auto_scales.pick(editor, source, example.instruction, None, None, clip, *captions, seed=seed)
    seconds = time.process_time() - started

    def edited(pair: Pair) -> Pair:
        picture = editor.edit(source, example.instruction, steps=steps, seed=seed, text_scale=pair[0], image_scale=pair[1])
        return judged(example, picture[0])

    usual, pair = found.grid.pairs[len(found.grid.pairs) // 2], (choice.text_scale, choice.image_scale)
    default = edited(usual)
    told = {"passes": found.counted.made, "seconds": round(seconds, 2), "moved": float(pair != usual)}
    return {"default": default, "auto": edited(pair) if pair != usual else default, "pair": pair, **told}


def judged(example: Example, picture: Tensor) -> Pair:
    """(1 where the edit is judged right, mean absolute difference to the right answer)."""
    assert example.judge
    assert example.edited
    return float(example.judge(picture)["right"]), round(float((picture - example.edited()).abs().mean()), 5)


def summary(rows: Sequence[Row]) -> dict[str, Any]:
    """Success and distance of both, their paired gains (of the distance, what is saved), and how often another pair was picked."""
    if not rows:
        return {"n": 0}
    found: dict[str, Any] = {"n": len(rows)}
    for place, (name, sign) in enumerate((("success", 1), ("l1", -1))):
        pairs = [(row["default"][place], row["auto"][place]) for row in rows]
        found[f"{name}_default"], found[f"{name}_auto"] = (round(mean(values).value, 4) for values in zip(*pairs, strict=True))
        gain = mean([sign * (auto - default) for default, auto in pairs])
        found[f"{name}_gain"] = [round(gain.value, 4), round(gain.low, 4), round(gain.high, 4)] if len(rows) > 1 else round(gain.value, 4)
    return found | {name: round(mean([row[name] for row in rows]).value, 3) for name in ("moved", "passes", "seconds")}


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="embedded", help="a checkpoint, or `embedded` (default)")
    parser.add_argument("--photos", type=int, default=99, help="edits of bundled photos (default 99, which is all)")
    parser.add_argument("--world", type=int, default=40, help="edits of the drawn world (default 40)")
    parser.add_argument("--steps", type=int, default=12, help="steps of the edits that are compared (default 12)")
    parser.add_argument("--rows", type=Path, help="a file that keeps each edit's row")
    return parser.parse_args()


if __name__ == "__main__":
    main()
