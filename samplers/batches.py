"""How many edits are sampled in one batch."""

import comfy.model_management
from comfy.model_patcher import ModelPatcher

from .noise import independent_rows

MEMORY_SHARE = 0.7
"""Of the free memory, how much the rows under way may fill."""
CPU_PIXELS = 2**18
"""Rows on a CPU fill no more than these, so that a step, and with it cancelling, stays quick."""
PASSES = 3


def rows_at_once(model: ModelPatcher, sampler: str, latent: tuple[int, ...]) -> int:
    """How many rows with latents of the shape (C, h, w) to sample together: as many as the free memory holds once the model is loaded.

    One, where the sampler would let the rows of a batch depend on each other.
    """
    if not independent_rows(sampler):
        return 1
    if comfy.model_management.is_device_cpu(model.load_device):
        return max(1, CPU_PIXELS // (64 * latent[-1] * latent[-2]))
    waiting = model.model_size() - model.loaded_size()
    free = comfy.model_management.get_free_memory(model.load_device) - waiting
    return max(1, int(MEMORY_SHARE * free / model.memory_required([PASSES, *latent])))
