"""Any pictures of the host side by side, with their numbers."""

from collections.abc import Mapping, Sequence
from typing import Any

import comfy.model_management
from torch import Tensor

from ..ip2p.data.example import Example
from ..ip2p.data.world import task_example
from ..ip2p.evaluation.compare import SHOWN, Compared, compare, strip
from ..ip2p.evaluation.intervals import mean
from ..ip2p.evaluation.sheet import sheet
from ..ip2p.evaluation.table import Line, Table
from ..ip2p.fit import rgb, sized_mask
from ..ip2p.worlds.tasks import Task
from .measuring import HostMeasures, pixels_only
from .progress import Progress

COLUMNS = 6
"""Columns of the table, judgements among them."""


def example_of(
    source: Tensor,
    task: Any = None,
    answer: Tensor | None = None,
    mask: Tensor | None = None,
    instruction: str = "",
    caption: str = "",
    edited_caption: str = "",
) -> Example:
    """What is known of an edit, from the first picture of each batch; a task fills in what is not given, and brings its judge."""
    known = task_example(task) if isinstance(task, Task) else None
    before = rgb(source)[0].cpu()
    given_answer = None if answer is None else rgb(answer)[0].cpu()
    given_mask = None if mask is None else sized_mask(mask, before.shape[1], before.shape[0])[0].cpu()
    return Example(
        id="compared",
        instruction=instruction or (known.instruction if known else ""),
        image=lambda: before,
        caption=caption or (known.caption if known else ""),
        edited_caption=edited_caption or (known.edited_caption if known else ""),
        edited=(lambda: given_answer) if given_answer is not None else known.edited if known else None,
        mask=(lambda: given_mask) if given_mask is not None else known.mask if known else None,
        judge=known.judge if known else None,
    )


def named(pictures: Sequence[tuple[str, Tensor]]) -> dict[str, Tensor]:
    """Pictures by their labels, of which those that are empty or stand twice get their number."""
    labels = [label.strip() for label, _ in pictures]
    unique = [
        label if label and labels.count(label) == 1 else f"{label or 'edit'} {number}" for number, label in enumerate(labels, start=1)
    ]
    return dict(zip(unique, (picture for _, picture in pictures), strict=True))


def compared(example: Example, pictures: Mapping[str, Tensor], measures: HostMeasures | None, cell: int = 256) -> tuple[Tensor, str]:
    """(the sheet (1, H, W, 3), the table as Markdown) of pictures by name, each (B, H, W, C), of which the first counts."""
    progress = Progress(len(pictures))
    shown = {name: rgb(picture)[0] for name, picture in pictures.items()}
    found = compare(example, [], {}, measures or pixels_only(), shown, lambda done, total, name: progress.finished(done))
    page = sheet([strip(example, found)], cell)[None]
    return page.to(comfy.model_management.intermediate_device()), table_of(found).markdown()


def table_of(found: list[Compared]) -> Table:
    """A line for each picture, a column for each of the most telling numbers."""
    there = {name for one in found for name in one.numbers}
    columns = [name for name in ("right", "done", "kept", *SHOWN) if name in there][:COLUMNS]
    lines = [Line(one.name, {name: mean([one.numbers[name]]) for name in columns if name in one.numbers}) for one in found]
    return Table(tuple(columns), tuple(lines))
