"""Parquet files as a training set, in the layouts of the public data sets.

`original_image`, `edit_prompt`, `edited_image` (the authors' filtered set), `input_image` in its stead, `source_img`, `instruction`,
`target_img` (MagicBrush), each picture a struct of `bytes` and `path`, or bytes alone. Rows of one `img_id`, or of the same prompts one
after the other, are a group.
"""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np

from .example import DataError, Example, Open
from .folder import NAMES
from .index_files import Found, indexed
from .opening import file_key, picture_of, shape_of
from .pairs import Lazily, PairSet, divided
from .parquet import Rows, column_names, texts_of

INDEX = "ip2p-tables"
GROUPED = ("img_id", "original_prompt", *NAMES["caption"])
"""Columns that tell which rows belong together; the first that is there."""
HELD = {"val": ("val", "dev", "test"), "test": ("test", "val", "dev")}
"""How the names of held-out files begin, the best first."""


def files_of(place: Path) -> list[Path]:
    """The Parquet files of a folder, or of its `data`; a file alone."""
    if place.suffix.lower() == ".parquet":
        return [place]
    return sorted(place.glob("*.parquet")) or sorted((place / "data").glob("*.parquet"))


def opened(files: Sequence[Path], split: str, cache: Path | None = None) -> PairSet:
    """The groups of a split: files that are named after splits (train-, dev-, validation-, test-) keep to them. Raises DataError."""
    chosen = _of_split(files, split)
    arrays, skipped = indexed(f"{INDEX}-{split}" if len(chosen) < len(files) else INDEX, chosen, cache, lambda: _found(chosen))
    part, row, ends = arrays["part"], arrays["row"], arrays["end"]
    if not len(part):
        told = f" ({skipped[0]})" if skipped else ""
        raise DataError(f"{files[0].parent} has no pairs in its Parquet files{told}: download them again, or name another folder.")

    def group(number: int) -> Lazily:
        path, first = chosen[int(part[number])], int(row[number])
        return Lazily(int(ends[number]) - first, lambda pair: _example(path, first + pair))

    def key(number: int, pair: int) -> str:
        path = chosen[int(part[number])]
        return f"{path}|{file_key(path)}|{int(row[number]) + pair}"

    parent = files[0].parent
    pairs = PairSet(parent.parent.name if parent.name == "data" else parent.name, len(part), group, key, tuple(skipped))
    return pairs if len(chosen) < len(files) else divided(pairs, split)


def _of_split(files: Sequence[Path], split: str) -> list[Path]:
    """The files of a split, where some are named as training's and some as held out; else all."""
    held = [path for path in files if path.name.lower().startswith(HELD["val"])]
    train = [path for path in files if path not in held]
    if split == "all" or not held or not train:
        return list(files)
    if split == "train":
        return train
    begins = next(begin for begin in HELD[split] if any(path.name.lower().startswith(begin) for path in held))
    return [path for path in held if path.name.lower().startswith(begins)]


def _found(files: Sequence[Path]) -> Found:
    """Of each group the `part` (which file) and first `row`, and the row after its last, `end`."""
    parts: list[tuple[np.ndarray, ...]] = []
    skipped: list[str] = []
    for number, path in enumerate(files):
        try:
            starts, count = _starts(path)
        except DataError as reason:
            skipped.append(str(reason))
            continue
        parts.append((np.full(len(starts), number, dtype=np.int32), starts, np.append(starts[1:], count)))
    columns = zip(*parts, strict=True) if parts else ([], [], [])
    joined = [np.concatenate([np.zeros(0, dtype=np.int64), *column]).astype(np.int64) for column in columns]
    return dict(zip(("part", "row", "end"), joined, strict=True)), skipped


def _starts(path: Path) -> tuple[np.ndarray, int]:
    """(the first row of each group of a file, how many rows it has)."""
    names = columns_of(path)
    by = next((name for name in GROUPED if name in column_names(path)), "")
    columns = [by] if by == "img_id" else [name for name in (by, names["instruction"]) if name]
    texts = texts_of(path, columns if by else columns[:1])
    count = len(texts[columns[0]])
    changes = np.ones(count, dtype=bool) if not by else np.zeros(count, dtype=bool)
    changes[:1] = True
    for column in texts.values():
        changes[1:] |= column[1:] != column[:-1]
    return np.flatnonzero(changes), count


@lru_cache(maxsize=512)
def columns_of(path: Path) -> dict[str, str]:
    """What the file calls the instruction and the two pictures. Raises DataError where it lacks one."""
    there = column_names(path)
    found = {part: next((name for name in NAMES[part] if name in there), "") for part in ("instruction", "image", "edited")}
    if missing := [part for part, name in found.items() if not name]:
        raise DataError(
            f"{path.name} has no column for the {missing[0]} of a pair: name it {NAMES[missing[0]][0]} (it has {', '.join(sorted(there))})."
        )
    captions = {part: next((name for name in NAMES[part] if name in there), "") for part in ("caption", "edited_caption")}
    return found | captions


@lru_cache(maxsize=16)
def _rows(path: Path) -> Rows:
    names = columns_of(path)
    texts = [names[part] for part in ("instruction", "caption", "edited_caption") if names[part]]
    return Rows(path, texts, (names["image"], names["edited"]))


def _example(path: Path, row: int) -> Example:
    rows, names, where = _rows(path), columns_of(path), f"{path.name}, row {row},"
    texts = rows.texts[row]

    def picture(part: str) -> Open:
        return lambda: picture_of(rows.data(row, names[part]), where)

    return Example(
        id=f"{path.stem}/{row}",
        instruction=texts[names["instruction"]] or "",
        image=picture("image"),
        caption=texts.get(names["caption"]) or "",
        edited_caption=texts.get(names["edited_caption"]) or "",
        edited=picture("edited"),
        shape=lambda: shape_of(rows.data(row, names["image"]), where),
    )
