"""Contact sheets of variations and of chains."""

import math
from collections.abc import Sequence

from torch import Tensor

from .evaluation.sheet import Panel, Strip, sheet
from .stages import Stage

COLUMNS = 5
"""Most pictures side by side."""


def variations_sheet(instruction: str, seeds: Sequence[int], pictures: Sequence[Tensor], cell: int = 256) -> Tensor:
    """Variations (H, W, 3) below their seeds, as one picture (H, W, 3)."""
    return _grid([Panel(picture, f"seed {seed}") for seed, picture in zip(seeds, pictures, strict=True)], cell, instruction)


def chain_sheet(source: Tensor, stages: Sequence[Stage], pictures: Sequence[Tensor], cell: int = 256) -> Tensor:
    """The picture (H, W, 3) and what each stage made of it, below its instruction, as one picture (H, W, 3)."""
    labels = ["picture", *(f"{number}. {stage.instruction}" for number, stage in enumerate(stages, start=1))]
    return _grid([Panel(picture, label) for label, picture in zip(labels, [source, *pictures], strict=True)], cell)


def _grid(panels: Sequence[Panel], cell: int, heading: str = "") -> Tensor:
    """Panels in as many rows as they need, evenly filled."""
    rows = math.ceil(len(panels) / COLUMNS)
    columns = math.ceil(len(panels) / rows)
    starts = range(0, len(panels), columns)
    return sheet([Strip("" if start else heading, tuple(panels[start : start + columns])) for start in starts], cell)
