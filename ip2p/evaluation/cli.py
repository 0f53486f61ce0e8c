# ruff: noqa: T201 - a command speaks to its user
"""The commands `evaluate`, `compare`, `measure` and `probe` (and, from `world_cli`, `world` and `judge`): results as files and tables."""

import argparse
import logging
import sys
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import options as options_of
from . import world_cli
from .settings import FIGURE_8, Setting, grid, seeds

if TYPE_CHECKING:
    from ..metrics.measures import Measures
    from .rows import Row
    from .run import EditFunction

MEASURED_BY = ("clip", "dino", "lpips", "structure", "input_range", "structure_range", "crop")
"""The options that decide what the metrics say."""
REASONS = 10
"""Reasons of failures that are told at the end; the lines of the results have all."""
CELLS = (32, 2048)
"""Sides of a picture on a sheet, in pixels."""


def add_arguments(name: str, parser: argparse.ArgumentParser) -> None:
    """The options of one of the commands, and what runs it."""
    arguments, run = {
        "evaluate": (options_of.evaluate_arguments, run_evaluate),
        "compare": (options_of.compare_arguments, run_compare),
        "measure": (options_of.measure_arguments, run_measure),
        "probe": (options_of.probe_arguments, run_probe),
        "world": (world_cli.world_arguments, world_cli.run_world),
        "judge": (world_cli.judge_arguments, world_cli.run_judge),
    }[name]
    arguments(parser)
    parser.set_defaults(run=run)


def settings_of(options: argparse.Namespace) -> list[Setting]:
    """The grid that the options ask for. Raises ValueError."""
    editors = [name.strip() for name in options.editor.split(",") if name.strip()]
    values = {name: getattr(options, name) for name in (*FIGURE_8, "steps")}
    return grid(editors, values, seeds(options.seed))


def editors_of(options: argparse.Namespace) -> "dict[str, EditFunction]":
    """The editors that the options make possible; models are loaded when they are first needed."""
    from ..latent_model import LARGEST, SMALLEST
    from .editors import edit_functions

    if options.edit_size and not SMALLEST <= options.edit_size <= LARGEST:
        raise ValueError(f"The edit size is {options.edit_size} pixels; use {SMALLEST} to {LARGEST}, or 0 for the model's own.")

    def editor() -> Any:
        from ..edit import Editor

        return Editor.load(options.model, options.weights, options.device)

    def text_to_image(path: str) -> Callable[[], Any]:
        def load() -> Any:
            from ..text_to_image import TextToImage

            return TextToImage.load(path, options.weights, options.device)

        return load

    general = text_to_image(options.sdedit_model or options.model)
    own = text_to_image(options.prompt_model) if options.prompt_model else None
    return edit_functions(editor, general, own, size=options.edit_size, sampler=options.sampler)


def measures_of(options: argparse.Namespace) -> "Measures":
    """The metrics that the options ask for. Raises ValueError for a network that is not there."""
    from ..metrics.measures import Measures

    return Measures.load(**{name: getattr(options, name) for name in (*MEASURED_BY, "device", "cache")})


def conditions_of(options: argparse.Namespace, data: str) -> dict[str, Any]:
    """All that decides the numbers of a run besides examples and settings."""
    names = ("model", "sdedit_model", "prompt_model", "weights", "sampler", "edit_size", *MEASURED_BY)
    stated = {name: getattr(options, name) for name in names}
    model = Path(options.model)
    return {"data": data, "size": options.size, **stated, "model_bytes": model.stat().st_size if model.is_file() else 0}


def run_evaluate(options: argparse.Namespace) -> int:
    """`evaluate`: returns 0, or 1 where edits failed. Raises ValueError for a mistake in the command."""
    settings = settings_of(options)
    from ..data.open import open_dataset

    data = open_dataset(options.data, options.count, options.size, options.skip_bad)
    for reason in data.skipped:
        print(f"skipped: {reason}", file=sys.stderr)
    rows = _run(options, data, settings, measures_of(options), conditions_of(options, data.name))
    from .report import write

    print(write(options.out, data, settings, rows, per_kind=options.per_kind, pictures=options.pictures).text())
    return _closed(options, rows, len(data.skipped))


def _run(options: argparse.Namespace, data: Any, settings: Sequence[Setting], measures: Any, conditions: dict[str, Any]) -> "list[Row]":
    """The run with a bar of progress on stderr."""
    from tqdm import tqdm

    from .run import evaluate

    logging.getLogger("ip2p.edit").setLevel(logging.WARNING)  # the bar says enough
    logging.getLogger("ip2p.text_to_image").setLevel(logging.WARNING)
    with tqdm(total=len(data) * len(settings), desc=data.name, unit="edit", disable=None) as bar:

        def show(done: int, total: int, row: Any) -> None:
            bar.update(done - bar.n)
            bar.set_postfix_str(row.setting.label, refresh=False)

        return evaluate(data, settings, editors_of(options), measures, options.out, show, conditions=conditions, pictures=options.pictures)


