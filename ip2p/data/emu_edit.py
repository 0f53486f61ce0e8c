"""The Emu Edit test set (Sheynin et al. 2023, arXiv 2311.10089) in the hub's Parquet files: instructions for seven tasks, with captions."""

from collections import Counter
from pathlib import Path

from ..pictures import from_pil
from .example import DataError, Dataset, Example
from .folder import leave_out
from .opening import decoded, limited
from .parquet import Rows

BENCHMARK = "emu_edit"
TEXTS = ("instruction", "task", "split", "idx", "hash", "input_caption", "output_caption")
PICTURES = ("image",)
SPLITS = ("test", "validation")


def fits(folder: Path) -> bool:
    """Whether a folder has Parquet files of its splits (`data/test-*.parquet`, `data/validation-*.parquet`)."""
    return bool(_tables(folder))


def _tables(folder: Path) -> list[Path]:
    """The files of the test split where there are any, else of the validation split."""
    for split in SPLITS:
        if files := [*sorted(folder.glob(f"{split}-*.parquet")), *sorted((folder / "data").glob(f"{split}-*.parquet"))]:
            return files
    return []


def opened(folder: Path, size: int = 0, skip: bool = False) -> Dataset:
    """All edits of the split. Raises DataError."""
    found: list[tuple[Rows, int]] = []
    skipped: list[str] = []
    for path in _tables(folder):
        try:
            rows = Rows(path, TEXTS, PICTURES)
        except DataError as reason:
            leave_out(reason, skip, skipped, reason)
            continue
        found += [(rows, number) for number in range(len(rows))]
    if not found:
        raise DataError(f"{folder} has no readable files of the Emu Edit test set: download them again.")
    names = [str(rows.texts[number].get("hash") or rows.texts[number].get("idx")) for rows, number in found]
    times = Counter(names)

    def make(number: int) -> Example:
        name = names[number] if times[names[number]] == 1 else f"{names[number]}-{number}"
        return _row(*found[number], name, size)

    return Dataset(f"Emu Edit {found[0][0].path.name.split('-')[0]}", len(found), make, BENCHMARK, tuple(skipped))


def _row(rows: Rows, number: int, name: str, size: int) -> Example:
    texts = rows.texts[number]
    return Example(
        id=name,
        instruction=texts["instruction"] or "",
        image=lambda: limited(from_pil(decoded(rows.data(number, "image"), f"{rows.path.name}, row {number},"))[0], size),
        caption=texts.get("input_caption") or "",
        edited_caption=texts.get("output_caption") or "",
        kind=texts.get("task") or "",
    )
