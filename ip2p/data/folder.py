"""A plain folder of edits: metadata.jsonl, or pictures that belong together by their names."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .example import DataError, Dataset, Example
from .opening import PICTURES, mask_file, picture_file

METADATA = "metadata.jsonl"
NAMES = {
    "image": ("image", "file_name", "source", "input", "original", "input_image", "original_image", "source_image", "source_img", "before"),
    "instruction": ("instruction", "edit", "edit_prompt", "edit_instruction", "prompt"),
    "edited": ("edited", "edited_image", "target", "output", "edited_file_name", "output_image", "target_image", "target_img", "after"),
    "mask": ("mask",),
    "caption": ("caption", "input_caption", "source_caption", "original_prompt"),
    "edited_caption": ("edited_caption", "output_caption", "target_caption", "edited_prompt"),
    "kind": ("kind", "task", "category"),
    "id": ("id",),
}
"""What a value may be called."""
ENDS = {"image": ("_source", "_input", "_0"), "edited": ("_edited", "_target", "_output", "_1"), "mask": ("_mask",)}
"""Without metadata: how the names of the pictures of one edit end. The instruction is in NAME.txt."""


def open_folder(folder: Path, size: int = 0, skip: bool = False) -> Dataset:
    """The edits of a folder. With `skip` a bad line or an edit that lacks something is left out and told; otherwise DataError."""
    skipped: list[str] = []
    lines = folder / METADATA
    found = _lines(lines, skip, skipped) if lines.is_file() else _by_name(folder, skip, skipped)
    if not found:
        raise DataError(
            f"{folder} has no edits: write {METADATA} there (a line of JSON each, with image and instruction), or name pictures "
            "NAME_source.png and NAME_edited.png with the instruction in NAME.txt."
        )
    return Dataset(folder.name, len(found), lambda number: _example(folder, found[number], size), skipped=tuple(skipped))


def read_lines(path: Path, skip: bool, skipped: list[str]) -> list[tuple[int, dict[str, Any]]]:
    """(number, object) of each line of a JSONL file; what is none is skipped and told, or raises DataError."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise DataError(f"{path.name} is no UTF-8 text ({error}): save it as UTF-8.") from error
    except OSError as error:
        raise DataError(f"{path} can't be read ({error.strerror or error}): check the name of the folder.") from error
    found = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
            if not isinstance(value, dict):
                raise ValueError("it is no object")
            found.append((number, value))
        except ValueError as error:
            reason = DataError(f"{path.name}, line {number}, is not a JSON object ({error}): mend the line, or skip bad ones.")
            leave_out(reason, skip, skipped, error)
    return found


def leave_out(reason: DataError, skip: bool, skipped: list[str], cause: Exception | None = None) -> None:
    """Note why something is left out, or raise the reason where nothing may be."""
    if not skip:
        raise reason from cause
    skipped.append(str(reason))


def value_of(found: Mapping[str, Any], name: str) -> str:
    """The text under any of the names that mean `name`; "" for none. A picture may be an object with its file name."""
    for key in NAMES[name]:
        value = found.get(key)
        if isinstance(value, dict):
            value = value.get("file_name") or value.get("path")
        if value is not None and value != "":
            return str(value)
    return ""


def _lines(path: Path, skip: bool, skipped: list[str]) -> list[dict[str, str]]:
    found: list[dict[str, str]] = []
    ids: set[str] = set()
    for number, line in read_lines(path, skip, skipped):
        record = {name: value_of(line, name) for name in NAMES}
        record["id"] = record["id"] or f"{number:06d}"
        try:
            _check(path.parent, record, f"{path.name}, line {number}", ids)
        except DataError as reason:
            leave_out(reason, skip, skipped, reason)
            continue
        ids.add(record["id"])
        found.append(record)
    return found


def _check(folder: Path, record: Mapping[str, str], where: str, ids: set[str]) -> None:
    """Raise DataError for an edit that lacks its picture or instruction, names a file that is not there, or repeats an id."""
    if missing := [name for name in ("image", "instruction") if not record[name].strip()]:
        raise DataError(f"{where}, has no {missing[0]}: give every edit an image and an instruction.")
    for name in ("image", "edited", "mask"):
        if record[name] and not (folder / record[name]).is_file():
            raise DataError(f"{where}, names {record[name]}, which is not there: add the file, or leave the line out.")
    if record["id"] in ids:
        raise DataError(f"{where}, repeats the id {record['id']!r}: give each edit its own.")


def _by_name(folder: Path, skip: bool, skipped: list[str]) -> list[dict[str, str]]:
    """Edits from files named NAME_source.png, NAME_edited.png, NAME_mask.png and NAME.txt."""
    texts = {path.stem: path for path in sorted(folder.glob("*.txt"))}
    files = {path.stem: path.name for path in sorted(folder.iterdir()) if path.suffix.lower() in PICTURES}
    found = []
    for stem, text in texts.items():
        record = dict.fromkeys(NAMES, "") | {"id": stem, "instruction": text.read_text("utf-8-sig", errors="replace").strip()}
        for name, ends in ENDS.items():
            record[name] = next((files[stem + end] for end in ends if stem + end in files), "")
        record["image"] = record["image"] or files.get(stem, "")
        try:
            _check(folder, record, text.name, set())
        except DataError as reason:
            leave_out(reason, skip, skipped, reason)
            continue
        found.append(record)
    return found


def _example(folder: Path, record: Mapping[str, str], size: int) -> Example:
    image = folder / record["image"]
    return Example(
        id=record["id"],
        instruction=record["instruction"],
        image=picture_file(image, size),
        caption=record["caption"],
        edited_caption=record["edited_caption"],
        edited=picture_file(folder / record["edited"], size) if record["edited"] else None,
        mask=mask_file(folder / record["mask"], image, size) if record["mask"] else None,
        kind=record["kind"],
    )
