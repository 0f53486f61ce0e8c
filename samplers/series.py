"""Many edits of one kind: variations of a picture, the frames of a video, and instructions one after another."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import comfy.model_management
import torch
from comfy.model_patcher import ModelPatcher
from torch import Tensor

from ..ip2p import fit, series_sheet
from ..ip2p.fit import Fit
from ..ip2p.pictures import to_pil
from ..ip2p.stages import BETWEEN, Stage, check_between, scales_of, seed_of
from ..ip2p.variations import seeds
from . import conditioning, families, guidance, isolating
from .batches import rows_at_once
from .edit import equipped, native_size, sample
from .noise import independent_rows
from .progress import Progress

MOST = 8
"""Rows that are sampled at once at most: more make it no faster, and previews and cancelling slower."""


@dataclass(frozen=True)
class Editing:
    """What the edits of a series share; see `edit.edit`. ``at_once``: rows sampled together, 0 for as many as there is memory for."""

    model: ModelPatcher
    clip: Any
    vae: Any
    negative: str = ""
    mask: Tensor | None = None
    steps: int = 30
    text_scale: float = 7.5
    image_scale: float = 1.5
    sampler: str = "euler_ancestral"
    scheduler: str = "normal"
    size: int = 0
    speed: str = "exact"
    isolate: float = 0.0
    at_once: int = 0


class Row(NamedTuple):
    """One edit of a series: which of the pictures, and the seed."""

    picture: int
    seed: int


def variations(editing: Editing, image: Tensor, instruction: str, count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Each of the pictures (B, H, W, C) edited with ``count`` seeds that follow ``seed``.

    Returns (B * count, H, W, 3), the first picture's variations first, each as it would be alone; and a sheet (1, H, W, 3) of the first's.
    """
    drawn = seeds(seed, count)
    made = edit_rows(editing, image, instruction, [Row(picture, one) for picture in range(len(image)) for one in drawn])
    page = series_sheet.variations_sheet(instruction, drawn, list(made[:count]))
    return made, page[None].to(made)


def frames(editing: Editing, images: Tensor, instruction: str, seed: int, varied: bool = False) -> Tensor:
    """The frames (B, H, W, 3) of a video edited with one noise, so that they agree; ``varied``: each with the next seed."""
    return edit_rows(editing, images, instruction, [Row(number, (seed + number * varied) % 2**64) for number in range(len(images))])


def edit_rows(editing: Editing, image: Tensor, instruction: str, rows: Sequence[Row]) -> Tensor:
    """(N, H, W, 3): the edit of each row's picture with its seed, as it would be alone.

    A few rows at a time go the whole way, so that memory does not grow with their number, but for pictures in and out; where it runs out
    all the same, fewer.
    """
    families.check_model(editing.model)
    image = fit.rgb(image)
    if not instruction.strip() or (editing.mask is not None and not editing.mask.any()):
        return image[[row.picture for row in rows]]
    plan = _plan(editing, image)
    texts = [conditioning.encode_text(editing.clip, text) for text in (instruction, editing.negative)]
    progress, at_once = Progress(len(rows)), _at_once(editing, plan)
    made: Tensor | None = None
    done = 0
    while done < len(rows):
        some = rows[done : done + at_once]
        try:
            pictures = _edited(editing, image, texts, plan, some, progress)
        except comfy.model_management.OOM_EXCEPTION:
            if len(some) == 1:
                raise
            at_once = len(some) // 2
            comfy.model_management.soft_empty_cache()
            continue
        made = pictures.new_empty(len(rows), *pictures.shape[1:]) if made is None else made
        made[done : done + len(some)] = pictures
        for picture in pictures:
            progress.made(to_pil(picture), len(some))
        done += len(some)
        progress.finished(done)
    assert made is not None
    return made


def _edited(editing: Editing, image: Tensor, texts: list, plan: Fit, rows: Sequence[Row], progress: Progress) -> Tensor:
    """A few rows, from pictures to pictures."""
    shown = list(dict.fromkeys(row.picture for row in rows))
    encoded = conditioning.encode(editing.vae, fit.apply(image[shown], plan))
    latents = encoded[[shown.index(row.picture) for row in rows]]
    own = _masks(editing, [row.picture for row in rows])
    mask = None if own is None else fit.apply_mask(own, plan)
    told = _Told(texts, latents, mask, editing.text_scale, editing.image_scale, [row.seed for row in rows])
    dual, sampled = _sampled(editing, told, progress)
    return _restored(editing, dual, sampled, plan, image[[row.picture for row in rows]], own)


def _masks(editing: Editing, pictures: Sequence[int]) -> Tensor | None:
    """The mask (N, H, W) of each of these pictures; where there are fewer masks than pictures they take turns."""
    if editing.mask is None:
        return None
    masks = editing.mask.reshape(-1, *editing.mask.shape[-2:])
    return masks[[number % len(masks) for number in pictures]]


