"""Presets of speed on a MODEL, and what a run has cost."""

from dataclasses import replace
from typing import Any, NamedTuple

import comfy.samplers
from comfy.model_patcher import ModelPatcher
from torch import Tensor

from ..ip2p.engine import Counted
from ..ip2p.latent_model import IMAGE_SCALE, TEXT_SCALE
from ..ip2p.presets import PRESETS, Preset
from ..ip2p.refresh import Refresh
from .guidance import last_run, with_part

PART = "refresh"


class Faster(NamedTuple):
    """A MODEL that leaves passes out, and how to sample with it."""

    model: ModelPatcher
    sampler: Any
    sigmas: Tensor
    steps: int
    text_scale: float
    image_scale: float


def custom(steps: int, refresh: Refresh) -> Preset:
    """The usual way to sample with other numbers."""
    return replace(PRESETS["exact"], steps=steps, refresh=refresh)


def faster(model: ModelPatcher, preset: Preset) -> Faster:
    """A clone of ``model`` with the preset's refresh, and the preset's other settings as the host's objects.

    Raises ValueError in a sentence for a model that is no editor.
    """
    fast = with_part(model, PART, preset.refresh)
    sampling = model.get_model_object("model_sampling")
    return Faster(
        fast,
        comfy.samplers.sampler_object(preset.sampler),
        comfy.samplers.calculate_sigmas(sampling, preset.scheduler, preset.steps).cpu(),
        preset.steps,
        TEXT_SCALE if preset.text_scale is None else preset.text_scale,
        IMAGE_SCALE if preset.image_scale is None else preset.image_scale,
    )


def counted(guided: Any) -> Counted:
    """What the last run of a GUIDER or MODEL has cost. Raises ValueError, in a sentence, where neither is wired or nothing was sampled."""
    if guided is None:
        raise ValueError("There is neither a guider nor a model here; wire the one that the sampler used.")
    return last_run(guided).counted
