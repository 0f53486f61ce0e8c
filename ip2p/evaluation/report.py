"""A run's results as files: tables, plot and sheet beside its lines."""

import logging
import random
import uuid
from collections.abc import Sequence
from pathlib import Path

from ..data.example import Dataset
from ..pictures import save_picture
from . import plot
from .compare import run_sheet
from .published import BENCHMARKS, benchmark_table
from .rows import Row, RunError, using
from .settings import Setting
from .table import Table, table

log = logging.getLogger(__name__)

ON_SHEET = 8
"""Examples that a sheet shows."""
WIDEST = 16
"""Settings that a sheet shows side by side."""


def write(
    out: Path, data: Dataset, settings: Sequence[Setting], rows: Sequence[Row], per_kind: bool = False, pictures: bool = False
) -> Table:
    """Write table.*, plot.* and, for a public benchmark, published.*; with kept `pictures` also sheet.png. Returns the table to show."""
    found = table(rows, per_kind=per_kind)
    write_table(found, out / "table")
    if data.benchmark in BENCHMARKS:
        found = benchmark_table(rows, data.benchmark)
        write_table(found, out / "published")
    try:
        figure = plot.figure(rows, title=data.name)
    except RunError as reason:
        log.info("no plot: %s", reason)
    else:
        with using(out / "plot"):
            plot.save(figure, out / "plot")
    if pictures:
        write_sheet(out, data, settings, rows)
    return found


def write_table(found: Table, path: Path) -> None:
    """Write a table as .md, .csv and .json; `path` has no ending."""
    for ending, text in {"md": found.markdown() + "\n", "csv": found.csv(), "json": found.json() + "\n"}.items():
        target, part = path.with_name(f"{path.name}.{ending}"), path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}")
        with using(target):
            try:
                part.write_text(text, encoding="utf-8")
                part.replace(target)
            finally:
                part.unlink(missing_ok=True)


def write_sheet(out: Path, data: Dataset, settings: Sequence[Setting], rows: Sequence[Row]) -> None:
    """Write sheet.png: some examples, the same ones every time but drawn by lot, with the results of up to 16 settings each."""
    chosen = sorted(random.Random(0).sample(range(len(data)), min(ON_SHEET, len(data))))  # kinds take turns, so steps would miss some
    examples = [data[number] for number in chosen]
    save_picture(run_sheet(out, examples, rows, settings[:WIDEST]), out / "sheet.png")
