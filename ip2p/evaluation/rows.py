"""The record of a run: a line of JSON for each example and setting, which a kill at any moment leaves readable."""

import json
import logging
import math
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .settings import Setting

log = logging.getLogger(__name__)

Key = tuple[str, str]
"""(example, setting): what makes a row unique."""


class RunError(ValueError):
    """A run that can't go on or can't be read, in one sentence with its cause and cure."""


@contextmanager
def using(path: Path) -> Iterator[None]:
    """Turn whatever keeps a run's file from being read or written into a RunError; what was written before stays."""
    try:
        yield
    except OSError as error:
        why = error.strerror or error
        raise RunError(
            f"{path} can't be used ({why}): make room or move what is there, and run the same again; nothing is lost."
        ) from error


@dataclass(frozen=True)
class Row:
    """One edit, measured. `error` says why there is none; then `numbers` is empty."""

    example: str
    setting: Setting
    numbers: Mapping[str, float] = field(default_factory=dict)
    kind: str = ""
    instruction: str = ""
    seconds: float = 0.0
    error: str = ""

    @property
    def key(self) -> Key:
        return self.example, self.setting.key

    def line(self) -> str:
        """The row as one line of JSON; a number that is not finite is left out."""
        setting = {"editor": self.setting.editor, "values": dict(self.setting.values), "seed": self.setting.seed}
        rest = {"example": self.example, "kind": self.kind, "instruction": self.instruction, **setting}
        finite = {name: value for name, value in self.numbers.items() if math.isfinite(value)}
        return json.dumps({**rest, "seconds": round(self.seconds, 3), "error": self.error, "numbers": finite}, ensure_ascii=False) + "\n"


def parse(line: str) -> Row:
    """The row of a line. Raises ValueError, KeyError or TypeError for what is none."""
    found: dict[str, Any] = json.loads(line)
    setting = Setting(found["editor"], tuple(found["values"].items()), found["seed"])
    given = {name: str(found[name]) for name in ("example", "kind", "instruction", "error")}
    return Row(setting=setting, numbers=dict(found["numbers"]), seconds=float(found["seconds"]), **given)


def read(path: Path) -> list[Row]:
    """The rows of a file, in the order of their first lines; a later line of the same edit replaces the earlier one.

    A last line that was cut off is passed over. Raises RunError for any other line that is no row.
    """
    rows: dict[Key, Row] = {}
    lines = _whole(path).decode("utf-8", errors="replace").split("\n") if path.exists() else []
    for number, line in enumerate(lines, start=1):
        if not line:
            continue
        try:
            row = parse(line)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            log.debug("", exc_info=error)
            raise RunError(f"{path.name}, line {number}, is no result: mend or remove that line, or start in a new folder.") from error
        rows[row.key] = row
    return list(rows.values())


def _whole(path: Path) -> bytes:
    with using(path):
        data = path.read_bytes()
    return data[: data.rfind(b"\n") + 1]


def mend(path: Path) -> None:
    """Cut off an unfinished last line, which a kill in the middle of writing leaves."""
    if path.exists() and len(whole := _whole(path)) < path.stat().st_size:
        log.info("%s: an unfinished last line was dropped", path.name)
        with using(path), path.open("r+b") as file:
            file.truncate(len(whole))


def append(path: Path, rows: Iterable[Row]) -> None:
    """Write rows at the end, in one piece: from then on they outlive this process, however it ends."""
    with using(path), path.open("ab", buffering=0) as file:
        file.write("".join(row.line() for row in rows).encode())
