"""The headless main job, with tiny random networks through the real code, and its parity with diffusers' pipeline."""

import math

import numpy as np
import pytest
import tiny
import torch
from diffusers import EDMEulerScheduler, EulerDiscreteScheduler, StableDiffusionInstructPix2PixPipeline
from PIL import Image

from ip2p import sampling, text
from ip2p.checkpoint import Checkpoint
from ip2p.devices import pick_device
from ip2p.edit import Editor
from ip2p.sigmas import normal

CPU = torch.device("cpu")
SETTINGS = {name: str(value) for name, value in tiny.SETTINGS.items()}
COSXL = {"edm_vpred.sigma_max": torch.tensor(120.0), "edm_vpred.sigma_min": torch.tensor(0.002)}


def made(state, family="sd15", **settings):
    return Editor.build(Checkpoint(state, family, "only", SETTINGS | settings), CPU)


@pytest.fixture(scope="module")
def editor():
    return made(tiny.ldm())


@pytest.fixture(scope="module")
def photo():
    torch.manual_seed(9)
    return torch.rand(1, 90, 130, 3)


def test_an_edit_has_the_size_of_its_input(editor, photo):
    edited = editor.edit(photo, "make it night", steps=2)
    assert edited.shape == photo.shape
    assert not torch.equal(edited, photo)
    assert edited.min() >= 0
    assert edited.max() <= 1


def test_the_same_seed_gives_the_same_picture(editor, photo):
    first = editor.edit(photo, "make it night", steps=3, seed=4)
    assert torch.equal(editor.edit(photo, "make it night", steps=3, seed=4), first)
    assert not torch.equal(editor.edit(photo, "make it night", steps=3, seed=5), first)


@pytest.mark.parametrize("sampler", ["euler", "euler_ancestral"])
def test_a_batch_equals_its_singles(editor, sampler):
    batch = torch.rand(3, 64, 96, 3)
    together = editor.edit(batch, "make it night", steps=3, sampler=sampler)
    for i in range(3):
        alone = editor.edit(batch[i : i + 1], "make it night", steps=3, sampler=sampler)
        assert (together[i] - alone[0]).abs().max() < 1e-4


@pytest.mark.parametrize("instruction", ["", "  \n"])
def test_an_empty_instruction_returns_the_input(editor, photo, instruction):
    assert torch.equal(editor.edit(photo, instruction), photo)


def test_a_pillow_picture_and_its_tensor_are_the_same(editor):
    image = Image.fromarray((np.random.default_rng(1).random((70, 80, 4)) * 255).astype(np.uint8), "RGBA")
    tensor = torch.from_numpy(np.asarray(image)[None, ..., :3] / np.float32(255))
    assert torch.equal(editor.edit(image, "make it night", steps=2), editor.edit(tensor, "make it night", steps=2))


def test_negative_text_scales_and_size_matter(editor, photo):
    plain = editor.edit(photo, "make it night", steps=2)
    for change in ({"negative": "blurry"}, {"text_scale": 3.0}, {"image_scale": 1.0}, {"size": 128}):
        assert not torch.equal(editor.edit(photo, "make it night", steps=2, **change), plain)


def test_defaults_come_from_the_checkpoint(photo):
    state = tiny.ldm()
    seen = []
    noted = made(state, steps="3", text_scale="3", image_scale="1.2", size="128")
    edited = noted.edit(photo, "make it night", on_step=lambda done, total, latent: seen.append((total, tuple(latent.shape))))
    assert seen == [(3, (1, 4, 11, 16))] * 3  # 130 x 90 at 128: 128 x 88 pixels
    told = made(state).edit(photo, "make it night", steps=3, text_scale=3.0, image_scale=1.2, size=128)
    assert torch.equal(edited, told)


@pytest.mark.parametrize(("family", "extra"), [("sdxl", {}), ("cosxl", COSXL)])
def test_the_larger_families_edit_too(photo, family, extra):
    edited = made(tiny.wide_ldm() | extra, family).edit(photo, "make it night", steps=3)
    assert edited.shape == photo.shape
    assert edited.isfinite().all()


def test_cosxl_scales_the_conditioning_latent_and_the_others_do_not(photo):
    square = photo[:, :64, :64]
    modes = {family: made(tiny.wide_ldm() | COSXL, family).encode(square) for family in ("sdxl", "cosxl")}
    assert torch.allclose(modes["cosxl"], modes["sdxl"] * 0.13025)
    assert torch.equal(made(tiny.ldm()).encode(square), modes["sdxl"])


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"text_scale": math.nan}, "text scale is nan"),
        ({"image_scale": -1.0}, "image scale is -1"),
        ({"image_scale": math.inf}, "image scale is inf"),
        ({"steps": 0}, "number of steps is 0; use 1 to 1000"),
        ({"seed": -1}, "seed is -1; use a whole number from 0"),
        ({"size": 32}, "size is 32 pixels; use 64 to 4096"),
        ({"size": -512}, "size is -512 pixels"),
        ({"sampler": "heun"}, "sampler 'heun' is unknown"),
    ],
)
def test_impossible_settings_are_named(editor, photo, wrong, sentence):
    with pytest.raises(ValueError, match=sentence):
        editor.edit(photo, "make it night", **wrong)


