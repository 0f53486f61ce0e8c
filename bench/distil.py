"""Guidance distilled into one pass: `python bench/distil.py [--photos DIR_OR_TAR] [--count N] [--world N]`.

Held-out photos are edited in every way by instructions that training never read, and single things of drawn scenes with `--world`: by the
editor as it is (three passes a step, its own number of steps; with `--same` also as few steps as the other), and with the one-pass adapter
(one pass a step, 8 steps), at the same scales, from the same noise. Each edit is judged as `bench/editor.py` judges it. Then the two take
turns over an edit for the time. The last line is one JSON object.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import torch

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from ip2p.data.example import Example  # noqa: E402
from ip2p.data.open import open_dataset  # noqa: E402
from ip2p.edit import Editor  # noqa: E402
from ip2p.training.validation import Validation  # noqa: E402

LOCAL = "world:recolour,material,replace,add,remove"
AT_ONCE = 16
ROUNDS = 5
Counts = dict[str, list[float]]


def main() -> None:
    options = _options()
    exact = Editor.load(options.model, device=options.device)
    one = exact.with_adapter(options.adapter)
    own = options.exact_steps or int(exact.default("steps", 30))
    scales = (options.text_scale or exact.default("text_scale", 7.5), options.image_scale or exact.default("image_scale", 1.5))
    ways = {"one_pass": (one, options.steps), "exact": (exact, own)} | (
        {"exact_same_steps": (exact, options.steps)} if options.same else {}
    )
    found: Counts = {name: [] for name in ways}
    kinds: list[str] = []
    for chunk in _chunks(_examples(options, exact.size)):
        for name, right in _judged(chunk, ways, scales).items():
            found[name] += right
        kinds += [example.kind for example in chunk]
        print(", ".join(f"{name} {statistics.mean(right):.1%}" for name, right in found.items()), f"of {len(kinds)} edits", flush=True)
    _print(found, kinds)
    ratio = _time_ratio(exact, one, own, options.steps, scales, options.rounds)
    print(json.dumps(_summary(found, options.steps, 3 * own, scales, ratio)))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="embedded", help="the editor that was distilled")
    parser.add_argument("--adapter", default="embedded", help="the adapter's file")
    parser.add_argument("--photos", help="folder or tar; only its held-out photos are used (default: the bundled free photos)")
    parser.add_argument("--count", type=int, default=0, help="edits of photos (0: every kind of every photo)")
    parser.add_argument("--world", type=int, default=0, help="edits of single things in drawn scenes (default none)")
    parser.add_argument("--steps", type=int, default=8, help="steps, and so passes, with the adapter (default 8)")
    parser.add_argument("--exact-steps", type=int, default=0, help="steps without it (default: the editor's own)")
    parser.add_argument("--same", action="store_true", help="also three passes at as few steps")
    parser.add_argument("--text-scale", type=float, default=0.0, help="default: the editor's own")
    parser.add_argument("--image-scale", type=float, default=0.0, help="default: the editor's own")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="turns that the time is taken in")
    parser.add_argument("--device", default="auto", help="auto (default), cpu, cuda or mps")
    return parser.parse_args()


def _examples(options: argparse.Namespace, size: int) -> list[Example]:
    photos = list(open_dataset(f"photos:{options.photos}" if options.photos else "photos", options.count, size))
    return photos + (list(open_dataset(LOCAL, options.world, size)) if options.world else [])


def _chunks(examples: Sequence[Example]) -> Iterator[Sequence[Example]]:
    for start in range(0, len(examples), AT_ONCE):
        yield examples[start : start + AT_ONCE]


def _judged(chunk: Sequence[Example], ways: Mapping[str, tuple[Editor, int]], scales: tuple[float, float]) -> Counts:
    """1 for each edit that is right, 0 for each that is not, in each way."""
    right: Counts = {name: [] for name in ways}
    for name, (editor, steps) in ways.items():
        judged: list[float] = right[name]

        def noting(example: Example, judged: list[float] = judged) -> Example:
            def judge(result: torch.Tensor) -> Mapping[str, float]:
                assert example.judge is not None
                judged.append(float(example.judge(result)["right"]))
                return {"right": judged[-1]}

            return Example(example.id, example.instruction, example.image, kind=example.kind, judge=judge)

        Validation([noting(example) for example in chunk], editor, scales[:1], scales[1:], steps)(editor.unet)
    return right


def _print(found: Counts, kinds: Sequence[str]) -> None:
    for kind in dict.fromkeys(kinds):
        rows = [number for number, one in enumerate(kinds) if one == kind]
        shares = (f"{name} {statistics.mean(right[row] for row in rows):6.1%}" for name, right in found.items())
        print(f"  {kind:16s} {'  '.join(shares)}  of {len(rows)}")


def _time_ratio(exact: Editor, one: Editor, own: int, steps: int, scales: tuple[float, float], rounds: int) -> float:
    """The median over turns of the time of an edit in one pass a step over that of an edit in three."""
    picture = torch.rand(1, exact.size, exact.size, 3, generator=torch.Generator().manual_seed(0))

    def seconds(editor: Editor, number: int) -> float:
        started = time.perf_counter()
        editor.edit(picture, "make it snow", steps=number, text_scale=scales[0], image_scale=scales[1])
        return time.perf_counter() - started

    seconds(one, 1), seconds(exact, 1)  # the first call of each prepares things
    return statistics.median(seconds(one, steps) / seconds(exact, own) for _ in range(max(1, rounds)))


def _summary(found: Counts, passes: int, passes_exact: int, scales: tuple[float, float], ratio: float) -> dict[str, object]:
    means = {name: round(statistics.mean(right), 4) for name, right in found.items()}
    same = {"success_exact_same_steps": means["exact_same_steps"]} if "exact_same_steps" in means else {}
    return {
        "success": means["one_pass"],
        "success_exact": means["exact"],
        **same,
        "passes": passes,
        "passes_exact": passes_exact,
        "n": len(found["exact"]),
        "text_scale": scales[0],
        "image_scale": scales[1],
        "time_over_exact": round(ratio, 4),
    }


if __name__ == "__main__":
    main()
