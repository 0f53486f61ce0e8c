"""How often the embedded editor does what it is told: `python bench/editor.py [--photos DIR_OR_TAR] [--count N]`.

Every photo is edited once per kind of edit, by an instruction that training never read. An edit succeeds when the result is nearer to the
right answer of the asked kind than to the untouched photo and to every other kind's right answer. "No change" succeeds when the result is
nearest to the photo. The last line is one JSON object.
"""

import argparse
import json
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from ip2p.checkpoint import EMBEDDED  # noqa: E402
from ip2p.data.photo_files import Photo  # noqa: E402
from ip2p.data.photos import Answers, answers_of, held_out_instruction, photos_from  # noqa: E402
from ip2p.edit import Editor  # noqa: E402
from ip2p.metrics.perceptual import Perceptual  # noqa: E402
from ip2p.worlds.photo_operators import KINDS  # noqa: E402

Nearest = Callable[[np.ndarray, Answers], str]
"""The kind whose right answer is nearest to a result."""


@dataclass(frozen=True)
class Judged:
    """One edit: what was asked, and of which kind's answer the result, and the untouched photo, are nearest."""

    kind: str
    instruction: str
    result: str
    nothing: str


def main() -> None:
    options = _options()
    editor = Editor.load(options.model)
    judges: dict[str, Nearest] = {"colour_edge": lambda result, answers: answers.nearest(result)}
    if options.lpips:
        judges["lpips"] = _perceptual(options.lpips)
    started = time.perf_counter()
    judged: dict[str, list[Judged]] = defaultdict(list)
    for photo in _photos(options):
        for name, one in _judge(editor, photo, judges, options):
            judged[name].append(one)
        print(f"{photo.name}: {_rate(judged['colour_edge']):.1%} right so far ({time.perf_counter() - started:.0f} s)", flush=True)
    for name, results in judged.items():
        _print(name, results)
    print(json.dumps(_summary(judged, Path(options.model) if options.model != "embedded" else EMBEDDED)))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, help="folder or tar; only its held-out photos are used (default: the bundled free photos)")
    parser.add_argument("--count", type=int, default=0, help="use only this many photos (0: all)")
    parser.add_argument("--kinds", nargs="*", choices=KINDS, default=KINDS, help="edit only these kinds")
    parser.add_argument("--model", default="embedded", help="checkpoint to measure")
    parser.add_argument("--steps", type=int, help="sampling steps (default: the model's own)")
    parser.add_argument("--text-scale", type=float, help="default: the model's own")
    parser.add_argument("--image-scale", type=float, help="default: the model's own")
    parser.add_argument("--lpips", type=Path, help="LPIPS weights (see ip2p/metrics/perceptual.py), to judge by these too")
    parser.add_argument("--save", type=Path, help="folder for the pictures")
    return parser.parse_args()


def _photos(options: argparse.Namespace) -> Iterable[Photo]:
    photos = photos_from(options.photos)
    return photos[: options.count] if options.count else photos


def _judge(editor: Editor, photo: Photo, judges: dict[str, Nearest], options: argparse.Namespace) -> Iterator[tuple[str, Judged]]:
    """Edit one photo in every way and judge in every way, at the editor's own size."""
    answers = answers_of(photo, editor.size)
    for number, kind in enumerate(options.kinds):
        instruction = held_out_instruction(kind, photo.name)
        result = _edit(editor, answers.source, instruction, number, options)
        if options.save:
            _save(options.save / f"{photo.name}_{kind}.png", [answers.source, result, answers.all[kind]])
        for name, nearest in judges.items():
            yield name, Judged(kind, instruction, nearest(result, answers), "unchanged")


def _edit(editor: Editor, source: np.ndarray, instruction: str, seed: int, options: argparse.Namespace) -> np.ndarray:
    scales: dict[str, Any] = {"text_scale": options.text_scale, "image_scale": options.image_scale, "steps": options.steps}
    return editor.edit(torch.from_numpy(source)[None], instruction, seed=seed, **scales)[0].numpy()


def _perceptual(weights: Path) -> Nearest:
    measure = Perceptual(weights)

    def nearest(result: np.ndarray, answers: Answers) -> str:
        with torch.no_grad():
            return min(answers.all, key=lambda kind: float(measure(_planes(result), _planes(answers.all[kind]))))

    return nearest


def _planes(picture: np.ndarray) -> torch.Tensor:
    """(1, 3, H, W) in [-1, 1]."""
    return torch.from_numpy(np.ascontiguousarray(picture, dtype=np.float32)).permute(2, 0, 1)[None] * 2 - 1


def _save(path: Path, row: list[np.ndarray]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray((np.concatenate(row, axis=1).clip(0, 1) * 255).round().astype(np.uint8)).save(path)


def _rate(results: list[Judged]) -> float:
    return sum(one.result == one.kind for one in results) / len(results)


def _per_kind(results: list[Judged]) -> dict[str, float]:
    kinds = list(dict.fromkeys(one.kind for one in results))
    return {kind: round(_rate([one for one in results if one.kind == kind]), 3) for kind in kinds}


def _print(name: str, results: list[Judged]) -> None:
    print(f"\nby {name}: {_rate(results):.1%} of {len(results)} edits right")
    for kind, rate in _per_kind(results).items():
        wrong = [f"{one.instruction!r} -> {one.result}" for one in results if one.kind == kind and one.result != kind]
        print(f"  {kind:16s} {rate:6.1%}  {'; '.join(wrong[:3])}")


def _summary(judged: dict[str, list[Judged]], model: Path) -> dict[str, Any]:
    """The figures. Doing nothing is nearest to "unchanged", so it is right only where that is asked."""
    results = judged["colour_edge"]
    edits = [one for one in results if one.kind != "unchanged"]
    summary = {
        "success": round(_rate(results), 4),
        "success_of_edits": round(_rate(edits), 4),
        "n": len(results),
        "kinds": len({one.kind for one in results}),
        "megabytes": round(model.stat().st_size / 1e6, 1),
        "success_of_doing_nothing": round(sum(one.nothing == one.kind for one in results) / len(results), 4),
        "per_kind": _per_kind(results),
    }
    if "lpips" in judged:
        summary["success_by_lpips"] = round(_rate(judged["lpips"]), 4)
    return summary


if __name__ == "__main__":
    main()
