"""What schedules, rescaling and projection do to edits: `python bench/steering.py [--photos N] [--steps 12] [--rows FILE]`.

Every edit is made by every way from the same noise and judged by the nearest right answer; `l1` is the mean distance to it, `passes` those
of the network per edit. Ways at the default text scale are compared with plain guidance there, ways at twice that with plain guidance at
twice. With --rows the same command goes on where it stopped. The last line is one JSON object.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from ip2p.data.example import Example  # noqa: E402
from ip2p.data.photos import open_photos  # noqa: E402
from ip2p.edit import Editor  # noqa: E402
from ip2p.engine import Engine, Part  # noqa: E402
from ip2p.evaluation.intervals import mean  # noqa: E402
from ip2p.evaluation.settings import Setting, seed_of  # noqa: E402
from ip2p.latent_model import TEXT_SCALE  # noqa: E402
from ip2p.projection import Projected  # noqa: E402
from ip2p.rescale import Rescale  # noqa: E402
from ip2p.schedules import Curve, Schedule, span  # noqa: E402

Way = tuple[float, tuple[Part, ...]]
Row = dict[str, Any]


def falling(first: float, last: float) -> Curve:
    """A straight curve."""
    return Curve(((0.0, first), (1.0, last)))


def ways(text: float) -> dict[str, Way]:
    """What is tried, by name: the text scale and the parts."""
    return {
        "plain": (text, ()),
        "text falls to 1": (text, (Schedule(falling(text, 1.0)),)),
        "text 1.5 times, falls to half": (text, (Schedule(falling(1.5 * text, 0.5 * text)),)),
        "image up to 60%": (text, (Schedule(image_span=span("image", 0, 60)),)),
        "both up to 80%": (text, (Schedule(text_span=span("text", 0, 80), image_span=span("image", 0, 80)),)),
        "rescaled": (text, (Rescale(0.7),)),
        "projected": (text, (Projected("text", 0.0), Projected("image", 0.0))),
        "plain, twice": (2 * text, ()),
        "rescaled, twice": (2 * text, (Rescale(0.7),)),
        "projected, twice": (2 * text, (Projected("text", 0.0), Projected("image", 0.0))),
        "momentum, twice": (2 * text, (Projected("text", 0.0, 0.0, -0.5), Projected("image", 0.0))),
    }


def main() -> None:
    options = _options()
    editor = Editor.load(options.model)
    tried = ways(editor.default("text_scale", TEXT_SCALE))
    done: dict[str, Row] = {}
    if options.rows and options.rows.is_file():
        done = {row["id"]: row for row in map(json.loads, options.rows.read_text(encoding="utf-8").splitlines())}
    examples = open_photos(count=options.photos)
    found: dict[str, list[Row]] = {name: [] for name in tried}
    for example in sorted((examples[number] for number in range(len(examples))), key=lambda one: one.id):
        for name, way in tried.items():
            key = f"{example.id} {name}"
            row = done.get(key) or {"id": key} | edited(editor, example, way, options.steps)
            if key not in done and options.rows:
                with options.rows.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(row) + "\n")
            found[name].append(row)
        print(example.id, {name: (rows[-1]["right"], rows[-1]["l1"]) for name, rows in found.items()}, flush=True)
    print(json.dumps({name: summary(rows, found["plain, twice" if name.endswith("twice") else "plain"]) for name, rows in found.items()}))


def edited(editor: Editor, example: Example, way: Way, steps: int) -> Row:
    """One edit, judged."""
    assert example.judge
    assert example.edited
    engine, seed = Engine(way[1]), seed_of(example.id, Setting("ip2p"))
    picture = editor.edit(example.image()[None], example.instruction, steps=steps, seed=seed, text_scale=way[0], engine=engine)[0]
    l1 = float((picture - example.edited()).abs().mean())
    return {"right": float(example.judge(picture)["right"]), "l1": round(l1, 5), "passes": engine.counted.made}


def summary(rows: Sequence[Row], plain: Sequence[Row]) -> dict[str, Any]:
    """Means of a way, and its paired gain in distance over plain guidance with its 95% interval."""
    means = {name: round(mean([row[name] for row in rows]).value, 4) for name in ("right", "l1", "passes")}
    gain = mean([before["l1"] - row["l1"] for row, before in zip(rows, plain, strict=True)])
    return {"n": len(rows), **means, "l1_gain": [round(value, 4) for value in (gain.value, gain.low, gain.high)]}


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="embedded", help="a checkpoint, or `embedded` (default)")
    parser.add_argument("--photos", type=int, default=33, help="edits of bundled photos (default 33)")
    parser.add_argument("--steps", type=int, default=12, help="steps of every edit (default 12)")
    parser.add_argument("--rows", type=Path, help="a file that keeps each edit's row")
    return parser.parse_args()


if __name__ == "__main__":
    main()
