"""What can be wrong with a store as such, whatever its pictures show: halves, lists, lines, shards, hashes, leftovers."""

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ..ids import seed_of
from .authors import SEEDS, found_seeds
from .check import Fault
from .disk import PART, unreadable
from .example import DataError
from .journal import NAME as JOURNAL
from .manifest import MANIFEST, SUMS, read_manifest, sums_of, verify
from .opening import printable
from .prompt_folder import METADATA, PROMPT, read_prompt
from .read_folders import entries
from .records import layout_of, makes

ASIDE = ".set-aside"
"""Where repairing puts what it takes out of a store."""
SMALL = (SEEDS, METADATA, PROMPT, MANIFEST, SUMS)


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong: its kind (of `check.CURES`), the file or pair, and what was told of it."""

    kind: str
    where: str
    told: str = ""


def look(folder: Path, hashes: bool = True, on_step: Callable[[int], None] | None = None) -> Iterator[Finding]:
    """Everything that is wrong with a store, pictures unopened. `hashes`: read all files and compare them with SHA256SUMS.

    `on_step` is told how many things were looked at; what it raises ends it. Raises DataError where there is no store.
    """
    try:
        yield from _all(folder, layout_of(folder), hashes, _Steps(on_step))
    except OSError as error:
        raise unreadable(Path(error.filename or folder), error) from error


def _all(folder: Path, layout: str, hashes: bool, steps: "_Steps") -> Iterator[Finding]:
    if folder.is_dir():
        yield from _left_over(folder)
    if layout == "authors":
        yield from _authors(folder, steps)
    else:
        yield from _pairs(folder, steps)
    if folder.is_dir():
        yield from _manifest(folder, steps if hashes else None)


class _Steps:
    def __init__(self, on_step: Callable[[int], None] | None) -> None:
        self.done, self._on_step = 0, on_step

    def __call__(self, _: int = 0) -> None:
        self.done += 1
        if self._on_step:
            self._on_step(self.done)


def _left_over(folder: Path) -> Iterator[Finding]:
    """Files that were being written, and a run that was not finished."""
    if (folder / JOURNAL).is_file():
        yield Finding("unfinished", folder.name)
        return  # what is in work is no leftover
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            if name.startswith(".") and name.endswith(PART):
                yield Finding("leftover", str((Path(place) / name).relative_to(folder)))
            elif name == METADATA + PART:
                yield Finding("unfinished", Path(place).name)


def _authors(folder: Path, steps: _Steps) -> Iterator[Finding]:
    """Prompts and the list of them."""
    listed, yet = _listed(folder)
    yield from yet
    for name in sorted({*listed, *prompt_folders(folder)}):
        steps()
        place = folder / name
        seeds = listed.get(name, [])
        if not place.is_dir():
            yield from (Finding("listed", f"{name}/{seed}") for seed in seeds)
            continue
        try:
            read_prompt(place)
        except DataError as reason:
            yield Finding("prompt", name, str(reason))
        whole, halves = halves_of(place)
        yield from (Finding("half", f"{name}/{seed}") for seed in halves)
        yield from (Finding("listed", f"{name}/{seed}") for seed in seeds if seed not in {*whole, *halves})
        yield from (Finding("repeated_id", f"{name}/{seed}") for seed in sorted({seed for seed in seeds if seeds.count(seed) > 1}))
        if (folder / SEEDS).is_file():
            yield from (Finding("unlisted", f"{name}/{seed}") for seed in whole if seed not in seeds)
        lines = place / METADATA
        if lines.is_file() and any(True for _ in bad_lines(lines)):
            yield Finding("torn", f"{name}/{METADATA}")


def _listed(folder: Path) -> tuple[dict[str, list[int]], list[Finding]]:
    """(the seeds of each folder that seeds.json lists, what is wrong with it)."""
    found: dict[str, list[int]] = {}
    if not (folder / SEEDS).is_file():
        return found, []
    try:
        for name, seeds in entries(folder / SEEDS):
            found.setdefault(name, []).extend(seeds)
    except DataError as reason:
        return found, [Finding("torn", SEEDS, str(reason))]
    return found, []


def prompt_folders(folder: Path) -> list[str]:
    """The names of the folders that hold a prompt or pictures, sorted."""
    with os.scandir(folder) as found:
        return sorted(entry.name for entry in found if entry.is_dir() and not entry.name.startswith("."))


def halves_of(place: Path) -> tuple[list[int], list[int]]:
    """(the seeds with both pictures, those with one)."""
    whole = found_seeds(place)
    stems = {name.rsplit(".", 1)[0] for name in os.listdir(place) if not name.startswith(".")}  # noqa: PTH208
    some = {int(stem[:-2]) for stem in stems if stem.endswith(("_0", "_1")) and stem[:-2].isdecimal()}
    return whole, sorted(some - set(whole))


def bad_lines(path: Path) -> Iterator[int]:
    """The numbers of the lines of a JSONL file that are torn or no objects."""
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if line.strip() and not is_whole(line):
                yield number


def is_whole(line: bytes) -> bool:
    """Whether a line is a JSON object and has its end."""
    try:
        return line.endswith(b"\n") and isinstance(json.loads(line.decode("utf-8-sig")), dict)
    except ValueError:
        return False


def _pairs(folder: Path, steps: _Steps) -> Iterator[Finding]:
    """Pairs that can't be read, and pairs of one name."""
    seen: set[int] = set()
    for number, make in enumerate(makes(str(folder)), start=1):
        steps()
        try:
            record = make()
        except DataError as reason:
            yield Finding("pair", f"number {number}", str(reason))
            continue
        if (name := seed_of(record.prompt, record.sample)) in seen:
            yield Finding("repeated_id", printable(f"{record.prompt}/{record.sample}"))
        seen.add(name)


def _manifest(folder: Path, on_file: Callable[[int], None] | None) -> Iterator[Finding]:
    """What the manifest and the hashes say."""
    try:
        read_manifest(folder)
        if on_file is None:
            names = (name for name, _ in sums_of(folder))
            yield from (Finding("gone", name) for name in names if not (folder / name).is_file())
            return
        for name, what in verify(folder, on_file):
            yield Finding(what, name)
    except DataError as reason:
        yield Finding("manifest", MANIFEST if MANIFEST in str(reason) else SUMS, str(reason))


def faults_of(findings: Iterator[Finding]) -> list[Fault]:
    """The findings by kind, as a report tells them."""
    faults: dict[str, Fault] = {}
    for finding in findings:
        faults.setdefault(finding.kind, Fault(finding.kind)).add(finding.where, finding.told)
    return list(faults.values())
