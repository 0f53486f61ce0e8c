"""The nodes for pairs in graphs: any sampler and guider of the host, other packs' patches, ControlNets, split batches, and no trace."""

import pytest
import torch
from composing import small_control
from small_networks import SDXL, UNET, Small, build, picture, text

LATENT = (4, 8, 8)
NETWORKS = {
    "SD 1.5": Small("SD15", {**UNET, "in_channels": 4}, LATENT, (5, 24)),
    "SDXL": Small("SDXL", {**SDXL, "in_channels": 4}, LATENT, (5, 24), 24),
}
STEPS = 4
BEFORE, AFTER = "a red cat on the grass", "a blue dog on the grass"


@pytest.fixture(scope="module")
def loaded(pack, networks, tmp_path_factory):
    """MODEL, CLIP and VAE of a tiny text-to-image model with keen attention."""
    import tiny

    from ip2p import checkpoint

    path = tmp_path_factory.mktemp("base") / "base.safetensors"
    unet = tiny.unet(widths=(32, 64), attention=(0, 1), in_channels=4)
    unet.conv_out.weight.data *= 0.5
    for name, weight in unet.named_parameters():
        if "to_q" in name or "to_k" in name:
            weight.data *= 4
    checkpoint.write(path, tiny.ldm(unet, networks.vae, networks.clip), tiny.SETTINGS)
    return pack.loading.load(path)


@pytest.fixture(scope="module")
def patching(nodes, pack):
    from launcher.in_process import pack_module

    return pack_module(nodes, "samplers.prompt_to_prompt_patch")


def empty(rows=1):
    return {"samples": torch.zeros(rows, *LATENT)}


@pytest.fixture
def node(call, loaded):
    """The node's outputs for two captions; `rows` pairs of them."""

    def node(share=0.5, mode="self", model=None, rows=1, before=BEFORE, after=AFTER, **more):
        given = {"caption": before, "edited_caption": after, "mode": mode, "self_share": share, "cross_share": 0.8, **more}
        return call("IP2PPromptToPrompt", model=model or loaded.model, clip=loaded.clip, latent=empty(rows), **given)

    return node


@pytest.fixture
def sampled(call, loaded):
    """What KSampler makes of a model, a positive and a latent."""

    def sampled(model, positive, latent, sampler="euler", seed=5, steps=STEPS, cfg=6.0, negative=None):
        negative = negative or call("CLIPTextEncode", clip=loaded.clip, text="")[0]
        settings = {"seed": seed, "steps": steps, "cfg": cfg, "sampler_name": sampler, "scheduler": "normal"}
        return call("KSampler", model=model, positive=positive, negative=negative, latent_image=latent, **settings)[0]["samples"]

    return sampled


class Watch:
    """What each transformer block's self-attention is given, and what it makes of it, call by call."""

    def __init__(self, network):
        from comfy.ldm.modules.attention import BasicTransformerBlock

        self.blocks = [module for module in network.modules() if isinstance(module, BasicTransformerBlock)]
        self.calls, self.handles = [], [network.register_forward_pre_hook(lambda *_: self.calls.append([]))]
        for block in self.blocks:
            self.handles += [
                block.norm1.register_forward_hook(lambda _, __, out: self.calls[-1].append([out.clone()])),
                block.attn1.register_forward_hook(lambda *told: self.calls[-1][-1].append(told[-1].clone())),
            ]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for handle in self.handles:
            handle.remove()


def explicit(layer, x, first_of):
    """Self-attention row by row with softmax written out; row r takes the map of row ``first_of(r)``."""
    q, k, v = layer.to_q(x), layer.to_k(x), layer.to_v(x)
    width, rows = layer.dim_head, []
    for row in range(len(x)):
        of, heads = first_of(row), []
        for part in (slice(head * width, (head + 1) * width) for head in range(layer.heads)):
            scores = (q[of, :, part] @ k[of, :, part].T / width**0.5).exp()
            heads.append(scores / scores.sum(dim=-1, keepdim=True) @ v[row, :, part])
        rows.append(layer.to_out[0](torch.cat(heads, dim=-1)))
    return torch.stack(rows)


