# ruff: noqa: T201 - a command speaks to its user
"""Options of `captions` for language models: `--source local`, `--source server` and `--finetune`."""

import argparse
import logging
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..stopping import STOPPED, stopping
from .asking import LONGEST, PAPER_FREQUENCY_PENALTY, PAPER_TEMPERATURE, Asking
from .prompts import FORMATS

if TYPE_CHECKING:
    from .finetune import FineTuning
    from .source import Source
    from .triplet import Triplet

log = logging.getLogger(__name__)

SOURCES = ("local", "server")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """All of them, in groups of their own."""
    _asking(parser.add_argument_group("language models (--source local, --source server)"))
    _server(parser.add_argument_group("a server (--source server)"))
    _finetune(parser.add_argument_group("fine-tuning a local model"))


def _asking(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("--model", default="", metavar="NAME", help="local: a folder, a .gguf file or a public name; server: the model's name there")
    add(
        "--format",
        default="auto",
        choices=("auto", *FORMATS),
        help="paper: a fine-tuned model; few-shot: one that only continues text; chat: one that answers (default: what suits the model)",
    )
    add("--examples", type=Path, metavar="FILE", help="triplets to show the model (default: those that come with this)")
    add("--shown", type=int, default=6, metavar="N", help="how many examples each question shows (default 6)")
    add("--temperature", type=float, default=PAPER_TEMPERATURE, metavar="T", help=f"default {PAPER_TEMPERATURE}, the paper's")
    add(
        "--frequency-penalty",
        type=float,
        default=PAPER_FREQUENCY_PENALTY,
        metavar="F",
        help=f"against repeated words (default {PAPER_FREQUENCY_PENALTY}, the paper's)",
    )
    add("--max-tokens", type=int, default=LONGEST, metavar="N", help=f"longest reply (default {LONGEST}; the authors' is 256)")
    add("--tries", type=int, default=3, metavar="N", help="replies to ask for until one can be read (default 3)")
    add(
        "--batch",
        type=int,
        default=8,
        metavar="N",
        help="replies written at a time; with --finetune: triplets of a step (default 8)",
    )
    add("--device", default="auto", metavar="D", help="local: auto (default), cpu, cuda or mps")


def _server(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("--server", default="http://localhost:8000/v1", metavar="URL", help="default http://localhost:8000/v1 (Ollama: port 11434)")
    add("--concurrency", type=int, default=8, metavar="N", help="requests under way at a time (default 8)")
    add("--timeout", type=float, default=120.0, metavar="S", help="seconds for a reply (default 120)")
    add("--retries", type=int, default=5, metavar="N", help="further requests after a failed one, waiting longer each time (default 5)")
    add("--key-file", type=Path, metavar="FILE", help="a file with the key (default: the environment's OPENAI_API_KEY, if any)")


def _finetune(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add(
        "--finetune",
        type=Path,
        metavar="FOLDER",
        help="teach --model triplets in the paper's format, into this folder; goes on where it stopped. Use it then with "
        "--source local --model FOLDER/model",
    )
    add("--triplets", type=Path, metavar="FILE", help="what to learn from (default: the triplets that come with this)")
    add("--epochs", type=int, default=1, metavar="N", help="default 1, the paper's")
    add("--rate", type=float, default=5e-4, metavar="R", help="highest learning rate (default 0.0005)")
    add("--rank", type=int, default=16, metavar="N", help="size of the LoRA (default 16)")
    add("--merge", action="store_true", help="write a whole model instead of the LoRA alone")
    add("--save-every", type=int, default=20, metavar="N", help="steps between checkpoints (default 20)")


def source_of(options: argparse.Namespace) -> "Source":
    """The source that the options name. Raises ValueError for what is not there."""
    names = ("shown", "temperature", "frequency_penalty", "max_tokens", "tries")
    told = {name: getattr(options, name) for name in names}
    asking = Asking(format="chat" if options.format == "auto" else options.format, examples=_triplets(options.examples), **told)
    if options.source == "server":
        from .server import Server, ServerSource

        server = Server(options.server, options.model, options.key_file, timeout=options.timeout, retries=options.retries)
        return ServerSource(server, asking, options.concurrency)
    from .language_model import LanguageModel, LocalSource

    model = LanguageModel.load(options.model, options.device)
    return LocalSource(model, replace(asking, format=model.format) if options.format == "auto" else asking, options.batch)


def finetune(options: argparse.Namespace) -> int:
    """`--finetune`: a progress bar on stderr, the result's folder on stdout."""
    from tqdm import tqdm

    from . import finetune as tuning
    from .language_model import LanguageModel

    triplets, settings = _triplets(options.triplets), _settings(options)
    model = LanguageModel.load(options.model, options.device)
    with tqdm(desc=options.finetune.name, unit="step", disable=None) as bar, stopping() as should_stop:

        def show(step: tuning.Step) -> None:
            bar.total = step.total
            bar.set_postfix(loss=f"{step.loss:.3f}")
            bar.update(step.number - bar.n)

        done = tuning.finetune(model, options.model, triplets, options.finetune, settings, show, should_stop)
    if done is None:
        return STOPPED
    print(f"{done} (of {len(triplets)} triplets)", flush=True)
    return 0


def _settings(options: argparse.Namespace) -> "FineTuning":
    from .finetune import FineTuning

    names = ("epochs", "rate", "rank", "merge", "save_every")
    return FineTuning(**{name: getattr(options, name) for name in names}, batch=options.batch, seed=getattr(options, "seed", 0) or 0)


def _triplets(path: Path | None) -> "tuple[Triplet, ...]":
    """The triplets of a file, or those that come with this."""
    from . import files, human

    return tuple(files.read(path)) if path else human.triplets()
