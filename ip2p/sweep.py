"""A sweep: one picture and instruction edited with every pair of a text and an image scale (Figure 4 of the paper), sharing what can be.

All cells start from the same noise and get the same fresh noise, so they are rows of one batch that differ in their scales alone: the
picture and the texts are encoded once, and the first step's predictions are made once for all rows. Cells that need the same passes run
together, so that those of image scale 1, and those of two equal scales, are spared what equation 3 does not need there.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from . import fit, isolate, one_pass
from .engine import Counted, Engine, Part, Step
from .guidance import Scale, Scales, needed
from .sampling import counted

if TYPE_CHECKING:
    from .edit import Editor

MOST = 400
"""Cells of one sweep."""
BATCH_PIXELS = 2**20
"""Pixels of all rows that run together, where nobody knows the memory better."""

Pair = tuple[float, float]
"""A text scale and an image scale."""
OnSweep = Callable[[int, int, "Tensor | None"], None]
"""Called with (steps done, steps in all, the newest denoised latents of the rows under way)."""


@dataclass(frozen=True)
class Cells(Part):
    """One pair of scales for each row of the batch. Raises ValueError when a step has another number of rows."""

    pairs: tuple[Pair, ...]
    order = -100
    rows_are_equal = True
    """Rows are told the same but for the scales: as long as they are equal, one prediction serves all."""

    def scales(self, step: Step, scales: Scales) -> Scales:
        """The rows' own scales, (B, 1, 1, 1), or numbers where all rows have the same."""
        if len(step.x) != len(self.pairs):
            raise ValueError(f"A sweep of {len(self.pairs)} cells can't guide {len(step.x)} pictures: sweep one picture at a time.")
        return Scales(*(_rows(values, step.x) for values in zip(*self.pairs, strict=True)))


def _rows(values: Sequence[float], x: Tensor) -> Scale:
    if len(set(values)) == 1:
        return values[0]
    return torch.tensor(values, dtype=x.dtype, device=x.device).view(-1, *[1] * (x.ndim - 1))


@dataclass(frozen=True)
class Grid:
    """The scales of a sweep. Cells are numbered row by row: image scales downwards, text scales rightwards."""

    text: tuple[float, ...]
    image: tuple[float, ...]

    @property
    def pairs(self) -> list[Pair]:
        """Every cell's text and image scale."""
        return [(text, image) for image in self.image for text in self.text]

    def batches(self, most: int) -> Iterator[tuple[int, ...]]:
        """The cells' numbers in groups that run together: of the same passes, at most `most` (at least 1) in each."""

        def passes(cell: int) -> tuple[bool, ...]:
            return tuple(needed(*self.pairs[cell]))

        for _, group in groupby(sorted(range(len(self.pairs)), key=passes, reverse=True), key=passes):
            cells = tuple(group)
            size = -(-len(cells) // -(-len(cells) // max(1, most)))  # chunks of about the same size
            yield from (cells[first : first + size] for first in range(0, len(cells), size))


def grid(text: str, image: str) -> Grid:
    """The grid of two lists of scales, each as "5, 7.5" or "1.0:2.2:0.4" (first, last, step). Raises ValueError, in a sentence."""
    from .evaluation.settings import numbers
    from .guidance import check_scale

    found = [tuple(check_scale(name, value) for value in numbers(said)) for name, said in (("text", text), ("image", image))]
    if len(found[0]) * len(found[1]) > MOST:
        raise ValueError(f"A sweep of {len(found[0])} x {len(found[1])} scales has too many cells: ask for {MOST} at most.")
    return Grid(*found)


@dataclass
class Sweep:
    """What a sweep gives: its grid, the cells' pictures (N, H, W, 3) in its order, and the passes made, and those of single runs.

    ``runs`` are the engines of the batches with the numbers of their cells, for what their parts have found.
    """

    grid: Grid
    pictures: Tensor
    counted: Counted = field(default_factory=Counted)
    runs: list[tuple[tuple[int, ...], Engine]] = field(default_factory=list)

    def add(self, cells: tuple[int, ...], engine: Engine) -> None:
        """Take a batch's run in."""
        self.runs.append((cells, engine))
        self.counted.steps += engine.counted.steps
        self.counted.made += engine.counted.made
        self.counted.exact += engine.counted.exact

    def __str__(self) -> str:
        cells, (made, exact) = len(self.grid.pairs), (self.counted.made, self.counted.exact)
        return f"{cells} edits in {made} network passes; one by one they take {exact} ({1 - made / max(1, exact):.0%} saved)."


def merged(cells: Sequence[tuple[int, ...]], parts: Sequence[Tensor]) -> Tensor:
    """The batches' rows in the order of the cells."""
    order = torch.tensor([cell for group in cells for cell in group])
    return torch.cat(list(parts))[order.argsort().to(parts[0].device)]


def _together(editor: "Editor", how: fit.Fit, rows: int) -> int:
    """How many cells run in one batch."""
    return 1 if one_pass.is_adapted(editor.unet) else rows or max(1, BATCH_PIXELS // (how.target_width * how.target_height))


@torch.no_grad()
def sweep(
    editor: "Editor",
    image: Tensor,
    instruction: str,
    scales: Grid,
    negative: str = "",
    steps: int | None = None,
    seed: int = 0,
    size: int = 0,
    sampler: str = "euler_ancestral",
    parts: Sequence[Part] = (),
    rows: int = 0,
    on_step: OnSweep | None = None,
) -> Sweep:
    """Edit one picture (1, H, W, 3) with every pair of the grid; the cells are as large as the picture.

    ``parts`` of the guidance join each cell's, ``rows`` is the most cells that run together (0: as many as a megapixel holds; one where
    an adapter guides in one pass, which takes one pair at a time). The other settings are those of `Editor.edit`, and a cell is what
    that gives with the same scales, within rounding. Raises ValueError.
    """
    from .latent_model import STEPS, check

    steps = int(editor.default("steps", STEPS) if steps is None else steps)
    check(steps, seed, 1.0, 1.0, size or editor.size, sampler)
    if len(image) != 1 or not instruction.strip():
        raise ValueError("A sweep takes one picture and an instruction: give both.")
    original = fit.rgb(image.float())
    how = fit.plan(original.shape[2], original.shape[1], size or editor.size)
    told = editor.told(instruction, negative, editor.encode(fit.apply(original, how)))
    groups, pictures = list(scales.batches(_together(editor, how, rows))), list[Tensor]()
    out = Sweep(scales, original)
    for cells in groups:
        engine = Engine([Cells(tuple(scales.pairs[cell] for cell in cells)), *parts])
        show = counted(on_step, len(pictures) * steps, len(groups) * steps)
        latent = editor.sample(told._replace(image=told.image.expand(len(cells), -1, -1, -1)), steps, seed, 1.0, 1.0, sampler, show, engine)
        decoded = torch.cat([editor.decode(one[None]).to(original) for one in latent])
        pictures.append(isolate.restored(engine, decoded, how, original)[0])
        out.add(cells, engine)
    out.pictures = merged(groups, pictures)
    return out
