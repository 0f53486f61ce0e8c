"""Dual guidance in every family of editors the host can run, on small random networks built from the host's own classes."""

import pytest
import small_networks
import torch
from by_hand import SEED, STEPS, by_hand, close, conditionings, plain, sampled
from small_networks import FAMILIES, picture, text, told

SCALES = [(4.0, 1.5), (1.0, 2.0), (3.0, 3.0)]


@pytest.fixture(params=FAMILIES)
def small(request):
    return FAMILIES[request.param]


@pytest.fixture
def model(request, models, small):
    return models[next(name for name, one in FAMILIES.items() if one is small)]


@pytest.mark.parametrize("scales", SCALES)
def test_equation_3_with_three_calls_of_the_model(pack, model, small, scales):
    latent = picture(small)
    positive, negative = conditionings(small, latent)
    ours = sampled(pack.guidance.guider(model, positive, negative, *scales), torch.zeros_like(latent))
    close(ours, by_hand(model, small, positive, negative, torch.zeros_like(latent), scales))


def test_image_scale_1_is_plain_guidance_to_the_bit(pack, model, small):
    latent = picture(small)
    positive, negative = conditionings(small, latent)
    ours = sampled(pack.guidance.guider(model, positive, negative, 4.0, 1.0), torch.zeros_like(latent))
    assert torch.equal(ours, sampled(plain(model, positive, negative, 4.0), torch.zeros_like(latent)))


def test_every_scale_matters_and_the_model_is_left_without_a_trace(pack, model, small):
    latent, weights = picture(small), {name: weight.clone() for name, weight in model.model.state_dict().items()}
    positive, negative = conditionings(small, latent)
    before = sampled(plain(model, positive, negative, 4.0), torch.zeros_like(latent))
    options = str(model.model_options)
    both, text_only, image_only = (
        sampled(pack.guidance.guider(model, positive, negative, *scales), torch.zeros_like(latent))
        for scales in ((4, 1.5), (4, 1), (2, 1.5))
    )
    assert (both - text_only).std() > 5e-3 * both.std()
    assert (both - image_only).std() > 5e-3 * both.std()
    assert torch.equal(before, sampled(plain(model, positive, negative, 4.0), torch.zeros_like(latent)))
    assert str(model.model_options) == options
    assert all(torch.equal(weight, weights[name]) for name, weight in model.model.state_dict().items())


def test_stock_ksampler_equals_the_guider(call, pack, model, small):
    latent = picture(small)
    positive, negative = conditionings(small, latent)
    (patched,) = call("IP2PGuidance", model=model, image_scale=1.5)
    told = {"positive": positive, "negative": negative, "latent_image": {"samples": torch.zeros_like(latent)}}
    settings = {"seed": SEED, "steps": STEPS, "cfg": 4.0, "sampler_name": "euler", "scheduler": "simple"}
    out, *_ = call("KSampler", model=patched, **told, **settings)
    close(out["samples"], sampled(pack.guidance.guider(model, positive, negative, 4.0, 1.5), torch.zeros_like(latent)))


def test_the_instruction_nodes_conditioning_and_a_negative_of_plain_text(pack, model, small):
    """The instruction node hands every family the same conditioning; the guidance turns it into the family's own."""
    latent = picture(small)
    positive, negative = conditionings(small, latent)
    ours = [[words, {**options, "concat_latent_image": latent}] for words, options in text(small, 1)]
    alike = pack.guidance.guider(model, ours, text(small, 2), 4.0, 1.5)
    own = pack.guidance.guider(model, positive, negative, 4.0, 1.5)
    assert torch.equal(sampled(alike, torch.zeros_like(latent)), sampled(own, torch.zeros_like(latent)))


def test_batches(pack, model, small):
    """Two pictures with their own noise are what each is alone."""
    pictures = picture(small, rows=2)
    both = sampled(pack.guidance.guider(model, *conditionings(small, pictures), 4.0, 1.5), torch.zeros_like(pictures))
    first = by_hand(model, small, *conditionings(small, pictures), torch.zeros_like(pictures), (4.0, 1.5))
    close(both, first)


