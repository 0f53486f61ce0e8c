"""Isolating inside the host: the part on a MODEL, what a run found, and the edit on its picture."""

from typing import Any

import comfy.model_management
import torch
from comfy.model_patcher import ModelPatcher
from torch import Tensor

from ..ip2p import fit, isolate, relevance
from . import guidance

PART = "isolate"
"""Under this name a MODEL carries the part."""


def isolating(model: ModelPatcher, strength: float) -> ModelPatcher:
    """A clone of ``model`` that keeps edits where they belong, 0 (off) to 1 (strict); at 0 it only remembers where that is."""
    return guidance.with_part(model, PART, isolate.Isolate(strength=strength))


def restored(guided: Any, edited: Tensor, plan: fit.Fit, image: Tensor, mask: Tensor | None = None) -> tuple[Tensor, list[str]]:
    """The edit (B, h, w, 3) of the last run of a guider or MODEL, on its picture and at its size; isolated if that run was.

    With what was done, a sentence for each picture, or none where nothing was asked.
    """
    return isolate.restored(guidance.last_run(guided), edited, plan, image, mask)


def shown(guided: Any, plan: fit.Fit, image: Tensor, strength: float) -> tuple[Tensor, Tensor, Tensor, str]:
    """Where the edits of the last run of a guider or MODEL belong: (mask, relevance, preview, text), for each picture of the batch.

    The masks are (B, height, width): 1 where the edit belongs, with as much room as ``strength`` leaves; and the relevance itself, in
    which 0.5 is the threshold. The preview is (B, height, width, 3). Raises ValueError, in a sentence, where nothing was found.
    """
    isolate.check_strength(strength)
    parts = [part for part in guidance.last_run(guided).parts if isinstance(part, relevance.Relevance)]
    found = next((values for part in parts if (values := part.map()) is not None), None)
    if found is None:
        raise ValueError(
            "This run has not looked for the edit's place; put 'Isolate edit' on the model (at 0 it changes nothing), and take a one-pass "
            "adapter out."
        )
    place = isolate.place(found)
    soft = relevance.soft(found.cpu(), relevance.otsu(found.cpu()))
    nowhere = torch.zeros(len(soft), plan.height, plan.width, 3)
    full = fit.restore(soft.movedim(1, -1), plan, nowhere)[..., 0]
    preview = relevance.heat(fit.rgb(image).float().cpu(), full)
    device = comfy.model_management.intermediate_device()
    return place.over(plan, strength).to(device), full.to(device), preview.to(device), "\n".join(place.told())
