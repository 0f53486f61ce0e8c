"""A plain folder of triplets as a training set: `metadata.jsonl`, or pictures that belong together by their names.

The same layouts as in `folder.py`, read so that 300,000 lines cost neither memory nor a look at each file: a line is parsed, and its
files are sought, when the pair is asked for.
"""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np

from .example import DataError, Example
from .folder import ENDS, METADATA, NAMES, value_of
from .opening import PICTURES, file_key, file_shape, mask_file, picture_file, printable
from .pairs import PairSet


def opened(folder: Path) -> PairSet:
    """All edits of a folder. Raises DataError where there is none."""
    records = _Lines(folder / METADATA) if (folder / METADATA).is_file() else _Names(folder)
    if not len(records):
        raise DataError(
            f"{folder} has no pairs: write {METADATA} there (a line of JSON each, with image, instruction and edited), or name pictures "
            "NAME_source.png and NAME_edited.png with the instruction in NAME.txt."
        )

    def group(number: int) -> tuple[Example]:
        return (_example(folder, records.record(number)),)

    def key(number: int, pair: int) -> str:
        record = records.record(number)
        return f"{folder}|{file_key(folder / record['image'], folder / record['edited'])}"

    return PairSet(folder.name, len(records), group, key)


def pairs_by_name(folder: Path) -> "_Names":
    """The pairs of a folder without metadata.jsonl: `record(number)` names the files of each of the `len`. Raises DataError."""
    return _Names(folder)


class _Lines:
    """The lines of a JSONL file: only their places are kept."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            data = np.fromfile(path, dtype=np.uint8)
        except OSError as error:
            raise DataError(f"{path} can't be read ({error.strerror or error}): check the folder and its permissions.") from error
        ends = np.append(np.flatnonzero(data == ord("\n")), len(data))
        starts = np.insert(ends[:-1] + 1, 0, 0)
        full = ends - starts > 2  # shorter than {} is an empty line
        self.starts, self.ends = starts[full], ends[full]

    def __len__(self) -> int:
        return len(self.starts)

    def record(self, number: int) -> dict[str, str]:
        where = f"{self.path.name}, pair {number + 1},"
        try:
            with self.path.open("rb") as file:
                file.seek(int(self.starts[number]))
                line: Any = json.loads(file.read(int(self.ends[number] - self.starts[number])).decode("utf-8-sig"))
            if not isinstance(line, dict):
                raise ValueError("it is no object")
        except (OSError, ValueError) as error:
            raise DataError(f"{where} is not a line of JSON ({error}): mend the line, or take it out.") from error
        record = {name: value_of(line, name) for name in NAMES}
        record["id"] = record["id"] or f"{number + 1:06d}"
        if missing := [name for name in ("image", "edited", "instruction") if not record[name].strip()]:
            raise DataError(f"{where} has no {missing[0]}: give every pair an image, an instruction and an edited picture.")
        return record


class _Names:
    """Files named NAME_source.png, NAME_edited.png, NAME_mask.png and NAME.txt, from one listing of the folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            with os.scandir(folder) as entries:
                names = sorted(entry.name for entry in entries)
        except OSError as error:
            raise DataError(f"{folder} can't be read ({error.strerror or error}): check the folder and its permissions.") from error
        self.pictures = {name.rsplit(".", 1)[0]: name for name in names if name.lower().endswith(PICTURES)}
        self.stems = [stem for name in names if name.lower().endswith(".txt") and self._file(stem := name[:-4], "edited")]

    def __len__(self) -> int:
        return len(self.stems)

    def _file(self, stem: str, name: str) -> str:
        return next((self.pictures[stem + end] for end in ENDS[name] if stem + end in self.pictures), "")

    def record(self, number: int) -> dict[str, str]:
        stem = self.stems[number]
        try:
            text = (self.folder / f"{stem}.txt").read_text("utf-8-sig", errors="replace").strip()
        except OSError as error:
            raise DataError(f"{stem}.txt can't be read ({error.strerror or error}): write the instruction there.") from error
        found = {name: self._file(stem, name) for name in ENDS}
        found["image"] = found["image"] or self.pictures.get(stem, "")
        if not found["image"] or not text:
            lacks = "no instruction in it" if found["image"] else "no picture it starts from"
            raise DataError(f"{stem}.txt has {lacks}: give every pair an image, an instruction and an edited picture.")
        return dict.fromkeys(NAMES, "") | found | {"id": stem, "instruction": text}


def _example(folder: Path, record: dict[str, str]) -> Example:
    image = folder / record["image"]
    return Example(
        id=printable(record["id"]),
        instruction=record["instruction"],
        image=picture_file(image),
        caption=record["caption"],
        edited_caption=record["edited_caption"],
        edited=picture_file(folder / record["edited"]),
        mask=mask_file(folder / record["mask"], image) if record["mask"] else None,
        kind=record["kind"],
        shape=lambda: file_shape(image),
    )
