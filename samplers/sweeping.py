"""A sweep over both scales inside the host: cells as rows of shared batches, a preview of the whole grid, and cancelling at every step."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import comfy.model_management
import comfy.utils
import latent_preview
import torch
from comfy.model_patcher import ModelPatcher
from torch import Tensor

from ..ip2p import auto_scales, fit, isolate
from ..ip2p.evaluation.compare import Compared, lines
from ..ip2p.evaluation.scales_sheet import scales_sheet
from ..ip2p.schedules import Schedule
from ..ip2p.sweep import Cells, Grid, Sweep, merged
from . import conditioning, families, guidance, one_pass
from .batches import rows_at_once
from .comparing import table_of
from .edit import native_size, sample
from .measuring import HostMeasures, Row, measure

CELLS = "sweep"
"""The name of the part that gives each row its scales."""


class Picked(NamedTuple):
    """The scales that suit the picture, why, and the sheet (1, H, W, 3) of the coarse sweep with the chosen cell in a frame."""

    text_scale: float
    image_scale: float
    report: str
    sheet: Tensor


class Shown(NamedTuple):
    """A sweep for people: the sheet (1, H, W, 3), the cells (N, H, W, 3), the numbers as Markdown, and what it cost."""

    sheet: Tensor
    cells: Tensor
    table: str
    report: str


@dataclass(frozen=True)
class Asked:
    """What is edited and how, the same for every cell; ``size`` is the long side to work at (0: the model's own)."""

    model: ModelPatcher
    clip: Any
    vae: Any
    image: Tensor
    instruction: str
    negative: str = ""
    seed: int = 0
    steps: int = 20
    sampler: str = "euler_ancestral"
    scheduler: str = "normal"
    size: int = 0

    def __post_init__(self) -> None:
        families.check_model(self.model)
        if not self.instruction.strip():
            raise ValueError("A sweep needs an instruction: write what to change.")
        for part in guidance.parts_of(self.model).values():
            fixed = [name for name in ("text", "image") if isinstance(part, Schedule) and getattr(part, name) is not None]
            if fixed:
                raise ValueError(
                    f"The schedule of this model fixes the {fixed[0]} scale, so that no sweep can change it: empty its points."
                )


def sweep(asked: Asked, grid: Grid) -> Sweep:
    """Edit the first picture of a batch with every pair of scales; parts that the MODEL carries join every cell.

    A cell is what one edit gives with the same scales, within rounding. Raises ValueError, in a sentence for the user, and the host's
    exception on cancel.
    """
    original = fit.rgb(asked.image)[:1]
    plan = fit.plan(original.shape[2], original.shape[1], asked.size or native_size(asked.model))
    told = conditioning.instruct(asked.clip, asked.vae, fit.apply(original, plan), asked.instruction, asked.negative)
    one_pair = one_pass.is_attached(asked.model)  # such a network takes one pair of scales at a time
    groups = list(grid.batches(1 if one_pair else rows_at_once(asked.model, asked.sampler, told[2]["samples"].shape[1:])))
    preview = Preview(asked.model, grid, groups, asked.steps)
    out, pictures = Sweep(grid, original), []
    for cells in groups:
        pairs = tuple(grid.pairs[cell] for cell in cells)
        latent, engine = _sampled(asked, told, pairs, preview)
        pictures.append(isolate.restored(engine, conditioning.decode(asked.vae, latent), plan, original)[0])
        out.add(cells, engine)
    out.pictures = merged(groups, pictures)
    return out


def _sampled(asked: Asked, told: tuple[list, list, dict[str, Any]], pairs: tuple[tuple[float, float], ...], preview: "Preview") -> Any:
    """The latents of some cells, and the engine that guided them."""
    positive, negative, start = told
    model = guidance.with_part(asked.model, CELLS, Cells(pairs))
    dual = guidance.guider(model, positive, negative, *pairs[0])
    rows = comfy.utils.repeat_to_batch_size(start["samples"], len(pairs))
    latent = {**start, "samples": rows, "batch_index": [0] * len(pairs)}
    samples = sample(dual, latent, asked.sampler, asked.scheduler, asked.steps, asked.seed, preview.step)
    preview.finished()
    return samples, guidance.last_run(dual)


class Preview:
    """The node's progress over all batches, with a picture of the grid as far as it is known. Every update raises the host's exception
    when the user has cancelled."""

    def __init__(self, model: ModelPatcher, grid: Grid, groups: Sequence[tuple[int, ...]], steps: int) -> None:
        self.grid, self.groups, self.steps, self.batch = grid, groups, steps, 0
        self._bar = comfy.utils.ProgressBar(len(groups) * steps)
        self._previewer = latent_preview.get_previewer(model.load_device, model.model.latent_format)
        self._cells: Tensor | None = None

    def step(self, number: int, denoised: Tensor, _: Tensor, steps: int) -> None:
        """After a step of the batch under way."""
        done = self.batch * self.steps + round((number + 1) * self.steps / steps)
        self._bar.update_absolute(done, len(self.groups) * self.steps, self._picture(denoised))

    def finished(self) -> None:
        """The batch under way is done."""
        self.batch += 1

    def _picture(self, denoised: Tensor) -> Any:
        if self._previewer is None:
            return None
        return self._previewer.decode_latent_to_preview_image("JPEG", self.laid_out(denoised))

    def laid_out(self, denoised: Tensor) -> Tensor:
        """The denoised latents (rows, C, h, w) of this batch and the last ones of those before, as one latent (1, C, H, W) of the grid."""
        if self._cells is None:
            self._cells = denoised.new_zeros(len(self.grid.pairs), *denoised.shape[1:])
        self._cells[list(self.groups[self.batch])] = denoised
        down, across = len(self.grid.image), len(self.grid.text)
        channels, *middle, height, width = denoised.shape[1:]
        rows = self._cells.view(down, across, channels, *middle, height, width).movedim(0, -3).movedim(0, -2)
        return rows.reshape(1, channels, *middle, down * height, across * width)


def shown(asked: Asked, found: Sweep, measures: HostMeasures | None, caption: str, edited_caption: str, cell: int = 256) -> Shown:
    """The sheet of a sweep with the numbers of its cells: those of ``measures`` below each picture, pixels in the table at least."""
    rows = measure(measures, asked.image[:1], found.pictures, caption=caption, edited_caption=edited_caption)
    notes = [lines(row) for row in rows] if measures else []
    page = page_of(asked, found, notes, cell=cell)
    return Shown(page, found.pictures, numbers(found.grid, rows), str(found))


def picked(
    asked: Asked,
    text_scale: float,
    image_scale: float,
    measures: HostMeasures | None = None,
    caption: str = "",
    edited_caption: str = "",
    cell: int = 256,
) -> Picked:
    """The pair of scales for this picture and instruction, from a coarse sweep around the usual pair.

    With ``measures`` that have a CLIP, and both captions, by direction and image similarity; else by the relevance. Raises ValueError, in a
    sentence for the user.
    """
    grid, model = auto_scales.around(text_scale, image_scale), asked.model
    for name, part in auto_scales.parts().items():
        model = guidance.with_part(model, name, part)
    found = sweep(replace(asked, model=model), grid)
    rows = measure(measures, asked.image[:1], found.pictures, caption=caption, edited_caption=edited_caption)
    seen = auto_scales.evidence(auto_scales.relevance_of(found), found.pictures, fit.rgb(asked.image)[0])
    seen = auto_scales.with_clip(seen, rows)
    choice = auto_scales.choose(grid, (text_scale, image_scale), seen)
    page = page_of(asked, found, auto_scales.notes(seen), choice.cell, cell)
    return Picked(choice.text_scale, choice.image_scale, f"{choice} {found}", page)


def page_of(asked: Asked, found: Sweep, notes: Sequence[Sequence[str]] = (), chosen: int | None = None, cell: int = 256) -> Tensor:
    """The sheet (1, H, W, 3) of a sweep."""
    source = fit.rgb(asked.image)[0].float().cpu()
    below = ("source", f"seed {asked.seed}, {asked.steps} steps", str(found))
    page = scales_sheet(found.grid, found.pictures.float().cpu(), source, f"“{asked.instruction}”", below, notes, chosen, cell)
    return page[None].to(comfy.model_management.intermediate_device())


def numbers(grid: Grid, rows: Sequence[Row]) -> str:
    """A line of Markdown for each cell."""
    named = [f"text {text:g}, image {image:g}" for text, image in grid.pairs]
    return table_of([Compared(name, torch.empty(0), row) for name, row in zip(named, rows, strict=True)]).markdown()