class _Told(NamedTuple):
    """One batch to sample: the two texts, the pictures' latents (B, C, h, w), the mask, the scales, and a seed for each row."""

    texts: list
    latents: Tensor
    mask: Tensor | None
    text_scale: float
    image_scale: float
    seeds: list[int]


def _sampled(editing: Editing, told: _Told, progress: Progress) -> tuple[Any, Tensor]:
    """The guider that was used, and the sampled latents."""
    positive, negative = (conditioning.with_picture(text, told.latents) for text in told.texts)
    model = equipped(editing.model, editing.speed, editing.isolate)
    dual = guidance.guider(model, positive, negative, told.text_scale, told.image_scale)
    start = conditioning.start(told.latents, told.mask)
    seed: Any = told.seeds if len(told.seeds) > 1 else told.seeds[0]
    watching = progress.steps_of(editing.model, len(told.seeds))
    return dual, sample(dual, start, editing.sampler, editing.scheduler, editing.steps, seed, watching)


def _restored(editing: Editing, dual: Any, sampled: Tensor, plan: Fit, image: Tensor, mask: Tensor | None) -> Tensor:
    """Sampled latents as pictures at the size of their ``image`` rows, isolated where that was asked for."""
    return isolating.restored(dual, conditioning.decode(editing.vae, sampled), plan, image, mask)[0]


def _plan(editing: Editing, image: Tensor) -> Fit:
    return fit.plan(image.shape[2], image.shape[1], editing.size or native_size(editing.model))


def _at_once(editing: Editing, plan: Fit) -> int:
    """How many rows to sample together: as asked, or as many as fit, up to ``MOST``; one where rows would depend on each other."""
    if not independent_rows(editing.sampler):
        return 1
    latent = (4, plan.target_height // 8, plan.target_width // 8)
    return editing.at_once or min(MOST, rows_at_once(editing.model, editing.sampler, latent))


@dataclass(frozen=True)
class Chained:
    """One picture's way through a chain: what went in, and what each stage made of it, (1, H, W, 3) each."""

    source: Tensor
    stages: tuple[Stage, ...]
    made: tuple[Tensor, ...]

    @property
    def all_stages(self) -> Tensor:
        """(stages, H, W, 3); the picture itself where there are no stages."""
        return torch.cat(self.made or (self.source,))

    def sheet(self) -> Tensor:
        """The picture and its stages, each below its instruction, as one picture (1, H, W, 3)."""
        return series_sheet.chain_sheet(self.source[0], self.stages, [picture[0] for picture in self.made])[None].to(self.source)

    def film(self) -> Tensor:
        """The picture and its stages, (1 + stages, H, W, 3)."""
        return torch.cat((self.source, *self.made))


def chains(
    editing: Editing,
    image: Tensor,
    stages: Sequence[Stage],
    seed: int,
    between: str = BETWEEN[0],
    say: Callable[[str], None] = lambda text: None,
) -> list[Chained]:
    """Instructions one after another, for each of the pictures (B, H, W, C) by itself.

    Each stage is told what the one before has sampled, without a decode and encode in between; with ``between`` "picture", its finished
    picture, which makes a chain of plain edits. Stage ``k`` (from 0) has the seed ``seed + k`` unless it sets its own. ``say`` is told each
    instruction as its stage begins. One stage is a plain edit.
    """
    families.check_model(editing.model)
    check_between(between)
    image = fit.rgb(image)
    if editing.mask is not None and not editing.mask.any():
        stages = ()
    progress = Progress(len(image) * len(stages))
    empty = conditioning.encode_text(editing.clip, editing.negative)
    texts = [[conditioning.encode_text(editing.clip, stage.instruction), empty] for stage in stages]
    return [_chain(editing, image[[number]], number, stages, texts, seed, between, progress, say) for number in range(len(image))]


def _chain(
    editing: Editing,
    image: Tensor,
    number: int,
    stages: Sequence[Stage],
    texts: Sequence[list],
    seed: int,
    between: str,
    progress: Progress,
    say: Callable[[str], None],
) -> Chained:
    """Picture ``number`` of a batch, (1, H, W, 3), through all stages."""
    if not stages:
        return Chained(image, (), ())
    plan = _plan(editing, image)
    own = _masks(editing, [number])
    mask = None if own is None else fit.apply_mask(own, plan)
    latent = conditioning.encode(editing.vae, fit.apply(image, plan))
    made: list[Tensor] = []
    for place, stage in enumerate(stages):
        say(f"{place + 1} of {len(stages)}: {stage.instruction}")
        scales = scales_of(stage, editing.text_scale, editing.image_scale)
        dual, latent = _sampled(editing, _Told(texts[place], latent, mask, *scales, [seed_of(stages, place, seed)]), progress)
        made.append(_restored(editing, dual, latent, plan, (image, *made)[-1], own))
        if between == "picture":
            latent = conditioning.encode(editing.vae, fit.apply(made[-1], plan))
        progress.made(to_pil(made[-1][0]))
        progress.finished(number * len(stages) + place + 1)
    return Chained(image, tuple(stages), tuple(made))