def test_an_empty_batch_is_named(editor):
    with pytest.raises(ValueError, match="picture batch is empty"):
        editor.edit(torch.zeros(0, 64, 64, 3), "make it night")


@pytest.mark.parametrize("shape", [(100, 150), (64, 64), (3, 900), (900, 3), (1, 1)])
def test_the_whole_picture_is_edited_whatever_its_shape(editor, shape):
    grey = torch.full((1, *shape, 3), 0.5)
    edited = editor.edit(grey, "make it night", steps=1, sampler="euler")
    assert edited.shape == grey.shape
    borders = (edited[:, 0], edited[:, -1], edited[:, :, 0], edited[:, :, -1])
    assert all((border != 0.5).any() for border in borders)


def test_devices():
    assert pick_device("cpu").type == "cpu"
    assert pick_device("auto").type in ("cpu", "cuda", "mps")
    with pytest.raises(ValueError, match="device 'tpu' is not there: use auto, or one of"):
        pick_device("tpu")


def test_tokens_are_clips_own():
    ids = text.tokenize("a photo of a cat")
    assert ids[0, :8].tolist() == [49406, 320, 1125, 539, 320, 2368, 49407, 49407]
    assert ids.shape == (1, 77)
    assert text.tokenize("", padding=0)[0, :3].tolist() == [49406, 49407, 0]


def test_long_instructions_are_cut_and_said(caplog):
    ids = text.tokenize("cat " * 100)
    assert ids.shape == (1, 77)
    assert ids[0, -2:].tolist() == [2368, 49407]
    assert "reads the first 75" in caplog.text


@pytest.fixture(scope="module")
def pipeline():
    """diffusers' pipeline on the same weights, its scheduler set to the authors' sigmas."""
    scheduler = EulerDiscreteScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", timestep_spacing="linspace", interpolation_type="linear"
    )
    vae = tiny.vae()
    vae.register_to_config(scaling_factor=0.18215)
    pipe = StableDiffusionInstructPix2PixPipeline(
        vae, tiny.clip(), text.tokenizer(), tiny.unet(), scheduler, None, None, requires_safety_checker=False
    )
    pipe.set_progress_bar_config(disable=True)
    return pipe


@pytest.mark.parametrize(("text_scale", "image_scale"), [(7.5, 1.5), (5.0, 1.2)])
@pytest.mark.parametrize("negative", ["", "blurry"])
def test_parity_with_diffusers(editor, pipeline, text_scale, image_scale, negative):
    """10 steps: there diffusers' timesteps are whole numbers (999, 888, ...), so its sigmas are the authors' exactly."""
    steps, seed = 10, 3
    picture = torch.rand(1, 64, 96, 3, generator=torch.Generator().manual_seed(0))
    conditions = sampling.Conditions(
        text.encode(editor.encoders, "make it night"), text.encode(editor.encoders, negative), editor.encode(picture)
    )
    ours = editor.sample(conditions, steps, seed, text_scale, image_scale, "euler")
    asked = {
        "prompt": "make it night",
        "negative_prompt": negative or None,
        "image": picture.permute(0, 3, 1, 2),
        "num_inference_steps": steps,
        "guidance_scale": text_scale,
        "image_guidance_scale": image_scale,
    }
    noise = sampling.noise_stream((1, 4, 8, 12), seed)()
    theirs = pipeline(**asked, latents=noise, output_type="latent").images
    assert torch.allclose(pipeline.scheduler.sigmas, normal(steps), rtol=2e-4)  # theirs are float32 from the start
    # an untrained network leaves the latents at the spread of the noise, about 15 where a trained one ends at 1
    assert (ours - theirs).abs().max() / theirs.std() < 2e-5
    shown = pipeline(**asked, latents=noise, output_type="pt").images.permute(0, 2, 3, 1)
    assert (editor.decode(ours) - shown).abs().max() < 2 / 255


def test_parity_of_cosxl_steps_with_diffusers():
    """The same velocity network under diffusers' EDM scheduler and under ours."""
    scheduler = EDMEulerScheduler(
        sigma_min=0.002, sigma_max=120.0, sigma_data=1.0, sigma_schedule="exponential", prediction_type="v_prediction"
    )
    scheduler.set_timesteps(8)
    torch.manual_seed(0)
    noise = torch.randn(1, 4, 8, 8)

    def network(z_t, t, text=None, image_latent=None):
        return torch.tanh(z_t.roll(1, -1)) + t.view(-1, 1, 1, 1) / 10

    theirs = noise * 120.0
    for t in scheduler.timesteps:
        theirs = scheduler.step(network(scheduler.scale_model_input(theirs, t), t.view(1)), t, theirs).prev_sample
    sigmas = sampling.exponential(8, 0.002, 120.0)
    given = sampling.Conditions(sampling.Text(torch.zeros(1, 1, 1)), sampling.Text(torch.zeros(1, 1, 1)), torch.zeros(1, 4, 8, 8))
    ours = sampling.euler(sampling.guided(network, given, 1.0, 1.0, sampling.edm_denoised), noise * 120.0, sigmas)
    assert torch.allclose(sigmas, scheduler.sigmas, rtol=1e-4)
    assert (ours - theirs).abs().max() < 1e-3