def test_texts_of_different_length(pack, model, small):
    """What can't be batched together the host splits; the result is the same."""
    latent = picture(small)
    positive, negative = told(small, 1, latent, tokens=7), told(small, 2, latent)
    ours = sampled(pack.guidance.guider(model, positive, negative, 4.0, 1.5), torch.zeros_like(latent))
    close(ours, by_hand(model, small, positive, negative, torch.zeros_like(latent), (4.0, 1.5)))


REFERRING = [name for name, one in FAMILIES.items() if one.reads == "reference_latents"]


@pytest.mark.parametrize("name", REFERRING)
def test_references_of_other_sizes_and_several(call, pack, models, name):
    """References need not be of the size that is sampled, and the host's node chains several: all of them are left out of D_0."""
    small, model = FAMILIES[name], models[name]
    other = picture(small, 9)[..., :4]
    positive, negative = (
        call("ReferenceLatent", conditioning=one, latent={"samples": other})[0] for one in conditionings(small, picture(small))
    )
    ours = sampled(pack.guidance.guider(model, positive, negative, 4.0, 1.5), torch.zeros_like(picture(small)))
    close(ours, by_hand(model, small, positive, negative, torch.zeros_like(picture(small)), (4.0, 1.5)))


@pytest.mark.parametrize("method", ["offset", "index", "uxo"])
@pytest.mark.parametrize("name", ["Flux Kontext", "Flux 2", "Qwen-Image-Edit"])
def test_reference_methods(pack, models, name, method):
    small, model, latent = FAMILIES[name], models[name], picture(FAMILIES[name])
    positive, negative = (
        [[words, {**options, "reference_latents_method": method}] for words, options in one] for one in conditionings(small, latent)
    )
    ours = sampled(pack.guidance.guider(model, positive, negative, 4.0, 1.5), torch.zeros_like(latent))
    close(ours, by_hand(model, small, positive, negative, torch.zeros_like(latent), (4.0, 1.5)))
    bare = sampled(pack.guidance.guider(model, positive, text(small, 2), 4.0, 1.5), torch.zeros_like(latent))
    assert torch.equal(ours, bare), "a negative of plain text is told the method as well"


def test_guidance_embedding_stays_in_all_three(pack, models):
    """Flux Kontext's distilled guidance is an input of the network, not a scale of equation 3."""
    small, model, latent = FAMILIES["Flux Kontext"], models["Flux Kontext"], picture(FAMILIES["Flux Kontext"])
    results = []
    for guidance in (2.5, 30.0):
        positive, negative = (
            [[words, {**options, "guidance": guidance}] for words, options in one] for one in conditionings(small, latent)
        )
        results.append(sampled(pack.guidance.guider(model, positive, negative, 4.0, 1.5), torch.zeros_like(latent)))
        close(results[-1], by_hand(model, small, positive, negative, torch.zeros_like(latent), (4.0, 1.5)))
    assert (results[0] - results[1]).std() > 1e-4 * results[0].std()


def test_a_control_lora_makes_flux_take_the_picture_beside_the_latent(pack, families):
    """It widens the first layer only when the network is loaded, and is known before that."""
    import comfy.sd

    small = FAMILIES["Flux Kontext"]
    model, latent = small_networks.build(small), picture(small)
    draw = torch.Generator().manual_seed(9)
    name = "diffusion_model.img_in"
    change = {
        f"{name}.lora_up.weight": torch.randn(32, 4, generator=draw) * 0.3,
        f"{name}.lora_down.weight": torch.randn(4, 128, generator=draw) * 0.3,
        f"{name}.reshape_weight": torch.tensor([32, 128]),
    }
    patched, _ = comfy.sd.load_lora_for_models(model, None, change, 1.0, 0.0)
    assert families.picture_key(model) == families.REFERENCES
    assert families.picture_key(patched) == families.CONCAT
    beside = FAMILIES["Flux control"]
    positive, negative = conditionings(beside, latent)
    ours = sampled(pack.guidance.guider(patched, positive, negative, 4.0, 1.5), torch.zeros_like(latent))
    close(ours, by_hand(patched, beside, positive, negative, torch.zeros_like(latent), (4.0, 1.5)))  # the network is loaded now
