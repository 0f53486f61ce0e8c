"""Pairs together with what else hooks into a model: every attention hook of other packs, ControlNets, areas, the pack's own guidance."""

import pytest
import torch
from composing import small_control

STEPS = 4
CAPTIONS = {"caption": "a red cat on the grass", "edited_caption": "a blue dog on the grass"}


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
def test_it_goes_together_with_every_attention_hook_of_others(pairing, ksampled, text_to_image, mode):
    """Theirs before ours or after, the picture is the same; the first is what theirs make alone, and all of theirs are at work."""
    other = Other()
    ours, positive, latent = pairing(0.6, mode)
    alone = ksampled(other.into(text_to_image.model), positive, latent)
    other.called.clear()
    after = ksampled(other.into(ours), positive, latent)
    assert other.called == EVERY_HOOK
    before = ksampled(pairing(0.6, mode, model=other.into(text_to_image.model))[0], positive, latent)
    assert torch.equal(after, before)
    assert torch.equal(after[0], alone[0])
    assert (after[1] - alone[1]).abs().max() > 1e-4
    unshared = ksampled(other.into(pairing(0.0, mode, cross_share=0.0)[0]), positive, latent)
    assert torch.equal(unshared, alone)


def test_a_plain_replacement_by_others_changes_nothing(pairing, ksampled, text_to_image):
    """Edited maps come out the same whether the host or another pack computes the layer."""
    from comfy.ldm.modules.attention import optimized_attention

    for mode in ("self", "replace"):
        model, positive, latent = pairing(0.6, mode)
        replaced = model.clone()
        for name in ("input", "output"):
            for number in range(6):
                for set_one in (replaced.set_model_attn1_replace, replaced.set_model_attn2_replace):
                    set_one(lambda q, k, v, options: optimized_attention(q, k, v, options["n_heads"]), name, number)
        torch.testing.assert_close(ksampled(replaced, positive, latent), ksampled(model, positive, latent), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("mode", ["self", "replace"])
def test_with_a_controlnet(call, pairing, ksampled, text_to_image, mode):
    model, positive, latent = pairing(0.6, mode, rows=2)
    (negative,) = call("CLIPTextEncode", clip=text_to_image.clip, text="")
    hint = torch.rand(1, 64, 64, 3, generator=torch.Generator().manual_seed(6))
    network = small_control(context_dim=text_to_image.model.model.model_config.unet_config["context_dim"])
    shared = {"control_net": network, "image": hint, "strength": 1.0, "start_percent": 0.0, "end_percent": 0.7}
    led, away = call("ControlNetApplyAdvanced", positive=positive, negative=negative, **shared)
    pairs, plain = ksampled(model, led, latent, negative=away), ksampled(text_to_image.model, led, latent, negative=away)
    assert torch.equal(pairs[::2], plain[::2])
    assert (pairs[1::2] - plain[1::2]).abs().amax((1, 2, 3)).min() > 1e-4
    assert not torch.equal(plain, ksampled(text_to_image.model, positive, latent)), "the ControlNet does something"


def test_areas_of_the_picture(call, pairing, ksampled, text_to_image):
    """Captions for a part of the picture: the host gives the empty text a copy of that area, which isn't edited."""
    model, positive, latent = pairing(0.0, "replace", cross_share=1.0)
    (part,) = call("ConditioningSetArea", conditioning=positive, width=32, height=64, x=0, y=0, strength=1.0)
    (other,) = call("CLIPTextEncode", clip=text_to_image.clip, text="sand")
    (both,) = call("ConditioningCombine", conditioning_1=part, conditioning_2=other)
    pairs, plain = ksampled(model, both, latent), ksampled(text_to_image.model, both, latent)
    assert torch.equal(pairs[0], plain[0])
    assert (pairs[1] - plain[1]).abs().max() > 1e-4


def test_with_the_packs_own_guidance_and_one_pair(call, editor, pack):
    """An editor under dual guidance: three passes, a batch of two rows that start alike, ancestral noise by row."""
    shown = torch.rand(1, 64, 64, 3, generator=torch.Generator().manual_seed(1))
    (guided,) = call("IP2PGuidance", model=editor.model, image_scale=1.5)
    told = {"clip": editor.clip, "vae": editor.vae, "image": shown, "instruction": "x", "negative": "", "encoding": "auto"}
    positive, negative, start = call("IP2PInstruction", **told)
    given = {**CAPTIONS, "mode": "self", "cross_share": 0.8}
    out = {}
    for share in (0.0, 1.0):
        model, texts, latent = call("IP2PPromptToPrompt", model=guided, clip=editor.clip, latent=start, self_share=share, **given)
        texts = [[context, {**options, "concat_latent_image": positive[0][1]["concat_latent_image"]}] for context, options in texts]
        settings = {"seed": 5, "steps": STEPS, "cfg": 6.0, "sampler_name": "euler_ancestral", "scheduler": "normal"}
        out[share] = call("KSampler", model=model, positive=texts, negative=negative, latent_image=latent, **settings)[0]["samples"]
    assert torch.equal(out[0.0][0], out[1.0][0])
    assert not torch.equal(out[0.0][1], out[1.0][1])
    assert pack.guidance.last_run(model).counted.made == 2 * 3 * STEPS
