# ruff: noqa: T201 - a command speaks to its user
"""The commands `export` (a run or a model in another form) and `merge` (a custom model turned into an editor)."""

import argparse
import math
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .checkpoint import Checkpoint

FORMS = ("ldm", "diffusers", "lora", "delta")


def add_arguments(name: str, parser: argparse.ArgumentParser) -> None:
    """The options of one of the commands, and what runs it."""
    {"export": _export_arguments, "merge": _merge_arguments}[name](parser)
    parser.set_defaults(run={"export": run_export, "merge": run_merge}[name])


def _export_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("source", type=Path, metavar="RUN|MODEL", help="the folder of a training run, or a model's file or diffusers folder")
    add("--out", type=Path, required=True, metavar="PATH", help="the file (diffusers: the folder) to write")
    add("--form", choices=FORMS, default="ldm", help="ldm: one .safetensors file that ComfyUI loads (default)")
    add("--weights", choices=("ema", "raw", "both"), default="ema", help="averaged (default) or raw; both: side by side (ldm of a run)")
    add("--precision", choices=("fp16", "fp32"), default="fp16", help="default fp16")
    add("--checkpoint", default="last", metavar="last|best|STEP", help="of a run: which checkpoint (default last)")
    add("--base", type=Path, metavar="MODEL", help="delta of a model: what it was made from")


def _merge_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--custom", type=Path, required=True, metavar="MODEL", help="the text-to-image model that becomes an editor")
    add("--editor", type=Path, metavar="MODEL", help="an InstructPix2Pix model of the same family")
    add("--base", type=Path, metavar="MODEL", help="the text-to-image model that the editor was made from, such as SD 1.5")
    add("--change", type=Path, metavar="FILE", help="instead of --editor and --base: an editor's LoRA or delta")
    add("--out", type=Path, required=True, metavar="FILE.safetensors", help="the file to write")
    add("--strength", type=float, default=1.0, metavar="S", help="how much of the difference (default 1)")
    add("--weights", choices=("ema", "raw"), default="ema", help="which to take where a file has both (default ema)")
    add(
        "--precision",
        choices=("same", "fp16", "fp32"),
        default="same",
        help="default: the editor's own, or the custom model's for --change",
    )


def run_export(options: argparse.Namespace) -> int:
    """`export`. Raises ValueError for a mistake in the command."""
    if options.form != "diffusers":
        _check_file(options.out)
    if (options.source / "config.yaml").is_file():
        _export_run(options)
    else:
        _export_model(options)
    print(options.out)
    return 0


def _export_run(options: argparse.Namespace) -> None:
    from .training.export import of_run

    which = options.checkpoint if options.checkpoint in ("last", "best") else _step(options.checkpoint)
    of_run(options.source, options.out, options.form, options.weights, options.precision, which)


def _step(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise ValueError(f"The checkpoint {text!r} is unknown: use last, best or a number of steps.") from None


def _export_model(options: argparse.Namespace) -> None:
    from . import checkpoint
    from .training import export

    if options.weights == "both":
        raise ValueError("Both sets of weights can be written of a training run only: choose --weights ema or raw.")
    found = checkpoint.read(options.source, options.weights, editor=options.form != "diffusers")
    if options.form == "lora":
        raise ValueError("A LoRA can be written of a training run only: name the run's folder, or choose --form delta with --base.")
    if options.form == "ldm":
        export.write_ldm(options.out, found, options.precision)
    elif options.form == "diffusers":
        export.write_diffusers(options.out, found, options.precision)
    elif options.base is None:
        raise ValueError("A delta is the difference to another model: name the one that this editor was made from with --base.")
    else:
        export.write_delta(options.out, found, checkpoint.read(options.base, options.weights, editor=False), options.precision)


def run_merge(options: argparse.Namespace) -> int:
    """`merge`. Raises ValueError for a mistake in the command."""
    if (options.change is None) == (options.editor is None) or (options.editor is None) != (options.base is None):
        raise ValueError("A merge needs --editor and --base, or --change alone: name an editor and the model that it was made from.")
    if not math.isfinite(options.strength):
        raise ValueError(f"The strength is {options.strength}; use a number such as 1.")
    _check_file(options.out)
    from . import checkpoint
    from .training.export import in_precision

    merged = _merged(options)
    checkpoint.write(options.out, in_precision(merged.state, options.precision), merged.settings)
    print(options.out)
    return 0


def _check_file(path: Path) -> None:
    if path.suffix != ".safetensors" or path.is_dir():
        raise ValueError(f"{path} can't be the file to write: choose a name that ends in .safetensors.")


def _merged(options: argparse.Namespace) -> "Checkpoint":
    from . import merge

    if options.change:
        return merge.add_file(options.custom, options.change, options.strength, options.weights)
    return merge.merge_files(options.custom, options.editor, options.base, options.strength, options.weights)
