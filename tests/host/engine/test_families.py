"""Dual guidance in every family of editors the host can run, on small random networks built from the host's own classes."""

from itertools import pairwise

import pytest
import small_networks
import torch
from small_networks import FAMILIES, OTHERS, picture, text, told

SCALES = [(4.0, 1.5), (1.0, 2.0), (3.0, 3.0)]
STEPS = 4
SEED = 11


@pytest.fixture(scope="module")
def families(nodes):
    from launcher.in_process import pack_module

    return pack_module(nodes, "samplers.families")


@pytest.fixture(scope="module")
def engine(nodes):
    from launcher.in_process import pack_module

    return pack_module(nodes, "samplers.guidance")


@pytest.fixture(scope="module")
def models(nodes):
    """Every family's MODEL, built when it is first asked for."""

    class Models(dict):
        def __missing__(self, name):
            self[name] = small_networks.build({**FAMILIES, **OTHERS}[name])
            return self[name]

    return Models()


@pytest.fixture(params=FAMILIES)
def small(request):
    return FAMILIES[request.param]


@pytest.fixture
def model(request, models, small):
    return models[next(name for name, one in FAMILIES.items() if one is small)]


def sampled(guider, latent, sampler="euler", steps=STEPS, mask=None):
    """A latent, sampled as SamplerCustomAdvanced does."""
    import comfy.sample
    import comfy.samplers

    patcher = guider.model_patcher
    sigmas = comfy.samplers.calculate_sigmas(patcher.get_model_object("model_sampling"), "simple", steps)
    noise = comfy.sample.prepare_noise(latent, SEED)
    with torch.inference_mode():
        return guider.sample(noise, latent, comfy.samplers.sampler_object(sampler), sigmas, denoise_mask=mask, disable_pbar=True, seed=SEED)


def plain(model, positive, negative, cfg):
    """The host's own guider."""
    import comfy.samplers

    guider = comfy.samplers.CFGGuider(model)
    guider.set_conds(positive, negative)
    guider.set_cfg(cfg)
    return guider


def conditionings(small, latent):
    return told(small, 1, latent), told(small, 2, latent)


def explicit(model, small, conditioning, x, sigma, with_picture=True):
    """One prediction by one call of the host's model, told the picture or not, without any of the pack's code."""
    words, options = conditioning[0]
    options = dict(options)
    if not with_picture and small.reads == "reference_latents":
        del options["reference_latents"]
    prepared = model.model.extra_conds(
        **options, cross_attn=words, noise=x, device=x.device, width=x.shape[-1] * 8, height=x.shape[-2] * 8, prompt_type=""
    )
    if not with_picture and small.reads == "concat_latent_image":
        name = "image_cond" if "image_cond" in prepared else "c_concat"
        nothing = torch.zeros_like(prepared[name].cond)
        if small.config == "Flux":  # the host's own idea of no picture, as it is before the latent is scaled
            nothing = model.model.process_latent_in(nothing)
        prepared[name] = type(prepared[name])(nothing)
    c = {name: cond.process_cond(batch_size=len(x), area=None).cond for name, cond in prepared.items()}
    return model.model.apply_model(x, sigma.expand(len(x)), **c)


def by_hand(model, small, positive, negative, latent, scales):
    """Euler's method and equation 3 with three calls of the model a step."""
    import comfy.sample
    import comfy.samplers

    sampling = model.model.model_sampling
    sigmas = comfy.samplers.calculate_sigmas(sampling, "simple", STEPS)
    text_scale, image_scale = scales
    with torch.inference_mode():
        noise = comfy.sample.prepare_noise(latent, SEED)
        x = sampling.noise_scaling(sigmas[0], noise, latent, bool(sigmas[0] >= sampling.sigma_max * (1 - 1e-5)))
        for sigma, following in pairwise(sigmas):
            d_text = explicit(model, small, positive, x, sigma)
            d_image = explicit(model, small, negative, x, sigma)
            d_null = explicit(model, small, negative, x, sigma, with_picture=False)
            guided = d_null + image_scale * (d_image - d_null) + text_scale * (d_text - d_image)
            x = x + (x - guided) / sigma * (following - sigma)
        return model.model.process_latent_out(sampling.inverse_noise_scaling(sigmas[-1], x))


def close(ours, theirs):
    """Equal but for rounding: three passes in one batch, or in three."""
    torch.testing.assert_close(ours / theirs.std(), theirs / theirs.std(), atol=2e-4, rtol=0)


@pytest.mark.parametrize("scales", SCALES)
def test_equation_3_with_three_calls_of_the_model(engine, model, small, scales):
    latent = picture(small)
    positive, negative = conditionings(small, latent)
    ours = sampled(engine.guider(model, positive, negative, *scales), torch.zeros_like(latent))
    close(ours, by_hand(model, small, positive, negative, torch.zeros_like(latent), scales))


def test_image_scale_1_is_plain_guidance_to_the_bit(engine, model, small):
    latent = picture(small)
    positive, negative = conditionings(small, latent)
    ours = sampled(engine.guider(model, positive, negative, 4.0, 1.0), torch.zeros_like(latent))
    assert torch.equal(ours, sampled(plain(model, positive, negative, 4.0), torch.zeros_like(latent)))


