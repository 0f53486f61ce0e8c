"""The options of the commands `evaluate`, `compare`, `measure` and `probe`."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .settings import FIGURE_8, PARAMETERS

Add = Callable[..., Any]


def _model_arguments(add: Add) -> None:
    add("--model", default="embedded", metavar="PATH", help="the editor: a checkpoint, a diffusers folder, or `embedded` (default)")
    add("--sdedit-model", default="", metavar="PATH", help="the text-to-image model for sdedit (default: the editor without its picture)")
    add("--prompt-model", default="", metavar="PATH", help="a personalised text-to-image model (DreamBooth) for prompt")
    add("--weights", default="ema", choices=("ema", "raw"), help="which to take where a file has both (default ema)")
    add("--sampler", default="euler_ancestral", choices=("euler_ancestral", "euler"), help="default euler_ancestral")
    add("--edit-size", type=int, default=0, metavar="PX", help="long side while editing (default 0: the model's own)")
    add("--device", default="auto", help="auto (default), cpu, cuda or mps")


def _grid_arguments(add: Add, editors: str) -> None:
    add("--editor", default=editors, metavar="NAMES", help=f"any of {', '.join(PARAMETERS)}, with commas (default {editors})")
    for name, default in FIGURE_8.items():
        add(f"--{name.replace('_', '-')}", default=default, metavar="N", help=f"7.5, or 1.0,1.5, or 1.0:2.2:0.2 (default {default})")
    add("--steps", default="", metavar="N", help="sampling steps (default: the model's own)")
    add("--seed", default="0", metavar="N", help="0 (default), or several with commas")


def _metric_arguments(add: Add) -> None:
    add("--clip", default="", metavar="NAME", help="a CLIP by name or folder, such as openai/clip-vit-large-patch14 (the paper's)")
    add("--dino", default="", metavar="NAME", help="a DINO by name or folder, such as facebook/dino-vits16")
    add("--lpips", default="", metavar="NAME", help="alex, vgg, squeeze, or a file of LPIPS weights")
    add("--structure", default="", metavar="NAME", help="a DINO for the structure distance (default: that of --dino)")
    add("--input-range", default="correct", choices=("correct", "paper_compat"), help="paper_compat: as the authors' script feeds CLIP")
    add(
        "--structure-range",
        default="correct",
        choices=("correct", "pie_compat"),
        help="pie_compat: as PIE-Bench's script feeds the structure distance",
    )
    add("--crop", action="store_true", help="CLIP sees the middle square, as MagicBrush's script does")
    add("--cache", type=Path, metavar="DIR", help="keep the features of pictures here")


def evaluate_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `evaluate`."""
    add = parser.add_argument
    add(
        "--data",
        default="world",
        metavar="SPEC",
        help="world (default), photos, photos:FOLDER, probes, a folder, or sessions:FOLDER (see the docs)",
    )
    add("--out", type=Path, required=True, metavar="DIR", help="where results go; the same command goes on where it stopped")
    add("--count", type=int, default=0, metavar="N", help="only the first N examples (default 0: all; 200 of the world)")
    add("--size", type=int, default=0, metavar="PX", help="long side of the data's pictures (default 0: as they are)")
    add("--skip-bad", action="store_true", help="leave out lines and files that can't be read")
    add("--pictures", action="store_true", help="keep every result as PNG, and make a sheet")
    add("--per-kind", action="store_true", help="a line of the table for each kind of edit")
    _model_arguments(add)
    _grid_arguments(add, "ip2p,sdedit")
    _metric_arguments(add)


def compare_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `compare`."""
    add = parser.add_argument
    add("--image", type=Path, required=True, metavar="IN", help="the picture to edit")
    add("--instruction", required=True, metavar="TEXT", help='what to do, for example "make it night"')
    add("--caption", default="", metavar="TEXT", help="what the picture shows, for the directional similarity")
    add("--edited-caption", default="", metavar="TEXT", help="what the edited picture shows; sdedit and prompt need it")
    add("--target", type=Path, metavar="PNG", help="the right answer, if known")
    add("--mask", type=Path, metavar="PNG", help="white where the picture may change")
    add("--with", dest="others", nargs="*", default=[], metavar="NAME=PNG", help="other results to stand beside")
    add("--out", type=Path, required=True, metavar="SHEET.png", help="where the sheet goes")
    add("--cell", type=int, default=256, metavar="PX", help="size of a picture on the sheet (default 256)")
    _model_arguments(add)
    _grid_arguments(add, "ip2p,fast,sdedit")
    parser.set_defaults(image_scale="1.5", strength="0.6")
    _metric_arguments(add)


def measure_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `measure`."""
    add = parser.add_argument
    add("source", type=Path, metavar="A.png", help="the picture before")
    add("result", type=Path, metavar="B.png", help="the picture after")
    add("--target", type=Path, metavar="PNG", help="the right answer, if known")
    add("--mask", type=Path, metavar="PNG", help="white where the picture may change")
    add("--caption", default="", metavar="TEXT", help="what A shows")
    add("--edited-caption", default="", metavar="TEXT", help="what B should show")
    add("--json", action="store_true", help="print one JSON object instead of lines")
    add("--device", default="auto", help="auto (default), cpu, cuda or mps")
    _metric_arguments(add)


def probe_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `probe`."""
    add = parser.add_argument
    add("what", choices=("limits", "bias"), help="limits: another view, counting, swapping, isolating; bias: professions and gender")
    add("--images", type=Path, metavar="DIR", help="your own pictures (limits: instead of the world; bias: portraits, needed)")
    add("--out", type=Path, required=True, metavar="DIR", help="where results go")
    add("--count", type=int, default=0, metavar="N", help="limits: edits of the world for each probe (default 50)")
    add("--size", type=int, default=0, metavar="PX", help="long side of the pictures (default 0: as they are)")
    add("--pictures", action="store_true", help="keep every result as PNG, and make a sheet")
    _model_arguments(add)
    _grid_arguments(add, "ip2p")
    parser.set_defaults(text_scale="", image_scale="")
    _metric_arguments(add)
