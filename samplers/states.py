"""The host's MODEL, CLIP and VAE as ``ip2p`` reads models: one state dict in LDM layout, a private copy with all patches worked in."""

from collections.abc import Mapping
from typing import Any

import comfy.lora
import comfy.model_sampling
import torch
from comfy.model_patcher import ModelPatcher
from torch import Tensor

from ..ip2p.checkpoint import Checkpoint, detect_family
from ..ip2p.files import CheckpointError, State
from ..ip2p.layout import TEXT, UNET, VAE, prefixed
from .conditioning import check_clip, check_vae
from .edit import ATTACHMENT

NETWORK = "diffusion_model."
CLIP_L = "clip_l.transformer."


def checkpoint_of(model: ModelPatcher | None, clip: Any = None, vae: Any = None) -> Checkpoint:
    """A Stable Diffusion 1.x model as it is wired, LoRAs and merges included; clip and vae may be None.

    The tensors are copies on the CPU that autograd may save: nothing that is done to them reaches the host's weights. Raises
    CheckpointError, in a sentence for the user, for other kinds of models.
    """
    if model is None:
        raise CheckpointError("There is no model here; load one with 'Load InstructPix2Pix model' or the host's 'Load Checkpoint'.")
    with torch.inference_mode(False), torch.no_grad():
        state = prefixed(weights_of(model, NETWORK), UNET)
        if clip is not None:
            state |= prefixed(_text(clip), TEXT)
        if vae is not None:
            state |= prefixed(_autoencoder(vae), VAE)
        if isinstance(model.get_model_object("model_sampling"), comfy.model_sampling.V_PREDICTION):
            state["v_pred"] = torch.tensor([])  # as the host marks its files
    if detect_family(state) != "sd15":
        raise CheckpointError("This is an SDXL model; only Stable Diffusion 1.x models, large or small, can be trained and merged here.")
    return Checkpoint(state, "sd15", "only", _settings(model, clip))


def whole_checkpoint_of(model: ModelPatcher | None, clip: Any, vae: Any) -> Checkpoint:
    """The same, where nothing may be missing. Raises ValueError in a sentence."""
    check_clip(clip)
    check_vae(vae)
    return checkpoint_of(model, clip, vae)


def weights_of(model: ModelPatcher, prefix: str = "") -> State:
    """The weights whose name begins with ``prefix``, named without it, each with the patches that the host would give it."""
    return {name.removeprefix(prefix): _baked(name, patches) for name, patches in model.get_key_patches(prefix).items()}


def _baked(name: str, patches: list) -> Tensor:
    (weight, convert), *changes = patches
    own: Tensor = convert(weight).detach().to("cpu", copy=True)
    if own.is_floating_point() and own.element_size() == 1:  # what is stored in 8 bits is computed with in 16
        own = own.to(torch.float16)
    return comfy.lora.calculate_weight(changes, own.float(), name).to(own.dtype) if changes else own


def _text(clip: Any) -> State:
    if clip.layer_idx not in (None, -1):
        raise CheckpointError("The text encoder stops before its last layer; take 'CLIP Set Last Layer' out, training reads the last one.")
    found = weights_of(clip.patcher, CLIP_L)
    left = ("text_projection.weight", "logit_scale")
    state = {name: tensor for name, tensor in found.items() if name.startswith("text_model.") and name not in left}
    if not state:
        raise CheckpointError("This text encoder is not Stable Diffusion 1.x's (CLIP-L); wire the CLIP of the model's own checkpoint.")
    return state


def _autoencoder(vae: Any) -> State:
    state = weights_of(vae.patcher)
    if "encoder.conv_in.weight" not in state or "decoder.conv_in.weight" not in state:
        raise CheckpointError("This VAE is of another kind than Stable Diffusion's; wire the VAE of the model's own checkpoint.")
    return state


def _settings(model: ModelPatcher, clip: Any) -> dict[str, str]:
    """What the weights' shapes don't tell: heads, and the size that the model was trained at."""
    heads = int(model.model.model_config.unet_config.get("num_heads", -1))
    found: dict[str, Any] = {"num_heads": heads} if heads > 0 else {}
    if clip is not None:
        layers = clip.cond_stage_model.clip_l.transformer.text_model.encoder.layers
        found["text_heads"] = layers[0].self_attn.heads
    if size := model.get_attachment(ATTACHMENT):
        found["size"] = size
    return {name: str(value) for name, value in found.items()}


def lossless_half(state: Mapping[str, Tensor]) -> State:
    """The same numbers, in half precision where that loses none, as of networks that the host keeps in single precision."""
    return {name: half if _equal(tensor, half := tensor.half()) else tensor for name, tensor in state.items()}


def _equal(tensor: Tensor, half: Tensor) -> bool:
    return tensor.is_floating_point() and torch.equal(half.to(tensor.dtype), tensor)
