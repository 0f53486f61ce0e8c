"""Options of `pairs` and `filter`, and what they mean."""

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..data.layouts import LAYOUTS
from .presets import PRESETS

if TYPE_CHECKING:
    from .build import Plan
    from .early_stop import EarlyStop
    from .thresholds import Rules

CLIP = "openai/clip-vit-large-patch14"


def thresholds(parser: argparse.ArgumentParser) -> None:
    """What a pair must reach."""
    group = parser.add_argument_group(
        "thresholds", "cosines of CLIP features; the default is what goes with the CLIP: the paper's .75, .2, .2 and .2 for ViT-L/14"
    )
    add = group.add_argument
    add("--min-image", type=float, metavar="S", help="least similarity of the two pictures")
    add("--min-caption", type=float, metavar="S", help="least similarity of each picture and its caption")
    add("--min-edited-caption", type=float, metavar="S", help="the same for the second picture alone (default: as --min-caption)")
    add("--min-direction", type=float, metavar="S", help="least similarity of the changes in pictures and words")
    add("--min-aesthetic", type=float, metavar="S", help="least rating of the model that --aesthetic named (default: none)")
    add("--max-nsfw", type=float, metavar="S", help="greatest probability by the model that --nsfw named (default: none)")
    add(
        "--kind",
        action="append",
        default=[],
        metavar="KIND:NAME=S,...",
        help="other thresholds for a kind of edit, such as 'style:image=.6,direction=.15'; names: image, caption, edited_caption, "
        "direction, aesthetic, nsfw. May be given several times",
    )


def pairs(parser: argparse.ArgumentParser) -> None:
    """`pairs`."""
    add = parser.add_argument
    add("triplets", nargs="?", type=Path, metavar="TRIPLETS", help="edit triplets: .jsonl, .parquet, or the authors' folder")
    add("--source", default="", metavar="photos:FOLDER", help="instead: pairs by formulas from a folder of photos, without any model")
    add("--out", type=Path, required=True, metavar="DIR", help="where the samples go; run again, it goes on where it stopped")
    _models(parser)
    _sampling(parser)
    _attention(parser)
    _early(parser)
    thresholds(parser)
    _where(parser)
    photos = parser.add_argument_group("pairs from photos (--source)").add_argument
    photos("--layout", default="authors", choices=tuple(LAYOUTS), help="how they are stored (default authors)")
    photos("--each", type=int, default=4, metavar="N", help="edits of a photo (default 4)")


