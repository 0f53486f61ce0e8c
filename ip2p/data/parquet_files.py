"""Parquet files of pairs in the layout of the authors' set on the hub, written a few rows at a time."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from .encoded import ending_of
from .example import DataError
from .prompt_folder import GROUP, dumped
from .record import Record

TEXTS = {"original_prompt": "caption", "edit_prompt": "instruction", "edited_prompt": "edited_caption", GROUP: "prompt", "sample": "sample"}
"""Columns, and what of a record stands in them."""
PICTURES = {"original_image": ("image", "0"), "edited_image": ("edited", "1"), "mask": ("mask", "mask")}
ORDER = ("original_prompt", "original_image", "edit_prompt", "edited_prompt", "edited_image", "mask", GROUP, "sample", "facts")
ROWS, SIZE = 100, 32_000_000
"""A group of rows has at most so many, and about so many bytes."""


def write_table(path: Path, records: Iterable[Record]) -> None:
    """Write a file; memory holds one group of rows. The same records give the same bytes. Raises DataError where pyarrow is missing."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise DataError("Writing Parquet files needs pyarrow: install it with `pip install pyarrow`.") from error
    schema = _schema(pyarrow)
    with pyarrow.parquet.ParquetWriter(path, schema, use_dictionary=False, write_statistics=False) as file:
        for rows in _groups(records):
            file.write_table(pyarrow.Table.from_pylist(rows, schema))


def _groups(records: Iterable[Record]) -> Iterator[list[dict[str, Any]]]:
    rows: list[dict[str, Any]] = []
    size = 0
    for record in records:
        rows.append(_row(record))
        size += len(record.image) + len(record.edited) + len(record.mask or b"")
        if len(rows) >= ROWS or size >= SIZE:
            yield rows
            rows, size = [], 0
    if rows:
        yield rows


def _row(record: Record) -> dict[str, Any]:
    row: dict[str, Any] = {column: getattr(record, name) for column, name in TEXTS.items()}
    for column, (name, half) in PICTURES.items():
        data = getattr(record, name)
        row[column] = {"bytes": data, "path": f"{record.sample}_{half}.{ending_of(data)}"} if data else None
    return row | {"facts": dumped(dict(record.facts)).decode()}


def _schema(pyarrow: Any) -> Any:
    """The columns, with what the hub's `datasets` library needs to show the pictures as such."""
    picture = pyarrow.struct([("bytes", pyarrow.binary()), ("path", pyarrow.string())])
    fields = [(name, picture if name in PICTURES else pyarrow.string()) for name in ORDER]
    features = {name: {"_type": "Image"} if name in PICTURES else {"dtype": "string", "_type": "Value"} for name in ORDER}
    return pyarrow.schema(fields, metadata={"huggingface": dumped({"info": {"features": features}})})
