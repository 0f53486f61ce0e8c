"""Pairs as picture files: the authors' layout, and a plain folder with one `metadata.jsonl`."""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..ids import id_of, seed_of
from .authors import SEEDS
from .disk import Appender, append, make_folder, sha256_of, whole_lines, write_file, writing
from .encoded import ending_of
from .journal import Journal
from .prompt_folder import ABOUT, GROUP, METADATA, PROMPT, Prompt, dumped, line_of, lines_of, read_prompt, write_pictures, write_prompt
from .record import Record

SAFE = re.compile(r"(?!(?i:con|prn|aux|nul|(com|lpt)\d)$)[A-Za-z0-9_][A-Za-z0-9_-]{0,79}")
"""Names of prompts that are names of folders everywhere."""
LARGEST_SEED = 2**63 - 1
EACH = 1000
"""Pairs of a subfolder of the plain layout."""


class AuthorsFolders:
    """A folder for each prompt, and `seeds.json`.

    A prompt keeps its name where a folder can have it; pairs of one prompt with other texts get folders of their own. A sample that is
    no number, or comes twice, gets a seed from a hash; its name is kept in its line.
    """

    def __init__(self, folder: Path, journal: Journal) -> None:
        self.folder, self.journal = folder, journal
        self._name, self._prompt, self._group = "", Prompt("", "", ""), ""
        self._seeds: set[int] = set()
        self._first = True

    def resume(self, last: Mapping[str, Any] | None) -> None:
        """Nothing is needed: the first folder that is written to is looked through."""

    def put(self, number: int, record: Record) -> dict[str, Any]:
        """Store a pair. Raises DataError."""
        self._enter(record)
        place, seed = self.folder / self._name, self._seed(record)
        line = line_of(seed, record.facts, record.sample)
        pictures = {"0": record.image, "1": record.edited, **({"mask": record.mask} if record.mask else {})}
        paths = write_pictures(place, seed, pictures)
        append(place / METADATA, line)
        self._seeds.add(seed)
        sums = [hashlib.sha256(data).hexdigest() for data in pictures.values()]
        return {"folder": self._name, "seed": seed, "files": {path.name: found for path, found in zip(paths, sums, strict=True)}}

    def finish(self) -> Iterator[tuple[str, str]]:
        """Write seeds.json; (name, SHA-256) of every file. Raises DataError."""
        part = self.folder / f".{SEEDS}.part"
        with writing(self.folder / SEEDS):
            with part.open("wb") as file:
                for number, (name, events) in enumerate(self._groups()):
                    file.write((b",\n" if number else b"[\n") + dumped([name, [event["seed"] for event in events]]))
                file.write(b"\n]\n" if file.tell() else b"[]\n")
            part.replace(self.folder / SEEDS)
        yield SEEDS, sha256_of(self.folder / SEEDS)
        for name, events in self._groups():
            for small in (PROMPT, METADATA):
                yield f"{name}/{small}", sha256_of(self.folder / name / small)
            for event in events:
                yield from ((f"{name}/{file}", found) for file, found in event["files"].items())

    def _groups(self) -> Iterator[tuple[str, list[dict[str, Any]]]]:
        """(folder, its pairs), in the order of writing."""
        name, events = "", []  # type: str, list[dict[str, Any]]
        for event in self.journal.lines():
            if "folder" not in event:
                continue
            if event["folder"] != name and events:
                yield name, events
                events = []
            name = event["folder"]
            events.append(event)
        if events:
            yield name, events

    def _enter(self, record: Record) -> None:
        """Be in the folder of a record's prompt; make it if there is none."""
        prompt = Prompt.of(record)
        if self._name and (record.prompt, prompt) == (self._group, self._prompt):
            return
        base = record.prompt if SAFE.fullmatch(record.prompt) else id_of(record.prompt)
        name = base if self._fits(base, record.prompt, prompt) else f"{base}-{id_of(*_texts(record.prompt, prompt))}"
        if not (self.folder / name / PROMPT).is_file():
            make_folder(self.folder / name)
            write_prompt(self.folder / name, replace(prompt, group=record.prompt if name != record.prompt else ""))
        if self._first:
            self._drop_unfinished(name)
        self._first = False
        self._name, self._prompt, self._group = name, prompt, record.prompt
        self._seeds = {seed for seed, _, _ in lines_of(self.folder / name / METADATA)}

    def _fits(self, name: str, group: str, prompt: Prompt) -> bool:
        """Whether a folder is not there, or is this prompt's."""
        if not (self.folder / name / PROMPT).is_file():
            return True
        found = read_prompt(self.folder / name)
        return (found.group or name) == group and _texts("", found) == _texts("", prompt)

    def _drop_unfinished(self, name: str) -> None:
        """Cut off the line of a pair that a process before this one did not come to note in the journal."""
        known = sum(1 for event in self.journal.lines() if event.get("folder") == name)
        path = self.folder / name / METADATA
        lines = whole_lines(path).splitlines(keepends=True)
        if path.is_file():
            Appender(path, sum(map(len, lines[:known]))).close()

    def _seed(self, record: Record) -> int:
        plain = record.sample.isdecimal() and record.sample == str(int(record.sample)) and int(record.sample) <= LARGEST_SEED
        seed, again = int(record.sample) if plain else seed_of(record.prompt, record.sample), 1
        while seed in self._seeds:
            seed, again = seed_of(record.prompt, record.sample, again), again + 1
        return seed


