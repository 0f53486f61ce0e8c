"""Pairs in large files: webdataset shards, and Parquet files in the layout of the public data sets.

Both grow as a tar that a killed process can go on with; what becomes of a full one is the difference.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .disk import PART, Appender, beside, sha256_of, writing
from .encoded import ending_of
from .journal import Journal
from .prompt_folder import GROUP, dumped
from .record import Record
from .write_folders import told_of

BLOCK = 512
"""Bytes; a tar is made of such blocks, and two empty ones end it."""
LARGEST_MEMBER = 8**11 - 1
"""Bytes that a head of a tar can tell."""


@dataclass(frozen=True)
class Limits:
    """How large a shard gets: at most so many pairs, and so many bytes (a single larger pair is a shard of its own)."""

    pairs: int = 10_000
    size: int = 1_000_000_000


class Shards:
    """Webdataset shards `pairs-000000.tar`, ...: KEY.edited.png, KEY.input.png, KEY.json and KEY.mask.png of each pair, in this order."""

    ending = ".tar"

    def __init__(self, folder: Path, journal: Journal, limits: Limits) -> None:
        self.folder, self.journal, self.limits = folder, journal, limits
        self._shard, self._pairs = 0, 0
        self._tar: Appender | None = None

    def resume(self, last: Mapping[str, Any] | None) -> None:
        """Go on after the last pair that was noted. Raises DataError where its shard has lost it."""
        if last is None:
            return
        self._shard, self._pairs = last["shard"], last["pairs"]
        if any(entry.get("whole") == self._name() for entry in self.journal.lines()):
            self._shard, self._pairs = self._shard + 1, 0
        elif not self._part().is_file() and (self.folder / self._name()).is_file():
            self._note_whole()
        else:
            self._tar = Appender(self._part(), last["end"])

    def put(self, number: int, record: Record) -> dict[str, Any]:
        """Store a pair. Raises DataError."""
        data = b"".join(tar_members(f"{number:09d}", record))
        if self._tar and (self._pairs >= self.limits.pairs or self._tar.end + len(data) > self.limits.size):
            self._finish_shard()
        if self._tar is None:
            self._tar = Appender(self._part(), 0)
        end = self._tar.add(data)
        self._pairs += 1
        return {"shard": self._shard, "pairs": self._pairs, "end": end}

    def finish(self) -> Iterator[tuple[str, str]]:
        """Close the last shard; (name, SHA-256) of every file. Raises DataError."""
        if self._tar:
            self._finish_shard()
        for entry in self.journal.lines():
            if "whole" in entry:
                yield entry["whole"], entry["sha256"]

    def close(self, part: Path, place: Path) -> None:
        """Make a shard of the tar in `part`, which lacks its end. Raises DataError."""
        tar = Appender(part)
        tar.add(bytes(2 * BLOCK))
        tar.close()
        with writing(place):
            part.replace(place)

    def _finish_shard(self) -> None:
        assert self._tar is not None
        self._tar.close()
        self._tar = None
        self.close(self._part(), self.folder / self._name())
        self._note_whole()

    def _note_whole(self) -> None:
        self.journal.add({"whole": self._name(), "sha256": sha256_of(self.folder / self._name())})
        self._shard, self._pairs = self._shard + 1, 0

    def _name(self) -> str:
        return f"pairs-{self._shard:06d}{self.ending}"

    def _part(self) -> Path:
        return self.folder / f".pairs-{self._shard:06d}.tar{PART}"


class Tables(Shards):
    """Parquet files `pairs-000000.parquet`, ... with the columns of the authors' set on the hub, and `mask`, `group`, `sample`, `facts`.

    A file can't grow, so its pairs are gathered in a tar first; at its end the file is written from it in one go.
    """

    ending = ".parquet"

    def close(self, part: Path, place: Path) -> None:
        """Make a Parquet file of the pairs in `part`. Raises DataError."""
        from .parquet_files import write_table
        from .read_shards import pairs_of_tar

        with writing(place):
            write_table(beside(place), pairs_of_tar(part))
            beside(place).replace(place)
            part.unlink()


def tar_members(key: str, record: Record) -> Iterator[bytes]:
    """The members of a pair, sorted by name, each a head and its data, filled up to whole blocks. Raises DataError."""
    where = f"{record.prompt}/{record.sample}"
    files = {
        f"edited.{ending_of(record.edited, where)}": record.edited,
        f"input.{ending_of(record.image, where)}": record.image,
        "json": dumped(told_of(record)),
    }
    if record.mask:
        files[f"mask.{ending_of(record.mask, where)}"] = record.mask
    for name, data in files.items():
        yield tar_head(f"{key}.{name}", len(data))
        yield data
        yield bytes(-len(data) % BLOCK)


def tar_head(name: str, size: int) -> bytes:
    """The head of a file in a tar (ustar, POSIX 1003.1-1990): no owner, no time, so that the same file gives the same bytes.

    `name` is ASCII, below 100 characters; `size` bytes, below 8 GiB.
    """
    assert len(name) < 100, name
    assert size <= LARGEST_MEMBER
    fields = b"".join(
        (
            name.encode("ascii").ljust(100, b"\0"),
            b"0000644\0" + b"0000000\0" * 2,  # mode, user, group
            b"%011o\0" % size,
            b"00000000000\0",  # time
            b" " * 8,  # the checksum is taken with spaces in its own place
            b"0" + bytes(100),  # an ordinary file, linked to none
            b"ustar\x0000" + bytes(64),
            b"0000000\0" * 2,
        )
    ).ljust(BLOCK, b"\0")
    return fields[:148] + b"%06o\0 " % sum(fields) + fields[156:]


def told(data: bytes) -> dict[str, Any]:
    """What the JSON of a member says; {} where it says nothing that can be used."""
    try:
        found = json.loads(data.decode("utf-8-sig"))
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def is_ours(found: Mapping[str, Any]) -> bool:
    """Whether the JSON of a pair was written by `told_of`."""
    return isinstance(found.get("facts"), dict) and isinstance(found.get(GROUP), str) and isinstance(found.get("sample"), str)
