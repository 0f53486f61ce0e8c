# ruff: noqa: T201 - a command speaks to its user
"""The commands `variations` (several seeds) and `chain` (instructions one after another)."""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .presets import SPEEDS
from .stages import BETWEEN

if TYPE_CHECKING:
    from torch import Tensor

    from .edit import Editor

SHARED = ("negative", "steps", "seed", "text_scale", "image_scale", "size", "sampler", "speed")


def add_arguments(name: str, parser: argparse.ArgumentParser) -> None:
    """The options of one of the commands, and what runs it."""
    add = parser.add_argument
    add("image", type=Path, metavar="PHOTO", help="the picture to edit")
    if name == "variations":
        add("instruction", metavar="TEXT", help='what to do, for example "make it night"')
        add("--count", type=int, default=8, metavar="N", help="how many versions (default 8)")
    else:
        add("instructions", nargs="+", metavar="TEXT", help='what to do, in order; "make it night | text 5 image 1.2 seed 7" sets its own')
        add(
            "--between",
            default=BETWEEN[0],
            choices=BETWEEN,
            help="what a stage hands on: its latent (default), or its picture encoded again",
        )
        add("--seconds", type=float, default=1.0, metavar="S", help="how long the animated picture shows each stage (default 1)")
    add("--out", type=Path, default=Path(name), metavar="FOLDER", help=f"where the pictures go (default {name})")
    add("--cell", type=int, default=256, metavar="PX", help="longest side of a picture on the sheet (default 256)")
    add("--negative", default="", metavar="TEXT", help="what to steer away from")
    add("--steps", type=int, metavar="N", help="sampling steps of each edit (default: the model's own, or 30)")
    add("--seed", type=int, default=0, metavar="N", help="the first seed; each further edit takes the next (default 0)")
    add("--text-scale", type=float, metavar="S", help="how strongly to follow the instruction (default: the model's own, or 7.5)")
    add("--image-scale", type=float, metavar="S", help="how strongly to keep to the picture (default: the model's own, or 1.5)")
    add("--speed", default="exact", choices=SPEEDS, help="balanced: half the passes; fast: a quarter, in 12 steps")
    add("--size", type=int, default=0, metavar="PX", help="long side while editing (default 0: the model's own)")
    add("--sampler", default="euler_ancestral", choices=("euler_ancestral", "euler"), help="default euler_ancestral")
    add("--model", default="embedded", metavar="PATH", help="a checkpoint, a diffusers folder, or `embedded` (default)")
    add("--adapter", metavar="FILE", help="a one-pass adapter for the model (`embedded`: the embedded model's)")
    add("--lora", metavar="FILE", help="a LoRA or delta for the model")
    add("--weights", default="ema", choices=("ema", "raw"), help="which to take where a file has both (default ema)")
    add("--device", default="auto", help="auto (default), cpu, cuda or mps")
    parser.set_defaults(run={"variations": run_variations, "chain": run_chain}[name])


def run_variations(options: argparse.Namespace) -> int:
    """`variations`: a picture for each seed, and the sheet. Raises ValueError for a mistake in the command."""
    from .pictures import open_picture
    from .series_sheet import variations_sheet
    from .variations import seeds, variations

    drawn = seeds(options.seed, options.count)
    picture = open_picture(options.image)
    editor = _editor(options)
    made = _watched(lambda show: variations(editor, picture, options.instruction, options.count, on_step=show, **_shared(options)))
    _keep(options.out, [(f"seed_{seed}.png", one) for seed, one in zip(drawn, made, strict=True)])
    _keep(options.out, [("sheet.png", variations_sheet(options.instruction, drawn, made, options.cell))])
    return 0


def run_chain(options: argparse.Namespace) -> int:
    """`chain`: a picture for each stage, the sheet, and the animated picture. Raises ValueError for a mistake in the command."""
    from .chain import chain
    from .pictures import open_picture
    from .series_sheet import chain_sheet
    from .stages import parse

    if not 0.05 <= options.seconds <= 60:
        raise ValueError(f"A stage can't be shown for {options.seconds} seconds; use 0.05 to 60.")
    stages = parse("\n".join(options.instructions))
    picture = open_picture(options.image)
    editor = _editor(options)
    made = _watched(lambda show: chain(editor, picture, stages, on_step=show, between=options.between, **_shared(options)))
    pictures = [one[0] for one in made]
    _keep(options.out, [(f"{number}.png", one) for number, one in enumerate(pictures, start=1)])
    _keep(options.out, [("sheet.png", chain_sheet(picture[0], stages, pictures, options.cell))])
    animate(options.out / "chain.webp", [picture[0], *pictures], options.seconds)
    print(options.out / "chain.webp", flush=True)
    return 0


def animate(path: Path, pictures: "Sequence[Tensor]", seconds: float) -> None:
    """Write pictures (H, W, 3) as an animated WebP that shows each for so long; beside its place first."""
    from .pictures import to_pil

    first, *rest = (to_pil(picture) for picture in pictures)
    part = path.with_name(f".{path.name}.part")
    try:
        first.save(part, format="WEBP", save_all=True, append_images=rest, duration=round(1000 * seconds), loop=0, quality=90)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _editor(options: argparse.Namespace) -> "Editor":
    from .edit import Editor

    return Editor.load(options.model, options.weights, options.device, options.lora, options.adapter)


def _shared(options: argparse.Namespace) -> dict[str, Any]:
    return {name: getattr(options, name) for name in SHARED}


def _watched(make: Callable[[Callable[[int, int, object], None]], Any]) -> Any:
    """What is made, with a progress bar."""
    from tqdm import tqdm

    with tqdm(unit="step", leave=False, disable=None, file=sys.stderr) as bar:

        def show(done: int, total: int, _: object) -> None:
            bar.total = total
            bar.update(done - bar.n)

        return make(show)


def _keep(folder: Path, pictures: "Sequence[tuple[str, Tensor]]") -> None:
    from .pictures import save_picture

    for name, picture in pictures:
        save_picture(picture, folder / name)
        print(folder / name, flush=True)