def test_every_scale_matters_and_the_model_is_left_without_a_trace(engine, model, small):
    latent, weights = picture(small), {name: weight.clone() for name, weight in model.model.state_dict().items()}
    positive, negative = conditionings(small, latent)
    before = sampled(plain(model, positive, negative, 4.0), torch.zeros_like(latent))
    options = str(model.model_options)
    both, text_only, image_only = (
        sampled(engine.guider(model, positive, negative, *scales), torch.zeros_like(latent)) for scales in ((4, 1.5), (4, 1), (2, 1.5))
    )
    assert (both - text_only).std() > 5e-3 * both.std()
    assert (both - image_only).std() > 5e-3 * both.std()
    assert torch.equal(before, sampled(plain(model, positive, negative, 4.0), torch.zeros_like(latent)))
    assert str(model.model_options) == options
    assert all(torch.equal(weight, weights[name]) for name, weight in model.model.state_dict().items())


def test_stock_ksampler_equals_the_guider(call, engine, model, small):
    latent = picture(small)
    positive, negative = conditionings(small, latent)
    (patched,) = call("IP2PGuidance", model=model, image_scale=1.5)
    told = {"positive": positive, "negative": negative, "latent_image": {"samples": torch.zeros_like(latent)}}
    settings = {"seed": SEED, "steps": STEPS, "cfg": 4.0, "sampler_name": "euler", "scheduler": "simple"}
    out, *_ = call("KSampler", model=patched, **told, **settings)
    close(out["samples"], sampled(engine.guider(model, positive, negative, 4.0, 1.5), torch.zeros_like(latent)))


def test_the_instruction_nodes_conditioning_and_a_negative_of_plain_text(engine, model, small):
    """The instruction node hands every family the same conditioning; the guidance turns it into the family's own."""
    latent = picture(small)
    positive, negative = conditionings(small, latent)
    ours = [[words, {**options, "concat_latent_image": latent}] for words, options in text(small, 1)]
    alike = engine.guider(model, ours, text(small, 2), 4.0, 1.5)
    own = engine.guider(model, positive, negative, 4.0, 1.5)
    assert torch.equal(sampled(alike, torch.zeros_like(latent)), sampled(own, torch.zeros_like(latent)))


def test_batches(engine, model, small):
    """Two pictures with their own noise are what each is alone."""
    pictures = picture(small, rows=2)
    both = sampled(engine.guider(model, *conditionings(small, pictures), 4.0, 1.5), torch.zeros_like(pictures))
    first = by_hand(model, small, *conditionings(small, pictures), torch.zeros_like(pictures), (4.0, 1.5))
    close(both, first)


def test_texts_of_different_length(engine, model, small):
    """What can't be batched together the host splits; the result is the same."""
    latent = picture(small)
    positive, negative = told(small, 1, latent, tokens=7), told(small, 2, latent)
    ours = sampled(engine.guider(model, positive, negative, 4.0, 1.5), torch.zeros_like(latent))
    close(ours, by_hand(model, small, positive, negative, torch.zeros_like(latent), (4.0, 1.5)))


REFERRING = [name for name, one in FAMILIES.items() if one.reads == "reference_latents"]


@pytest.mark.parametrize("name", REFERRING)
def test_references_of_other_sizes_and_several(call, engine, models, name):
    """References need not be of the size that is sampled, and the host's node chains several: all of them are left out of D_0."""
    small, model = FAMILIES[name], models[name]
    other = picture(small, 9)[..., :4]
    positive, negative = (
        call("ReferenceLatent", conditioning=one, latent={"samples": other})[0] for one in conditionings(small, picture(small))
    )
    ours = sampled(engine.guider(model, positive, negative, 4.0, 1.5), torch.zeros_like(picture(small)))
    close(ours, by_hand(model, small, positive, negative, torch.zeros_like(picture(small)), (4.0, 1.5)))


@pytest.mark.parametrize("method", ["offset", "index", "uxo"])
@pytest.mark.parametrize("name", ["Flux Kontext", "Flux 2", "Qwen-Image-Edit"])
def test_reference_methods(engine, models, name, method):
    small, model, latent = FAMILIES[name], models[name], picture(FAMILIES[name])
    positive, negative = (
        [[words, {**options, "reference_latents_method": method}] for words, options in one] for one in conditionings(small, latent)
    )
    ours = sampled(engine.guider(model, positive, negative, 4.0, 1.5), torch.zeros_like(latent))
    close(ours, by_hand(model, small, positive, negative, torch.zeros_like(latent), (4.0, 1.5)))
    bare = sampled(engine.guider(model, positive, text(small, 2), 4.0, 1.5), torch.zeros_like(latent))
    assert torch.equal(ours, bare), "a negative of plain text is told the method as well"


def test_guidance_embedding_stays_in_all_three(engine, models):
    """Flux Kontext's distilled guidance is an input of the network, not a scale of equation 3."""
    small, model, latent = FAMILIES["Flux Kontext"], models["Flux Kontext"], picture(FAMILIES["Flux Kontext"])
    results = []
    for guidance in (2.5, 30.0):
        positive, negative = (
            [[words, {**options, "guidance": guidance}] for words, options in one] for one in conditionings(small, latent)
        )
        results.append(sampled(engine.guider(model, positive, negative, 4.0, 1.5), torch.zeros_like(latent)))
        close(results[-1], by_hand(model, small, positive, negative, torch.zeros_like(latent), (4.0, 1.5)))
    assert (results[0] - results[1]).std() > 1e-4 * results[0].std()
