"""The command line: `python -m ip2p edit` (one picture or a file of jobs), `sdedit` (the baseline), `train`, and the measuring commands.

Results go to files, one line each to stdout, progress and messages to stderr. Exit codes: 0 done, 1 some jobs failed, 2 a mistake in
the command, which is named in one sentence.
"""

import argparse
import logging
import sys
import time
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .jobs import Job, read_jobs

if TYPE_CHECKING:
    from torch import Tensor

    from .edit import Editor

log = logging.getLogger(__name__)

MODELS = {
    "export": "a training run or a model as one file, a diffusers folder, a LoRA or a delta",
    "merge": "a custom Stable Diffusion model as an editor: custom + (editor - base), or custom + a LoRA or delta",
}
SERIES = {
    "variations": "one picture and one instruction under several seeds, and a sheet of them",
    "chain": "instructions one after another: a picture of each stage, a sheet and an animated picture",
}
FACTORY = {
    "captions": "edit triplets (caption, instruction, edited caption) from captions: a grammar, a language model or a server",
    "pairs": "pairs of pictures from edit triplets, with Prompt-to-Prompt, or from photos; goes on where it stopped",
    "filter": "score pairs with CLIP, keep the best of each prompt, and write a data set",
    "convert": "a data set in another layout, losslessly",
    "lint": "what is wrong with a data set, and how to repair it",
}
OPTIONS = {"captions": "captions", "pairs": "pairs", "filter": "pairs", "convert": "data", "lint": "data"}
"""Where the options of each are."""
MEASURING = {
    "evaluate": "edit a data set with many settings and measure it: lines, a table and a plot",
    "compare": "one picture and several editors, or any pictures, on one sheet with numbers",
    "measure": "how far two pictures are apart",
    "probe": "ask for what the method is known not to do, or look for bias",
    "world": "draw scenes of the world, edits of them and the right answers",
    "judge": "say of edited scenes of the world whether they are right",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns its exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    parser = _parser(next((word for word in arguments if not word.startswith("-")), ""))
    options = parser.parse_args(arguments)
    logging.basicConfig(stream=sys.stderr, format="%(message)s")
    logging.getLogger("ip2p").setLevel(logging.DEBUG if options.debug else logging.INFO)
    try:
        return int(options.run(options) or 0)
    except ValueError as error:
        return _refused(error)
    except KeyboardInterrupt:
        print("Stopped.", file=sys.stderr)
        return 130


def _refused(error: ValueError) -> int:
    log.debug("", exc_info=error)
    print(f"error: {error}", file=sys.stderr)
    return 2


def _parser(command: str) -> argparse.ArgumentParser:
    """The parser; the options of training and measuring are imported only when that is the command that runs."""
    parser = argparse.ArgumentParser("python -m ip2p", description="Edit pictures after written instructions (InstructPix2Pix).")
    parser.add_argument("--debug", action="store_true", help="also say what went wrong inside")
    commands = parser.add_subparsers(required=True, metavar="command")
    edit = commands.add_parser("edit", help="edit one picture, or many from a file of jobs", description="Edit pictures.")
    _edit_arguments(edit)
    sdedit = commands.add_parser("sdedit", help="SDEdit, the paper's baseline: noise a picture and denoise it under a caption")
    _sdedit_arguments(sdedit)
    sweep = commands.add_parser("sweep", help="one picture with many text and image scales, on one labelled sheet")
    if command == "sweep":
        from .sweep_cli import add_arguments as add_sweep

        add_sweep(sweep)
    for name, told in SERIES.items():
        series = commands.add_parser(name, help=told, description=f"{told[0].upper()}{told[1:]}.")
        if command == name:
            from .series_cli import add_arguments as add_series

            add_series(name, series)
    _making(commands, command)
    for name, told in MEASURING.items():
        measuring = commands.add_parser(name, help=told, description=f"{told[0].upper()}{told[1:]}.")
        if command == name:
            from .evaluation.cli import add_arguments as add_measuring

            add_measuring(name, measuring)
    return parser


def _making(commands: Any, command: str) -> None:
    """The commands that make models of others, or of nothing."""
    for name, told in FACTORY.items():
        making = commands.add_parser(name, help=told, description=f"{told[0].upper()}{told[1:]}.")
        if command == name:
            import_module(f".{OPTIONS[name]}.cli", __package__).add_arguments(name, making)
    small = commands.add_parser("small", help="make a small editor (the embedded one) or the world's CLIP from nothing")
    if command == "small":
        from .small.cli import add_arguments, run

        add_arguments(small)
        small.set_defaults(run=run)
    reproduce = commands.add_parser("reproduce", help="the paper, whole, at small scale: networks, pairs, editors, measurements, a report")
    if command == "reproduce":
        from .reproduction.cli import add_arguments as add_reproduction

        add_reproduction(reproduce)
    for name, told in MODELS.items():
        handling = commands.add_parser(name, help=told, description=f"{told[0].upper()}{told[1:]}.")
        if command == name:
            from .model_cli import add_arguments as add_handling

            add_handling(name, handling)
    train = commands.add_parser("train", help="train an editor from pairs of pictures with instructions, or one further")
    if command == "train":
        from .training.cli import add_arguments as add_training

        add_training(train)
    dreambooth = commands.add_parser("dreambooth", help="teach a text-to-image model a subject from 3 to 5 pictures of it")
    if command == "dreambooth":
        from .training.dreambooth_cli import add_arguments as add_dreambooth

        add_dreambooth(dreambooth)


def _edit_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--model", default="embedded", metavar="PATH", help="a checkpoint, a diffusers folder, or `embedded` (default)")
    add("--image", type=Path, metavar="IN", help="the picture to edit")
    add("--instruction", metavar="TEXT", help='what to do, for example "make it night"')
    add("--out", type=Path, metavar="OUT.png", help="where the edited picture goes")
    add(
        "--jobs",
        type=Path,
        metavar="FILE.jsonl",
        help="many edits: a JSON object a line, with image, instruction, out and any of the below",
    )
    add("--negative", default="", metavar="TEXT", help="what to steer away from")
    add("--steps", type=int, metavar="N", help="sampling steps (default: the model's own, or 30)")
    add("--seed", type=int, default=0, metavar="N", help="the same seed gives the same picture (default 0)")
    add("--text-scale", type=float, metavar="S", help="how strongly to follow the instruction (default: the model's own, or 7.5)")
    add("--image-scale", type=float, metavar="S", help="how strongly to keep to the picture (default: the model's own, or 1.5)")
    add("--auto-scales", action="store_true", help="pick both scales for each picture, from a quick sweep around those given here")
    add("--speed", default="exact", choices=("exact", "balanced", "fast"), help="balanced: half the passes; fast: a quarter, in 12 steps")
    add("--mask", default="", metavar="MASK", help="a picture of the same size, white where the picture may change, black where it stays")
    add("--isolate", type=float, default=0.0, metavar="S", help="keep the edit where it belongs: 0 (off, default) to 1 (strict)")
    add("--size", type=int, default=0, metavar="PX", help="long side while editing (default 0: the model's own)")
    add("--sampler", default="euler_ancestral", choices=("euler_ancestral", "euler"), help="default euler_ancestral")
    add(
        "--adapter",
        metavar="FILE",
        help="a one-pass adapter for the model, a third of the time (`embedded`: the embedded model's)",
    )
    add("--lora", metavar="FILE", help="a LoRA or delta for the model")
    add("--weights", default="ema", choices=("ema", "raw"), help="which to take where a file has both (default ema)")
    add("--device", default="auto", help="auto (default), cpu, cuda or mps")
    parser.set_defaults(run=run_edit)


def _sdedit_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "--model",
        default="embedded",
        metavar="PATH",
        help="a text-to-image or editor's checkpoint or folder (default embedded)",
    )
    add("--image", type=Path, metavar="IN", required=True, help="the picture")
    add("--prompt", metavar="TEXT", required=True, help='a caption of the edited picture, for example "a cat at night"')
    add("--out", type=Path, metavar="OUT.png", required=True, help="where the result goes")
    add("--strength", type=float, default=0.6, metavar="S", help="0.01 to 1: how far to noise the picture (default 0.6; 1: the text alone)")
    add("--negative", default="", metavar="TEXT", help="what to steer away from")
    add("--steps", type=int, metavar="N", help="sampling steps (default: the model's own, or 30)")
    add("--seed", type=int, default=0, metavar="N", help="the same seed gives the same picture (default 0)")
    add("--scale", type=float, metavar="S", help="guidance scale (default: the model's own, or 7.5)")
    add("--size", type=int, default=0, metavar="PX", help="long side while editing (default 0: the model's own)")
    add("--sampler", default="euler_ancestral", choices=("euler_ancestral", "euler"), help="default euler_ancestral")
    add("--lora", metavar="FILE", help="a LoRA or delta for the model")
    add("--weights", default="ema", choices=("ema", "raw"), help="which to take where a file has both (default ema)")
    add("--device", default="auto", help="auto (default), cpu, cuda or mps")
    parser.set_defaults(run=run_sdedit)


