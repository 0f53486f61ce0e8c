"""The nodes for pairs in graphs: any sampler and guider of the host, split batches, long captions, and no trace."""

import pytest
import torch

STEPS = 4
BEFORE, AFTER = "a red cat on the grass", "a blue dog on the grass"


@pytest.mark.parametrize("mode", ["self", "replace", "refine", "reweight"])
def test_ksampler_paints_pairs_and_the_first_is_as_without_the_node(pairing, ksampled, text_to_image, mode):
    model, positive, latent = pairing(0.6, mode, rows=2, weights="blue: 3" if mode == "reweight" else "")
    assert latent["samples"].shape == (4, 4, 8, 8)
    assert latent["batch_index"] == [0, 0, 1, 1]
    pairs, plain = ksampled(model, positive, latent), ksampled(text_to_image.model, positive, latent)
    assert torch.equal(pairs[::2], plain[::2])
    assert (pairs[1::2] - plain[1::2]).abs().amax((1, 2, 3)).min() > 1e-4
    assert not torch.equal(pairs[0], pairs[2]), "another pair has noise of its own"


def test_the_model_is_as_before_to_the_bit(pairing, ksampled, text_to_image, patching):
    before = {name: weight.clone() for name, weight in text_to_image.model.model.state_dict().items()}
    options = repr(text_to_image.model.model_options)
    model, positive, latent = pairing(0.9, "replace", blend="changed")
    plain = ksampled(text_to_image.model, positive, latent)
    ksampled(model, positive, latent)
    assert torch.equal(ksampled(text_to_image.model, positive, latent), plain)
    assert torch.equal(ksampled(patching.unpatch(model), positive, latent), plain)
    assert repr(text_to_image.model.model_options) == options
    assert all(torch.equal(weight, before[name]) for name, weight in text_to_image.model.model.state_dict().items())
    assert not any(text_to_image.model.wrappers[kind] for kind in text_to_image.model.wrappers)


def test_without_shares_it_is_the_unpatched_model_to_the_bit(pairing, ksampled, text_to_image):
    for mode in ("self", "replace"):
        model, positive, latent = pairing(0.0, mode, cross_share=0.0)
        assert torch.equal(ksampled(model, positive, latent), ksampled(text_to_image.model, positive, latent))


def test_a_second_node_takes_the_place_of_the_first(pairing, ksampled):
    once, positive, latent = pairing(0.5)
    twice, *_ = pairing(0.5, model=pairing(1.0, "replace")[0])
    assert torch.equal(ksampled(once, positive, latent), ksampled(twice, positive, latent))


def test_every_sampler_gives_both_pictures_the_same_noise(pairing, ksampled, nodes):
    """Two pairs of equal captions under every sampler: the pictures of a pair are one picture, those of two pairs are not."""
    import comfy.samplers

    for share in (0.0, 0.5):
        model, positive, latent = pairing(share, rows=2, after=BEFORE)
        for sampler in comfy.samplers.SAMPLER_NAMES if share else ("euler_ancestral", "dpmpp_2m_sde", "lcm"):
            out = ksampled(model, positive, latent, sampler, steps=3)
            torch.testing.assert_close(out[::2], out[1::2], atol=1e-6, rtol=0, msg=sampler)
            assert (out[0] - out[2]).abs().max() > 1e-2, sampler
            assert out.isfinite().all(), sampler


@pytest.mark.parametrize("sampler", ["heun", "dpm_2", "dpmpp_2s_ancestral", "dpmpp_sde", "uni_pc", "dpm_adaptive"])
def test_samplers_with_several_calls_a_step_share_by_noise_level(pairing, ksampled, text_to_image, patching, sampler):
    """What is shared follows from the noise level of a call; the first pictures are those of p = 0."""
    model, positive, latent = pairing(0.5)
    unshared = pairing(0.0)[0]
    pairs, plain = ksampled(model, positive, latent, sampler), ksampled(unshared, positive, latent, sampler)
    if sampler != "dpm_adaptive":  # its steps depend on both rows
        assert torch.equal(pairs[0], plain[0])
    assert not torch.equal(pairs[1], plain[1])


