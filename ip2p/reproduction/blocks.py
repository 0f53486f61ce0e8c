"""Measurements as arrays over seeds, tasks and settings, and what is estimated from them with intervals over seeds and tasks."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..evaluation.intervals import Mean, jackknife, wilson
from .config import CONDITIONS
from .edits import COLUMNS as OF_CLIP
from .edits import OWN, SECOND, At
from .judged import Row

JUDGED = ("done", "kept", "right")
COLUMNS = (*OF_CLIP, *SECOND, *JUDGED)
SHARES = (*JUDGED, "clip_only", "judge_only")
"""Columns of 0 and 1: the judge's, and where CLIP and the judge disagree (`agreement`)."""


@dataclass(frozen=True)
class Block:
    """What was measured of one name of `edits.jobs`: each column an array (seeds, tasks, settings).

    ``editors`` and ``asked`` name the samples that its seeds and its tasks are: blocks that share one are compared unit by unit.
    """

    tasks: tuple[str, ...]
    kinds: np.ndarray
    at: tuple[At, ...]
    values: dict[str, np.ndarray]
    editors: str
    asked: str

    def __getitem__(self, column: str) -> np.ndarray:
        return self.values[column]

    def part(self, seeds: np.ndarray, tasks: np.ndarray) -> "Block":
        """Some of its seeds and tasks, by their numbers."""
        values = {name: array[np.ix_(seeds, tasks)] for name, array in self.values.items()}
        return replace(self, tasks=tuple(np.array(self.tasks)[tasks].tolist()), kinds=self.kinds[tasks], values=values)

    def of_kinds(self, kinds: Sequence[str]) -> "Block":
        """The tasks of some kinds, as a sample of their own."""
        chosen = np.flatnonzero(np.isin(self.kinds, list(kinds)))
        return replace(self.part(np.arange(self.seeds), chosen), asked=f"{self.asked} {'+'.join(kinds)}")

    def some(self, tasks: Sequence[str]) -> "Block":
        """Some of its tasks by their names, in that order, as the sample that they are elsewhere."""
        return replace(self.part(np.arange(self.seeds), np.array([self.tasks.index(task) for task in tasks])), asked="tasks")

    def at_places(self, places: Sequence[int]) -> "Block":
        """Some of its settings, by their numbers."""
        values = {name: array[:, :, list(places)] for name, array in self.values.items()}
        return replace(self, at=tuple(self.at[place] for place in places), values=values)

    @property
    def seeds(self) -> int:
        return len(self.values["done"])


Blocks = Mapping[str, Block]
"""By name."""


def blocks(rows: Sequence[Row]) -> dict[str, Block]:
    """All rows by name. Raises ValueError where the verdicts of a name are not whole."""
    named: dict[str, list[Row]] = {}
    for row in rows:
        named.setdefault(row.name, []).append(row)
    return {name: _block(name, own) for name, own in named.items()}


def _block(name: str, rows: Sequence[Row]) -> Block:
    kinds = {row.task: row.kind for row in rows}
    seeds, at = sorted({row.seed for row in rows}), list(dict.fromkeys(row.at for row in rows))
    by_key = {(row.seed, row.task, row.at): row for row in rows}
    shape = len(seeds), len(kinds), len(at)
    if len(by_key) != math.prod(shape):
        raise ValueError(f"Verdicts of {name!r} are missing: run `python -m ip2p reproduce` with --again judged.")
    every = [by_key[seed, task, where] for seed in seeds for task in kinds for where in at]
    values = {column: np.array([float(getattr(row, column)) for row in every]).reshape(shape) for column in COLUMNS}
    asked = name if name in ("grid", "chains", "limits", "anchors") else "tasks"
    editors = CONDITIONS[0] if name in OWN else name
    return Block(tuple(kinds), np.array(list(kinds.values())), tuple(at), values, editors, asked)


Statistic = Callable[..., float]
"""A number from as many blocks as are given."""


def estimated(statistic: Statistic, *given: Block) -> Mean:
    """A statistic of one or more blocks with its 95% interval over their seeds and tasks, each sample counted once; `n` is the number of
    verdicts behind it."""
    sizes: dict[str, int] = {}
    for block in given:
        sizes |= {f"seeds of {block.editors}": block.seeds, f"tasks of {block.asked}": len(block.tasks)}
    several = [name for name, size in sizes.items() if size > 1 or not name.startswith("seeds of anchors")]

    def of(*kept: np.ndarray) -> float:
        chosen = dict(zip(several, kept, strict=True))
        one = np.array([0])
        return statistic(*(b.part(chosen.get(f"seeds of {b.editors}", one), chosen[f"tasks of {b.asked}"]) for b in given))

    found = jackknife(of, [sizes[name] for name in several])
    return replace(found, n=sum(block["done"].size for block in given))


def _mean(block: Block, column: str) -> Mean:
    return estimated(lambda part: float(part[column].mean()), block)


def share(block: Block, column: str) -> Mean:
    """A share with Wilson's interval, for as many independent pictures as have the spread over seeds and tasks; no more than tasks
    where there is none at all (Korn and Graubard 1998)."""
    found = _mean(block, column)
    spread = (found.high - found.low) / 2 / 1.96
    enough = spread > 0 and math.isfinite(spread)
    count = max(1.0, found.value * (1 - found.value) / spread**2) if enough else float(len(block.tasks))
    return Mean(found.value, *wilson(found.value, count), found.n)


def measured(block: Block, columns: Sequence[str] = COLUMNS) -> dict[str, Mean]:
    """The means of columns with their intervals: shares within 0 to 1."""
    return {column: share(block, column) if column in SHARES else _mean(block, column) for column in columns}


def plain(found: Mean) -> dict[str, Any]:
    """A mean as JSON has it; what is not finite becomes null."""
    value, low, high = (number if math.isfinite(number) else None for number in (found.value, found.low, found.high))
    return {"value": value, "low": low, "high": high, "n": found.n}