def _models(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("models").add_argument
    add("--model", default="painter", metavar="PATH", help="a text-to-image checkpoint or diffusers folder (default: painter, the pack's)")
    add("--weights", default="ema", choices=("ema", "raw"), help="which to take where a file has both (default ema, as the authors)")
    add("--lora", default="", metavar="FILE", help="a LoRA or delta for the model")
    add("--clip", default=CLIP, metavar="NAME", help=f"the CLIP that scores: a name, a folder, or `world`, the pack's own (default {CLIP})")
    add("--aesthetic", default="", metavar="NAME", help="also rate how pleasing pictures are, by a picture classifier's name or folder")
    add("--nsfw", default="", metavar="NAME", help="also rate how safe for work they are, by a picture classifier's name or folder")
    add("--device", default="auto", help="auto (default), cpu, cuda or mps")


def _sampling(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("sampling").add_argument
    add("--samples", type=int, default=100, metavar="N", help="pairs of a prompt, at most (default 100)")
    add("--preset", default="paper", choices=tuple(PRESETS), help="steps: paper 100 (default), balanced 30, fast 12")
    add("--steps", type=int, metavar="N", help="sampling steps, over the preset's")
    add("--size", type=int, default=0, metavar="PX", help="side of the pictures (default 0: the model's own)")
    add("--sampler", default="euler_ancestral", choices=("euler_ancestral", "euler"), help="default euler_ancestral")
    add("--p", type=float, nargs=2, default=(0.1, 0.9), metavar=("LOW", "HIGH"), help="share of steps with shared attention (.1 .9)")
    add("--guidance", type=float, nargs=2, default=(7.5, 15.0), metavar=("LOW", "HIGH"), help="range of guidance scales (7.5 15)")
    add("--batch", type=int, default=4, metavar="N", help="pairs that are made at once (default 4); part of what decides the bytes")
    add("--format", default="jpg", choices=("jpg", "png", "webp"), help="of the stored pictures (default jpg; png and webp lose nothing)")


def _attention(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("Prompt-to-Prompt").add_argument
    add("--mode", default="self", choices=("self", "replace", "refine", "reweight"), help="self (default) is the paper's; see the docs")
    add("--cross", type=float, default=0.8, metavar="S", help="share of steps in which cross-attention is edited, in the other modes (.8)")
    add("--weigh", default="", metavar="WORD:X,...", help="factors of words' attention, such as 'snow:2'")
    add(
        "--blend",
        default="",
        metavar="WORD,...",
        help="words outside whose places the pictures stay alike; 'changed': those that differ",
    )


def _early(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("early stop", "against the thresholds below").add_argument
    add("--early-stop", action="store_true", help="drop hopeless samples midway, and end a prompt with enough good pairs")
    add("--at", type=float, default=0.65, metavar="S", help="share of the steps after which a rough picture is scored (default .65)")
    add("--slack", type=float, default=0.15, metavar="S", help="how far a rough score may miss its threshold (default .15)")
    add("--enough", type=int, default=4, metavar="N", help="good pairs that end a prompt (default 4)")
    add("--margin", type=float, default=0.05, metavar="S", help="by how much a good pair's direction passes its threshold (default .05)")
    add("--patience", type=int, default=0, metavar="N", help="samples of a prompt, none of which passes, that end it (default 0: none do)")


def _where(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("running").add_argument
    add("--workers", type=int, default=1, metavar="N", help="more than 1: that many workers, by Ray")
    add("--ray", nargs="?", const="local", default="", metavar="ADDRESS", help="run on Ray; with an address, on the cluster there ('auto')")
    add("--gpus", type=float, default=-1, metavar="X", help="GPUs of a worker (default: 1 where there is one)")
    add("--threads", type=int, default=0, metavar="N", help="processor threads of each process (0: torch's own choice)")
    add("--dry-run", action="store_true", help="make nothing: say what the run would cost, by a few steps' time")
    add("--log", type=Path, metavar="FILE", help="a line of JSON for every prompt")
    add("--json", action="store_true", help="what was done as JSON")


def filtering(parser: argparse.ArgumentParser) -> None:
    """`filter`."""
    add = parser.add_argument
    add("pairs", metavar="DIR", help="what `pairs` made, or a data set in any layout")
    add("--out", type=Path, metavar="DIR", help="where the kept pairs go; without it nothing is written")
    add("--layout", default="authors", choices=tuple(LAYOUTS), help="how they are stored (default authors)")
    add("--replace", action="store_true", help="write anew what an earlier filter left there with other settings")
    add("--keep", type=int, default=4, metavar="N", help="pairs of a prompt, at most (default 4)")
    add("--near", type=int, default=3, metavar="BITS", help="pairs whose pictures' hashes differ in so few of 64 bits are one (default 3)")
    add("--keep-duplicates", action="store_true", help="look-alikes stay")
    add("--clip", default="", metavar="NAME", help="score pairs that have no scores yet, by the CLIP of that name or folder")
    add("--device", default="auto", help="auto (default), cpu, cuda or mps")
    add("--log", type=Path, metavar="FILE", help="a line of JSON for every prompt: what was kept, and why the others were not")
    add("--json", action="store_true", help="the report as JSON")
    thresholds(parser)


def rules_of(options: argparse.Namespace, own: "Rules") -> "Rules":
    """The thresholds: a CLIP's ``own``, with what the options change. Raises ValueError."""
    from .thresholds import parse

    edited = options.min_caption if options.min_edited_caption is None else options.min_edited_caption
    given = {
        "image": options.min_image,
        "caption": options.min_caption,
        "edited_caption": edited,
        "direction": options.min_direction,
        "aesthetic": options.min_aesthetic,
        "nsfw": options.max_nsfw,
    }
    return parse("\n".join(options.kind), own.changed(**{name: value for name, value in given.items() if value is not None}))


def early_of(options: argparse.Namespace) -> "EarlyStop | None":
    """When to give up, if asked for. Raises ValueError."""
    from ..metrics.clip import config_of
    from .early_stop import EarlyStop
    from .thresholds import own

    rules = rules_of(options, own(config_of(options.clip)))
    if not options.early_stop:
        return None
    return EarlyStop(rules, options.at, options.slack, options.enough, options.margin, options.patience)


def plan_of(options: argparse.Namespace) -> "Plan":
    """The run that is asked for. Raises ValueError."""
    from . import draws
    from .build import Plan
    from .prompt_to_prompt_control import PromptToPrompt, numbers, phrases

    steps = PRESETS[options.preset] if options.steps is None else options.steps
    ranges: dict[str, Any] = {"p": tuple(options.p), "guidance": tuple(options.guidance)}
    settings = draws.Settings(options.samples, steps, options.size, options.sampler, batch=options.batch, **ranges)
    edit = PromptToPrompt(options.mode, options.cross, (), numbers(options.weigh), phrases(options.blend), lenient=True)
    names = ("out", "model", "weights", "lora", "device", "clip", "aesthetic", "nsfw", "threads")
    plan = Plan(**{name: getattr(options, name) for name in names})
    return replace(plan, settings=settings, early=early_of(options), edit=edit, kind=options.format)
