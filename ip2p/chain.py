"""Several instructions one after another (Figure 11 of the paper), without leaving the latent space in between.

What a stage has sampled, brought to the scale of the autoencoder's mode, is the picture that the next stage is told. Decoding and encoding
again would lose a little of the picture each time. But it cuts off what strong guidance has driven beyond black and white, so one may ask
for it.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from . import fit
from .edit import Editor
from .engine import Engine
from .latent_model import check
from .presets import find
from .sampling import OnStep, counted
from .stages import BETWEEN, Stage, check_between, scales_of, seed_of


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
    between: str = BETWEEN[0],
) -> list[Tensor]:
    """The picture (B, H, W, 3) after each stage, at its own size. One stage is a plain `Editor.edit`; so is each with `between` "picture".

    `on_step` counts the steps of all stages. Raises ValueError in a sentence for what can't be done.
    """
    check_between(between)
    original = fit.rgb(image.float())
    steps, *scales = editor.settled(steps, text_scale, image_scale, speed)
    how = fit.plan(original.shape[2], original.shape[1], size or editor.size)
    found: list[Tensor] = []
    latent = None
    for number, stage in enumerate(stages):
        text, picture = scales_of(stage, *scales)
        check(steps, seed_of(stages, number, seed), text, picture, size or editor.size, sampler)
        latent = editor.encode(fit.apply((original, *found)[-1], how)) if latent is None else latent
        told = editor.told(stage.instruction, negative, latent)
        show = counted(on_step, number * steps, len(stages) * steps)
        sampled = editor.sample(told, steps, seed_of(stages, number, seed), text, picture, sampler, show, Engine((find(speed).refresh,)))
        found.append(fit.restore(editor.decode(sampled).to(original), how, original))
        latent = editor.as_picture(sampled) if between == "latent" else None
    return found
