"""Results as a table: a row for each setting (and kind), means with their 95% intervals, as text, Markdown, CSV or JSON."""

import csv
import io
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from .intervals import Mean, mean
from .rows import Row
from .settings import Setting

SHARES = ("right", "done", "kept")
"""Columns of judgements, each 0 or 1."""
SUMMARY = {
    "right": "right ↑",
    "done": "done ↑",
    "kept": "kept ↑",
    "clip_direction": "CLIP direction ↑",
    "clip_image": "CLIP image ↑",
    "clip_text": "CLIP text ↑",
    "dino_source": "DINO ↑",
    "structure_source": "structure ↓",
    "lpips_target": "LPIPS to answer ↓",
    "l1_target": "L1 to answer ↓",
    "lpips_source_outside": "LPIPS outside ↓",
    "l1_source_outside": "L1 outside ↓",
    "lpips_source": "LPIPS to source ↓",
    "l1_source": "L1 to source ↓",
    "seconds": "seconds",
}
"""The columns that a text shows, and how it calls them; the files of a table have all."""


@dataclass(frozen=True)
class Line:
    """One line: whose numbers they are, over which kind of edit ("" for all), and how many edits failed.

    `source` is empty for what was measured here; a published line says where it stands.
    """

    name: str
    cells: dict[str, Mean]
    kind: str = ""
    failed: int = 0
    setting: Setting | None = None
    source: str = ""


@dataclass(frozen=True)
class Table:
    """Lines under named columns; a line may lack a column. `notes` stand below."""

    columns: tuple[str, ...]
    lines: tuple[Line, ...]
    titles: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def text(self, every: bool = False) -> str:
        """Aligned columns for a terminal: the summary's, or every one."""
        rows = self._rows(every)
        widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
        lines = [
            "  ".join(cell.rjust(w) if place else cell.ljust(w) for place, (cell, w) in enumerate(zip(row, widths, strict=True)))
            for row in rows
        ]
        return "\n".join([*(line.rstrip() for line in lines), *self.notes])

    def markdown(self, every: bool = False) -> str:
        """A Markdown table of the summary's columns, or of every one."""
        head, *rows = self._rows(every)
        lines = [head, ["---", *("---:" for _ in head[1:])], *rows]
        table = "\n".join(f"| {' | '.join(cell.replace('|', '/') for cell in line)} |" for line in lines)
        return "\n\n".join([table, *self.notes])

    def csv(self) -> str:
        """Full precision; for each column its mean, both ends of the interval and the number of values."""
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        parts = [f"{column}{end}" for column in self.columns for end in ("", "_low", "_high", "_n")]
        writer.writerow(["name", "kind", "source", "failed", *parts])
        for line in self.lines:
            cells = [number for column in self.columns for number in _csv_cell(line.cells.get(column))]
            writer.writerow([line.name, line.kind, line.source, line.failed, *cells])
        return out.getvalue()

    def json(self) -> str:
        """The same as a list of objects."""
        return json.dumps([_object(line) for line in self.lines], indent=1, ensure_ascii=False)

    def shown(self, every: bool = False) -> tuple[str, ...]:
        """The columns of a text: those of the summary, unless the table names its own titles."""
        return self.columns if every or self.titles else tuple(name for name in SUMMARY if name in self.columns)

    def _rows(self, every: bool) -> list[list[str]]:
        """Every cell as text, the heads first; kinds and failures only where there are any."""
        columns, titles = self.shown(every), {**SUMMARY, **self.titles}
        kinds, failures = any(line.kind for line in self.lines), any(line.failed for line in self.lines)
        head = [
            "",
            *(["kind"] if kinds else []),
            *(titles.get(column, column) for column in columns),
            "n",
            *(["failed"] if failures else []),
        ]
        rows = [head]
        for line in self.lines:
            counts = [cell.n for cell in line.cells.values() if cell.n]
            start = [f"{line.name} [published]" if line.source else line.name, *([line.kind or "all"] if kinds else [])]
            cells = [cell_text(line.cells.get(column), column in SHARES) for column in columns]
            rows.append([*start, *cells, str(max(counts)) if counts else "", *([str(line.failed)] if failures else [])])
        return rows


def cell_text(cell: Mean | None, share: bool = False) -> str:
    """A cell for people: the mean and the half of its interval, or both ends of that of a share, which is not symmetric."""
    if cell is None:
        return ""
    digits = 1 if abs(cell.value) >= 10 else 4 if 0 < abs(cell.value) < 0.1 and not share else 3
    reach = (cell.high - cell.low) / 2
    if cell.n < 2 or not math.isfinite(reach):
        return f"{cell.value:.{digits}f}"
    return f"{cell.value:.3f} ({cell.low:.2f}–{cell.high:.2f})" if share else f"{cell.value:.{digits}f} ±{reach:.{digits}f}"


def _csv_cell(cell: Mean | None) -> list[str]:
    if cell is None:
        return ["", "", "", ""]
    ends = [repr(end) if math.isfinite(end) else "" for end in (cell.low, cell.high)]
    return [repr(cell.value), *ends, str(cell.n or "")]


def _object(line: Line) -> dict[str, object]:
    cells = {
        name: {"mean": cell.value, "n": cell.n} | ({"low": cell.low, "high": cell.high} if math.isfinite(cell.high - cell.low) else {})
        for name, cell in line.cells.items()
    }
    return {"name": line.name, "kind": line.kind, "source": line.source, "failed": line.failed, "columns": cells}


def table(rows: Sequence[Row], columns: Sequence[str] = (), per_kind: bool = False) -> Table:
    """The means over the examples of each setting, in the order of the rows; `per_kind` adds a line for each kind of edit.

    `columns` chooses and orders (default: all that occur, the seconds of an edit last).
    """
    settings = list(dict.fromkeys(row.setting for row in rows))
    several_seeds = len({setting.seed for setting in settings}) > 1
    lines = []
    for setting in settings:
        own = [row for row in rows if row.setting == setting]
        name = f"{setting.label}, seed {setting.seed}" if several_seeds else setting.label
        lines.append(_line(name, setting, own, ""))
        kinds = sorted({row.kind for row in own if row.kind}) if per_kind else []
        lines += [_line(name, setting, [row for row in own if row.kind == kind], kind) for kind in kinds]
    there = {name for line in lines for name in line.cells}
    return Table(tuple(columns) or ordered(there), tuple(lines))


def ordered(names: set[str]) -> tuple[str, ...]:
    """Columns in the order of a table: the summary's, then the others by name, the seconds last."""
    first = [name for name in SUMMARY if name in names and name != "seconds"]
    return (*first, *sorted(names - set(SUMMARY)), *(["seconds"] if "seconds" in names else []))


def _line(name: str, setting: Setting, rows: Sequence[Row], kind: str) -> Line:
    good = [row for row in rows if not row.error]
    values: dict[str, list[float]] = {}
    for row in good:
        for column, value in {**row.numbers, "seconds": row.seconds}.items():
            values.setdefault(column, []).append(value)
    return Line(name, {column: mean(own, column in SHARES) for column, own in values.items()}, kind, len(rows) - len(good), setting)
