"""Sampling small networks: with the host's guiders, and by hand with explicit calls of the host's model, for comparison."""

from collections.abc import Callable
from itertools import pairwise

import torch
from small_networks import told

STEPS = 4
SEED = 11


def sampled(guider, latent, sampler="euler", steps=STEPS, mask=None, batch_index=None, sigmas=None):
    """A latent, sampled as SamplerCustomAdvanced does."""
    import comfy.sample
    import comfy.samplers

    patcher = guider.model_patcher
    if sigmas is None:
        sigmas = comfy.samplers.calculate_sigmas(patcher.get_model_object("model_sampling"), "simple", steps)
    noise = comfy.sample.prepare_noise(latent, SEED, batch_index)
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


def by_hand(model, small, positive, negative, latent, scales, every=(1, 1), steps=STEPS):
    """Euler's method and equation 3 with three calls of the model a step.

    ``scales`` may be a function of sigma. ``every``: at which steps ``D_I - D_0`` and ``D_c - D_I`` are taken anew; between them they are
    held as differences of noise predictions.
    """
    import comfy.sample
    import comfy.samplers

    sampling = model.model.model_sampling
    sigmas = comfy.samplers.calculate_sigmas(sampling, "simple", steps)
    held = {}
    with torch.inference_mode():
        noise = comfy.sample.prepare_noise(latent, SEED)
        x = sampling.noise_scaling(sigmas[0], noise, latent, bool(sigmas[0] >= sampling.sigma_max * (1 - 1e-5)))
        for step, (sigma, following) in enumerate(pairwise(sigmas)):
            text_scale, image_scale = scales(float(sigma)) if isinstance(scales, Callable) else scales
            d_text = explicit(model, small, positive, x, sigma)
            d_image = explicit(model, small, negative, x, sigma)
            d_null = explicit(model, small, negative, x, sigma, with_picture=False)
            now = {"image": (d_image - d_null) / sigma, "text": (d_text - d_image) / sigma}
            held |= {name: term for (name, term), k in zip(now.items(), every, strict=True) if step % k == 0}
            guided = d_text + (text_scale - 1) * held["text"] * sigma + (image_scale - 1) * held["image"] * sigma
            x = x + (x - guided) / sigma * (following - sigma)
        return model.model.process_latent_out(sampling.inverse_noise_scaling(sigmas[-1], x))


def close(ours, theirs):
    """Equal but for rounding: three passes in one batch, or in three."""
    torch.testing.assert_close(ours / theirs.std(), theirs / theirs.std(), atol=2e-4, rtol=0)
