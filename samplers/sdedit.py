"""SDEdit (Meng et al. 2022), the paper's baseline, under the host's samplers: noise a picture part of the way, denoise by a caption."""

from typing import Any

import comfy.model_management
import comfy.patcher_extension
import comfy.sample
import comfy.samplers
import comfy.utils
import latent_preview
import torch
from comfy.model_patcher import ModelPatcher
from torch import Tensor

from ..ip2p import fit
from ..ip2p.guidance import check_scale
from ..ip2p.sdedit import WHOLE, check_strength
from . import conditioning
from .edit import Callback, check_choice, native_size
from .guidance import KEY, unpatch
from .noise import independent_noise


def sdedit(
    model: ModelPatcher,
    clip: Any,
    vae: Any,
    image: Tensor,
    prompt: str,
    strength: float = 0.6,
    seed: int = 0,
    steps: int = 30,
    cfg: float = 7.5,
    sampler: str = "euler_ancestral",
    scheduler: str = "normal",
    negative: str = "",
    size: int = 0,
    callback: Callback | None = None,
) -> Tensor:
    """Bring (B, H, W, C) pictures nearer to a caption of the edited picture; returns them at their own size, (B, H, W, 3).

    The same as the host's VAEEncode, KSampler with ``denoise`` = ``strength`` and VAEDecode; at strength 1 the picture gives only its
    size, as an empty latent does. ``steps`` are those that run. An editor is shown an empty picture. Raises ValueError in a sentence.
    """
    check_model(model)
    check_scale("guidance", cfg)
    check_strength(strength)
    image = fit.rgb(image)
    plan = fit.plan(image.shape[2], image.shape[1], size or native_size(model))
    latent = conditioning.encode(vae, fit.apply(image, plan))
    if strength > WHOLE:
        latent = torch.zeros_like(latent)
    positive, negative_ = (conditioning.encode_text(clip, text) for text in (prompt, negative))
    samples = denoise(model, positive, negative_, latent, strength, seed, steps, cfg, sampler, scheduler, callback)
    return fit.restore(vae.decode(samples), plan, image)


def denoise(
    model: ModelPatcher,
    positive: conditioning.Conditioning,
    negative: conditioning.Conditioning,
    latent: Tensor,
    strength: float,
    seed: int,
    steps: int,
    cfg: float,
    sampler: str,
    scheduler: str,
    callback: Callback | None = None,
) -> Tensor:
    """The host's KSampler. Several pictures share one draw of noise, and ancestral noise never repeats the initial one."""
    check_choice("sampler", sampler, comfy.samplers.SAMPLER_NAMES)
    check_choice("scheduler", scheduler, comfy.samplers.SCHEDULER_NAMES)
    plain = unpatch(model)
    plain.add_wrapper_with_key(comfy.patcher_extension.WrappersMP.SAMPLER_SAMPLE, KEY, independent_noise)
    start = comfy.sample.fix_empty_latent_channels(plain, latent)
    noise = comfy.sample.prepare_noise(start, seed, [0] * len(start) if len(start) > 1 else None)
    return comfy.sample.sample(
        plain,
        noise,
        steps,
        cfg,
        sampler,
        scheduler,
        positive,
        negative,
        start,
        denoise=strength,
        callback=callback or latent_preview.prepare_callback(plain, steps),
        disable_pbar=not comfy.utils.PROGRESS_BAR_ENABLED,
        seed=seed,
    )


def check_model(model: ModelPatcher | None) -> None:
    """Raise ValueError, in a sentence for the user, for a model that text alone can't drive."""
    if model is None:
        raise ValueError("There is no model here; load a text-to-image checkpoint with the host's loader, or an editor.")
    if model.model.model_config.unet_config.get("in_channels") == 9:
        raise ValueError("This is an inpainting model (9 input channels); load the text-to-image model it was made from.")
