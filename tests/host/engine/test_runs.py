"""Runs leave nothing behind; batches, masks and bad wiring."""

import pytest
import torch


def test_two_runs_leave_no_state(editor, graph, image):
    first, _ = graph(image)
    graph(image.flip(1), 3.0, 1.2)
    assert torch.equal(graph(image)[0], first)


def test_cancelled_runs_leave_no_state(pack, editor, graph, image):
    first, _ = graph(image)
    model = editor.model.clone()

    def cancel(args):
        raise InterruptedError

    model.set_model_sampler_post_cfg_function(cancel)
    with pytest.raises(InterruptedError):
        graph(image, model=model)
    assert torch.equal(graph(image)[0], first)


def test_patching_leaves_the_model_as_it_was(call, editor, graph, image):
    before = {name: tensor.clone() for name, tensor in editor.model.model.state_dict().items()}
    options = repr(editor.model.model_options), repr(editor.model.wrappers)
    graph(image)
    graph(image, ksampler=True)
    after = editor.model.model.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(tensor, after[name]) for name, tensor in before.items())
    assert (repr(editor.model.model_options), repr(editor.model.wrappers)) == options


@pytest.mark.parametrize("sampler", ["euler", "euler_ancestral"])
def test_batch_of_three_equals_three_singles(graph, sampler):
    images = torch.rand(3, 64, 64, 3, generator=torch.Generator().manual_seed(3))
    batch, pictures = graph(images, sampler=sampler)
    for row in range(3):
        latent, picture = graph(images[row : row + 1], sampler=sampler)
        torch.testing.assert_close(batch[row : row + 1] * 0.18215, latent * 0.18215, atol=1e-4, rtol=1e-5)  # latents reach 40
        torch.testing.assert_close(pictures[row : row + 1], picture, atol=1 / 255, rtol=0)


def test_ancestral_noise_differs_from_the_initial_noise(editor, graph, image, nodes):
    """A host that seeds both alike repeats the initial noise in its first ancestral step; the patched model does not."""
    import comfy.sample
    import comfy.samplers

    seen = []

    def sampler(model, x, sigmas, extra_args=None, callback=None, disable=None, noise_sampler=None):
        from comfy.k_diffusion.sampling import default_noise_sampler

        noise_sampler = noise_sampler or default_noise_sampler(x, seed=extra_args.get("seed"))
        seen.append((x / (1 + sigmas[0] ** 2) ** 0.5, noise_sampler(sigmas[0], sigmas[1])))
        return model(x, sigmas[0] * x.new_ones(len(x)), **extra_args)

    latent = torch.zeros(1, 4, 8, 8)
    noise = comfy.sample.prepare_noise(latent, 7)

    def first_noise(model):
        seen.clear()
        guider = comfy.samplers.CFGGuider(model)
        conds = [[torch.zeros(1, 77, 32), {"concat_latent_image": latent}]]
        guider.set_conds(conds, conds)
        sigmas = torch.tensor([14.6146, 0.0])
        guider.sample(noise, latent, comfy.samplers.KSAMPLER(sampler), sigmas, seed=7, disable_pbar=True)
        return seen[0]

    from_noise, ancestral = first_noise(nodes.NODE_CLASS_MAPPINGS["IP2PGuidance"].execute(editor.model, 1.5).result[0])
    assert not torch.allclose(from_noise, ancestral, atol=0.1)


def test_all_one_mask_equals_no_mask(graph, image):
    latent, picture = graph(image)
    masked, masked_picture = graph(image, mask=torch.ones(1, 90, 70))
    assert torch.equal(latent, masked)
    assert torch.equal(picture, masked_picture)


def test_outside_the_mask_is_the_source(call, editor, graph, image):
    mask = torch.zeros(1, 90, 70)
    mask[:, :45] = 1
    latent, picture = graph(image, mask=mask)
    fitted, *_ = call("IP2PFitImage", image=image, size=64, method="scale", multiple="8")
    source = editor.vae.encode(fitted)
    torch.testing.assert_close(latent[:, :, 6:], source[:, :, 6:], atol=1e-4, rtol=1e-4)
    assert torch.equal(picture[:, 45:], image[:, 45:])
    assert not torch.allclose(picture[:, :40], image[:, :40], atol=0.05)


def test_zero_mask_returns_the_picture(call, editor, graph, image):
    settings = {"instruction": "x", "negative": "", "seed": 5, "steps": 6, "size": 64, "scheduler": "normal", "sampler": "euler"}
    told = {"model": editor.model, "clip": editor.clip, "vae": editor.vae, "image": image, "text_scale": 7.5, "image_scale": 1.5}
    for mask in (torch.zeros(1, 90, 70), torch.zeros(1, 64, 64)):
        assert torch.equal(graph(image, mask=mask)[1], image)
        assert torch.equal(call("IP2PEdit", **told, **settings, mask=mask)[0], image)


