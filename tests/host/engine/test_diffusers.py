"""Parity with diffusers' pipeline on the same weights, noise and sigmas."""

import pytest
import torch

STEPS = 10
"""999 / 9 is whole, so that diffusers' sigmas, linear between timesteps, and ours, logarithmic, are the same."""


@pytest.mark.parametrize(("text_scale", "image_scale"), [(7.5, 1.5), (3.0, 1.2)])
def test_guider_equals_the_pipeline(pack, call, editor, networks, graph, text_scale, image_scale):
    import comfy.sample
    from diffusers import EulerDiscreteScheduler, StableDiffusionInstructPix2PixPipeline

    scheduler = EulerDiscreteScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", timestep_spacing="linspace", prediction_type="epsilon"
    )
    pipeline = StableDiffusionInstructPix2PixPipeline(
        networks.vae, networks.clip, tokenizer=None, unet=networks.unet, scheduler=scheduler, safety_checker=None, feature_extractor=None
    )
    pipeline.set_progress_bar_config(disable=True)
    picture = torch.rand(1, 64, 64, 3, generator=torch.Generator().manual_seed(2))
    told = {"clip": editor.clip, "vae": editor.vae, "image": picture, "instruction": "make it snow", "negative": "", "encoding": "auto"}
    positive, negative, latent = call("IP2PInstruction", **told)
    (guider,) = call("IP2PGuider", model=editor.model, positive=positive, negative=negative, text_scale=text_scale, image_scale=image_scale)
    ours = graph.custom(guider, latent, "euler", STEPS, 5, editor.model)["samples"]
    noise = comfy.sample.prepare_noise(torch.zeros(1, 4, 8, 8), 5)
    top = scheduler.sigmas.max()
    noise = noise * (1 + top**2).sqrt() / top  # the host starts from sqrt(1 + sigma^2) noise, diffusers from sigma noise
    settings = {"guidance_scale": text_scale, "image_guidance_scale": image_scale, "num_inference_steps": STEPS, "output_type": "latent"}
    with torch.no_grad():
        theirs = pipeline(
            image=picture.movedim(-1, 1),
            prompt_embeds=positive[0][0],
            negative_prompt_embeds=negative[0][0],
            latents=noise.clone(),
            **settings,
        ).images
    torch.testing.assert_close(ours * 0.18215, theirs, atol=1e-4, rtol=0)
    with torch.inference_mode():
        decoded = (networks.vae.decode(theirs / 0.18215).sample.movedim(1, -1) / 2 + 0.5).clamp(0, 1)
        torch.testing.assert_close(editor.vae.decode(ours), decoded, atol=2 / 255, rtol=0)
