# ruff: noqa: T201 - a command speaks to its user
"""The commands `world` (scenes, edits and right answers as files) and `judge` (verdicts on edited pictures of them)."""

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..worlds.tasks import Task
    from .sheet import Strip

ON_SHEET = 24


def world_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `world`."""
    add = parser.add_argument
    add("--out", type=Path, required=True, metavar="DIR", help="folder for ID_source.png, ID_edited.png, ID_mask.png and metadata.jsonl")
    add("--count", type=int, default=24, metavar="N", help="how many (default 24)")
    add("--kinds", default="", metavar="NAMES", help="kinds of edit, with commas (default: all but the known limits zoom, count, swap)")
    add("--size", type=int, default=256, metavar="PX", help="side of the pictures, 64 to 512 (default 256)")
    add("--seed", type=int, default=0, metavar="N", help="the first one's seed (default 0)")


def judge_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `judge`."""
    add = parser.add_argument
    add("results", type=Path, metavar="RESULTS", help="folder of edited pictures named ID.png, or one such picture")
    add("--world", type=Path, required=True, metavar="DIR", help="the folder that `world` wrote")
    add("--json", action="store_true", help="print a JSON object for each picture")


def run_world(options: argparse.Namespace) -> int:
    """`world`: returns 0. Raises ValueError for what can't be drawn or written."""
    from ..data.folder import METADATA
    from ..pictures import save_picture
    from ..worlds.edits import KINDS
    from .sheet import sheet

    kinds = tuple(kind.strip() for kind in options.kinds.split(",") if kind.strip()) or KINDS
    if options.count < 1:
        raise ValueError(f"{options.count} scenes can't be drawn: ask for 1 or more.")
    if options.seed < 0:
        raise ValueError(f"The seed is {options.seed}; use 0 or more.")
    try:
        options.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(f"The folder {options.out} can't be made ({error.strerror or error}): choose another place.") from error
    lines, strips = [], []
    for number in range(options.count):
        task = _task(options.seed + number, kinds[number % len(kinds)], options.size)
        lines.append(json.dumps(_written(options.out, task, options.seed + number)))
        if number < ON_SHEET:
            strips.append(_strip(task))
    new = options.out / f".{METADATA}"
    new.write_text("\n".join(lines) + "\n", encoding="utf-8")
    new.replace(options.out / METADATA)
    save_picture(sheet(strips, min(256, options.size)), options.out / "sheet.png")
    print(f"{options.out}: {options.count} scenes, {METADATA}, sheet.png")
    return 0


def _task(seed: int, kind: str, size: int) -> "Task":
    from ..worlds.tasks import random_task

    return random_task(seed, (kind,), size)


def _written(out: Path, task: "Task", seed: int) -> dict[str, Any]:
    """Save a task's pictures; its line for the metadata."""
    import torch

    from ..pictures import save_picture

    mask = torch.from_numpy(task.mask())[..., None].expand(-1, -1, 3)
    pictures = {"image": torch.from_numpy(task.source()), "edited": torch.from_numpy(task.answer()), "mask": mask}
    names = {"image": f"{task.id}_source.png", "edited": f"{task.id}_edited.png", "mask": f"{task.id}_mask.png"}
    for name, picture in pictures.items():
        save_picture(picture, out / names[name])
    words = {"instruction": task.instruction, "caption": task.caption, "edited_caption": task.edited_caption}
    return {"id": task.id, **names, **words, "kind": task.kind, "seed": seed, "size": task.size}


def _strip(task: "Task") -> "Strip":
    import torch

    from .sheet import Panel, Strip

    source, answer = torch.from_numpy(task.source()), torch.from_numpy(task.answer())
    shown = source * (0.25 + 0.75 * torch.from_numpy(task.mask())[..., None])
    panels = Panel(source, "Source"), Panel(answer, "Right answer"), Panel(shown, "May change")
    return Strip(f"{task.kind}: “{task.instruction}”", panels)


def run_judge(options: argparse.Namespace) -> int:
    """`judge`: prints a verdict for each picture, and how many are right; returns 0, or 1 where a picture can't be read.

    Raises ValueError for a folder it can't use.
    """
    from ..pictures import open_picture
    from ..worlds.judge import judge

    found, without = _pairs(options.results, options.world)
    verdicts, broken = [], 0
    for path, line in found:
        try:
            verdict = judge(open_picture(path)[0].numpy(), _task(line["seed"], line["kind"], line["size"]))
        except ValueError as error:
            print(f"failed: {line['id']}: {error}", file=sys.stderr)
            broken += 1
            continue
        verdicts.append(verdict)
        said = {"id": line["id"], "right": verdict.right, "done": verdict.done, "kept": verdict.kept, "reason": verdict.reason}
        print(json.dumps(said) if options.json else f"{'right' if verdict.right else 'wrong'}  {line['id']}: {verdict.reason}", flush=True)
    if verdicts and not options.json:
        right = sum(verdict.right for verdict in verdicts)
        print(f"{right} of {len(verdicts)} right ({right / len(verdicts):.1%})")
    if without and options.results.is_dir():
        print(f"{without} scenes of {options.world} have no picture in {options.results}", file=sys.stderr)
    return 1 if broken else 0


def _pairs(results: Path, world: Path) -> tuple[list[tuple[Path, dict[str, Any]]], int]:
    """(picture, its line of the metadata), in the metadata's order, and how many lines have none. Raises ValueError where all have none."""
    from ..data.folder import METADATA, read_lines
    from ..data.opening import PICTURES

    files = [results] if results.is_file() else sorted(results.glob("*"))
    pictures = {path.stem: path for path in files if path.suffix.lower() in PICTURES}
    lines = [line for _, line in read_lines(world / METADATA, False, []) if _is_task(line)]
    found = [(pictures[line["id"]], line) for line in lines if line["id"] in pictures]
    if not found:
        raise ValueError(f"No picture in {results} is named after an id of {world / METADATA}: name each result ID.png.")
    return found, len(lines) - len(found)


def _is_task(line: dict[str, Any]) -> bool:
    """Does a line say all that draws its scene again?"""
    numbers = isinstance(line.get("seed"), int) and isinstance(line.get("size"), int) and line["seed"] >= 0
    return numbers and isinstance(line.get("id"), str) and isinstance(line.get("kind"), str)
