"""Whole edits with editors of other families; text encoder, autoencoder and network are the host's classes, small and random."""

from types import SimpleNamespace

import pytest
import small_networks
import torch
from small_networks import FAMILIES

SETTINGS = {"seed": 5, "steps": 3, "sampler": "euler", "scheduler": "simple", "text_scale": 4.0, "image_scale": 1.5, "size": 64}
T5 = {"d_ff": 32, "d_kv": 8, "d_model": 24, "num_heads": 2, "num_layers": 1}
CLIP_L = {"hidden_size": 8, "intermediate_size": 16, "num_attention_heads": 2, "num_hidden_layers": 1}


def randomised(module, size=0.3):
    draw = torch.Generator().manual_seed(4)
    with torch.no_grad():
        for weight in module.parameters():
            weight.copy_(torch.randn(weight.shape, generator=draw) * size)
    return module


@pytest.fixture(scope="module")
def flux(nodes):
    """A text encoder and an autoencoder of Flux's kind: T5 and CLIP, and a TAESD of sixteen channels."""
    import comfy.sd
    import comfy.supported_models_base
    import comfy.taesd.taesd
    import comfy.text_encoders.flux

    kind = comfy.text_encoders.flux
    target = comfy.supported_models_base.ClipTarget(kind.FluxTokenizer, kind.flux_clip(dtype_t5=torch.float32))
    clip = comfy.sd.CLIP(target, model_options={"t5xxl_model_config": T5, "clip_l_model_config": CLIP_L})
    randomised(clip.cond_stage_model)
    vae = comfy.sd.VAE(sd=randomised(comfy.taesd.taesd.TAESD(latent_channels=16), 0.1).state_dict())
    return SimpleNamespace(clip=clip, vae=vae)


@pytest.fixture
def square():
    return torch.rand(1, 64, 64, 3, generator=torch.Generator().manual_seed(1))


def wired(call, flux, model, square, pictures):
    """The host's own nodes around our guider; ``pictures`` puts the picture's latent into both conditionings."""
    words = [call("CLIPTextEncode", clip=flux.clip, text=text)[0] for text in ("make it snow", "")]
    (latent,) = call("VAEEncode", vae=flux.vae, pixels=square)
    positive, negative = pictures(*words, latent)
    scales = {"text_scale": SETTINGS["text_scale"], "image_scale": SETTINGS["image_scale"]}
    (guider,) = call("IP2PGuider", model=model, positive=positive, negative=negative, **scales)
    (noise,) = call("RandomNoise", noise_seed=SETTINGS["seed"])
    (sampler,) = call("KSamplerSelect", sampler_name=SETTINGS["sampler"])
    (sigmas,) = call("BasicScheduler", model=model, scheduler=SETTINGS["scheduler"], steps=SETTINGS["steps"], denoise=1.0)
    empty = {"samples": torch.zeros_like(latent["samples"])}
    out, _ = call("SamplerCustomAdvanced", noise=noise, guider=guider, sampler=sampler, sigmas=sigmas, latent_image=empty)
    return call("VAEDecode", vae=flux.vae, samples=out)[0]


def edited(call, flux, model, image, **settings):
    told = {"model": model, "clip": flux.clip, "vae": flux.vae, "image": image, "instruction": "make it snow", "negative": ""}
    return call("IP2PEdit", **told, **SETTINGS, **settings)[0]


def test_edit_node_is_the_graph_of_the_hosts_nodes_with_kontext(call, models, flux, square):
    def references(positive, negative, latent):
        return [call("ReferenceLatent", conditioning=one, latent=latent)[0] for one in (positive, negative)]

    model = models["Flux Kontext"]
    assert torch.equal(edited(call, flux, model, square), wired(call, flux, model, square, references))


def test_edit_node_is_the_graph_of_the_hosts_nodes_with_flux_control(call, models, flux, square):
    def beside(positive, negative, latent):
        return call("InstructPixToPixConditioning", positive=positive, negative=negative, vae=flux.vae, pixels=square)[:2]

    model = models["Flux control"]
    assert torch.equal(edited(call, flux, model, square), wired(call, flux, model, square, beside))