def test_transparency_is_dropped(graph, image):
    with_alpha = torch.cat([image, torch.rand(1, 90, 70, 1)], dim=-1)
    assert torch.equal(graph(with_alpha)[1], graph(image)[1])


def test_empty_instruction_returns_the_picture(call, editor, image):
    settings = {
        "negative": "",
        "seed": 5,
        "steps": 6,
        "size": 64,
        "sampler": "euler",
        "scheduler": "normal",
        "text_scale": 7.5,
        "image_scale": 1.5,
    }
    (edited,) = call("IP2PEdit", model=editor.model, clip=editor.clip, vae=editor.vae, image=image, instruction="  ", **settings)
    assert torch.equal(edited, image)


def test_tiled_encoding_of_a_large_picture(call, editor):
    smooth = torch.linspace(0, 1, 768).view(1, 1, 768, 1).expand(1, 768, 768, 3)
    told = {"clip": editor.clip, "vae": editor.vae, "image": smooth, "instruction": "x", "negative": ""}
    whole = call("IP2PInstruction", **told, encoding="whole")[0][0][1]["concat_latent_image"]
    tiled = call("IP2PInstruction", **told, encoding="tiled")[0][0][1]["concat_latent_image"]
    assert tiled.shape == whole.shape == (1, 4, 96, 96)
    assert (tiled - whole).abs().mean() < whole.abs().mean()


class TestBadWiring:
    """Each mistake is answered by a sentence."""

    def told(self, editor, **change):
        picture = torch.rand(1, 64, 64, 3)
        given = {"clip": editor.clip, "vae": editor.vae, "image": picture, "instruction": "x", "negative": "", "encoding": "auto"}
        return {**given, **change}

    @pytest.mark.parametrize(
        ("change", "sentence"),
        [
            ({"clip": None}, "no text encoder"),
            ({"vae": None}, "no VAE"),
            ({"image": torch.zeros(0, 64, 64, 3)}, "empty"),
            ({"image": torch.rand(1, 60, 64, 3)}, "64 x 60, which are not multiples of 8"),
            ({"mask": torch.rand(1, 10, 20)}, "mask is 20 x 10 but the picture is 64 x 64"),
            ({"encoding": "zipped"}, "unknown"),
        ],
    )
    def test_instruction(self, call, editor, change, sentence):
        with pytest.raises(ValueError, match=sentence):
            call("IP2PInstruction", **self.told(editor, **change))

    @pytest.mark.parametrize("scales", [(float("nan"), 1.5), (7.5, float("nan")), (float("inf"), 1.5), (7.5, -1.0)])
    def test_scales(self, call, editor, scales):
        positive, negative, _ = call("IP2PInstruction", **self.told(editor))
        with pytest.raises(ValueError, match="scale is"):
            call("IP2PGuider", model=editor.model, positive=positive, negative=negative, text_scale=scales[0], image_scale=scales[1])

    def test_conditioning_without_a_picture(self, call, editor):
        (plain,) = call("CLIPTextEncode", clip=editor.clip, text="x")
        with pytest.raises(ValueError, match="carries no picture"):
            call("IP2PGuider", model=editor.model, positive=plain, negative=plain, text_scale=7.5, image_scale=1.5)

    def test_ksampler_without_a_picture(self, call, editor):
        (plain,) = call("CLIPTextEncode", clip=editor.clip, text="x")
        (patched,) = call("IP2PGuidance", model=editor.model, image_scale=1.5)
        settings = {"seed": 5, "steps": 2, "cfg": 7.5, "sampler_name": "euler", "scheduler": "normal"}
        latent = {"samples": torch.zeros(1, 4, 8, 8)}
        with pytest.raises(ValueError, match="carries no picture"):
            call("KSampler", model=patched, positive=plain, negative=plain, latent_image=latent, **settings)

    @pytest.mark.parametrize("shape", [(1, 4, 16, 8), (1, 16, 8, 8)])
    def test_sizes_that_do_not_match(self, call, editor, graph, shape):
        positive, negative, _ = call("IP2PInstruction", **self.told(editor))
        (guider,) = call("IP2PGuider", model=editor.model, positive=positive, negative=negative, text_scale=7.5, image_scale=1.5)
        with pytest.raises(ValueError, match="wire the latent that comes from the same instruction node"):
            graph.custom(guider, {"samples": torch.ones(shape)}, "euler", 2, 5, editor.model)

    def test_no_model(self, call):
        with pytest.raises(ValueError, match="no model"):
            call("IP2PGuidance", model=None, image_scale=1.5)

    def test_unknown_sampler(self, call, editor, image):
        settings = {"negative": "", "seed": 5, "steps": 2, "size": 64, "scheduler": "normal", "text_scale": 7.5, "image_scale": 1.5}
        told = {"model": editor.model, "clip": editor.clip, "vae": editor.vae, "image": image, "instruction": "x"}
        with pytest.raises(ValueError, match="sampler 'magic'"):
            call("IP2PEdit", **told, sampler="magic", **settings)
