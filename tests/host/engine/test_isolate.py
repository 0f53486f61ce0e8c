"""Isolating, drawn masks and spatial scales in the host: neutral settings are exact, and what is not meant stays the input's own."""

import types

import pytest
import torch

from launcher.in_process import pack_module

TOLD = {
    "instruction": "make it snow",
    "negative": "",
    "seed": 5,
    "steps": 4,
    "size": 64,
    "scheduler": "normal",
    "sampler": "euler_ancestral",
}


@pytest.fixture(scope="module")
def part(pack, nodes):
    """The pack's modules that isolate, from the copy that the host loaded."""
    names = ("isolate", "relevance", "spatial", "fit")
    return types.SimpleNamespace(**{name: pack_module(nodes, f"ip2p.{name}") for name in names})


@pytest.fixture
def edit(call, editor):
    def run(image, text_scale=7.5, image_scale=1.5, **more):
        told = {"model": editor.model, "clip": editor.clip, "vae": editor.vae, **TOLD, **more}
        return call("IP2PEdit", image=image, text_scale=text_scale, image_scale=image_scale, **told)[0]

    return run


@pytest.fixture
def in_a_corner(part, monkeypatch):
    """A random network means its instruction nowhere in particular, so this one is made to mean the upper left corner."""
    honest = part.relevance.Relevance._count

    def count(self, step, now):
        corner = torch.ones_like(now)
        corner[..., : now.shape[-2] // 4, : now.shape[-1] // 3] = 4
        honest(self, step, corner)

    monkeypatch.setattr(part.relevance.Relevance, "_count", count)


@pytest.fixture
def bytes_image():
    """Pixels that are whole bytes, as a loaded file has them."""
    return torch.randint(0, 256, (2, 120, 90, 3), generator=torch.Generator().manual_seed(1)) / 255


@pytest.mark.parametrize("scales", [(7.5, 1.5), (2, 2), (1, 1)])
def test_off_is_the_exact_path_to_the_bit(call, editor, edit, image, scales):
    plain = edit(image, *scales)
    assert torch.equal(edit(image, *scales, isolate=0.0), plain)
    (off,) = call("IP2PIsolate", model=editor.model, strength=0.0)
    assert torch.equal(edit(image, *scales, model=off), plain)


def test_an_edit_of_the_whole_picture_is_left_alone_and_says_so(editor, edit, pack, image, nodes):
    """A random network has no clear place. Whatever it finds, the node's text says what was done, and does it."""
    said = []
    settings = {**TOLD, "model": editor.model, "clip": editor.clip, "vae": editor.vae, "image": image}
    with torch.inference_mode():
        isolated = pack.edit.edit(**settings, isolate=1.0, report=said.append)
    assert "not isolated, as the edit is one of the whole picture" in said[0]
    assert torch.equal(isolated, edit(image))


def test_untouched_pixels_are_the_inputs_own(edit, bytes_image, in_a_corner):
    """Of a batch, at another size than the network's: exact as floats, and so as the bytes that a PNG stores."""
    plain, isolated = edit(bytes_image), edit(bytes_image, isolate=1.0)
    kept = (isolated == bytes_image).all(-1)
    assert (plain == bytes_image).all(-1).float().mean() < 0.02
    assert kept[:, 80:].all()
    assert kept[:, :, 75:].all()
    assert not kept[:, :15, :15].any()
    bytes_of = [(picture * 255).clamp(0, 255).to(torch.uint8) for picture in (isolated, bytes_image)]  # as the host writes a PNG
    assert torch.equal(bytes_of[0][kept], bytes_of[1][kept])


def test_softer_is_wider(edit, bytes_image, in_a_corner):
    shares = [(edit(bytes_image, isolate=strength) == bytes_image).all(-1).float().mean() for strength in (1.0, 0.7, 0.4)]
    assert shares[0] > shares[1] > shares[2]


def test_a_drawn_mask_and_isolating_together(edit, bytes_image, in_a_corner):
    mask = torch.ones(1, 120, 90)
    mask[:, 20:] = 0
    both = edit(bytes_image, mask=mask, isolate=1.0)
    assert torch.equal(both[:, 20:], bytes_image[:, 20:])
    assert torch.equal(both[:, :, 75:], bytes_image[:, :, 75:])
    assert not torch.equal(both[:, :15, :15], bytes_image[:, :15, :15])


def graph_of(call, editor, graph, image, model, sampler=None):
    """The graph of single nodes up to the sampler: (the fit, guider, latent)."""
    fitted, _, fit, _, _ = call("IP2PFitImage", image=image, size=64, method="scale", multiple="8")
    told = {"clip": editor.clip, "vae": editor.vae, "image": fitted, "instruction": "make it snow", "negative": "", "encoding": "auto"}
    positive, negative, latent = call("IP2PInstruction", **told)
    (guider,) = call("IP2PGuider", model=model, positive=positive, negative=negative, text_scale=7.5, image_scale=1.5)
    return fit, guider, graph.custom(guider, latent, "euler_ancestral", 4, 5, model)


def test_the_graph_of_single_nodes_gives_the_picture_of_the_slider(call, editor, edit, graph, bytes_image, in_a_corner):
    (model,) = call("IP2PIsolate", model=editor.model, strength=0.8)
    fit, guider, sampled = graph_of(call, editor, graph, bytes_image, model)
    latent, mask, relevance, preview, report = call("IP2PRelevance", latent=sampled, fit=fit, strength=0.8, guider=guider)
    assert latent is sampled
    assert mask.shape == relevance.shape == (2, 120, 90)
    assert preview.shape == (2, 120, 90, 3)
    assert report.count("isolated: the edit belongs to") == 2
    assert mask[:, :20, :20].min() == 1
    assert mask[:, 100:, 80:].max() == 0
    assert relevance[:, 10, 10].min() > 0.5 > relevance[:, 100:, 80:].max()
    (picture,) = call("VAEDecode", vae=editor.vae, samples=latent)
    (restored,) = call("IP2PRestoreImage", image=picture, fit=fit, mask=mask)
    assert torch.equal(restored, edit(bytes_image, isolate=0.8))


def test_each_picture_of_a_batch_has_its_own_mask(call, editor, graph, bytes_image):
    (model,) = call("IP2PIsolate", model=editor.model, strength=0.0)
    fit, guider, sampled = graph_of(call, editor, graph, bytes_image, model)
    relevance = call("IP2PRelevance", latent=sampled, fit=fit, strength=1.0, guider=guider)[2]
    assert not torch.equal(relevance[0], relevance[1])
    one, guider, sampled = graph_of(call, editor, graph, bytes_image[1:], model)
    alone = call("IP2PRelevance", latent=sampled, fit=one, strength=1.0, guider=guider)[2]
    torch.testing.assert_close(alone[0], relevance[1], atol=1e-3, rtol=0)


def test_a_run_that_did_not_look_is_named(call, editor, graph, bytes_image):
    fit, guider, sampled = graph_of(call, editor, graph, bytes_image[:1], editor.model)
    with pytest.raises(ValueError, match="put 'Isolate edit' on the model"):
        call("IP2PRelevance", latent=sampled, fit=fit, strength=1.0, guider=guider)
    with pytest.raises(ValueError, match="Nothing says which run"):
        call("IP2PRelevance", latent=sampled, fit=fit, strength=1.0)


def test_isolating_works_with_the_stock_ksampler(call, editor, graph, bytes_image, in_a_corner):
    (model,) = call("IP2PIsolate", model=editor.model, strength=1.0)
    ours, _ = graph(bytes_image[:1], sampler="euler", model=model)
    stock, _ = graph(bytes_image[:1], sampler="euler", model=model, ksampler=True)
    plain, _ = graph(bytes_image[:1], sampler="euler")
    torch.testing.assert_close(ours, stock, atol=1e-4, rtol=0)
    assert not torch.allclose(ours, plain, atol=1e-2)


def test_isolating_and_held_terms_together(call, editor, edit, bytes_image, in_a_corner):
    """Only fresh differences count, wherever the parts stand in the graph."""
    (model,) = call("IP2PIsolate", model=editor.model, strength=1.0)
    fast = edit(bytes_image, model=model, speed="balanced")
    assert torch.equal(fast, edit(bytes_image, isolate=1.0, speed="balanced"))
    assert torch.equal(fast[:, 80:], bytes_image[:, 80:])


@pytest.mark.parametrize("scales", [(7.5, 1.5), (2, 2), (1, 1)])
def test_all_one_spatial_masks_are_none_to_the_bit(call, editor, edit, image, scales):
    ones = torch.ones(1, 90, 70)
    (model,) = call("IP2PSpatial", model=editor.model, text_mask=ones, image_mask=ones)
    (bare,) = call("IP2PSpatial", model=editor.model)
    assert torch.equal(edit(image, *scales, model=model), edit(image, *scales))
    assert torch.equal(edit(image, *scales, model=bare), edit(image, *scales))


def test_a_spatial_mask_of_one_number_is_another_scale(call, editor, edit, image):
    (model,) = call("IP2PSpatial", model=editor.model, text_mask=torch.full((1, 8, 8), 0.5), image_mask=torch.full((1, 9, 7), 0.75))
    torch.testing.assert_close(edit(image, 6.0, 2.0, model=model), edit(image, 3.0, 1.5), atol=1e-4, rtol=0)


def test_spatial_masks_and_the_stock_ksampler(call, editor, graph, image):
    ramp = torch.linspace(0, 1, 70).expand(1, 90, 70)
    (model,) = call("IP2PSpatial", model=editor.model, text_mask=ramp)
    ours, _ = graph(image, model=model)
    stock, _ = graph(image, model=model, ksampler=True)
    torch.testing.assert_close(ours, stock, atol=1e-4, rtol=0)
    assert not torch.equal(ours, graph(image)[0])


def test_a_drawn_mask_has_a_soft_edge_inside_and_nothing_outside(edit, part, bytes_image):
    mask = torch.zeros(1, 120, 90)
    mask[:, 30:90, 20:70] = 1
    masked = edit(bytes_image, mask=mask)
    outside = mask[0] == 0
    assert torch.equal(masked[:, outside], bytes_image[:, outside])
    plan = part.fit.plan(90, 120, 64)
    weights = part.fit.softened(mask, plan)[0]
    assert weights[30, 45] < 0.05
    assert weights[60, 45] == 1
    assert (masked[:, 30, 25:65] - bytes_image[:, 30, 25:65]).abs().max() < 0.05, "the first row inside is still nearly the input's"
    assert (masked[:, 60, 45] != bytes_image[:, 60, 45]).any()


def test_strengths_out_of_range_are_named(call, editor):
    with pytest.raises(ValueError, match=r"from 0 .off. to 1 .strict."):
        call("IP2PIsolate", model=editor.model, strength=1.5)


def test_a_drawn_mask_works_late(call, editor, graph, image, pack, nodes):
    """For most of the run nothing is masked; what another node says about masks stays."""
    seen, late = [], pack_module(nodes, "samplers.masking")

    def spy(sigma, denoise_mask, extra_options):
        now = late.late(sigma, denoise_mask, extra_options)
        seen.append(bool((now == 1).all()))
        return now

    mask = torch.zeros(1, 90, 70)
    mask[:, :45] = 1
    (patched,) = call("IP2PGuidance", model=editor.model, image_scale=1.5)
    assert patched.model_options[late.OPTION] is late.late
    assert late.OPTION not in pack.guidance.unpatch(patched).model_options
    other = editor.model.clone()
    other.set_model_denoise_mask_function(spy)
    asked, _ = graph(image, mask=mask, model=other, steps=6)
    assert seen == [True, True, True, True, True, False]
    assert torch.equal(asked, graph(image, mask=mask, steps=6)[0])