@pytest.mark.parametrize("kind", list(NETWORKS))
def test_every_self_attention_layer_of_both_halves(patching, call, kind):
    """Three pairs with p = 0, 0.5 and 1 in one batch, in the layouts of SD 1.5 and SDXL, against explicit softmax."""
    import comfy.sample

    from ip2p.pairs.prompt_to_prompt_control import Control, PromptToPrompt

    small = NETWORKS[kind]
    model, shares = build(small), [0.0, 0.5, 1.0]
    patched = patching.patch(model, Control.of(PromptToPrompt(), shares, []))
    rows = [text(small, seed)[0] for seed in range(6)]
    options = dict(rows[0][1])
    if small.pooled:
        options["pooled_output"] = torch.cat([row["pooled_output"] for _, row in rows])
    positive = [[torch.cat([context for context, _ in rows]), options]]
    noise = picture(small, rows=3).repeat_interleave(2, dim=0)
    with Watch(model.model.diffusion_model) as watch, torch.inference_mode():
        for network, name in ((model, "plain"), (patched, "shared")):
            watch.calls.clear()
            out = comfy.sample.sample(
                network, noise, STEPS, 5.0, "euler", "normal", positive, text(small, 9), torch.zeros_like(noise), disable_pbar=True, seed=1
            )
            assert len(watch.calls) == STEPS
            if name == "plain":
                unpatched = out
        for step, layers in enumerate(watch.calls):
            sharing = [p == 1 or p > step / (STEPS - 1) for p in shares]
            assert sharing == [False, step < 2, True]
            assert len(layers) == len(watch.blocks) >= 3
            for block, (x, found) in zip(watch.blocks, layers, strict=True):
                assert len(x) == 12, "both halves"

                def first_of(row, sharing=sharing):
                    return row - 1 if row % 2 and sharing[row // 2 % 3] else row

                torch.testing.assert_close(found, explicit(block.attn1, x, first_of), atol=1e-5, rtol=1e-4)
                if step:
                    plain = explicit(block.attn1, x, lambda row: row)
                    assert (plain - found)[[5, 11]].abs().amax((1, 2)).min() > 1e-4, "unshared maps would be noticed"
    assert torch.equal(out[::2], unpatched[::2]), "the first pictures are the unpatched model's to the bit"
    assert torch.equal(out[1], unpatched[1]), "p = 0"
    assert not torch.equal(out[3], unpatched[3])


@pytest.mark.parametrize("mode", ["self", "replace", "refine", "reweight"])
def test_ksampler_paints_pairs_and_the_first_is_as_without_the_node(node, sampled, loaded, mode):
    model, positive, latent = node(0.6, mode, rows=2, weights="blue: 3" if mode == "reweight" else "")
    assert latent["samples"].shape == (4, *LATENT)
    assert latent["batch_index"] == [0, 0, 1, 1]
    pairs, plain = sampled(model, positive, latent), sampled(loaded.model, positive, latent)
    assert torch.equal(pairs[::2], plain[::2])
    assert (pairs[1::2] - plain[1::2]).abs().amax((1, 2, 3)).min() > 1e-4
    assert not torch.equal(pairs[0], pairs[2]), "another pair has noise of its own"


def test_the_model_is_as_before_to_the_bit(node, sampled, loaded, patching):
    before = {name: weight.clone() for name, weight in loaded.model.model.state_dict().items()}
    options = repr(loaded.model.model_options)
    model, positive, latent = node(0.9, "replace", blend="changed")
    plain = sampled(loaded.model, positive, latent)
    sampled(model, positive, latent)
    assert torch.equal(sampled(loaded.model, positive, latent), plain)
    assert torch.equal(sampled(patching.unpatch(model), positive, latent), plain)
    assert repr(loaded.model.model_options) == options
    assert all(torch.equal(weight, before[name]) for name, weight in loaded.model.model.state_dict().items())
    assert not any(loaded.model.wrappers[kind] for kind in loaded.model.wrappers)


def test_without_shares_it_is_the_unpatched_model_to_the_bit(node, sampled, loaded):
    for mode in ("self", "replace"):
        model, positive, latent = node(0.0, mode, cross_share=0.0)
        assert torch.equal(sampled(model, positive, latent), sampled(loaded.model, positive, latent))


def test_a_second_node_takes_the_place_of_the_first(node, sampled):
    once, positive, latent = node(0.5)
    twice, *_ = node(0.5, model=node(1.0, "replace")[0])
    assert torch.equal(sampled(once, positive, latent), sampled(twice, positive, latent))


def test_every_sampler_gives_both_pictures_the_same_noise(node, sampled, nodes):
    """Two pairs of equal captions under every sampler: the pictures of a pair are one picture, those of two pairs are not."""
    import comfy.samplers

    for share in (0.0, 0.5):
        model, positive, latent = node(share, rows=2, after=BEFORE)
        for sampler in comfy.samplers.SAMPLER_NAMES if share else ("euler_ancestral", "dpmpp_2m_sde", "lcm"):
            out = sampled(model, positive, latent, sampler, steps=3)
            torch.testing.assert_close(out[::2], out[1::2], atol=1e-6, rtol=0, msg=sampler)
            assert (out[0] - out[2]).abs().max() > 1e-2, sampler
            assert out.isfinite().all(), sampler


@pytest.mark.parametrize("sampler", ["heun", "dpm_2", "dpmpp_2s_ancestral", "dpmpp_sde", "uni_pc", "dpm_adaptive"])
def test_samplers_with_several_calls_a_step_share_by_noise_level(node, sampled, loaded, patching, sampler):
    """What is shared follows from the noise level of a call; the first pictures are those of p = 0."""
    model, positive, latent = node(0.5)
    unshared = node(0.0)[0]
    pairs, plain = sampled(model, positive, latent, sampler), sampled(unshared, positive, latent, sampler)
    if sampler != "dpm_adaptive":  # its steps depend on both rows
        assert torch.equal(pairs[0], plain[0])
    assert not torch.equal(pairs[1], plain[1])


class Other:
    """Another pack: every hook on attention that the host has. What it does depends on each row alone."""

    def __init__(self):
        self.called = set()

    def into(self, model):
        model = model.clone()
        model.set_model_attn1_patch(self.inputs("attn1_patch"))
        model.set_model_attn2_patch(self.inputs("attn2_patch"))
        model.set_model_attn1_output_patch(self.output("attn1_output"))
        model.set_model_attn2_output_patch(self.output("attn2_output"))
        model.set_model_attn1_replace(self.attention("attn1"), "input", 1)
        model.set_model_attn2_replace(self.attention("attn2"), "input", 1)
        model.set_model_attn2_replace(self.attention("attn2 of one transformer"), "middle", 0, 0)
        model.set_model_sampler_post_cfg_function(lambda args: self.note("post-CFG") or args["denoised"] * 0.99)
        model.set_model_unet_function_wrapper(self.wrapper)
        return model

    def wrapper(self, apply_model, args):
        self.note("wrapper")
        return apply_model(args["input"], args["timestep"], **args["c"])

    def note(self, name):
        self.called.add(name)

    def inputs(self, name):
        def change(q, k, v, options):
            self.note(name)
            return q * 1.1, k * 0.9, v * 1.05

        return change

    def output(self, name):
        def change(out, options):
            self.note(name)
            return out * 0.95

        return change

    def attention(self, name):
        from comfy.ldm.modules.attention import optimized_attention

        def attend(q, k, v, options):
            """Attention, and, as image prompts do it, something of its own added."""
            self.note(name)
            return optimized_attention(q, k, v, options["n_heads"]) + 0.1 * q

        return attend


EVERY_HOOK = {
    "attn1_patch",
    "attn2_patch",
    "attn1_output",
    "attn2_output",
    "attn1",
    "attn2",
    "attn2 of one transformer",
    "post-CFG",
    "wrapper",
}


@pytest.mark.parametrize("mode", ["self", "replace"])
def test_it_goes_together_with_every_attention_hook_of_others(node, sampled, loaded, mode):
    """Theirs before ours or after, the picture is the same; the first is what theirs make alone, and all of theirs are at work."""
    other = Other()
    ours, positive, latent = node(0.6, mode)
    alone = sampled(other.into(loaded.model), positive, latent)
    other.called.clear()
    after = sampled(other.into(ours), positive, latent)
    assert other.called == EVERY_HOOK
    before = sampled(node(0.6, mode, model=other.into(loaded.model))[0], positive, latent)
    assert torch.equal(after, before)
    assert torch.equal(after[0], alone[0])
    assert (after[1] - alone[1]).abs().max() > 1e-4
    unshared = sampled(other.into(node(0.0, mode, cross_share=0.0)[0]), positive, latent)
    assert torch.equal(unshared, alone)


def test_a_plain_replacement_by_others_changes_nothing(node, sampled, loaded):
    """Edited maps come out the same whether the host or another pack computes the layer."""
    from comfy.ldm.modules.attention import optimized_attention

    for mode in ("self", "replace"):
        model, positive, latent = node(0.6, mode)
        replaced = model.clone()
        for name in ("input", "output"):
            for number in range(6):
                for set_one in (replaced.set_model_attn1_replace, replaced.set_model_attn2_replace):
                    set_one(lambda q, k, v, options: optimized_attention(q, k, v, options["n_heads"]), name, number)
        torch.testing.assert_close(sampled(replaced, positive, latent), sampled(model, positive, latent), atol=1e-5, rtol=0)


@pytest.mark.parametrize("mode", ["self", "replace", "refine"])
def test_halves_that_the_host_computes_one_by_one(node, sampled, monkeypatch, mode):
    """Where memory is short, the host calls the network for each conditioning by itself."""
    import comfy.model_base

    model, positive, latent = node(0.6, mode, rows=2)
    together, calls = sampled(model, positive, latent), []
    network = model.model.diffusion_model
    handle = network.register_forward_pre_hook(lambda _, args: calls.append(len(args[0])))
    monkeypatch.setattr(comfy.model_base.BaseModel, "memory_required", lambda *_, **__: 1e18)
    apart = sampled(model, positive, latent)
    handle.remove()
    assert calls == [4] * 2 * STEPS
    torch.testing.assert_close(apart, together, atol=1e-5, rtol=0)


@pytest.mark.parametrize("mode", ["self", "replace"])
def test_other_guiders_with_another_order_of_conditionings(call, node, sampled, loaded, mode):
    """The host's DualCFGGuider puts the negative first and the positive last; with equal texts for the others it is plain guidance."""
    model, positive, latent = node(0.6, mode)
    (negative,) = call("CLIPTextEncode", clip=loaded.clip, text="")
    shared = {"cond1": positive, "cond2": negative, "negative": negative, "cfg_conds": 6.0, "cfg_cond2_negative": 3.0, "style": "regular"}
    (guider,) = call("DualCFGGuider", model=model, **shared)
    (noise,) = call("RandomNoise", noise_seed=5)
    (choice,) = call("KSamplerSelect", sampler_name="euler")
    (sigmas,) = call("BasicScheduler", model=model, scheduler="normal", steps=STEPS, denoise=1.0)
    out, _ = call("SamplerCustomAdvanced", noise=noise, guider=guider, sampler=choice, sigmas=sigmas, latent_image=latent)
    torch.testing.assert_close(out["samples"], sampled(model, positive, latent), atol=1e-4, rtol=0)


def test_a_scale_of_one_has_only_the_captions_half(node, sampled, loaded):
    model, positive, latent = node(0.6, "replace")
    pairs, plain = sampled(model, positive, latent, cfg=1.0), sampled(loaded.model, positive, latent, cfg=1.0)
    assert torch.equal(pairs[0], plain[0])
    assert not torch.equal(pairs[1], plain[1])


@pytest.mark.parametrize("mode", ["self", "replace"])
def test_with_a_controlnet(call, node, sampled, loaded, mode):
    model, positive, latent = node(0.6, mode, rows=2)
    (negative,) = call("CLIPTextEncode", clip=loaded.clip, text="")
    hint = torch.rand(1, 64, 64, 3, generator=torch.Generator().manual_seed(6))
    network = small_control(context_dim=loaded.model.model.model_config.unet_config["context_dim"])
    shared = {"control_net": network, "image": hint, "strength": 1.0, "start_percent": 0.0, "end_percent": 0.7}
    led, away = call("ControlNetApplyAdvanced", positive=positive, negative=negative, **shared)
    pairs, plain = sampled(model, led, latent, negative=away), sampled(loaded.model, led, latent, negative=away)
    assert torch.equal(pairs[::2], plain[::2])
    assert (pairs[1::2] - plain[1::2]).abs().amax((1, 2, 3)).min() > 1e-4
    assert not torch.equal(plain, sampled(loaded.model, positive, latent)), "the ControlNet does something"


def test_areas_of_the_picture(call, node, sampled, loaded):
    """Captions for a part of the picture: the host gives the empty text a copy of that area, which isn't edited."""
    model, positive, latent = node(0.0, "replace", cross_share=1.0)
    (part,) = call("ConditioningSetArea", conditioning=positive, width=32, height=64, x=0, y=0, strength=1.0)
    (other,) = call("CLIPTextEncode", clip=loaded.clip, text="sand")
    (both,) = call("ConditioningCombine", conditioning_1=part, conditioning_2=other)
    pairs, plain = sampled(model, both, latent), sampled(loaded.model, both, latent)
    assert torch.equal(pairs[0], plain[0])
    assert (pairs[1] - plain[1]).abs().max() > 1e-4


def test_with_the_packs_own_guidance_and_one_pair(call, editor, pack):
    """An editor under dual guidance: three passes, a batch of two rows that start alike, ancestral noise by row."""
    shown = torch.rand(1, 64, 64, 3, generator=torch.Generator().manual_seed(1))
    (guided,) = call("IP2PGuidance", model=editor.model, image_scale=1.5)
    told = {"clip": editor.clip, "vae": editor.vae, "image": shown, "instruction": "x", "negative": "", "encoding": "auto"}
    positive, negative, start = call("IP2PInstruction", **told)
    given = {"caption": BEFORE, "edited_caption": AFTER, "mode": "self", "cross_share": 0.8}
    out = {}
    for share in (0.0, 1.0):
        model, texts, latent = call("IP2PPromptToPrompt", model=guided, clip=editor.clip, latent=start, self_share=share, **given)
        texts = [[context, {**options, "concat_latent_image": positive[0][1]["concat_latent_image"]}] for context, options in texts]
        settings = {"seed": 5, "steps": STEPS, "cfg": 6.0, "sampler_name": "euler_ancestral", "scheduler": "normal"}
        out[share] = call("KSampler", model=model, positive=texts, negative=negative, latent_image=latent, **settings)[0]["samples"]
    assert torch.equal(out[0.0][0], out[1.0][0])
    assert not torch.equal(out[0.0][1], out[1.0][1])
    assert pack.guidance.last_run(model).counted.made == 2 * 3 * STEPS


def test_captions_of_several_chunks(node, sampled, loaded):
    """The host reads long captions in chunks of 77 tokens; the shorter one of a pair is repeated, which changes nothing."""
    long = "a red cat on the grass " * 20 + "and a blue bird"
    for before, after in ((BEFORE, long), (long, BEFORE)):
        model, positive, latent = node(0.0, "refine", before=before, after=after, cross_share=1.0)
        assert positive[0][0].shape[:2] == (2, 154)
        pairs, plain = sampled(model, positive, latent), sampled(loaded.model, positive, latent)
        assert torch.equal(pairs[0], plain[0])
        assert (pairs[1] - plain[1]).abs().max() > 1e-5
    short = node(0.0, before=BEFORE, after=AFTER)
    padded = [[short[1][0][0].repeat(1, 2, 1), short[1][0][1]]]
    torch.testing.assert_close(sampled(loaded.model, padded, short[2]), sampled(loaded.model, short[1], short[2]), atol=1e-3, rtol=1e-3)


def test_blending_leaves_the_rest_as_in_the_first_picture(node, sampled):
    free = node(0.0, "replace", cross_share=0.0)
    blended = node(0.0, "replace", cross_share=0.0, blend="changed", threshold=0.9)
    same = {}
    for name, (model, positive, latent) in (("free", free), ("blended", blended)):
        out = sampled(model, positive, latent)
        same[name] = (out[0] == out[1]).all(dim=0)
    assert not same["free"].any()
    assert 0 < same["blended"].sum() < same["blended"].numel()


def test_an_image_to_image_latent_with_a_mask_is_doubled(call, loaded, node):
    samples, mask = torch.randn(2, *LATENT), torch.rand(2, 64, 64)
    given = {"caption": BEFORE, "edited_caption": AFTER, "mode": "self", "self_share": 0.5, "cross_share": 0.8}
    latent = {"samples": samples, "noise_mask": mask, "batch_index": [7, 3]}
    _, _, pairs = call("IP2PPromptToPrompt", model=loaded.model, clip=loaded.clip, latent=latent, **given)
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


def test_bad_wiring_is_named(call, node, sampled, loaded, models):
    model, positive, latent = node(0.5, "replace")
    with pytest.raises(ValueError, match="paints pairs: give the sampler a latent with two rows"):
        sampled(model, positive, empty(3))
    (plain,) = call("CLIPTextEncode", clip=loaded.clip, text=AFTER)
    with pytest.raises(ValueError, match="wire the positive of 'Prompt-to-Prompt'"):
        sampled(model, plain, latent)
    with pytest.raises(ValueError, match=r"needs a U-Net, such as SD 1\.5 or SDXL; this is a Flux model"):
        node(model=models["Flux Kontext"])
    with pytest.raises(ValueError, match="inpainting model"):
        node(model=models["inpainting"])
    with pytest.raises(ValueError, match="Reweighting needs words"):
        node(mode="reweight")
    with pytest.raises(ValueError, match="'bird' is not in the edited caption"):
        node(mode="refine", weights="bird: 2")
    with pytest.raises(ValueError, match="There is no text encoder"):
        call(
            "IP2PPromptToPrompt",
            model=loaded.model,
            clip=None,
            latent=empty(),
            caption="",
            edited_caption="",
            mode="self",
            self_share=0.5,
            cross_share=0.5,
        )
