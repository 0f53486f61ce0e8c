"""SDEdit under the host's sampler equals the stock image-to-image graph, with text-to-image models and with editors."""

import pytest
import torch

STEPS = 4


@pytest.fixture(scope="module")
def base_file(networks, tmp_path_factory):
    """A text-to-image model in a file: the tiny networks with a first conv of four channels."""
    import tiny

    from ip2p import checkpoint

    path = tmp_path_factory.mktemp("base") / "base.safetensors"
    unet = tiny.unet(widths=(32, 64), attention=(0, 1), in_channels=4)
    unet.conv_out.weight.data *= 0.5
    checkpoint.write(path, tiny.ldm(unet, networks.vae, networks.clip), tiny.SETTINGS)
    return path


@pytest.fixture(scope="module")
def base(pack, base_file):
    return pack.loading.load(base_file)


def told(loaded, picture, **change):
    given = {"model": loaded.model, "clip": loaded.clip, "vae": loaded.vae, "image": picture, "prompt": "a cat in the snow"}
    given |= {"strength": 0.5, "seed": 5, "steps": STEPS, "cfg": 6.0, "sampler": "euler", "scheduler": "normal", "negative": "blurry"}
    return given | {"size": 64} | change


@pytest.fixture
def square():
    return torch.rand(1, 64, 64, 3, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def stock(call):
    """VAEEncode, two CLIPTextEncode, KSampler with denoise, VAEDecode: the host's own nodes."""

    def run(loaded, image, strength, sampler="euler", model=None):
        (latent,) = call("VAEEncode", vae=loaded.vae, pixels=image)
        if strength == 1:
            latent = {"samples": torch.zeros_like(latent["samples"])}
        (positive,) = call("CLIPTextEncode", clip=loaded.clip, text="a cat in the snow")
        (negative,) = call("CLIPTextEncode", clip=loaded.clip, text="blurry")
        settings = {"seed": 5, "steps": STEPS, "cfg": 6.0, "sampler_name": sampler, "scheduler": "normal", "denoise": strength}
        model = model or loaded.model
        out, *_ = call("KSampler", model=model, positive=positive, negative=negative, latent_image=latent, **settings)
        return call("VAEDecode", vae=loaded.vae, samples=out)[0]

    return run


@pytest.mark.parametrize("strength", [0.3, 0.75, 1.0])
@pytest.mark.parametrize("kind", ["base", "editor"])
def test_it_is_the_stock_graph_to_the_bit(call, stock, square, request, kind, strength):
    loaded = request.getfixturevalue(kind)
    (ours,) = call("IP2PSDEdit", **told(loaded, square, strength=strength))
    assert torch.equal(ours, stock(loaded, square, strength))
    assert not torch.equal(ours, square)


@pytest.mark.parametrize("sampler", ["dpmpp_2m", "euler_ancestral"])
def test_other_samplers_too(call, stock, base, square, sampler):
    """Ancestral noise is the host's own, but for what guidance mends for every model: a repeat of the initial noise."""
    import comfy.patcher_extension

    noise = __import__(type(base).__module__.rsplit(".", 1)[0] + ".noise", fromlist=["independent_noise"])
    model = base.model.clone()
    model.add_wrapper_with_key(comfy.patcher_extension.WrappersMP.SAMPLER_SAMPLE, "test", noise.independent_noise)
    (ours,) = call("IP2PSDEdit", **told(base, square, sampler=sampler))
    assert torch.equal(ours, stock(base, square, 0.5, sampler, model))


def test_a_model_behind_the_guidance_node_works(call, editor, square):
    (patched,) = call("IP2PGuidance", model=editor.model, image_scale=1.5)
    (plain,) = call("IP2PSDEdit", **told(editor, square))
    assert torch.equal(call("IP2PSDEdit", **told(editor, square, model=patched))[0], plain)


@pytest.mark.parametrize("sampler", ["euler", "euler_ancestral"])
def test_batch_of_three_equals_three_singles(call, base, sampler):
    images = torch.rand(3, 64, 64, 3, generator=torch.Generator().manual_seed(3))
    (batch,) = call("IP2PSDEdit", **told(base, images, sampler=sampler))
    for row in range(3):
        (one,) = call("IP2PSDEdit", **told(base, images[row : row + 1], sampler=sampler))
        torch.testing.assert_close(batch[row : row + 1], one, atol=1 / 255, rtol=0)


def test_it_keeps_the_size_and_the_model(call, base, image):
    before = repr(base.model.model_options), repr(base.model.wrappers)
    (edited,) = call("IP2PSDEdit", **told(base, image))
    assert edited.shape == image.shape
    assert (repr(base.model.model_options), repr(base.model.wrappers)) == before


def test_host_and_command_give_the_same_picture(call, base, base_file):
    from ip2p.text_to_image import TextToImage

    photo = torch.rand(1, 70, 96, 3, generator=torch.Generator().manual_seed(4))
    (in_host,) = call("IP2PSDEdit", **told(base, photo, steps=5, size=0))
    given = {"prompt": "a cat in the snow", "negative": "blurry", "strength": 0.5, "steps": 5, "scale": 6.0, "seed": 5}
    alone = TextToImage.load(base_file, device="cpu").sdedit(photo, **given, sampler="euler")
    assert not torch.equal(alone, photo)
    assert (in_host.cpu() - alone).abs().max() < 2 / 255


def test_loader_gives_text_to_image_networks_and_refuses_inpainting_ones(pack, networks, base, tmp_path):
    import tiny
    from safetensors.torch import save_file

    assert base.model.model.model_config.unet_config["in_channels"] == 4
    assert pack.edit.native_size(base.model) == 64
    save_file(tiny.ldm(tiny.unet(in_channels=9), networks.vae, networks.clip), tmp_path / "inpaint.safetensors")
    with pytest.raises(ValueError, match="This is an inpainting model"):
        pack.loading.load(tmp_path / "inpaint.safetensors")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"model": None}, "no model here; load a text-to-image"),
        ({"clip": None}, "no text encoder"),
        ({"vae": None}, "no VAE"),
        ({"strength": 0.0}, "strength is 0.0; use 0.01"),
        ({"strength": float("nan")}, "strength is nan"),
        ({"cfg": -1.0}, "guidance scale is -1"),
        ({"sampler": "magic"}, "sampler 'magic'"),
        ({"image": torch.zeros(0, 64, 64, 3)}, "empty"),
    ],
)
def test_bad_wiring_is_answered_by_a_sentence(call, base, square, change, sentence):
    with pytest.raises(ValueError, match=sentence):
        call("IP2PSDEdit", **told(base, square, **change))