@pytest.mark.parametrize("name", ["Flux Kontext", "Flux control"])
def test_every_shape_and_a_mask(call, models, flux, name):
    image = torch.rand(2, 90, 70, 3, generator=torch.Generator().manual_seed(2))
    mask = torch.zeros(1, 90, 70)
    mask[:, 40:] = 1
    out = edited(call, flux, models[name], image, mask=mask)
    assert out.shape == image.shape
    assert torch.equal(out[:, :40], image[:, :40])
    assert (out[:, 45:] - image[:, 45:]).abs().mean() > 0.01


def test_a_sweeps_cells_are_edits(nodes, call, models, flux, square):
    from ip2p.sweep import grid
    from launcher.in_process import pack_module

    sweeping = pack_module(nodes, "samplers.sweeping")
    settings = {name: SETTINGS[name] for name in ("seed", "steps", "sampler", "scheduler", "size")}
    asked = sweeping.Asked(models["Flux Kontext"], flux.clip, flux.vae, square, "make it snow", **settings)
    with torch.inference_mode():
        found = sweeping.sweep(asked, grid("2, 4", "1, 1.5"))
    assert found.pictures.shape == (4, 64, 64, 3)
    torch.testing.assert_close(found.pictures[3:], edited(call, flux, models["Flux Kontext"], square), atol=2e-3, rtol=0)


@pytest.fixture
def series(nodes, models, flux):
    """The pack's module of series, and what their edits share."""
    from launcher.in_process import pack_module

    module = pack_module(nodes, "samplers.series")
    settings = {name: value for name, value in SETTINGS.items() if name != "seed"}
    return module, module.Editing(models["Flux Kontext"], flux.clip, flux.vae, **settings)


def test_variations_are_edits(call, models, flux, square, series):
    module, editing = series
    with torch.inference_mode():
        made, _ = module.variations(editing, square, "make it snow", 2, SETTINGS["seed"])
    torch.testing.assert_close(made[:1], edited(call, flux, models["Flux Kontext"], square), atol=2e-3, rtol=0)
    assert (made[1] - made[0]).abs().mean() > 0.01


def test_a_chain_is_told_what_the_stage_before_has_sampled(call, models, flux, square, series):
    from ip2p.stages import Stage

    module, editing = series
    with torch.inference_mode():
        (chain,) = module.chains(editing, square, [Stage("make it snow"), Stage("make it night")], SETTINGS["seed"])
        (other,) = module.chains(editing, square, [Stage("a tiger"), Stage("make it night")], SETTINGS["seed"])
    first, second = chain.made
    torch.testing.assert_close(first, edited(call, flux, models["Flux Kontext"], square), atol=2e-3, rtol=0)
    assert (second - first).abs().mean() > 1e-3
    assert (second - other.made[-1]).abs().mean() > 1e-5


@pytest.mark.parametrize("settings", [{"speed": "balanced"}, {"isolate": 1.0}])
def test_speed_and_isolating(call, models, flux, square, settings):
    out = edited(call, flux, models["Flux Kontext"], square, **settings)
    assert out.shape == square.shape
    assert out.isfinite().all()


def test_qwens_text_encoder_wants_the_picture(nodes):
    from comfy.text_encoders.qwen_image import QwenImageTokenizer

    from launcher.in_process import pack_module

    clip = SimpleNamespace(tokenizer=QwenImageTokenizer())
    with pytest.raises(ValueError, match="TextEncodeQwenImageEdit"):
        pack_module(nodes, "samplers.conditioning").check_clip(clip)


@pytest.mark.parametrize(("name", "size"), [("SD 1.5", 512), ("SDXL", 1024), ("Flux Kontext", 1024), ("Qwen-Image-Edit", 1024)])
def test_size_to_work_at(pack, name, size):
    """Fresh models: those of other tests may carry a size of their own."""
    assert pack.edit.native_size(small_networks.build(FAMILIES[name])) == size
