"""Records from Parquet files, in the columns of the public data sets (see `tables.py`), a few rows at a time."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from .example import DataError
from .parquet import column_names, opened_file
from .prompt_folder import GROUP, dumped
from .read_shards import Make, failing
from .record import Record
from .tables import GROUPED, columns_of

ROWS = 8
"""Rows that are in memory at once."""
MASKS = ("mask", "mask_img")
LIGHT = (str, int, float, bool)


def pairs_of_tables(files: Sequence[Path]) -> Iterator[Make]:
    """All pairs of some files. Rows of others' files that belong together get one prompt, named by its file and first row."""
    for path in files:
        try:
            yield from _Rows(path).makes()
        except DataError as reason:
            yield failing(reason)


class _Rows:
    """The rows of one file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.columns = {part: name for part, name in columns_of(path).items() if name}
        self.there = column_names(path)
        self.columns["mask"] = next((name for name in MASKS if name in self.there), "")
        self.ours = {GROUP, "sample", "facts"} <= set(self.there)
        self.by = next((name for name in GROUPED if name in self.there), "")
        self.first, self.last = 0, (object(),)  # type: int, tuple[Any, ...]

    def makes(self) -> Iterator[Make]:
        """Each row. Raises DataError where the file is damaged."""
        number = 0
        try:
            for batch in opened_file(self.path).iter_batches(batch_size=ROWS):
                for row in batch.to_pylist():
                    prompt = self._prompt(number, row)
                    yield lambda row=row, number=number, prompt=prompt: self._record(row, number, prompt)  # type: ignore[misc]
                    number += 1
        except (OSError, ValueError) as error:
            raise DataError(f"{self.path.name} is damaged after {number} rows: download it again for the rest.") from error

    def _prompt(self, number: int, row: dict[str, Any]) -> str:
        names = (self.by,) if self.by == "img_id" else (self.by, self.columns["instruction"])
        if self.by == "img_id":
            return str(row[self.by])
        now = tuple(row.get(name) for name in names)
        if now != self.last or not self.by:
            self.first, self.last = number, now
        return f"{self.path.stem}/{self.first}"

    def _record(self, row: dict[str, Any], number: int, prompt: str) -> Record:
        where = f"{self.path.name}, row {number},"

        def picture(part: str) -> bytes:
            value = row.get(self.columns[part])
            found = value.get("bytes") if isinstance(value, dict) else value
            if not found and part != "mask":
                raise DataError(f"{where} has no picture in {self.columns[part]!r}: download the file again, or leave the row out.")
            return bytes(found or b"")

        names = {part: self.columns.get(part, "") for part in ("caption", "instruction", "edited_caption")}
        texts: dict[str, Any] = {part: str(row.get(name) or "") for part, name in names.items()}
        pictures: dict[str, Any] = {"image": picture("image"), "edited": picture("edited"), "mask": picture("mask") or None}
        if self.ours:
            return Record(prompt=row[GROUP], sample=row["sample"], facts=self._facts(row["facts"], where), **texts, **pictures)
        used = {*self.columns.values(), "img_id"}
        facts = {name: value for name, value in row.items() if name not in used and isinstance(value, LIGHT)}
        sample = str(facts.get("turn_index", number) if self.by == "img_id" else number)
        return Record(prompt=prompt, sample=sample, facts=facts, **texts, **pictures)

    def _facts(self, text: str | None, where: str) -> dict[str, Any]:
        try:
            found = json.loads(text or "{}")
            dumped(found)
            if not isinstance(found, dict):
                raise ValueError("they are no object")
        except ValueError as error:
            raise DataError(f"{where} has broken facts ({error}): leave the row out.") from error
        return found