def test_an_inpainting_model_is_refused(call, base, square):
    import comfy.model_base
    import comfy.supported_models
    from comfy.model_patcher import ModelPatcher
    from test_models import small_config

    config = comfy.supported_models.SD15(small_config(9))
    config.set_inference_dtype(torch.float32, None)
    model = ModelPatcher(comfy.model_base.BaseModel(config, device="cpu"), torch.device("cpu"), torch.device("cpu"))
    with pytest.raises(ValueError, match="inpainting model"):
        call("IP2PSDEdit", **told(base, square, model=model))


def test_a_full_size_model_of_the_hosts_own_loader(call, nodes, tmp_path, square):
    """A random Stable Diffusion 1.5, as 2 GB in half precision, through CheckpointLoaderSimple."""
    import folder_paths
    from test_models import save_full_size

    path = tmp_path / "sd15.safetensors"
    save_full_size(path, channels=4)
    folder_paths.add_model_folder_path("checkpoints", str(tmp_path))
    folder_paths.filename_list_cache.clear()
    model, clip, vae = call("CheckpointLoaderSimple", ckpt_name=path.name)
    path.unlink()
    given = {"model": model, "clip": clip, "vae": vae, "image": square, "prompt": "x", "strength": 0.5, "seed": 1, "steps": 1}
    (edited,) = call("IP2PSDEdit", **given, cfg=7.5, sampler="euler", scheduler="normal", negative="", size=64)
    assert edited.shape == square.shape
    assert edited.isfinite().all()
