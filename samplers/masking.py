"""A drawn mask inside the host's sampling: the latent outside it is led to the picture's own late, not from the first step on.

A network that sees from the start that nothing changes around the mask takes that for its answer, and changes little inside. Left free for
most of the run it edits the whole picture, which is what it has learnt, and joins the part inside to the picture afterwards.
"""

from typing import Any

import torch
from comfy.model_patcher import ModelPatcher
from torch import Tensor

from ..ip2p.spatial import MASKED_FROM
from . import families

OPTION = "denoise_mask_function"
"""The host's name in a MODEL's options for what changes a latent's mask from step to step."""


def late(sigma: Tensor, denoise_mask: Tensor, extra_options: dict[str, Any]) -> Tensor:
    """The host's call: the mask of a step at noise level ``sigma``, all ones up to the progress `MASKED_FROM` or the last step."""
    sampling, level = extra_options["model"].inner_model.model_sampling, float(sigma.flatten()[0])
    last = level <= float(extra_options["sigmas"][-2:][0])
    early = not last and families.progress_of(sampling, level) < MASKED_FROM
    return torch.ones_like(denoise_mask) if early else denoise_mask


def attach(model: ModelPatcher) -> None:
    """Let masks work late on a MODEL, unless someone else has a say about its masks already."""
    model.model_options.setdefault(OPTION, late)


def detach(model: ModelPatcher) -> None:
    """Take that back; what others have set stays."""
    if model.model_options.get(OPTION) is late:
        del model.model_options[OPTION]