@pytest.mark.parametrize("mode", ["self", "replace", "refine"])
def test_halves_that_the_host_computes_one_by_one(pairing, ksampled, monkeypatch, mode):
    """Where memory is short, the host calls the network for each conditioning by itself."""
    import comfy.model_base

    model, positive, latent = pairing(0.6, mode, rows=2)
    together, calls = ksampled(model, positive, latent), []
    network = model.model.diffusion_model
    handle = network.register_forward_pre_hook(lambda _, args: calls.append(len(args[0])))
    monkeypatch.setattr(comfy.model_base.BaseModel, "memory_required", lambda *_, **__: 1e18)
    apart = ksampled(model, positive, latent)
    handle.remove()
    assert calls == [4] * 2 * STEPS
    torch.testing.assert_close(apart, together, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("mode", ["self", "replace"])
def test_other_guiders_with_another_order_of_conditionings(call, pairing, ksampled, text_to_image, mode):
    """The host's DualCFGGuider puts the negative first and the positive last; with equal texts for the others it is plain guidance."""
    model, positive, latent = pairing(0.6, mode)
    (negative,) = call("CLIPTextEncode", clip=text_to_image.clip, text="")
    shared = {"cond1": positive, "cond2": negative, "negative": negative, "cfg_conds": 6.0, "cfg_cond2_negative": 3.0, "style": "regular"}
    (guider,) = call("DualCFGGuider", model=model, **shared)
    (noise,) = call("RandomNoise", noise_seed=5)
    (choice,) = call("KSamplerSelect", sampler_name="euler")
    (sigmas,) = call("BasicScheduler", model=model, scheduler="normal", steps=STEPS, denoise=1.0)
    out, _ = call("SamplerCustomAdvanced", noise=noise, guider=guider, sampler=choice, sigmas=sigmas, latent_image=latent)
    torch.testing.assert_close(out["samples"], ksampled(model, positive, latent), atol=1e-4, rtol=1e-5)


def test_a_scale_of_one_has_only_the_captions_half(pairing, ksampled, text_to_image):
    model, positive, latent = pairing(0.6, "replace")
    pairs, plain = ksampled(model, positive, latent, cfg=1.0), ksampled(text_to_image.model, positive, latent, cfg=1.0)
    assert torch.equal(pairs[0], plain[0])
    assert not torch.equal(pairs[1], plain[1])


def test_captions_of_several_chunks(pairing, ksampled, text_to_image):
    """The host reads long captions in chunks of 77 tokens; the shorter one of a pair is repeated, which changes nothing."""
    long = "a red cat on the grass " * 20 + "and a blue bird"
    for before, after in ((BEFORE, long), (long, BEFORE)):
        model, positive, latent = pairing(0.0, "refine", before=before, after=after, cross_share=1.0)
        assert positive[0][0].shape[:2] == (2, 154)
        pairs, plain = ksampled(model, positive, latent), ksampled(text_to_image.model, positive, latent)
        assert torch.equal(pairs[0], plain[0])
        assert (pairs[1] - plain[1]).abs().max() > 1e-5
    short = pairing(0.0, before=BEFORE, after=AFTER)
    padded = [[short[1][0][0].repeat(1, 2, 1), short[1][0][1]]]
    torch.testing.assert_close(
        ksampled(text_to_image.model, padded, short[2]), ksampled(text_to_image.model, short[1], short[2]), atol=1e-3, rtol=1e-3
    )


def test_blending_leaves_the_rest_as_in_the_first_picture(pairing, ksampled):
    free = pairing(0.0, "replace", cross_share=0.0)
    blended = pairing(0.0, "replace", cross_share=0.0, blend="changed", threshold=0.9)
    same = {}
    for name, (model, positive, latent) in (("free", free), ("blended", blended)):
        out = ksampled(model, positive, latent)
        same[name] = (out[0] == out[1]).all(dim=0)
    assert not same["free"].any()
    assert 0 < same["blended"].sum() < same["blended"].numel()


def test_an_image_to_image_latent_with_a_mask_is_doubled(call, text_to_image, pairing):
    samples, mask = torch.randn(2, 4, 8, 8), torch.rand(2, 64, 64)
    given = {"caption": BEFORE, "edited_caption": AFTER, "mode": "self", "self_share": 0.5, "cross_share": 0.8}
    latent = {"samples": samples, "noise_mask": mask, "batch_index": [7, 3]}
    _, _, pairs = call("IP2PPromptToPrompt", model=text_to_image.model, clip=text_to_image.clip, latent=latent, **given)
    assert pairs["batch_index"] == [7, 7, 3, 3]
    assert torch.equal(pairs["samples"][::2], samples)
    assert torch.equal(pairs["samples"][1::2], samples)
    assert torch.equal(pairs["noise_mask"][1::2], mask)


def test_pairs_are_taken_apart(call):
    images = torch.rand(6, 4, 4, 3)
    before, after = call("IP2PSplitPairs", images=images)
    assert torch.equal(torch.stack([before, after], dim=1).flatten(0, 1), images)
    with pytest.raises(ValueError, match="5 pictures are no pairs"):
        call("IP2PSplitPairs", images=images[:5])


def test_bad_wiring_is_named(call, pairing, ksampled, text_to_image, models):
    model, positive, latent = pairing(0.5, "replace")
    with pytest.raises(ValueError, match="paints pairs: give the sampler a latent with two rows"):
        ksampled(model, positive, {"samples": torch.zeros(3, 4, 8, 8)})
    (plain,) = call("CLIPTextEncode", clip=text_to_image.clip, text=AFTER)
    with pytest.raises(ValueError, match="wire the positive of 'Prompt-to-Prompt'"):
        ksampled(model, plain, latent)
    with pytest.raises(ValueError, match=r"needs a U-Net, such as SD 1\.5 or SDXL; this is a Flux model"):
        pairing(model=models["Flux Kontext"])
    with pytest.raises(ValueError, match="inpainting model"):
        pairing(model=models["inpainting"])
    with pytest.raises(ValueError, match="Reweighting needs words"):
        pairing(mode="reweight")
    with pytest.raises(ValueError, match="'bird' is not in the edited caption"):
        pairing(mode="refine", weights="bird: 2")
    with pytest.raises(ValueError, match="There is no text encoder"):
        call(
            "IP2PPromptToPrompt",
            model=text_to_image.model,
            clip=None,
            latent={"samples": torch.zeros(1, 4, 8, 8)},
            caption="",
            edited_caption="",
            mode="self",
            self_share=0.5,
            cross_share=0.5,
        )
