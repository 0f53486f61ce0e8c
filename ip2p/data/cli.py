"""`python -m ip2p convert` and `lint`."""

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .layouts import LAYOUTS


def add_arguments(name: str, parser: argparse.ArgumentParser) -> None:
    """The options of a command."""
    (_convert_arguments if name == "convert" else _lint_arguments)(parser)


def _telling(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="the result as JSON")
    parser.add_argument("--log", type=Path, metavar="FILE", help="add the result to this file, as a line of JSON")


def _tell(options: argparse.Namespace, told: dict[str, Any], said: str) -> None:
    """The result on the screen, and in the log where one is named. Raises ValueError where that can't be written."""
    line = json.dumps(told)
    _say(line if options.json else said)
    if options.log:
        try:
            with options.log.open("a", encoding="utf-8") as file:
                file.write(line + "\n")
        except OSError as error:
            raise ValueError(f"The log {options.log} can't be written ({error.strerror or error}): choose another place.") from error


def _convert_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("source", metavar="SRC", help="a folder in any layout, a .tar or .parquet file, photos:FOLDER, world, or several joined by ' + '")
    add("--out", type=Path, required=True, metavar="DST", help="a new folder; one that was stopped is gone on with")
    add(
        "--layout",
        choices=tuple(LAYOUTS),
        required=True,
        help="authors: a folder for each prompt; webdataset: tar files; parquet: tables with the pictures in them; plain: metadata.jsonl",
    )
    add("--count", type=int, default=0, metavar="N", help="take the first so many (default 0: all)")
    add("--shard-pairs", type=int, default=10_000, metavar="N", help="pairs of a tar or Parquet file at most (default 10000)")
    add("--shard-mb", type=int, default=1000, metavar="MB", help="megabytes of a tar or Parquet file at most (default 1000)")
    add("--each", type=int, default=4, metavar="N", help="edits of each photo, for photos:FOLDER (default 4)")
    add("--size", type=int, default=0, metavar="PX", help="short side of made pictures (default 0: 256)")
    add("--picture", choices=("png", "jpg", "webp"), default="png", help="how made pictures are stored (default png)")
    add("--replace", action="store_true", help="write DST anew where this command wrote other data into it before")
    _telling(parser)
    parser.set_defaults(run=run_convert)


def run_convert(options: argparse.Namespace) -> int:
    """`convert`. Raises ValueError for a mistake in the command, and where the disk refuses."""
    from .convert import convert, expected
    from .made_records import Made
    from .write_shards import Limits

    if options.shard_pairs < 1 or options.shard_mb < 1:
        raise ValueError("A shard has at least one pair and one megabyte: use --shard-pairs and --shard-mb of 1 or more.")
    limits, made = Limits(options.shard_pairs, options.shard_mb * 1_000_000), Made(options.each, options.size, options.picture)
    with progress("pair", expected(options.source, made, options.count) or None) as show:
        found = convert(options.source, options.out, options.layout, limits, made, options.count, options.replace, show)
    counts = {"pairs": found.counts.pairs, "prompts": found.counts.prompts, "rejected": dict(found.counts.rejected)}
    _tell(options, {"folder": str(found.folder), "layout": found.layout, **counts}, str(found))
    return 0


def _lint_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("source", metavar="SRC", help="a folder in any layout, a .tar or .parquet file, photos:FOLDER, world")
    add("--repair", action="store_true", help="mend the folder in place; what is taken out goes to .set-aside in it, nothing is deleted")
    add("--limit", type=int, default=500, metavar="N", help="prompts whose pictures are opened, from anywhere (default 500; 0: all)")
    add("--crop", type=int, default=0, metavar="PX", help="the side that pictures should reach (default 0: any)")
    add("--no-hashes", action="store_true", help="don't read every file to compare it with SHA256SUMS")
    _telling(parser)
    parser.set_defaults(run=run_lint)


def run_lint(options: argparse.Namespace) -> int:
    """`lint`: 0 where nothing is wrong, 1 where something is. Raises ValueError for a mistake in the command."""
    from .lint import lint

    with progress("file") as show:
        found = lint(options.source, options.repair, not options.no_hashes, options.limit, options.crop, show)
    _tell(options, found.told(), str(found))
    return 0 if found.clean else 1


@contextmanager
def progress(unit: str, total: int | None = None) -> Iterator[Callable[[int], None]]:
    """A bar on stderr; what it gives is told how many are done."""
    from tqdm import tqdm

    with tqdm(total=total, unit=unit, leave=False, disable=None) as bar:

        def show(done: int) -> None:
            bar.update(done - bar.n)

        yield show


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
