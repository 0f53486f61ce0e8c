"""Variations: one picture and one instruction under several seeds (Figure 12 of the paper)."""

import torch
from torch import Tensor

from . import fit
from .edit import Editor
from .engine import Engine
from .latent_model import check
from .presets import find
from .sampling import OnStep

AT_ONCE = 4
"""Variations that are made in one batch without a host, which knows how much memory there is."""
MOST = 1000


def seeds(first: int, count: int) -> list[int]:
    """``count`` seeds that follow each other. Raises ValueError for a count that is not in 1..1000."""
    if not 1 <= count <= MOST:
        raise ValueError(f"The number of variations is {count}; use 1 to {MOST}.")
    return [(first + number) % 2**64 for number in range(count)]


@torch.no_grad()
def variations(
    editor: Editor,
    image: Tensor,
    instruction: str,
    count: int,
    negative: str = "",
    steps: int | None = None,
    seed: int = 0,
    text_scale: float | None = None,
    image_scale: float | None = None,
    size: int | None = None,
    sampler: str = "euler_ancestral",
    speed: str = "exact",
    on_step: OnStep | None = None,
    at_once: int = AT_ONCE,
) -> Tensor:
    """One picture (1, H, W, 3) edited with ``count`` seeds that follow ``seed``: (count, H, W, 3), each as `Editor.edit` gives it.

    `on_step` counts the steps of all. Raises ValueError in a sentence for what can't be done.
    """
    original = fit.rgb(image.float())[:1]
    steps, text, picture = editor.settled(steps, text_scale, image_scale, speed)
    check(steps, seed, text, picture, size or editor.size, sampler)
    drawn = seeds(seed, count)
    how = fit.plan(original.shape[2], original.shape[1], size or editor.size)
    latent = editor.encode(fit.apply(original, how))
    made = []
    for begin in range(0, count, at_once):
        some = drawn[begin : begin + at_once]
        told = editor.told(instruction, negative, latent.expand(len(some), -1, -1, -1))

        def show(done: int, total: int, denoised: Tensor, begin: int = begin, rows: int = len(some)) -> None:
            if on_step is not None:
                on_step(begin * total + done * rows, count * total, denoised)

        sampled = editor.sample(told, steps, some, text, picture, sampler, show, Engine((find(speed).refresh,)))
        made += [fit.restore(editor.decode(row[None]).to(original), how, original) for row in sampled]
    return torch.cat(made)
