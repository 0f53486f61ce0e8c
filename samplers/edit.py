"""One edit, whole: the graph of nodes as one call, with the same code and so the same picture."""

from collections.abc import Callable, Sequence
from typing import Any

import comfy.model_base
import comfy.sample
import comfy.samplers
import comfy.utils
import latent_preview
from comfy.model_patcher import ModelPatcher
from torch import Tensor

from ..ip2p import fit, presets
from . import conditioning, families, fast, guidance, isolating
from .noise import initial, seeded

Callback = Callable[[int, Tensor, Tensor, int], None]
"""Told (step, denoised latent, noisy latent, steps) after each step."""
ATTACHMENT = "ip2p_size"
"""Under this key a loaded MODEL carries the size it was trained at, in pixels."""


def native_size(model: ModelPatcher) -> int:
    """The long side, in pixels, at which ``model`` edits best."""
    size, kind = model.get_attachment(ATTACHMENT), model.model
    small = kind.latent_format.latent_channels == 4 and not isinstance(kind, comfy.model_base.SDXL)
    return size or (512 if small else 1024)


def edit(
    model: ModelPatcher,
    clip: Any,
    vae: Any,
    image: Tensor,
    instruction: str,
    negative: str = "",
    mask: Tensor | None = None,
    seed: int = 0,
    steps: int = 30,
    text_scale: float = 7.5,
    image_scale: float = 1.5,
    sampler: str = "euler_ancestral",
    scheduler: str = "normal",
    size: int = 0,
    speed: str = "exact",
    isolate: float = 0.0,
    callback: Callback | None = None,
    report: Callable[[str], None] | None = None,
) -> Tensor:
    """Edit (B, H, W, C) pictures and return them at their own size; an empty instruction or mask returns them as they are.

    ``size`` is the long side to work at (0: the model's own). Pixels where ``mask`` is 0 are the input's own. ``callback`` is told each
    step, as the host tells its own (default: the node's progress bar, with a preview), ``report`` what the run has cost. ``speed`` is
    one of ``presets.SPEEDS``; what the model carries holds where it is "exact". So it is with ``isolate``, 0 (off) to 1 (strict).
    """
    families.check_model(model)
    image = fit.rgb(image)
    if not instruction.strip() or (mask is not None and not mask.any()):
        return image
    plan = fit.plan(image.shape[2], image.shape[1], size or native_size(model))
    fitted_mask = None if mask is None else fit.apply_mask(mask, plan)
    positive, negative_, latent = conditioning.instruct(clip, vae, fit.apply(image, plan), instruction, negative, fitted_mask)
    dual = guidance.guider(equipped(model, speed, isolate), positive, negative_, text_scale, image_scale)
    samples = sample(dual, latent, sampler, scheduler, steps, seed, callback)
    restored, said = isolating.restored(dual, conditioning.decode(vae, samples), plan, image, mask)
    if report:
        report("\n".join([str(guidance.last_run(dual).counted), *said]))
    return restored


def equipped(model: ModelPatcher, speed: str = "exact", isolate: float = 0.0) -> ModelPatcher:
    """``model`` with the parts that a speed and an isolation ask for; as it is where they ask for none."""
    if speed != "exact":
        model = guidance.with_part(model, fast.PART, presets.find(speed).refresh)
    return isolating.isolating(model, isolate) if isolate else model


def sample(
    dual: comfy.samplers.CFGGuider,
    latent: dict[str, Any],
    sampler: str,
    scheduler: str,
    steps: int,
    seed: int | Sequence[int],
    callback: Callback | None = None,
) -> Tensor:
    """Sample a latent as the host's RandomNoise, BasicScheduler, KSamplerSelect and SamplerCustomAdvanced nodes would.

    Several seeds, one for each row, give each row what it would become alone.
    """
    check_choice("sampler", sampler, comfy.samplers.SAMPLER_NAMES)
    check_choice("scheduler", scheduler, comfy.samplers.SCHEDULER_NAMES)
    patcher = dual.model_patcher
    start = comfy.sample.fix_empty_latent_channels(patcher, latent["samples"])
    choice = comfy.samplers.sampler_object(sampler)
    if isinstance(seed, int):
        noise = comfy.sample.prepare_noise(start, seed, latent.get("batch_index"))
    else:
        noise, choice, seed = initial(start, seed), seeded(choice, seed), seed[0]
    sigmas = comfy.samplers.calculate_sigmas(patcher.get_model_object("model_sampling"), scheduler, steps).cpu()
    samples = dual.sample(
        noise,
        start,
        choice,
        sigmas,
        denoise_mask=latent.get("noise_mask"),
        callback=callback or latent_preview.prepare_callback(patcher, steps),
        disable_pbar=not comfy.utils.PROGRESS_BAR_ENABLED,
        seed=seed,
    )
    return samples.to(comfy.model_management.intermediate_device())


def check_choice(name: str, value: str, choices: list[str]) -> None:
    """Raise ValueError, in a sentence for the user, for a sampler or scheduler that this host lacks."""
    if value not in choices:
        raise ValueError(f"The {name} '{value}' is not one this host has; choose one of {', '.join(choices)}.")
