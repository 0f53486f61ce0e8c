"""A run from captions to a file of triplets: durable caption by caption, the same bytes however often it was stopped."""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from . import files
from .filters import Filters, filtered
from .source import Answer, Refused, Source
from .triplet import Triplet

Captions = Callable[[], Iterable[str]]
"""Gives the captions, from the first one each time it is called."""
OnAnswer = Callable[[int, Answer], None]
"""Is told how many captions are answered, and the newest answer."""


@dataclass(frozen=True)
class Report:
    """What became of a run: captions asked about, triplets kept, how many of each kind, and how many were rejected for which reason."""

    captions: int
    triplets: int
    kinds: dict[str, int]
    rejected: dict[str, int]

    def lines(self) -> list[str]:
        """The report for people."""
        out = [f"{self.triplets} triplets of {self.captions} captions"]
        out += ["  " + ", ".join(f"{kind or 'no kind'} {count}" for kind, count in sorted(self.kinds.items()))] if self.kinds else []
        return [*out, *(f"  rejected, {reason}: {count}" for reason, count in sorted(self.rejected.items()))]


def proposals(captions: Iterable[str], source: Source, count: int, seed: int) -> Iterator[Answer]:
    """What the source says of each caption, asked in batches of the source's size."""
    left = iter(captions)
    while batch := list(islice(left, source.batch)):
        yield from source.ask(batch, count, seed)


def kept(answers: Iterable[Answer], filters: Filters) -> tuple[list[Triplet], Report]:
    """The triplets of some answers that pass the filters, in memory, and the report."""
    counts, asked = Counter[str](), Counter[str]()
    found = list(filtered(_counted(answers, asked), filters, counts))
    return found, Report(asked["captions"], len(found), dict(Counter(triplet.kind for triplet in found)), dict(counts))


def make(
    captions: Captions, source: Source, count: int, seed: int, filters: Filters, out: Path, on_answer: OnAnswer | None = None
) -> Report:
    """Write the triplets of all captions to a `.jsonl` or `.parquet` file, and OUT.json with the report beside it.

    Answers are kept in a file beside it while the run lasts: run again, it goes on after the last whole one. A run that is done is not
    made again. Raises ValueError where the file is of another run, and what the source raises.
    """
    files.writable(out)
    if count < 1:
        raise ValueError(f"{count} triplets of each caption can't be made: ask for 1 or more.")
    told = settings_of(captions, source, count, seed)
    begun = out.with_name(f".{out.name}.answers")
    if not begun.exists() and (done := finished(out, told | {"filters": _plain(filters)})):
        return done
    counts, asked, kinds = Counter[str](), Counter[str](), Counter[str]()
    answers = _durable(captions(), source, count, seed, begun, told, on_answer)
    files.write(out, _noted(filtered(_counted(answers, asked), filters, counts), kinds))
    report = Report(asked["captions"], sum(kinds.values()), dict(sorted(kinds.items())), dict(sorted(counts.items())))
    write_report(out, told, filters, report)
    begun.unlink(missing_ok=True)
    return report


def report_file(out: Path) -> Path:
    """Where the report of a run is: beside its triplets."""
    return out.with_name(f"{out.name}.json")


def write_report(out: Path, told: dict[str, Any], filters: Filters, report: Report) -> None:
    """Write what became of a run, with the settings that it was told. Raises ValueError."""
    with files.beside(report_file(out)) as part:
        said = {"settings": told | {"filters": _plain(filters)}, "report": asdict(report)}
        part.write_text(json.dumps(said, indent=1) + "\n", encoding="utf-8")


def settings_of(captions: Captions, source: Source, count: int, seed: int) -> dict[str, Any]:
    """All that decides what a run asks: captions (as a digest), source, how many, seed."""
    digest = hashlib.blake2b(digest_size=16)
    for caption in captions():
        digest.update(caption.encode("utf-8", "surrogatepass") + b"\n")
    return {"source": source.name, **source.settings, "digest": digest.hexdigest(), "count": count, "seed": seed}


def finished(out: Path, told: dict[str, Any]) -> Report | None:
    """The report of a run that is done already; None where there is none. Raises ValueError where the file is of other settings."""
    if not out.exists():
        return None
    try:
        said = json.loads(report_file(out).read_text(encoding="utf-8"))
        known, report = dict(said["settings"]), Report(**said["report"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{out} is there already, and no run of captions: choose another --out, or move it away.") from error
    if known != json.loads(json.dumps(told)):
        other = sorted(name for name in {*known, *told} if known.get(name) != json.loads(json.dumps(told.get(name))))
        raise ValueError(f"{out} was made with other settings ({', '.join(other)}): choose another --out, or delete it.")
    return report


def _plain(filters: Filters) -> dict[str, Any]:
    return asdict(filters) | {"off": sorted(filters.off), "unsafe": list(filters.unsafe)}


def _counted(answers: Iterable[Answer], asked: "Counter[str]") -> Iterator[Triplet | Refused]:
    for answer in answers:
        asked["captions"] += 1
        yield from answer


def _noted(triplets: Iterable[Triplet], kinds: "Counter[str]") -> Iterator[Triplet]:
    for triplet in triplets:
        kinds[triplet.kind] += 1
        yield triplet


def _durable(
    captions: Iterable[str], source: Source, count: int, seed: int, begun: Path, told: dict[str, Any], on_answer: OnAnswer | None
) -> Iterator[Answer]:
    """The answers that a file has, then new ones, which go into it before they are given; its first line says the settings.

    Raises ValueError where they are others, or the disk refuses: the file then ends with its last whole line.
    """
    from ..data.disk import Appender, make_folder

    left, number, end = iter(captions), 0, _begun(begun, told)
    for answer, place in _kept(begun, end) if end else ():
        if next(left, None) is None:
            return
        number, end = number + 1, place
        yield answer
    make_folder(begun.parent)
    file = Appender(begun, end)
    try:
        if not end:
            file.add(_header(told))
        while batch := list(islice(left, source.batch - number % source.batch)):  # composed as in a run that was never stopped
            for answer in source.ask(batch, count, seed):
                file.add(json.dumps([_row(one) for one in answer], ensure_ascii=False).encode(), b"\n")
                number += 1
                if on_answer:
                    on_answer(number, answer)
                yield answer
    finally:
        file.close()


def _header(told: dict[str, Any]) -> bytes:
    return json.dumps(told, sort_keys=True).encode() + b"\n"


def _begun(path: Path, told: dict[str, Any]) -> int:
    """Where the answers of a run that goes on begin in its file; 0 where there is none. Raises ValueError where it is another run's."""
    try:
        with path.open("rb") as file:
            line = file.readline()
    except (FileNotFoundError, NotADirectoryError):
        return 0
    if line.endswith(b"\n") and line != _header(told):
        raise ValueError(f"{path.name} is of a run with other settings: run it as before, choose another --out, or delete it.")
    return len(line) if line.endswith(b"\n") else 0


def _kept(path: Path, start: int) -> Iterator[tuple[Answer, int]]:
    """(answer, where its line ends) of each whole line from a place on."""
    with path.open("rb") as file:
        file.seek(start)
        for line in file:
            if not line.endswith(b"\n"):  # torn when a run was killed
                return
            start += len(line)
            yield [_proposal(row) for row in json.loads(line)], start


def _row(proposal: Triplet | Refused) -> dict[str, str]:
    return {"type": type(proposal).__name__, **vars(proposal)}


def _proposal(row: dict[str, str]) -> Triplet | Refused:
    kind = {"Triplet": Triplet, "Refused": Refused}[row.pop("type")]
    made: Triplet | Refused = kind(**row)
    return made