def run_sdedit(options: argparse.Namespace) -> int:
    """`sdedit`: one picture. Raises ValueError for a mistake in the command."""
    Job(options.image, options.prompt, options.out).prepare()
    from .pictures import open_picture
    from .text_to_image import TextToImage

    model = TextToImage.load(options.model, options.weights, options.device, options.lora)
    picture = open_picture(options.image)
    names = ("strength", "steps", "scale", "seed", "negative", "size", "sampler")
    settings = {name: getattr(options, name) for name in names}
    _made(options.out, lambda show: model.sdedit(picture, options.prompt, on_step=show, **settings))
    return 0


def run_edit(options: argparse.Namespace) -> int:
    """`edit`: one picture from the options, or every line of a file of jobs. Raises ValueError for a mistake in the command."""
    names = ("negative", "steps", "seed", "text_scale", "image_scale", "speed", "isolate", "mask", "size", "sampler", "auto_scales")
    defaults = {name: getattr(options, name) for name in names}
    if options.jobs:
        if options.image or options.instruction is not None or options.out:
            raise ValueError("A file of jobs names its own pictures: leave out --image, --instruction and --out, or --jobs.")
        jobs, bad = read_jobs(options.jobs, defaults)
    else:
        missing = [f"--{name}" for name in ("image", "instruction", "out") if getattr(options, name) is None]
        if missing:
            raise ValueError(f"Missing {', '.join(missing)}: name the picture, the instruction and the output, or give a file with --jobs.")
        jobs, bad = [Job(options.image, options.instruction, options.out, **defaults)], []
        jobs[0].prepare()
    for message in bad:
        print(f"error: {message}", file=sys.stderr)
    if not jobs:
        return 1

    from .edit import Editor

    editor = Editor.load(options.model, options.weights, options.device, options.lora, options.adapter)
    if not options.jobs:
        _edit(editor, jobs[0])
        return 0
    failed = len(bad) + sum(not _tried(editor, job) for job in jobs)
    return 1 if failed else 0