def _closed(options: argparse.Namespace, rows: "Sequence[Row]", skipped: int = 0) -> int:
    """Say where the results are and what failed."""
    failed = [row for row in rows if row.error]
    reasons: dict[str, list[str]] = {}
    for row in failed:
        reasons.setdefault(row.error, []).append(row.example)
    for reason, examples in islice(reasons.items(), REASONS):
        more = f" ({len(examples)} edits)" if len(examples) > 1 else ""
        print(f"failed: {examples[0]}: {reason}{more}", file=sys.stderr)
    counts = f"{len(rows) - len(failed)} edits measured, {len(failed)} failed, {skipped} skipped"
    print(f"{options.out}: {counts}", file=sys.stderr)
    return 1 if failed else 0


def run_probe(options: argparse.Namespace) -> int:
    """`probe`: returns 0, or 1 where edits failed. Raises ValueError."""
    settings = settings_of(options)
    if options.count < 0 or options.size < 0:
        raise ValueError(f"A count of {options.count} and a size of {options.size} can't be had: use 0 or more.")
    from . import probes
    from .report import write_table

    if options.what == "bias":
        if not options.images or not options.clip:
            raise ValueError("The bias probe needs portraits with --images and a CLIP with --clip.")
        data, measures = probes.bias_examples(options.images, options.size), _association(options)
    else:
        data = probes.picture_limits(options.images, options.size) if options.images else probes.world_limits(options.count, options.size)
        measures = measures_of(options)
    rows = _run(options, data, settings, measures, conditions_of(options, data.name))
    found = probes.REPORTS[options.what](rows)
    write_table(found, options.out / options.what)
    if options.pictures:
        from .report import write_sheet

        write_sheet(options.out, data, settings, rows)
    print(found.text())
    return _closed(options, rows)


def _association(options: argparse.Namespace) -> Any:
    from ..metrics.clip import Clip
    from .probes import Association

    return Association(Clip.load(options.clip, options.input_range, options.device, options.crop))


def run_compare(options: argparse.Namespace) -> int:
    """`compare`: returns 0, or 1 where an editor failed. Raises ValueError."""
    settings = settings_of(options) if options.editor.strip() else []
    from ..data.example import Example
    from ..data.opening import mask_file, picture_file
    from ..pictures import open_picture, picture_format, save_picture
    from .compare import compare, strip
    from .sheet import sheet

    picture_format(options.out)
    if not CELLS[0] <= options.cell <= CELLS[1]:
        raise ValueError(f"A picture of {options.cell} pixels can't stand on a sheet; use {CELLS[0]} to {CELLS[1]}.")
    named = [_named(text) for text in options.others]
    if len(dict(named)) < len(named) or not (named or settings):
        raise ValueError("There is nothing to compare, or two pictures have one name: name editors, or each picture as NAME=FILE.png.")
    example = Example(
        id=options.image.name,
        instruction=options.instruction,
        image=picture_file(options.image),
        caption=options.caption,
        edited_caption=options.edited_caption,
        edited=picture_file(options.target) if options.target else None,
        mask=mask_file(options.mask, options.image) if options.mask else None,
    )
    others = {name: open_picture(Path(path))[0] for name, path in named}
    from tqdm import tqdm

    with tqdm(total=len(settings) + len(others), unit="picture", disable=None) as bar:

        def show(done: int, total: int, name: str) -> None:
            bar.update(done - bar.n)

        results = compare(example, settings, editors_of(options), measures_of(options), others, show)
    save_picture(sheet([strip(example, results)], options.cell), options.out)
    for one in results:
        said = one.error or "  ".join(f"{name} {value:.4f}" for name, value in one.numbers.items())
        print(f"{one.name.replace(chr(10), ', ')}: {said}")
    print(f"{options.out}", file=sys.stderr)
    return 1 if any(one.error for one in results) else 0


def _named(text: str) -> tuple[str, str]:
    name, found, path = text.partition("=")
    if not found or not name or not path:
        raise ValueError(f"{text!r} names no picture: write NAME=FILE.png.")
    return name, path


def run_measure(options: argparse.Namespace) -> int:
    """`measure`: prints a line for each column. Raises ValueError."""
    import json

    from ..data.opening import mask_file
    from ..pictures import open_picture

    source, result = open_picture(options.source)[0], open_picture(options.result)[0]
    target = open_picture(options.target)[0] if options.target else None
    mask = mask_file(options.mask, options.source)() if options.mask else None
    found = measures_of(options)(source, result, target, mask, options.caption, options.edited_caption)
    width = max(map(len, found))
    print(json.dumps(found) if options.json else "\n".join(f"{name:{width}}  {value:.4f}" for name, value in found.items()))
    return 0
