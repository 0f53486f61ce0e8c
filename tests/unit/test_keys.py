"""Key maps: exact round trips for any layout, and agreement with diffusers' own loader of single files."""

import pytest
import tiny
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from diffusers.loaders.single_file_utils import convert_ldm_unet_checkpoint, convert_ldm_vae_checkpoint
from transformers import CLIPTextConfig, CLIPTextModel

from ip2p import keys, text_keys

SD15_UNET = {"in_channels": 8, "cross_attention_dim": 768, "attention_head_dim": 8}
SDXL_UNET = {
    "in_channels": 8,
    "block_out_channels": (320, 640, 1280),
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    "transformer_layers_per_block": (1, 2, 10),
    "attention_head_dim": (5, 10, 20),
    "cross_attention_dim": 2048,
    "use_linear_projection": True,
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 256,
    "projection_class_embeddings_input_dim": 2816,
}
SD_VAE = {
    "block_out_channels": (128, 256, 512, 512),
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
    "layers_per_block": 2,
    "latent_channels": 4,
}


def on_meta(make, config):
    with torch.device("meta"):
        return make(**config)


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("blocks", [1, 2, 3])
@pytest.mark.parametrize("attention", [(0, 1, 2), (1, 2), (2,), (0,), ()])
def test_a_unet_of_any_layout_survives_the_round_trip(attention, blocks):
    state = tiny.unet((32, 64, 96), attention, blocks).state_dict()
    ldm = keys.unet_to_ldm(state)
    assert len(ldm) == len(state)
    assert same(keys.unet_to_diffusers(ldm), state)


@pytest.mark.parametrize("widths", [(32,), (32, 64), (32, 32, 64, 64, 96)])
def test_a_unet_of_any_depth_survives_the_round_trip(widths):
    state = tiny.unet(widths, attention=(len(widths) - 1,)).state_dict()
    assert same(keys.unet_to_diffusers(keys.unet_to_ldm(state)), state)


def test_the_layout_is_the_same_from_either_side():
    state = tiny.unet((32, 64, 96), (1, 2), 2).state_dict()
    layout = keys.unet_layout(state)
    assert layout == keys.unet_layout(keys.unet_to_ldm(state))
    assert layout.down == [[False] * 2, [True] * 2, [True] * 2]
    assert layout.up == [[True] * 3, [True] * 3, [False] * 3]


@pytest.mark.parametrize(("config", "count"), [(SD15_UNET, 686), (SDXL_UNET, 1680)])
def test_full_unets_map_as_diffusers_own_loader_maps_them(config, count):
    module = on_meta(UNet2DConditionModel, config)
    state = module.state_dict()
    ldm = keys.unet_to_ldm(state)
    assert len(ldm) == len(state) == count
    theirs = convert_ldm_unet_checkpoint({"model.diffusion_model." + name: tensor for name, tensor in ldm.items()}, dict(module.config))
    assert theirs.keys() == state.keys()
    assert all(theirs[name] is ldm_tensor for name, ldm_tensor in keys.unet_to_diffusers(ldm).items())


def test_the_full_autoencoder_maps_as_diffusers_own_loader_maps_it():
    module = on_meta(AutoencoderKL, SD_VAE)
    state = module.state_dict()
    ldm = keys.vae_to_ldm(state)
    assert len(ldm) == len(state) == 248
    theirs = convert_ldm_vae_checkpoint({"first_stage_model." + name: tensor for name, tensor in ldm.items()}, dict(module.config))
    ours = keys.vae_to_diffusers(ldm)
    assert theirs.keys() == ours.keys() == state.keys()
    assert all(ours[name].shape == theirs[name].shape == state[name].shape for name in state)


def test_the_full_text_encoder_has_the_names_of_ldm_files():
    config = CLIPTextConfig(hidden_size=768, intermediate_size=3072, num_hidden_layers=12, num_attention_heads=12)
    state = on_meta(lambda: CLIPTextModel(config), {}).state_dict()
    ldm = text_keys.clip_to_ldm(state)
    assert len(ldm) == 196  # 197 in old files, with the position ids, which are no weights
    assert all(name.startswith("text_model.") for name in ldm)
    assert text_keys.clip_to_ldm(ldm | {"text_model.embeddings.position_ids": torch.arange(77)}).keys() == ldm.keys()
    prefixed = any(name.startswith("text_model.") for name in state)
    assert text_keys.clip_to_transformers(ldm, prefixed).keys() == state.keys()


@pytest.mark.parametrize("widths", [(32, 64), (32, 32, 64, 64), (32, 64, 64, 64, 96)])
@pytest.mark.parametrize("blocks", [1, 2])
def test_an_autoencoder_of_any_width_survives_the_round_trip(widths, blocks):
    state = tiny.vae(widths, blocks).state_dict()
    ldm = keys.vae_to_ldm(state)
    assert ldm["encoder.mid.attn_1.q.weight"].shape == (widths[-1], widths[-1], 1, 1)
    assert same(keys.vae_to_diffusers(ldm), state)


def test_old_attention_names_of_autoencoders_are_known():
    state = tiny.vae().state_dict()
    old = dict(state)
    for now, then in (("to_q", "query"), ("to_k", "key"), ("to_v", "value"), ("to_out.0", "proj_attn")):
        old = {name.replace(f"attentions.0.{now}.", f"attentions.0.{then}."): tensor for name, tensor in old.items()}
    assert old.keys() != state.keys()
    assert same(keys.vae_to_ldm(old), keys.vae_to_ldm(state))


def test_the_second_encoder_of_sdxl_survives_the_round_trip():
    state = tiny.clip(width=64, projection=48, heads=1, activation="gelu").state_dict()
    openclip = text_keys.transformers_to_openclip(state)
    assert openclip["transformer.resblocks.0.attn.in_proj_weight"].shape == (192, 64)
    assert openclip["text_projection"].shape == (64, 48)
    assert same(text_keys.openclip_to_transformers(openclip), state)
    linear = openclip | {"text_projection.weight": openclip["text_projection"].T, "logit_scale": torch.zeros(())}
    del linear["text_projection"]
    assert same(text_keys.openclip_to_transformers(linear), state)


def test_an_unknown_weight_is_named():
    state = tiny.unet().state_dict() | {"down_blocks.0.motion.weight": torch.zeros(1)}
    with pytest.raises(KeyError, match=r"down_blocks\.0\.motion\.weight"):
        keys.unet_to_ldm(state)