def _tried(editor: "Editor", job: Job) -> bool:
    """Edit one of many; a failure is told and doesn't stop the others."""
    try:
        job.prepare()
        _edit(editor, job)
    except ValueError as error:
        _refused(ValueError(f"{job.where}{error}"))
        return False
    return True


def _edit(editor: "Editor", job: Job) -> None:
    from .pictures import open_picture

    picture = open_picture(job.image)

    def make(show: Callable[[int, int, object], None]) -> "Tensor":
        settings = job.settings() | (_picked(editor, picture, job, show) if job.auto_scales and job.instruction.strip() else {})
        mask = open_picture(Path(job.mask)).mean(-1) if job.mask else None
        return editor.edit(picture, job.instruction, on_step=show, mask=mask, **settings)

    _made(job.out, make)


def _picked(editor: "Editor", picture: "Tensor", job: Job, show: Callable[[int, int, object], None]) -> dict[str, float]:
    """The scales that suit the picture, which are told."""
    from .auto_scales import pick

    shared: dict[str, Any] = {"negative": job.negative, "seed": job.seed, "size": job.size, "sampler": job.sampler, "on_step": show}
    choice, _ = pick(editor, picture, job.instruction, job.text_scale, job.image_scale, **shared)
    print(f"{job.out.name}: {choice}", file=sys.stderr)
    return {"text_scale": choice.text_scale, "image_scale": choice.image_scale}


def _made(out: Path, make: Callable[[Callable[[int, int, object], None]], "Tensor"]) -> None:
    """Make a picture (1, H, W, 3) with a progress bar, write it and say so."""
    from tqdm import tqdm

    from .pictures import save_picture

    started = time.monotonic()
    with tqdm(desc=out.name, unit="step", leave=False, disable=None) as bar:

        def show(done: int, total: int, _: object) -> None:
            bar.total = total
            bar.update(done - bar.n)

        made = make(show)
    save_picture(made[0], out)
    print(f"{out} ({made.shape[2]} x {made.shape[1]}, {time.monotonic() - started:.1f} s)", flush=True)
