"""diffusers' and transformers' modules, built and filled from a checkpoint in LDM layout; their configs come from the weights' shapes."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from .checkpoint import Checkpoint, CheckpointError, vae_config
from .keys import first_blocks, unet_layout, unet_to_diffusers, unet_widths, vae_to_diffusers
from .layout import SECOND_TEXT_SDXL, TEXT, TEXT_SDXL, UNET, VAE
from .text_keys import clip_to_transformers, openclip_to_transformers

SD_HEADS = 8  # of every SD 1.x attention, whatever its width
HEAD_WIDTH = 64  # SDXL's UNet and CLIP's text encoders count heads by width instead
END_OF_TEXT = 49407


def build_unet(checkpoint: Checkpoint, dtype: torch.dtype = torch.float32) -> UNet2DConditionModel:
    """The UNet as a diffusers module on the CPU, in eval mode, frozen."""
    unet = checkpoint.part(UNET)
    with torch.device("meta"):
        module = UNet2DConditionModel(**unet_config(unet, checkpoint.settings))
    return _filled(module, _renamed(unet_to_diffusers, unet, "UNet"), "UNet", dtype)


def build_vae(checkpoint: Checkpoint, dtype: torch.dtype = torch.float32) -> AutoencoderKL:
    """The autoencoder as a diffusers module on the CPU, in eval mode, frozen. CheckpointError where there is none."""
    vae = {k: t for k, t in checkpoint.part(VAE).items() if k.startswith(("encoder.", "decoder.", "quant_conv.", "post_quant_conv."))}
    if not vae:
        raise CheckpointError("This model has no autoencoder (VAE): choose a whole checkpoint or a diffusers folder with vae in it.")
    with torch.device("meta"):
        module = AutoencoderKL(**autoencoder_config(vae))
    return _filled(module, _renamed(vae_to_diffusers, vae, "autoencoder"), "autoencoder", dtype)


def build_text_encoders(checkpoint: Checkpoint, dtype: torch.dtype = torch.float32) -> list[nn.Module]:
    """The text encoder of SD 1.x, or the two of SDXL, as transformers modules, frozen. CheckpointError where there is none."""
    encoders: list[nn.Module] = []
    for prefix in (TEXT, TEXT_SDXL):
        if state := checkpoint.part(prefix):
            encoders.append(_clip(state, int(checkpoint.settings.get("text_heads", 0)), dtype))
    if state := checkpoint.part(SECOND_TEXT_SDXL):
        known = _renamed(openclip_to_transformers, state, "second text encoder")
        with torch.device("meta"):
            module = CLIPTextModelWithProjection(text_config(known, 0, "gelu"))
        encoders.append(_filled(module, known, "second text encoder", dtype))
    if len(encoders) < (1 if checkpoint.family == "sd15" else 2):
        raise CheckpointError("This model lacks a text encoder: choose a whole checkpoint or a diffusers folder with text_encoder in it.")
    return encoders


def _clip(state: Mapping[str, Tensor], heads: int, dtype: torch.dtype) -> nn.Module:
    with torch.device("meta"):
        module = CLIPTextModel(text_config(state, heads, "quick_gelu"))
    prefixed = any(name.startswith("text_model.") for name in module.state_dict())
    known = {name: tensor for name, tensor in state.items() if not name.startswith("text_projection")}
    return _filled(module, clip_to_transformers(known, prefixed), "text encoder", dtype)


def unet_config(unet: Mapping[str, Tensor], settings: Mapping[str, str]) -> dict[str, Any]:
    """`UNet2DConditionModel`'s arguments for an LDM UNet (no prefix). `attention_head_dim` means the number of heads there.

    Raises CheckpointError for a layout that diffusers has no blocks for.
    """
    layout = unet_layout(unet)
    firsts, widths = first_blocks(layout), unet_widths(unet)
    attentive = [all(level) for level in layout.down]
    if not layout.middle or any(any(level) != all(level) for level in layout.down) or widths[0] != unet["input_blocks.0.0.weight"].shape[0]:
        raise CheckpointError("This UNet's layout is not Stable Diffusion's: load an SD 1.5, SDXL or CosXL InstructPix2Pix checkpoint.")
    wide = "label_emb.0.0.weight" in unet
    config = {
        "in_channels": unet["input_blocks.0.0.weight"].shape[1],
        "out_channels": unet["out.2.weight"].shape[0],
        "block_out_channels": widths,
        "layers_per_block": [len(level) for level in layout.down],
        "down_block_types": ["CrossAttnDownBlock2D" if has else "DownBlock2D" for has in attentive],
        "up_block_types": ["CrossAttnUpBlock2D" if has else "UpBlock2D" for has in reversed(attentive)],
        "transformer_layers_per_block": [_depth(unet, f"input_blocks.{block}.1.") or 1 for block in firsts],
        "cross_attention_dim": unet["middle_block.1.transformer_blocks.0.attn2.to_k.weight"].shape[1],
        "use_linear_projection": unet["middle_block.1.proj_in.weight"].ndim == 2,
        "attention_head_dim": [width // HEAD_WIDTH for width in widths] if wide else int(settings.get("num_heads", SD_HEADS)),
    }
    if wide:
        size = unet["label_emb.0.0.weight"].shape[1]
        config |= {"addition_embed_type": "text_time", "addition_time_embed_dim": 256, "projection_class_embeddings_input_dim": size}
    return config


def _depth(unet: Mapping[str, Tensor], attention: str) -> int:
    return sum(name.startswith(f"{attention}transformer_blocks.") and name.endswith(".norm1.weight") for name in unet)


def autoencoder_config(vae: Mapping[str, Tensor]) -> dict[str, Any]:
    """`AutoencoderKL`'s arguments for an LDM autoencoder (no prefix)."""
    shape = vae_config(vae)
    widths = [shape["ch"] * factor for factor in shape["ch_mult"]]
    return {
        "in_channels": shape["in_channels"],
        "out_channels": shape["out_ch"],
        "latent_channels": shape["z_channels"],
        "block_out_channels": widths,
        "layers_per_block": shape["num_res_blocks"],
        "down_block_types": ["DownEncoderBlock2D"] * len(widths),
        "up_block_types": ["UpDecoderBlock2D"] * len(widths),
        "use_quant_conv": "quant_conv.weight" in vae,
        "use_post_quant_conv": "post_quant_conv.weight" in vae,
    }


