"""Rows of Parquet files, as the Hugging Face hub stores data sets: the texts at once, each picture only when it is opened."""

import logging
import threading
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from .example import DataError

log = logging.getLogger(__name__)

_lock = threading.Lock()
"""A reader walks through its file for one thread at a time."""


class Rows:
    """One Parquet file: `texts` of the light columns by row, and the bytes of a picture of a row. Raises DataError.

    Reading goes forward a row at a time, so that memory holds one row's pictures, whatever the file's size.
    """

    def __init__(self, path: Path, texts: Sequence[str], pictures: Sequence[str]) -> None:
        self.path, self.pictures = path, list(pictures)
        file = opened_file(path)
        there = set(file.schema_arrow.names)
        if missing := [name for name in (*texts[:1], *pictures[:1]) if name not in there]:
            raise DataError(f"{path.name} has no column {missing[0]!r}: it is not this data set's file; name the right folder.")
        self.pictures = [name for name in pictures if name in there]
        try:
            self.texts: list[dict[str, Any]] = file.read(columns=[name for name in texts if name in there]).to_pylist()
        except (OSError, ValueError) as error:
            raise _damaged(path, error) from error

    def __len__(self) -> int:
        return len(self.texts)

    def data(self, row: int, column: str) -> bytes:
        """The encoded picture of a row. Raises DataError where there is none."""
        with _lock:
            value = _reader(self.path, self.path.stat().st_mtime_ns, tuple(self.pictures)).row(row).get(column)
        found = value.get("bytes") if isinstance(value, dict) else value
        if not found:
            raise DataError(f"{self.path.name}, row {row}, has no picture in {column!r}: download the file again, or skip the row.")
        return bytes(found)


class _Reader:
    """Walks through the rows of a file; going back starts anew at the row's group."""

    def __init__(self, path: Path, columns: tuple[str, ...]) -> None:
        self.path, self.columns = path, list(columns)
        self.file = opened_file(path)
        counts = [self.file.metadata.row_group(group).num_rows for group in range(self.file.num_row_groups)]
        self.starts = [sum(counts[:group]) for group in range(len(counts))]
        self.rows: Iterator[Any] = iter(())
        self.at, self.last = -1, {}  # type: int, dict[str, Any]

    def row(self, number: int) -> dict[str, Any]:
        try:
            if number < self.at or self._group(number) != self._group(self.at):
                group = self._group(number)
                self.rows = self.file.iter_batches(batch_size=1, row_groups=[group], columns=self.columns)
                self.at = self.starts[group] - 1
            while self.at < number:
                self.last = next(self.rows).to_pylist()[0]
                self.at += 1
        except (OSError, ValueError, StopIteration) as error:
            self.at = -1
            raise _damaged(self.path, error) from error
        return self.last

    def _group(self, number: int) -> int:
        return max((group for group, start in enumerate(self.starts) if start <= number), default=-1)


def column_names(path: Path) -> list[str]:
    """The names of a file's columns. Raises DataError."""
    return list(opened_file(path).schema_arrow.names)


def texts_of(path: Path, columns: Sequence[str]) -> dict[str, np.ndarray]:
    """The values of light columns, one array of objects each. Raises DataError."""
    try:
        table = opened_file(path).read(columns=list(columns))
    except (OSError, ValueError) as error:
        raise _damaged(path, error) from error
    return {name: table.column(name).to_numpy(zero_copy_only=False) for name in columns}


@lru_cache(maxsize=2)
def _reader(path: Path, changed: int, columns: tuple[str, ...]) -> _Reader:
    """A file's reader; `changed` is when the file was last written, so that another file of the same name gets its own."""
    return _Reader(path, columns)


def opened_file(path: Path) -> Any:
    """The reader of a file, which reads no more than it is asked for. Raises DataError."""
    try:
        import pyarrow.parquet
    except ImportError as error:
        raise DataError(f"Reading {path.name} needs pyarrow: install it with `pip install pyarrow`.") from error
    try:
        return pyarrow.parquet.ParquetFile(path, pre_buffer=False)
    except (OSError, ValueError) as error:
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> DataError:
    log.debug("%s: %s", path, error)
    return DataError(f"{path.name} is damaged or not all there: download it again, or skip it.")
