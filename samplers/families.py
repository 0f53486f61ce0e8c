"""How each family of editors is told the picture, and what "no picture" is to it: all that equation 3 needs to know about a network.

The host hands a picture over in one of two ways, each under a name of its own in the conditioning:

- ``concat_latent_image``: a latent that lies beside the noisy one in the network's input; by channel in InstructPix2Pix (SD 1.5, SDXL,
  CosXL) and in Flux's control models (Canny, Depth), by width in HiDream-E1.
- ``reference_latents``: a list of latents whose tokens follow those of the noisy one; Flux Kontext, Flux 2, Qwen-Image-Edit, OmniGen2,
  and every family that counts them in the host's ``extra_conds_shapes``.

The null-image conditioning (``D_0``) is the one each family was trained with, or, where it was trained with none, the host's own idea of
no picture.
"""

import uuid
from bisect import bisect_left
from functools import lru_cache
from math import log
from typing import Any

import comfy.model_base
import torch
from comfy.model_base import BaseModel
from comfy.model_patcher import ModelPatcher
from torch import Tensor

Conditioning = list[dict[str, Any]]
CONCAT, REFERENCES, METHOD = "concat_latent_image", "reference_latents", "reference_latents_method"
TOKENS = ("ref_latents", "ref_latents_method", "ref_contexts", "siglip_feats")
"""The model's conditionings that a host makes of reference latents and of what belongs to them."""
EDITORS = "load an InstructPix2Pix checkpoint or another editor, such as Flux Kontext"
STEPS = 1000


def picture_key(patcher: ModelPatcher) -> str | None:
    """Under which name a MODEL looks for a picture in its conditioning: ``CONCAT``, ``REFERENCES``, or None where it takes none."""
    model = patcher.model
    if isinstance(model, (comfy.model_base.IP2P, comfy.model_base.HiDream)):
        return CONCAT
    if isinstance(model, comfy.model_base.Chroma):  # counts reference latents as Flux does, but its network never looks at them
        return None
    if isinstance(model, comfy.model_base.Flux) and _times_wider(patcher) > 1:
        return CONCAT if _times_wider(patcher) == 2 else None  # wider still: with a mask, for inpainting
    counted = model.extra_conds_shapes(reference_latents=[torch.zeros(1, 16, 1, 2, 2)])
    return REFERENCES if "ref_latents" in counted else None


def check_model(model: ModelPatcher | None) -> None:
    """Raise ValueError, in a sentence for the user, unless ``model`` is a network that can be told a picture to edit."""
    if model is None:
        raise ValueError("There is no model here; load an InstructPix2Pix checkpoint with the 'Load InstructPix2Pix model' node.")
    if picture_key(model) is None:
        raise ValueError(_refusal(model.model))


def check_instruct_pix2pix(model: ModelPatcher | None) -> None:
    """Raise ValueError, in a sentence for the user, unless ``model`` is an InstructPix2Pix network (SD 1.5, SDXL or CosXL)."""
    check_model(model)
    if model is not None and not isinstance(model.model, comfy.model_base.IP2P):
        raise ValueError(
            f"This is a {type(model.model).__name__} model; this works with InstructPix2Pix checkpoints only: load one of them."
        )


def check_pictures(model: ModelPatcher, conditioning: list, name: str) -> None:
    """Raise ValueError, in a sentence for the user, unless a wired CONDITIONING carries a picture that ``model`` can be given."""
    keys = {CONCAT, picture_key(model)}
    if not any(keys & options.keys() for _, options in conditioning):
        raise ValueError(_no_picture(model, name))


def hand_over(model: ModelPatcher, positive: Conditioning, negative: Conditioning) -> None:
    """Give every conditioning of a run the picture in the way ``model`` reads it, in place.

    Negative conditionings that were wired from plain text get the positive's picture, since ``D_I`` sees it too. Raises ValueError where
    there is none.
    """
    key = picture_key(model) or CONCAT
    for cond in (*positive, *negative):
        if key == REFERENCES and CONCAT in cond:
            cond.setdefault(REFERENCES, [cond[CONCAT]])
    told = next((cond for cond in positive if key in cond), None)
    if told is None:
        raise ValueError(_no_picture(model, "positive"))
    for cond in negative:
        for name in {key, METHOD} & told.keys():
            cond.setdefault(name, told[name])


def check_sizes(conds: dict[str, Conditioning], noise: Tensor) -> None:
    """Raise ValueError, in a sentence for the user, for pictures that don't go with the latent to sample."""
    for cond in (cond for group in conds.values() for cond in group):
        for picture in cond.get(REFERENCES, []):
            _check_channels(picture, noise)
        if REFERENCES not in cond and CONCAT in cond:
            _check_size(cond[CONCAT], noise)


def null_conditioning(model: BaseModel, image: Conditioning) -> Conditioning:
    """The third conditioning (``D_0``): the second one, as the host prepared it, without its picture.

    A concatenated picture becomes what the host makes of an absent one, which is zero for InstructPix2Pix; HiDream-E1's becomes zero, as
    in its authors' pipeline; reference latents are left out, as in OmniGen2's. Areas, masks, ControlNets and hooks stay.
    """
    return [{**cond, "model_conds": _without_picture(model, cond["model_conds"]), "uuid": uuid.uuid4()} for cond in image]