def text_config(state: Mapping[str, Tensor], heads: int, activation: str) -> CLIPTextConfig:
    """transformers' config for a CLIP text encoder named below `text_model.`; `heads` 0 means one per 64 of width, as CLIP has."""
    vocabulary, width = state["text_model.embeddings.token_embedding.weight"].shape
    layers = "text_model.encoder.layers."
    return CLIPTextConfig(
        vocab_size=vocabulary,
        hidden_size=width,
        intermediate_size=state[f"{layers}0.mlp.fc1.weight"].shape[0],
        num_hidden_layers=1 + max(int(name.split(".")[3]) for name in state if name.startswith(layers)),
        num_attention_heads=heads or max(1, width // HEAD_WIDTH),
        max_position_embeddings=state["text_model.embeddings.position_embedding.weight"].shape[0],
        projection_dim=state["text_projection.weight"].shape[0] if "text_projection.weight" in state else width,
        hidden_act=activation,
        eos_token_id=END_OF_TEXT,
    )


def _renamed(convert: Callable[[Mapping[str, Tensor]], dict[str, Tensor]], state: Mapping[str, Tensor], name: str) -> dict[str, Tensor]:
    try:
        return convert(state)
    except KeyError as error:
        raise CheckpointError(f"The {name} is of another kind (its weight {error.args[0]} is unknown): get the model again.") from error


def _filled(module: Any, state: Mapping[str, Tensor], name: str, dtype: torch.dtype) -> Any:
    """Give a module made on the meta device its weights. CheckpointError if they don't fit it exactly."""
    cast = {key: tensor.to(dtype) for key, tensor in state.items()}
    try:
        missing, unexpected = module.load_state_dict(cast, strict=False, assign=True)
    except RuntimeError as error:
        raise CheckpointError(f"The {name}'s weights have shapes of another network: {_last(error)}; get the model again.") from error
    if missing or unexpected:
        raise CheckpointError(f"The {name}'s weights are incomplete or of another kind ({(missing + unexpected)[0]}): get the model again.")
    for owner in module.modules():
        if hasattr(owner, "position_ids"):  # a buffer that files needn't have
            owner.position_ids = torch.arange(owner.position_embedding.num_embeddings)[None]
    return module.eval().requires_grad_(False)


def _last(error: Exception) -> str:
    return str(error).strip().splitlines()[-1].strip().rstrip(".")
