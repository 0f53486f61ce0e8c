"""SDEdit without a host: what strength means, which models it takes, and parity with diffusers' pipelines."""

import math

import pytest
import tiny
import torch
from diffusers import EulerDiscreteScheduler, StableDiffusionImg2ImgPipeline, StableDiffusionPipeline

from ip2p import checkpoint, sampling, sigmas, text
from ip2p.checkpoint import Checkpoint, CheckpointError
from ip2p.edit import Editor
from ip2p.sdedit import partial_schedule
from ip2p.text_to_image import TextToImage

CPU = torch.device("cpu")
SETTINGS = {name: str(value) for name, value in tiny.SETTINGS.items()}


def made(state, family="sd15", **settings):
    return TextToImage.build(Checkpoint(state, family, "only", SETTINGS | settings), CPU)


@pytest.fixture(scope="module")
def model():
    return made(tiny.ldm(tiny.unet(in_channels=4)))


@pytest.fixture(scope="module")
def photo():
    return torch.rand(1, 90, 130, 3, generator=torch.Generator().manual_seed(9))


def test_strength_is_the_part_of_the_schedule_from_its_end():
    whole = sigmas.normal(10)
    assert torch.equal(partial_schedule(sigmas.normal, 10, 1.0), whole)
    assert torch.equal(partial_schedule(sigmas.normal, 5, 0.5), whole[5:])
    assert torch.equal(partial_schedule(sigmas.normal, 3, 0.3), whole[7:])
    for strength in (0.3, 0.5, 0.7, 0.9):
        start = partial_schedule(sigmas.normal, 30, strength)[0]
        assert float(sigmas.timestep(start)) == pytest.approx(999 * strength, abs=40)


@pytest.mark.parametrize("strength", [0, -0.5, 1.01, math.nan, 1e-9])
def test_impossible_strengths_are_named(model, photo, strength):
    with pytest.raises(ValueError, match=r"The strength is .*; use 0\.01"):
        model.sdedit(photo, "a night", strength, steps=2)


def test_more_strength_changes_more():
    """A perfect denoiser of one flat picture: what SDEdit keeps of its input falls with strength."""
    target, start = torch.zeros(1, 4, 8, 8), torch.ones(1, 4, 8, 8)
    noise = sampling.noise_stream((1, 4, 8, 8), 0)()

    def denoise(x, sigma):  # the posterior mean of data that is N(0, 1) around the target
        return target + (x - target) / (1 + sigma**2)

    ends = []
    for strength in (0.3, 0.5, 0.7, 0.9):
        schedule = partial_schedule(sigmas.normal, 12, strength)
        ends.append(float((sampling.euler(denoise, start + noise * schedule[0], schedule) - start).square().mean()))
    assert ends == sorted(ends)


def test_the_result_has_the_size_of_its_input_and_follows_seed_and_prompt(model, photo):
    first = model.sdedit(photo, "a night", 0.5, steps=2)
    assert first.shape == photo.shape
    assert first.min() >= 0
    assert first.max() <= 1
    assert torch.equal(model.sdedit(photo, "a night", 0.5, steps=2), first)
    for change in ({"seed": 1}, {"prompt": "a day"}, {"scale": 2.0}, {"negative": "x"}, {"size": 128}, {"sampler": "euler"}):
        assert not torch.equal(model.sdedit(**{"image": photo, "prompt": "a night", "strength": 0.5, "steps": 2} | change), first)


def test_at_strength_one_the_picture_gives_only_its_size(model, photo):
    assert torch.equal(model.sdedit(photo, "a night", 1.0, steps=2), model.sdedit(1 - photo, "a night", 1.0, steps=2))
    assert not torch.equal(model.sdedit(photo, "a night", 0.9, steps=2), model.sdedit(1 - photo, "a night", 0.9, steps=2))


@pytest.mark.parametrize("sampler", ["euler", "euler_ancestral"])
def test_a_batch_equals_its_singles(model, sampler):
    batch = torch.rand(3, 64, 64, 3)
    together = model.sdedit(batch, "a night", 0.6, steps=3, sampler=sampler)
    for i in range(3):
        assert (together[i] - model.sdedit(batch[i : i + 1], "a night", 0.6, steps=3, sampler=sampler)[0]).abs().max() < 1e-4


