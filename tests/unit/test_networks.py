"""Networks built from a checkpoint equal the ones that the checkpoint was made from."""

import pytest
import tiny
import torch
from transformers import CLIPTextModelWithProjection

from ip2p import networks
from ip2p.checkpoint import Checkpoint, CheckpointError
from ip2p.keys import unet_to_ldm, vae_to_ldm

SETTINGS = {name: str(value) for name, value in tiny.SETTINGS.items()}


def loaded(state, family="sd15", settings=SETTINGS):
    return Checkpoint(state, family, "only", dict(settings))


@pytest.mark.parametrize("blocks", [1, 2])
@pytest.mark.parametrize(("widths", "attention"), [((32, 64), (1,)), ((32, 64, 96), (0, 1, 2)), ((64, 64, 128, 128), (1, 2))])
def test_the_unet_is_rebuilt(widths, attention, blocks):
    original = tiny.unet(widths, attention, blocks)
    state = tiny.prefixed(unet_to_ldm(original.state_dict()), "model.diffusion_model.")
    rebuilt = networks.build_unet(loaded(state))
    z, t, text = torch.randn(2, 8, 16, 16), torch.tensor([7.5, 900.0]), torch.randn(2, 77, 32)
    assert torch.equal(rebuilt(z, t, text).sample, original(z, t, text).sample)


def test_the_unet_of_sdxl_is_rebuilt():
    original = tiny.wide_unet()
    state = tiny.prefixed(unet_to_ldm(original.state_dict()), "model.diffusion_model.")
    rebuilt = networks.build_unet(loaded(state, "sdxl"))
    extra = {"text_embeds": torch.randn(1, 32), "time_ids": torch.tensor([[64.0, 64, 0, 0, 64, 64]])}
    z, text = torch.randn(1, 8, 8, 8), torch.randn(1, 77, 64)
    t = torch.tensor([5.0])
    assert torch.equal(rebuilt(z, t, text, added_cond_kwargs=extra).sample, original(z, t, text, added_cond_kwargs=extra).sample)


@pytest.mark.parametrize(("widths", "blocks"), [((32, 64), 1), ((32, 64, 128, 128), 2)])
def test_the_autoencoder_is_rebuilt(widths, blocks):
    original = tiny.vae(widths, blocks)
    rebuilt = networks.build_vae(loaded(tiny.prefixed(vae_to_ldm(original.state_dict()), "first_stage_model.")))
    picture = torch.rand(1, 3, 32, 32)
    assert torch.equal(rebuilt.encode(picture).latent_dist.mode(), original.encode(picture).latent_dist.mode())
    latent = torch.randn(1, 4, 8, 8)
    assert torch.equal(rebuilt.decode(latent).sample, original.decode(latent).sample)


def test_the_text_encoders_are_rebuilt():
    ids = torch.randint(0, tiny.TOKENS, (2, 77))
    (rebuilt,) = networks.build_text_encoders(loaded(tiny.ldm()))
    assert torch.equal(rebuilt(ids).last_hidden_state, tiny.clip()(ids).last_hidden_state)
    first, second = networks.build_text_encoders(loaded(tiny.wide_ldm(), "sdxl"))
    assert torch.equal(first(ids).last_hidden_state, tiny.clip()(ids).last_hidden_state)
    assert isinstance(second, CLIPTextModelWithProjection)
    original = tiny.clip(width=32, projection=32, heads=1, activation="gelu", seed=3)
    assert torch.equal(second(ids).text_embeds, original(ids).text_embeds)


def test_half_precision_weights_become_the_asked_dtype():
    state = {name: tensor.half() for name, tensor in tiny.ldm().items()}
    module = networks.build_unet(loaded(state))
    assert {parameter.dtype for parameter in module.parameters()} == {torch.float32}
    assert not any(parameter.requires_grad or parameter.is_meta for parameter in module.parameters())


@pytest.mark.parametrize(
    ("prefix", "build", "sentence"),
    [
        ("first_stage_model.", networks.build_vae, r"no autoencoder \(VAE\): choose a whole checkpoint"),
        ("cond_stage_model.", networks.build_text_encoders, "lacks a text encoder: choose a whole checkpoint"),
    ],
)
def test_an_absent_part_is_named(prefix, build, sentence):
    state = {name: tensor for name, tensor in tiny.ldm().items() if not name.startswith(prefix)}
    with pytest.raises(CheckpointError, match=sentence):
        build(loaded(state))


def test_weights_that_do_not_fit_are_named():
    state = tiny.ldm()
    lost = {name: tensor for name, tensor in state.items() if name != "model.diffusion_model.out.2.bias"}
    with pytest.raises(CheckpointError, match=r"UNet's weights are incomplete.*conv_out\.bias"):
        networks.build_unet(loaded(lost))
    with pytest.raises(CheckpointError, match="UNet's weights have shapes of another network"):
        networks.build_unet(loaded(state | {"model.diffusion_model.out.2.bias": torch.zeros(7)}))
    with pytest.raises(CheckpointError, match=r"autoencoder is of another kind.*encoder\.lora\.weight"):
        networks.build_vae(loaded(state | {"first_stage_model.encoder.lora.weight": torch.zeros(7)}))


@pytest.mark.parametrize("make", [tiny.unet, tiny.wide_unet])
def test_configs_from_shapes_are_diffusers_own(make):
    module = make()
    config = networks.unet_config(unet_to_ldm(module.state_dict()), SETTINGS)
    listed = {name: list(value) if isinstance(value, tuple) else value for name, value in module.config.items()}
    levels = len(listed["block_out_channels"])
    for name in ("layers_per_block", "transformer_layers_per_block"):
        listed[name] = [listed[name]] * levels if isinstance(listed[name], int) else listed[name]
    assert {name: listed[name] for name in config} == config
