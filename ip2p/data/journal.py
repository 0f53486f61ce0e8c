"""What a writer has done so far, a line of JSON each, so that another process can go on from there."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from .disk import Appender, difference, make_folder, mend_end
from .example import DataError
from .prompt_folder import dumped
from .record import Record

NAME = ".ip2p-writing.jsonl"


class Journal:
    """The journal of a folder; begun with `head` (JSON values) or, where there is one, gone on with. Raises DataError for another head."""

    def __init__(self, folder: Path, head: Mapping[str, Any]) -> None:
        self.path = folder / NAME
        make_folder(folder)
        mend_end(self.path)
        found = next(self._all(), None)
        wanted = json.loads(dumped(head))
        if found is not None and found != wanted:
            was = difference(found.get("settings"), wanted["settings"]) if _alike(found, wanted) else difference(found, wanted)
            raise DataError(f"{folder.name} was begun with {was}: use the same settings, or another folder.")
        self._file = Appender(self.path)
        if found is None:
            self._file.add(dumped(wanted), b"\n")

    def lines(self) -> Iterator[dict[str, Any]]:
        """All that was noted, in its order, without the head."""
        entries = self._all()
        next(entries, None)
        return entries

    def add(self, entry: Mapping[str, Any]) -> None:
        """Note that something is done. Raises DataError."""
        self._file.add(dumped(entry), b"\n")

    def close(self) -> None:
        """Nothing more is noted for now."""
        self._file.close()

    def remove(self) -> None:
        """All is done: the journal isn't needed any more."""
        self.close()
        self.path.unlink(missing_ok=True)

    def _all(self) -> Iterator[dict[str, Any]]:
        if not self.path.is_file():
            return
        with self.path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                try:
                    yield json.loads(line)
                except ValueError as error:
                    raise DataError(f"{self.path}, line {number}, is broken: delete {self.path.parent.name}, and run again.") from error


def _alike(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    """Whether two heads differ in their settings alone."""
    return {**found, "settings": None} == {**wanted, "settings": None}


def digest_of(record: Record) -> str:
    """32 hexadecimal digits that stand for all of a record."""
    digest = hashlib.blake2b(digest_size=16)
    texts = (record.prompt, record.sample, record.caption, record.instruction, record.edited_caption)
    for part in (
        *(text.encode("utf-8", "surrogatepass") for text in texts),
        record.image,
        record.edited,
        record.mask or b"",
        dumped(dict(record.facts)),
    ):
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)
    return digest.hexdigest()
