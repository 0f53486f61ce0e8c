"""Tiny random InstructPix2Pix networks, made by diffusers' and transformers' own modules, so that tests run the real code in seconds."""

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from ip2p.keys import unet_to_ldm, vae_to_ldm
from ip2p.text_keys import clip_to_ldm, transformers_to_openclip

HEADS = 2
TOKENS = 49408


def unet(widths=(32, 64), attention=(1,), blocks=1, in_channels=8, context=32, seed=0, **more):
    """A UNet with attention on the levels named in `attention`."""
    torch.manual_seed(seed)
    levels = range(len(widths))
    module = UNet2DConditionModel(
        in_channels=in_channels,
        block_out_channels=widths,
        layers_per_block=blocks,
        cross_attention_dim=context,
        down_block_types=["CrossAttnDownBlock2D" if level in attention else "DownBlock2D" for level in levels],
        up_block_types=["CrossAttnUpBlock2D" if level in attention else "UpBlock2D" for level in reversed(levels)],
        **{"attention_head_dim": HEADS, **more},
    )
    return module.eval().requires_grad_(False)


def wide_unet(pooled=32, context=64):
    """The same in SDXL's manner: linear projections, depths per level, size and pooled-text embedding, heads by width."""
    return unet(
        widths=(64, 128),
        context=context,
        attention_head_dim=[1, 2],
        use_linear_projection=True,
        transformer_layers_per_block=[1, 2],
        addition_embed_type="text_time",
        addition_time_embed_dim=256,
        projection_class_embeddings_input_dim=pooled + 6 * 256,
    )


def vae(widths=(32, 32, 64, 64), blocks=1, seed=1):
    torch.manual_seed(seed)
    module = AutoencoderKL(
        block_out_channels=widths,
        down_block_types=["DownEncoderBlock2D"] * len(widths),
        up_block_types=["UpDecoderBlock2D"] * len(widths),
        layers_per_block=blocks,
        latent_channels=4,
    )
    return module.eval().requires_grad_(False)


def clip(width=32, layers=2, projection=None, heads=HEADS, activation="quick_gelu", seed=2):
    torch.manual_seed(seed)
    config = CLIPTextConfig(
        vocab_size=TOKENS,
        hidden_size=width,
        intermediate_size=2 * width,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        projection_dim=projection or width,
        hidden_act=activation,
        eos_token_id=TOKENS - 1,
    )
    return (CLIPTextModelWithProjection if projection else CLIPTextModel)(config).eval().requires_grad_(False)


def prefixed(state, prefix):
    return {prefix + name: tensor.clone() for name, tensor in state.items()}


def ldm(net=None, autoencoder=None, encoder=None):
    """A whole SD 1.x checkpoint in LDM layout."""
    return (
        prefixed(unet_to_ldm((net or unet()).state_dict()), "model.diffusion_model.")
        | prefixed(vae_to_ldm((autoencoder or vae()).state_dict()), "first_stage_model.")
        | prefixed(clip_to_ldm((encoder or clip()).state_dict()), "cond_stage_model.transformer.")
    )


def wide_ldm():
    """A whole SDXL checkpoint in LDM layout: contexts of 64 + 64 side by side would be 128, so 32 + 32."""
    first, second = clip(width=32), clip(width=32, projection=32, heads=1, activation="gelu", seed=3)
    return (
        prefixed(unet_to_ldm(wide_unet().state_dict()), "model.diffusion_model.")
        | prefixed(vae_to_ldm(vae().state_dict()), "first_stage_model.")
        | prefixed(clip_to_ldm(first.state_dict()), "conditioner.embedders.0.transformer.")
        | prefixed(transformers_to_openclip(second.state_dict()), "conditioner.embedders.1.model.")
    )


def with_ema(state, change=1.0):
    """The same with an EMA copy of the UNet, moved by `change`, named the authors' way."""
    names = [name for name in state if name.startswith("model.diffusion_model.")]
    return state | {"model_ema." + name.removeprefix("model.").replace(".", ""): state[name] + change for name in names}


SETTINGS = {"num_heads": HEADS, "text_heads": HEADS, "size": 64}
