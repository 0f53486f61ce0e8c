# ruff: noqa: T201 - a command speaks to its user
"""`python -m ip2p sweep PHOTO "instruction"`: every pair of both scales on one labelled sheet."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

    from .edit import Editor
    from .sweep import Sweep

TEXT_SCALES, IMAGE_SCALES = "3, 5, 7.5, 10", "1, 1.25, 1.5, 2"
STEPS = 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    add = parser.add_argument
    add("image", type=Path, metavar="PHOTO", help="the picture to edit")
    add("instruction", metavar="TEXT", help='what to do, for example "make it night"')
    add("--out", type=Path, default=Path("sweep.png"), metavar="SHEET.png", help="where the sheet goes (default sweep.png)")
    add("--cells", type=Path, metavar="FOLDER", help="also keep every cell's picture and the numbers (cells.json) there")
    add("--text-scales", default=TEXT_SCALES, metavar="S", help=f"such as 5, or 3,7.5, or 2:8:2 (default {TEXT_SCALES})")
    add("--image-scales", default=IMAGE_SCALES, metavar="S", help=f"the same for the picture (default {IMAGE_SCALES})")
    add("--caption", default="", metavar="TEXT", help="what the picture shows, for CLIP's direction")
    add("--edited-caption", default="", metavar="TEXT", help="what the edit should show")
    add("--clip", default="", metavar="NAME", help="a CLIP by public name or folder: measures every cell")
    add("--negative", default="", metavar="TEXT", help="what to steer away from")
    add("--steps", type=int, default=STEPS, metavar="N", help=f"sampling steps of every cell (default {STEPS})")
    add("--seed", type=int, default=0, metavar="N", help="the noise of every cell (default 0)")
    add("--size", type=int, default=0, metavar="PX", help="long side while editing (default 0: the model's own)")
    add("--sampler", default="euler_ancestral", choices=("euler_ancestral", "euler"), help="default euler_ancestral")
    add(
        "--speed", default="exact", choices=("exact", "balanced", "fast"), help="balanced, fast: fewer passes in every cell (default exact)"
    )
    add("--rows", type=int, default=0, metavar="N", help="most cells that run together (default 0: as many as a megapixel holds)")
    add("--cell", type=int, default=256, metavar="PX", help="longest side of a picture on the sheet (default 256)")
    add("--model", default="embedded", metavar="PATH", help="a checkpoint, a diffusers folder, or `embedded` (default)")
    add("--weights", default="ema", choices=("ema", "raw"), help="which to take where a file has both (default ema)")
    add("--device", default="auto", help="auto (default), cpu, cuda or mps")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Sweep, write the sheet, and say what it took. Raises ValueError for a mistake in the command."""
    from .evaluation.scales_sheet import scales_sheet
    from .pictures import open_picture, picture_format, save_picture
    from .sweep import grid

    picture_format(options.out)
    scales, picture = grid(options.text_scales, options.image_scales), open_picture(options.image)
    from .edit import Editor

    found = swept(Editor.load(options.model, options.weights, options.device), picture, scales, options)
    rows = measured(found, picture[0], options)
    notes = [note(row) for row in rows]
    below = ("source", f"seed {options.seed}, {options.steps} steps", str(found))
    sheet = scales_sheet(found.grid, found.pictures, picture[0], f"“{options.instruction}”", below, notes, cell=options.cell)
    save_picture(sheet, options.out)
    if options.cells:
        keep(found, rows, options.cells)
    print(f"{options.out} ({sheet.shape[1]} x {sheet.shape[0]}): {found}", flush=True)
    return 0


def swept(editor: "Editor", picture: "Tensor", scales: Any, options: argparse.Namespace) -> "Sweep":
    """The sweep, with a progress bar."""
    from tqdm import tqdm

    from . import presets
    from .sweep import sweep

    with tqdm(desc="sweep", unit="step", leave=False, disable=None, file=sys.stderr) as bar:

        def show(done: int, total: int, _: object) -> None:
            bar.total = total
            bar.update(done - bar.n)

        names = ("negative", "steps", "seed", "size", "sampler", "rows")
        told = {name: getattr(options, name) for name in names}
        refresh = presets.find(options.speed).refresh
        return sweep(editor, picture, options.instruction, scales, on_step=show, parts=(refresh,), **told)


def measured(found: "Sweep", source: "Tensor", options: argparse.Namespace) -> list[dict[str, float]]:
    """The numbers of each cell where a CLIP is named, else none."""
    if not options.clip:
        return []
    from .metrics.measures import Item, Measures

    measures = Measures.load(clip=options.clip, device=options.device)
    return measures.batch([Item(source, cell, None, None, options.caption, options.edited_caption) for cell in found.pictures])


def note(row: dict[str, float]) -> Sequence[str]:
    """The lines under a cell."""
    from .evaluation.compare import lines

    return lines(row)


def keep(found: "Sweep", rows: list[dict[str, float]], folder: Path) -> None:
    """Every cell as PNG, named by its scales, and cells.json with what is known of it."""
    from .pictures import save_picture

    known = []
    for number, (text, image) in enumerate(found.grid.pairs):
        name = f"text_{text:g}_image_{image:g}.png"
        save_picture(found.pictures[number], folder / name)
        known.append({"file": name, "text_scale": text, "image_scale": image, **(rows[number] if rows else {})})
    part = folder / ".cells.json"
    part.write_text(json.dumps(known, indent=1), encoding="utf-8")
    part.replace(folder / "cells.json")
