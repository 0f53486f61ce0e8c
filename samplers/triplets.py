"""Captions and triplets in the host: sources asked under its progress bar, tables for the page."""

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import comfy.model_management
import comfy.utils

from ..ip2p.captions import files, human, plain
from ..ip2p.captions.filters import Filters
from ..ip2p.captions.run import kept, proposals
from ..ip2p.captions.source import Answer, Source
from ..ip2p.captions.triplet import Triplet

SHOWN = 200
"""Rows of a table."""
TOLD = 20
"""Bad lines that a report names."""


class Made(NamedTuple):
    """Triplets, a table of the first of them and a report, both as Markdown, and the report's gist in a line."""

    triplets: tuple[Triplet, ...]
    table: str
    report: str
    gist: str


def captions_in(text: str) -> list[str]:
    """The captions of a text, one a line. Raises ValueError where there are none."""
    found = [line.strip() for line in text.splitlines() if line.strip()]
    if not found:
        raise ValueError("There are no captions: write some, one a line, or wire in 'Captions'.")
    return found


def captions_from(path: Path | None, text: str, scenes: int, first: int, count: int) -> tuple[list[str], str]:
    """(captions of a file or folder, else of a text, else of scenes of the world; what was left out). Raises ValueError."""
    bad: list[str] = []
    if path is not None:
        found: Iterable[str] = plain.captions(path, bad.append)
    elif scenes:
        found = plain.of_the_world(scenes, first)
    else:
        found = captions_in(text)
    listed = list(islice(_watched(found), count or None))
    if not listed:
        raise ValueError("There are no captions in it: name a file with one caption a line, or a folder with a .txt beside each picture.")
    return listed, "\n".join([f"{len(listed)} captions", *_told(bad)])


def _watched(captions: Iterable[str]) -> Iterator[str]:
    """The same captions; the host's exception on cancel."""
    for number, caption in enumerate(captions):
        if number % 256 == 0:
            comfy.model_management.throw_exception_if_processing_interrupted()
        yield caption


def _told(bad: list[str]) -> list[str]:
    more = [f"and {len(bad) - TOLD} more"] if len(bad) > TOLD else []
    return [*(f"left out: {sentence}" for sentence in bad[:TOLD]), *more]


def made(captions: str, source: Source, count: int, seed: int, filters: Filters) -> Made:
    """What a source makes of captions (one a line) and the filters leave of it. Raises ValueError where nothing is left."""
    listed = captions_in(captions)
    triplets, report = kept(_shown(proposals(listed, source, count, seed), len(listed)), filters)
    return told(triplets, report.lines())


def told(triplets: Iterable[Triplet], lines: list[str]) -> Made:
    """Triplets with their table and report. Raises ValueError where there are none."""
    found = tuple(triplets)
    if not found:
        raise ValueError(f"No triplet is left ({'; '.join(line.strip() for line in lines)}): allow more kinds of edit, or filter less.")
    return Made(found, table(found), "\n".join(lines), lines[0])


def _shown(answers: Iterable[Answer], total: int) -> Iterator[Answer]:
    """The same answers, with the node's bar; the host's exception on cancel."""
    bar = comfy.utils.ProgressBar(total)
    for number, answer in enumerate(answers, 1):
        comfy.model_management.throw_exception_if_processing_interrupted()
        yield answer
        bar.update_absolute(number, total)


def loaded(path: Path | None, count: int, filters: Filters) -> Made:
    """The triplets of a file or folder, or those written by hand for this pack. Raises ValueError."""
    bad: list[str] = []
    found = files.read(path, bad.append) if path else iter(human.triplets())
    triplets, report = kept(_shown(([one] for one in islice(found, count or None)), count or len(human.triplets())), filters)
    gist = f"{report.triplets} triplets"
    return told(triplets, [gist, *report.lines()[1:], *_told(bad)])


def saved(triplets: tuple[Triplet, ...], path: Path, spelling: str) -> str:
    """Write triplets to a .jsonl or .parquet file; its name. Raises ValueError."""
    if not triplets:
        raise ValueError("There are no triplets to save: wire in some.")
    files.write(path, triplets, spelling)
    return str(path)


def table(triplets: tuple[Triplet, ...]) -> str:
    """The first triplets as a Markdown table."""
    rows = ["| caption | instruction | edited caption | kind |", "|---|---|---|---|"]
    for one in triplets[:SHOWN]:
        cells = (one.caption, one.instruction, one.edited_caption, one.kind)
        rows.append(f"| {' | '.join(' '.join(cell.split()).replace('|', '/') for cell in cells)} |")
    more = [f"\n{len(triplets) - SHOWN} more"] if len(triplets) > SHOWN else []
    return "\n".join([*rows, *more])