def source(model: BaseModel, conditioning: Conditioning, x: Tensor) -> Tensor | None:
    """The latent of the picture to edit on the scale of the noisy latent ``x`` and of its size; None where there is none of that size."""
    for cond in conditioning:
        for picture in cond.get(REFERENCES) or [cond.get(CONCAT)]:
            if picture is not None and picture.shape[1:] == x.shape[1:]:
                found: Tensor = model.process_latent_in(picture.to(x))
                return found
    return None


def progress_of(model_sampling: Any, sigma: float) -> float:
    """The share of the noise schedule that is done at ``sigma``, in [0, 1]: the inverse of the host's ``percent_to_sigma``."""
    if not hasattr(model_sampling, "log_sigmas"):
        return _searched(model_sampling, sigma)
    if sigma <= 0:
        return 1.0
    table = _log_sigmas(model_sampling)
    after = bisect_left(table, log(sigma))
    if after in (0, STEPS):
        return 1.0 if after == 0 else 0.0
    below, above = table[after - 1], table[after]
    return 1 - (after - 1 + (log(sigma) - below) / (above - below)) / (STEPS - 1)


@lru_cache(maxsize=8)
def _log_sigmas(model_sampling: Any) -> list[float]:
    """log sigma at each of the 1000 steps that ``percent_to_sigma`` interpolates between, rising."""
    inner = [model_sampling.percent_to_sigma(1 - step / (STEPS - 1)) for step in range(1, STEPS - 1)]
    ends = [model_sampling.percent_to_sigma(percent) for percent in (1 - 1e-9, 1e-9)]  # at 0 and 1 the host gives no sigma of the schedule
    return [log(float(sigma)) for sigma in (ends[0], *inner, ends[1])]


def _searched(model_sampling: Any, sigma: float) -> float:
    """By bisection; flow models compute their sigmas by a formula, so this takes microseconds."""
    low, high = 0.0, 1.0
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if model_sampling.percent_to_sigma(middle) > sigma else (low, middle)
    return high


def _without_picture(model: BaseModel, model_conds: dict[str, Any]) -> dict[str, Any]:
    found = {name: cond for name, cond in model_conds.items() if name not in TOKENS}
    if "image_cond" in found:
        found["image_cond"] = type(found["image_cond"])(torch.zeros_like(found["image_cond"].cond))
    if "c_concat" in found:
        picture = found["c_concat"].cond
        absent = model.concat_cond(noise=torch.zeros_like(picture), device=picture.device)
        found["c_concat"] = type(found["c_concat"])(torch.zeros_like(picture) if absent is None else absent)
    return found


def _times_wider(patcher: ModelPatcher) -> int:
    """How many times as many channels as it gives out a Flux network takes in: 1 without a concatenated picture, 2 with one.

    A control LoRA widens the first layer, as a patch until the network is loaded.
    """
    network, config = patcher.model.diffusion_model, patcher.model.model_config.unet_config
    weight = getattr(getattr(network, "img_in", None), "weight", None)
    taken: int = config["in_channels"] if weight is None else weight.shape[1] // network.patch_size**2
    for _, change, *_ in patcher.patches.get("diffusion_model.img_in.weight", []):
        shape = (getattr(change, "weights", None) or ())[5:6]  # where the host's LoRA adapter keeps a new shape
        if shape and shape[0] is not None:
            taken = max(taken, int(shape[0][1]) // network.patch_size**2)
    return -(-taken // config["out_channels"])


def _refusal(model: BaseModel) -> str:
    channels = model.model_config.unet_config.get("in_channels")
    name = type(model).__name__
    if channels == 9 or (isinstance(model, comfy.model_base.Flux) and not isinstance(model, comfy.model_base.Chroma)):
        return f"This is an inpainting model ({channels} input channels), which takes no instruction; {EDITORS}."
    if channels == 4:
        return "This is a text-to-image model; load an InstructPix2Pix checkpoint or turn it into one."
    if model.latent_format.latent_dimensions == 3:
        return f"This is a {name} model, which makes video; {EDITORS}."
    return f"This is a {name} model, which takes no picture to edit; {EDITORS}."


def _no_picture(model: ModelPatcher, name: str) -> str:
    node = "ReferenceLatent" if picture_key(model) == REFERENCES else "InstructPixToPixConditioning"
    return (
        f"The {name} conditioning carries no picture to edit; wire it through the 'InstructPix2Pix instruction' node "
        f"(or the host's {node})."
    )


def _check_size(picture: Tensor, noise: Tensor) -> None:
    if picture.shape[1:] != noise.shape[1:]:
        want, have = tuple(picture.shape[1:]), tuple(noise.shape[1:])
        raise ValueError(
            f"The picture's latent is {want[-1]} x {want[-2]} with {want[0]} channels, but the latent to sample is {have[-1]} x {have[-2]} "
            f"with {have[0]}; wire the latent that comes from the same instruction node, and the VAE of this model."
        )


def _check_channels(picture: Tensor, noise: Tensor) -> None:
    if picture.shape[1] != noise.shape[1] or picture.ndim != noise.ndim:
        raise ValueError(
            f"The picture's latent has {picture.shape[1]} channels, but the latent to sample has {noise.shape[1]}; encode it with the VAE "
            "of this model."
        )
