# ruff: noqa: T201 - a command speaks to its user
"""The command `captions`: from captions to edit triplets."""

import argparse
import json
import sys
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from .filters import REASONS, TOKENS, Filters, unsafe_words

if TYPE_CHECKING:
    from .run import Captions, Report
    from .source import Answer, Source

SOURCES = ("grammar", "local", "server", "human")


def add_arguments(name: str, parser: argparse.ArgumentParser) -> None:
    """The options of `captions`."""
    from .language_cli import add_arguments as add_language

    add = parser.add_argument
    add("input", nargs="?", type=Path, metavar="INPUT", help="captions: a text file (one a line), .jsonl, .parquet, .tar, or a folder")
    add("--text", action="append", default=[], metavar="CAPTION", help="a caption; as often as you like")
    add("--world", type=int, default=0, metavar="N", help="captions of the first N scenes of the small world")
    add("--out", type=Path, metavar="FILE", help="the triplets: .jsonl or .parquet; FILE.json gets the report")
    add(
        "--source",
        default="grammar",
        choices=SOURCES,
        help="who writes the edits (default grammar); human: those written by hand, or INPUT's",
    )
    add("-k", "--per-caption", type=int, default=1, metavar="N", help="triplets of each caption (default 1)")
    add("--kinds", default="", metavar="NAMES", help="grammar: kinds of edit, with commas (default: all)")
    add("--seed", type=int, default=0, metavar="N", help="another seed makes other edits (default 0)")
    add("--limit", type=int, default=0, metavar="N", help="only the first N captions (default 0: all)")
    add("--skip-bad", action="store_true", help="leave out lines that can't be read; each is told")
    add("--json", action="store_true", help="print the report as JSON")
    add("--log", type=Path, metavar="FILE", help="add a line of JSON for each caption, with what was made of it")
    _filters(parser.add_argument_group("filters"))
    add_language(parser)
    parser.set_defaults(run=run)


def _filters(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("--keep", default="", metavar="REASONS", help=f"reasons that don't count, with commas: {', '.join(REASONS)}")
    add(
        "--likeness",
        type=float,
        default=0.8,
        metavar="L",
        help="share of words in common from which captions are nearly the same (default 0.8)",
    )
    add("--tokens", type=int, default=TOKENS, metavar="N", help=f"longest text in CLIP's tokens (default {TOKENS})")
    add("--unsafe-words", type=Path, metavar="FILE", help="another list of unsafe words, one a line")


def run(options: argparse.Namespace) -> int:
    """`captions`: returns 0. Raises ValueError for a mistake in the command."""
    if options.finetune is not None:
        from .language_cli import finetune

        return finetune(options)
    if options.out is None:
        raise ValueError("Missing --out: name the file for the triplets, such as triplets.jsonl.")
    filters = filters_of(options)
    with ExitStack() as stack:
        log = stack.enter_context(_appended(options.log)) if options.log else None
        report = _copied(options, filters) if options.source == "human" else _made(options, filters, log)
    _tell(report, options)
    return 0


def filters_of(options: argparse.Namespace) -> Filters:
    """The filters that the options ask for. Raises ValueError."""
    off = frozenset(reason.strip() for reason in options.keep.split(",") if reason.strip())
    unsafe = unsafe_words(options.unsafe_words) if options.unsafe_words else unsafe_words()
    return Filters(off, options.likeness, options.tokens, unsafe)


def _made(options: argparse.Namespace, filters: Filters, log: IO[str] | None) -> "Report":
    from tqdm import tqdm

    from .run import make

    captions, source = captions_of(options), source_of(options)
    if next(iter(captions()), None) is None:
        raise ValueError(f"There are no captions in {options.input or 'the command'}: write one a line.")
    with tqdm(desc="captions", unit="caption", disable=None) as bar:

        def show(number: int, answer: "Answer") -> None:
            bar.update(number - bar.n)
            if log:
                log.write(json.dumps({"caption": number, "answer": [vars(one) for one in answer]}, ensure_ascii=False) + "\n")
                log.flush()

        return make(captions, source, options.per_caption, options.seed, filters, options.out, show)


def source_of(options: argparse.Namespace) -> "Source":
    """The source that the options ask for. Raises ValueError."""
    if options.source == "grammar":
        from .grammar.source import Grammar

        return Grammar([kind.strip() for kind in options.kinds.split(",") if kind.strip()])
    from .language_cli import source_of as language

    return language(options)


def captions_of(options: argparse.Namespace) -> "Captions":
    """The captions that the options name, from the first one each time. Raises ValueError where there are none, or two kinds of them."""
    given = [name for name, value in (("INPUT", options.input), ("--text", options.text), ("--world", options.world)) if value]
    if len(given) != 1:
        found = f"not {' and '.join(given)}" if given else "there are none"
        raise ValueError(f"Name captions in one way, {found}: a file or folder, --text CAPTION, or --world N.")
    if options.input and not options.input.exists():
        raise ValueError(f"There is no file {options.input}: check the name.")
    told: set[str] = set()

    def bad(sentence: str) -> None:
        if sentence not in told:
            told.add(sentence)
            print(f"skipped: {sentence}", file=sys.stderr)

    def all_of() -> Iterable[str]:
        from . import plain

        if options.input:
            return plain.captions(options.input, bad if options.skip_bad else None)
        return iter(options.text) if options.text else plain.of_the_world(options.world)

    return lambda: islice(all_of(), options.limit or None)


def _copied(options: argparse.Namespace, filters: Filters) -> "Report":
    """Triplets written by hand, filtered and written."""
    from . import files, human
    from .run import kept, write_report

    told: Callable[[str], Any] | None = (lambda text: print(f"skipped: {text}", file=sys.stderr)) if options.skip_bad else None
    triplets = files.read(options.input, told) if options.input else iter(human.triplets())
    found, report = kept(([triplet] for triplet in islice(triplets, options.limit or None)), filters)
    files.write(options.out, found)
    write_report(options.out, {"source": "human"}, filters, report)
    return report


def _appended(path: Path) -> IO[str]:
    try:
        return path.open("a", encoding="utf-8")
    except OSError as error:
        raise ValueError(f"The log {path} can't be written ({error.strerror or error}): choose another place.") from error


def _tell(report: "Report", options: argparse.Namespace) -> None:
    said = json.dumps({"out": str(options.out), **asdict(report)}) if options.json else "\n".join([str(options.out), *report.lines()])
    print(said, flush=True)
