"""One way to write pairs, whatever the layout: durable pair by pair, resumable after a kill, the same bytes for the same pairs."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

from .disk import make_folder, read_file, writing
from .encoded import ending_of
from .example import DataError
from .journal import NAME, Journal, digest_of
from .layouts import LAYOUTS
from .manifest import MANIFEST, Counts, finish_store
from .record import Record
from .write_folders import AuthorsFolders, PlainFolder
from .write_shards import Limits, Shards, Tables

FORMAT = 1


class Layout(Protocol):
    """How pairs of one layout get onto the disk. Each method raises DataError where the disk refuses."""

    def resume(self, last: Mapping[str, Any] | None) -> None:
        """Drop what came after the last pair that was noted in the journal."""

    def put(self, number: int, record: Record) -> dict[str, Any]:
        """Store the pair of a number; what is to be noted about it."""

    def finish(self) -> Iterator[tuple[str, str]]:
        """Write what comes at the end; (name, SHA-256) of every file."""


def open_writer(folder: Path, layout: str, settings: Mapping[str, Any], limits: Limits | None = None) -> "Writer":
    """A writer into a folder that is new, or was begun with the same settings (JSON values). See `Writer`. Raises DataError."""
    if layout not in LAYOUTS:
        raise DataError(f"The layout {layout!r} is unknown: use {', '.join(LAYOUTS)}.")
    return Writer(folder, layout, settings, limits or Limits())


class Writer:
    """Writes pairs and counts rejected ones; the pairs of one prompt come together, all always in the same order.

    After a kill a new writer goes on: give it everything again from the start (what is there is compared and passed over), or `skip()`
    and give what follows the first `done` pairs and rejections. Leaving its `with` block finishes the store; an exception leaves it so
    that it can be gone on with. A store that is `complete` takes nothing more.
    """

    def __init__(self, folder: Path, layout: str, settings: Mapping[str, Any], limits: Limits) -> None:
        self.folder, self.layout = folder, layout
        head = {"format": FORMAT, "layout": layout, "settings": dict(settings)}
        if layout in ("webdataset", "parquet"):
            head["shards"] = {"pairs": limits.pairs, "size": limits.size}
        self.head = head
        self.counts, self.done, self._at = Counts(), 0, 0
        self.last: tuple[int, str] | None = None
        """How many were done before the last pair that was there already, and its digest."""
        self.complete = self._is_complete()
        if self.complete:
            return
        self._journal = Journal(folder, head)
        self._layout = _layout(folder, layout, self._journal, limits)
        last = None
        for entry in self._events():
            self.counts.add(entry)
            if "digest" in entry:
                last, self.last = entry, (self.done, entry["digest"])
            self.done += 1
        self._layout.resume(last)
        self._before = self._events()

    def __enter__(self) -> "Writer":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if kind is None:
            self.finish()
        elif not self.complete:
            self._journal.close()

    def skip(self) -> int:
        """Don't compare what is there: what is given next follows it. Returns `done`."""
        self._at = self.done
        return self.done

    def write(self, record: Record) -> None:
        """Store a pair; when this returns it is safe. Raises PairError for one that can't be stored, DataError where the disk refuses."""
        for data in filter(None, (record.image, record.edited, record.mask)):
            ending_of(data, f"{record.prompt}/{record.sample}")
        named = {} if self.complete else {"digest": digest_of(record)}
        if not self._passed(named):
            told = {"prompt": record.prompt, "mask": bool(record.mask)}
            self._note({**named, **told, **self._layout.put(self.counts.pairs, record)})

    def reject(self, reason: str, count: int = 1) -> None:
        """Count pairs that are left out, for the manifest."""
        entry = {"rejected": reason, "count": count}
        if not self._passed(entry):
            self._note(entry)

    def finish(self) -> None:
        """Close the last files, write the hashes and the manifest. Raises DataError."""
        if self.complete:
            return
        if self._at < self.done:
            raise DataError(
                f"{self.folder.name} already has more pairs than were given now: use another folder, or the same input as before."
            )
        finish_store(self.folder, self.head, self.counts, self._layout.finish())
        self._journal.remove()
        self.complete = True

    def _note(self, entry: dict[str, Any]) -> None:
        self._journal.add(entry)
        self.counts.add(entry)
        self.done += 1
        self._at += 1

    def _passed(self, given: Mapping[str, Any]) -> bool:
        """Whether this is there already. Raises DataError where something else is there."""
        if self.complete:
            return True
        if self._at >= self.done:
            return False
        self._at += 1
        found = next(self._before)
        if any(found.get(name) != value for name, value in given.items()):
            raise DataError(f"{self.folder.name} was begun with other pairs (number {self._at} differs): use another folder.")
        return True

    def _events(self) -> Iterator[dict[str, Any]]:
        """What was stored and what was rejected, as far as it was noted."""
        return (entry for entry in self._journal.lines() if "digest" in entry or "rejected" in entry)

    def _is_complete(self) -> bool:
        """Whether the folder holds a finished store of the same head. Raises DataError for anything else that is there."""
        make_folder(self.folder)
        if (self.folder / NAME).is_file():
            return False
        path = self.folder / MANIFEST
        if not path.is_file():
            with writing(self.folder):
                if any(not entry.name.endswith(".part") for entry in self.folder.iterdir()):
                    raise DataError(f"{self.folder} is not empty, and was not written by this command: choose an empty or a new folder.")
            return False
        try:
            found = json.loads(read_file(path))
        except ValueError as error:
            raise DataError(f"{path} is broken ({error}): look at it with `python -m ip2p lint`, or choose another folder.") from error
        self.counts = Counts.of(found)
        if any(found.get(name) != json.loads(json.dumps(value)) for name, value in self.head.items()):
            raise DataError(f"{self.folder.name} is a finished data set with other settings: choose another folder, or delete it.")
        return True


def _layout(folder: Path, layout: str, journal: Journal, limits: Limits) -> Layout:
    if layout in ("authors", "plain"):
        return AuthorsFolders(folder, journal) if layout == "authors" else PlainFolder(folder, journal)
    return Shards(folder, journal, limits) if layout == "webdataset" else Tables(folder, journal, limits)
