"""Results as a table: a row for each setting (and kind), means with their 95% intervals, as text, Markdown, CSV or JSON."""

import csv
import io
import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from .intervals import Mean, mean
from .rows import Row
from .settings import Setting

FIRST = ("right", "done", "kept", "clip_direction", "clip_image", "clip_text")
"""The columns that stand first where they exist; the others follow in the order of their names."""
BETTER_LOW = ("l1", "l2", "mse", "lpips", "structure", "seconds")
SHOWN = 10


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

    def text(self) -> str:
        """Aligned columns for a terminal."""
        rows = self._rows()
        widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
        lines = [
            "  ".join(cell.rjust(w) if place else cell.ljust(w) for place, (cell, w) in enumerate(zip(row, widths, strict=True)))
            for row in rows
        ]
        return "\n".join([*(line.rstrip() for line in lines), *self.notes])

    def markdown(self) -> str:
        """A Markdown table."""
        head, *rows = self._rows()
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

    def _rows(self) -> list[list[str]]:
        """Every cell as text, the heads first. Columns that nothing has, and kinds and failures where there are none, are left out."""
        kinds, failures = any(line.kind for line in self.lines), any(line.failed for line in self.lines)
        head = [
            "",
            *(["kind"] if kinds else []),
            *(self.titles.get(column, column) for column in self.columns),
            "n",
            *(["failed"] if failures else []),
        ]
        rows = [head]
        for line in self.lines:
            counts = [cell.n for cell in line.cells.values() if cell.n]
            start = [f"{line.name} [published]" if line.source else line.name, *([line.kind or "all"] if kinds else [])]
            cells = [shown(line.cells.get(column)) for column in self.columns]
            rows.append([*start, *cells, str(max(counts)) if counts else "", *([str(line.failed)] if failures else [])])
        return rows


def shown(cell: Mean | None) -> str:
    """A cell for people: the mean, and half the interval's width where there is one."""
    if cell is None:
        return ""
    digits = 1 if abs(cell.value) >= SHOWN else 4 if 0 < abs(cell.value) < 0.1 else 3
    reach = (cell.high - cell.low) / 2
    return f"{cell.value:.{digits}f}" + (f" ±{reach:.{digits}f}" if cell.n > 1 and math.isfinite(reach) else "")


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
    return Table(tuple(columns) or ordered(line.cells for line in lines), tuple(lines))


def ordered(cells: Iterable[dict[str, Mean]]) -> tuple[str, ...]:
    """All names that occur: the most telling first, the seconds last."""
    names = sorted({name for own in cells for name in own} - {"seconds"})
    return (*(name for name in FIRST if name in names), *(name for name in names if name not in FIRST), "seconds")


def _line(name: str, setting: Setting, rows: Sequence[Row], kind: str) -> Line:
    good = [row for row in rows if not row.error]
    values: dict[str, list[float]] = {}
    for row in good:
        for column, value in {**row.numbers, "seconds": row.seconds}.items():
            values.setdefault(column, []).append(value)
    return Line(name, {column: mean(own) for column, own in values.items()}, kind, len(rows) - len(good), setting)
