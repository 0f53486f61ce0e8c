"""The procedural world as a dataset: every right answer known, every result judged without a network."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from .example import DataError, Dataset, Example
from .opening import once

if TYPE_CHECKING:
    from ..worlds.tasks import Task

COUNT, SIZE = 200, 256
SMALLEST, LARGEST = 64, 512
"""Pixels a side that a scene can be drawn at."""
FIRST_SEED = 1_000_000_000
"""Evaluation draws its scenes from this seed on; training stays below."""


def open_world(kinds: Sequence[str] = (), count: int = 0, size: int = 0, name: str = "world") -> Dataset:
    """`count` tasks (0: 200) of `size` pixels (0: 256), their kinds in turn. Raises DataError for an unknown kind."""
    from ..worlds.edits import KINDS, LIMITS

    check_size(size)
    kinds = tuple(kinds) or KINDS
    if unknown := [kind for kind in kinds if kind not in (*KINDS, *LIMITS)]:
        raise DataError(f"The world has no edits of the kind {unknown[0]!r}; use {', '.join((*KINDS, *LIMITS))}.")
    whole = f"{name}:{','.join(kinds)}" if kinds != KINDS else name

    def make(number: int) -> Example:
        return task_example(world_task(number, kinds[number % len(kinds)], size or SIZE))

    return Dataset(f"{whole} at {size or SIZE} px", count or COUNT, make)


def check_size(size: int) -> None:
    """Raise DataError for a size (0: the usual one) that no scene is drawn at."""
    if size and not SMALLEST <= size <= LARGEST:
        raise DataError(f"The world can't be drawn at {size} pixels; use {SMALLEST} to {LARGEST}.")


def world_task(number: int, kind: str, size: int) -> "Task":
    """The evaluation's task of a number and kind."""
    from ..worlds.tasks import random_task

    return random_task(FIRST_SEED + number, (kind,), size)


def task_example(task: "Task", kind: str = "") -> Example:
    """A task of the world as an example; `kind` names it in tables (default: the edit's own kind)."""

    def judged(result: Tensor) -> Mapping[str, float]:
        from ..worlds.judge import judge

        verdict = judge(result.detach().float().cpu().numpy(), task)
        return {"right": float(verdict.right), "done": float(verdict.done), "kept": float(verdict.kept)}

    return Example(
        id=task.id,
        instruction=task.instruction,
        image=once(lambda: torch.from_numpy(task.source())),
        caption=task.caption,
        edited_caption=task.edited_caption,
        edited=once(lambda: torch.from_numpy(task.answer())),
        mask=once(lambda: torch.from_numpy(task.mask())),
        kind=kind or task.kind,
        judge=judged,
    )
