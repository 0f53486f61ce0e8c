"""The key maps against the host: its own map of names, and its networks filled with converted weights."""

import pytest
import torch


@pytest.fixture(scope="module")
def made(pack):
    """The unit tests' tiny networks, once `ip2p` can be imported."""
    import tiny

    return tiny


UNETS = {
    "two levels": {"widths": (64, 128), "attention": (1,)},
    "attention everywhere": {"widths": (64, 128, 192), "attention": (0, 1, 2), "blocks": 2},
    "attention in the middle": {"widths": (64, 128, 192, 192), "attention": (1, 2)},
}


def converted(net):
    """(LDM state, host config) of a diffusers UNet."""
    import comfy.model_detection

    from ip2p.keys import unet_to_ldm

    ldm = unet_to_ldm(net.state_dict())
    config = comfy.model_detection.detect_unet_config({"unet." + name: tensor for name, tensor in ldm.items()}, "unet.")
    config.pop("audio_model", None)
    return ldm, config


@pytest.mark.parametrize("layout", UNETS)
def test_the_hosts_own_map_has_the_same_names(made, layout):
    import comfy.utils

    net = made.unet(**UNETS[layout])
    ldm, config = converted(net)
    theirs = comfy.utils.unet_to_diffusers(config)
    state = net.state_dict()
    assert len(ldm) == len(state)
    assert all(torch.equal(ldm[theirs[name]], tensor) for name, tensor in state.items())


@pytest.mark.parametrize("layout", UNETS)
def test_the_hosts_unet_computes_the_same(made, layout):
    import comfy.ops
    from comfy.ldm.modules.diffusionmodules.openaimodel import UNetModel

    net = made.unet(**UNETS[layout])
    ldm, config = converted(net)
    host = UNetModel(**config | {"num_heads": made.HEADS, "num_head_channels": -1}, operations=comfy.ops.disable_weight_init).eval()
    host.load_state_dict(ldm)
    z, t, text = torch.randn(2, 8, 16, 16), torch.tensor([10.0, 900.0]), torch.randn(2, 77, 32)
    with torch.no_grad():
        assert (host(z, t, context=text) - net(z, t, text).sample).abs().max() < 1e-5


def test_the_hosts_autoencoder_computes_the_same(made):
    import comfy.sd

    from ip2p.checkpoint import vae_config
    from ip2p.keys import vae_to_ldm

    net = made.vae((32, 64, 64, 64), blocks=2)
    ldm = vae_to_ldm(net.state_dict())
    host = comfy.sd.VAE(sd=dict(ldm), config={"params": {"ddconfig": vae_config(ldm), "embed_dim": 4}})
    picture, latent = torch.rand(1, 64, 64, 3), torch.randn(1, 4, 8, 8)
    mode = net.encode(picture.permute(0, 3, 1, 2) * 2 - 1).latent_dist.mode()
    assert (host.encode(picture) - mode).abs().max() < 1e-5
    decoded = (net.decode(latent).sample / 2 + 0.5).clamp(0, 1).permute(0, 2, 3, 1)
    assert (host.decode(latent) - decoded).abs().max() < 1e-4


def test_the_hosts_conversions_of_diffusers_parts_are_the_same(made):
    import comfy.diffusers_convert
    import comfy.utils

    from ip2p.keys import vae_to_ldm
    from ip2p.text_keys import transformers_to_openclip

    vae = made.vae((32, 64, 64, 64), blocks=2).state_dict()
    theirs, ours = comfy.diffusers_convert.convert_vae_state_dict(dict(vae)), vae_to_ldm(vae)
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    text = made.clip(width=64, projection=48, heads=1, activation="gelu").state_dict()
    openclip = {"open." + name: tensor for name, tensor in transformers_to_openclip(text).items()}
    back = comfy.utils.clip_text_transformers_convert(openclip, "open.", "")
    assert back.keys() == text.keys()
    assert all(torch.equal(back[name], text[name]) for name in text)