def _texts(group: str, prompt: Prompt) -> tuple[str, ...]:
    return group, prompt.caption, prompt.instruction, prompt.edited_caption, json.dumps(prompt.about, sort_keys=True)


class PlainFolder:
    """Numbered pictures, a thousand pairs a subfolder, and `metadata.jsonl`."""

    def __init__(self, folder: Path, journal: Journal) -> None:
        self.folder, self.journal = folder, journal
        self._lines: Appender | None = None

    def resume(self, last: Mapping[str, Any] | None) -> None:
        """Cut off the line of a pair that was not noted. Raises DataError."""
        self._lines = Appender(self.folder / METADATA, last["end"] if last else 0)

    def put(self, number: int, record: Record) -> dict[str, Any]:
        """Store a pair. Raises DataError."""
        place = self.folder / f"{number // EACH:06d}"
        pictures = {"source": record.image, "edited": record.edited, **({"mask": record.mask} if record.mask else {})}
        names = {part: f"{number % EACH:03d}_{part}.{ending_of(data, f'Pair {number}')}" for part, data in pictures.items()}
        make_folder(place)
        files = {"image" if part == "source" else part: f"{place.name}/{name}" for part, name in names.items()}
        line = dumped({"id": f"{record.prompt}/{record.sample}", **files, **told_of(record)})
        for part, name in names.items():
            write_file(place / name, pictures[part])
        assert self._lines is not None, "resume comes first"
        end = self._lines.add(line, b"\n")
        sums = {f"{place.name}/{name}": hashlib.sha256(pictures[part]).hexdigest() for part, name in names.items()}
        return {"end": end, "files": sums}

    def finish(self) -> Iterator[tuple[str, str]]:
        """(name, SHA-256) of every file. Raises DataError."""
        if self._lines:
            self._lines.close()
        yield METADATA, sha256_of(self.folder / METADATA)
        for event in self.journal.lines():
            yield from event.get("files", {}).items()


def told_of(record: Record) -> dict[str, Any]:
    """All of a record but its pictures, as JSON values under the names that our readers know; `kind` only repeats what `facts` says."""
    kind = kind_of(record.facts)
    texts = {"instruction": record.instruction, "caption": record.caption, "edited_caption": record.edited_caption}
    return {**texts, **({"kind": kind} if kind else {}), GROUP: record.prompt, "sample": record.sample, "facts": dict(record.facts)}


def kind_of(facts: Mapping[str, Any]) -> str:
    """The kind of edit, as the facts of a pair or of its prompt tell it; "" where they don't."""
    about = facts.get(ABOUT)
    found = facts.get("kind") or (about.get("kind") if isinstance(about, Mapping) else "")
    return found if isinstance(found, str) else ""