def test_pictures_of_a_batch_have_prompts_and_seeds_of_their_own(model):
    batch, prompts, seeds = torch.rand(2, 64, 64, 3), ["a night", "a day"], [3, 4]
    together = model.sdedit(batch, prompts, 0.6, steps=3, seed=seeds)
    for i in range(2):
        alone = model.sdedit(batch[i : i + 1], prompts[i], 0.6, steps=3, seed=seeds[i])[0]
        assert (together[i] - alone).abs().max() < 1e-4
    with pytest.raises(ValueError, match="2 pictures can't have 3 prompts and 1 seeds"):
        model.sdedit(batch, ["a", "b", "c"], steps=1)


def test_an_editor_is_shown_a_zero_latent():
    """Whatever an editor's weights for the picture's latent are, they do nothing here: it then predicts what its base model does."""
    base = tiny.ldm(tiny.unet(in_channels=4))
    conv = base[checkpoint.FIRST_CONV]
    state = {**base, checkpoint.FIRST_CONV: torch.cat([conv, torch.ones_like(conv)], dim=1)}
    picture = torch.rand(1, 64, 64, 3)
    assert torch.equal(made(state).sdedit(picture, "a night", steps=2), made(base).sdedit(picture, "a night", steps=2))


@pytest.mark.parametrize(("family", "extra"), [("sdxl", {}), ("cosxl", {"edm_vpred.sigma_max": torch.tensor(120.0)})])
def test_the_larger_families(photo, family, extra):
    out = made(tiny.wide_ldm() | extra, family).sdedit(photo, "a night", 0.5, steps=2)
    assert out.shape == photo.shape
    assert out.isfinite().all()


def test_models_that_cannot_do_it_are_refused(tmp_path):
    states = {
        "inpainting": tiny.ldm(tiny.unet(in_channels=9)),
        "Stable Diffusion 2": tiny.ldm(tiny.unet(in_channels=4, context=1024)),
        "takes 5 channels": tiny.ldm(tiny.unet(in_channels=5)),
    }
    for said, state in states.items():
        checkpoint.write(tmp_path / "model.safetensors", state, SETTINGS)
        with pytest.raises(CheckpointError, match=said):
            TextToImage.load(tmp_path / "model.safetensors", device="cpu")
    checkpoint.write(tmp_path / "model.safetensors", tiny.ldm(tiny.unet(in_channels=4)), SETTINGS)
    assert TextToImage.load(tmp_path / "model.safetensors", device="cpu").size == 64
    with pytest.raises(CheckpointError, match="This is a text-to-image model"):
        Editor.load(tmp_path / "model.safetensors", device="cpu")


@pytest.mark.parametrize("negative", ["", "blurry"])
@pytest.mark.parametrize("strength", [0.3, 0.6, 1.0])
def test_parity_with_diffusers(model, strength, negative):
    """Of 10 steps diffusers runs the last 10 x strength; the sigmas of 10 steps are the authors' exactly. At 1: its text-to-image."""
    scheduler = EulerDiscreteScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", timestep_spacing="linspace", interpolation_type="linear"
    )
    vae = tiny.vae()
    vae.register_to_config(scaling_factor=0.18215)
    kind = StableDiffusionPipeline if strength == 1 else StableDiffusionImg2ImgPipeline
    parts = (vae, tiny.clip(), text.tokenizer(), tiny.unet(in_channels=4, sample_size=8), scheduler, None, None)
    pipe = kind(*parts, requires_safety_checker=False)
    pipe.set_progress_bar_config(disable=True)
    picture = torch.rand(1, 64, 64, 3, generator=torch.Generator().manual_seed(0))
    noise = sampling.noise_stream((1, 4, 8, 8), 3)()
    asked = {"prompt": "a night", "negative_prompt": negative or None, "num_inference_steps": 10, "guidance_scale": 6.0}
    if strength == 1:
        theirs = pipe(**asked, latents=noise, height=64, width=64, output_type="pt").images
    else:
        latent = model.mode(picture) * 0.18215  # handed over, because the pipeline would draw from the posterior
        theirs = pipe(**asked, image=latent, strength=strength, generator=torch.Generator().manual_seed(3), output_type="pt").images
    ours = model.sdedit(picture, "a night", strength, round(10 * strength), 6.0, 3, negative, sampler="euler")
    assert not torch.equal(ours, picture)
    assert (ours - theirs.permute(0, 2, 3, 1)).abs().max() < 2 / 255
