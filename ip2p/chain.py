"""Several instructions one after another (Figure 11 of the paper), without leaving the latent space in between.

What a stage has sampled, brought to the scale of the autoencoder's mode, is the picture that the next stage is told. Decoding and encoding
again would lose a little of the picture each time.
"""

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from . import fit
from .edit import Editor
from .engine import Engine
from .latent_model import check
from .presets import find
from .sampling import OnStep

SETTING = re.compile(r"(text|image|seed)\s*=?\s*([-+.\w]+)")
"""One setting after the ``|`` of a line."""


@dataclass(frozen=True)
class Stage:
    """One instruction of a chain, and what is its own; None: what the whole chain uses."""

    instruction: str
    text_scale: float | None = None
    image_scale: float | None = None
    seed: int | None = None


def parse(text: str) -> list[Stage]:
    """The stages of a text: an instruction a line; empty lines are skipped.

    After a ``|`` a line may set its own scales and seed: ``make it night | text 5 image 1.2 seed 7``. Raises ValueError, in a sentence,
    for anything else there.
    """
    return [_stage(number, line) for number, line in enumerate(text.splitlines(), start=1) if line.strip()]


def _stage(number: int, line: str) -> Stage:
    instruction, bar, settings = (part.strip() for part in line.partition("|"))
    if not instruction:
        raise ValueError(f"Line {number} has no instruction before its '|'; write for example: make it night | text 5 image 1.2 seed 7.")
    found: dict[str, str] = dict(SETTING.findall(settings))
    rest = SETTING.sub("", settings).replace(",", "").strip()
    if rest or (bar and not found):
        raise ValueError(f"Line {number} has '{settings}' after its '|'; write for example: make it night | text 5 image 1.2 seed 7.")
    try:
        text, image = (float(found[name]) if name in found else None for name in ("text", "image"))
        seed = int(found["seed"]) if "seed" in found else None
    except ValueError as error:
        raise ValueError(f"Line {number} sets '{settings}'; scales are numbers such as 1.5, a seed is a whole number.") from error
    if not all(value is None or (math.isfinite(value) and value >= 0) for value in (text, image, seed)) or (seed or 0) >= 2**64:
        raise ValueError(f"Line {number} sets '{settings}'; scales and seeds are at least 0, a seed below {2**64}.")
    return Stage(instruction, text, image, seed)


def seed_of(stages: Sequence[Stage], number: int, seed: int) -> int:
    """The seed of stage ``number`` (from 0): its own, or the chain's seed and one more for each stage, so that no two share their noise."""
    own = stages[number].seed
    return (seed + number) % 2**64 if own is None else own


def scales_of(stage: Stage, text_scale: float, image_scale: float) -> tuple[float, float]:
    """The two scales of a stage: its own, or the chain's."""
    return (
        text_scale if stage.text_scale is None else stage.text_scale,
        image_scale if stage.image_scale is None else stage.image_scale,
    )


@torch.no_grad()
def chain(
    editor: Editor,
    image: Tensor,
    stages: Sequence[Stage],
    negative: str = "",
    steps: int | None = None,
    seed: int = 0,
    text_scale: float | None = None,
    image_scale: float | None = None,
    size: int | None = None,
    sampler: str = "euler_ancestral",
    speed: str = "exact",
    on_step: OnStep | None = None,
) -> list[Tensor]:
    """The picture (B, H, W, 3) after each stage, at its own size. One stage is a plain `Editor.edit`.

    `on_step` counts the steps of all stages. Raises ValueError in a sentence for what can't be done.
    """
    original = fit.rgb(image.float())
    steps, *scales = editor.settled(steps, text_scale, image_scale, speed)
    how = fit.plan(original.shape[2], original.shape[1], size or editor.size)
    found: list[Tensor] = []
    latent = None
    for number, stage in enumerate(stages):
        text, picture = scales_of(stage, *scales)
        check(steps, seed_of(stages, number, seed), text, picture, size or editor.size, sampler)
        latent = editor.encode(fit.apply(original, how)) if latent is None else latent
        told = editor.told(stage.instruction, negative, latent)
        counted = _counted(on_step, number * steps, len(stages) * steps)
        sampled = editor.sample(told, steps, seed_of(stages, number, seed), text, picture, sampler, counted, Engine((find(speed).refresh,)))
        found.append(fit.restore(editor.decode(sampled).to(original), how, original))
        latent = editor.as_picture(sampled)
    return found


def _counted(on_step: OnStep | None, before: int, total: int) -> Callable[[int, int, Tensor], None] | None:
    return None if on_step is None else lambda done, _, latent: on_step(before + done, total, latent)
