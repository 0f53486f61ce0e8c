"""Dual guidance in the host's sampling loop: equal paths, equal results, and hooks that see what a plain KSampler shows them."""

import pytest
import torch

SCALES = [(7.5, 1.5), (1, 1.5), (2, 2), (3, 1), (1, 1), (0, 1.2), (0, 0)]
LATENT_SCALE = 0.18215


def sampling_range(latent):
    """Latents as they are while sampling, where the tolerances are meant."""
    return latent * LATENT_SCALE


@pytest.mark.parametrize("sampler", ["euler", "euler_ancestral", "dpmpp_2m"])
def test_edit_node_is_the_graph_to_the_bit(call, editor, graph, image, sampler):
    settings = {"instruction": "make it snow", "negative": "", "seed": 5, "steps": 6, "size": 64, "scheduler": "normal"}
    (edited,) = call(
        "IP2PEdit",
        model=editor.model,
        clip=editor.clip,
        vae=editor.vae,
        image=image,
        text_scale=7.5,
        image_scale=1.5,
        sampler=sampler,
        **settings,
    )
    assert torch.equal(edited, graph(image, sampler=sampler)[1])


@pytest.mark.parametrize(("text_scale", "image_scale"), SCALES)
@pytest.mark.parametrize("sampler", ["euler", "euler_ancestral", "dpmpp_2m_sde"])
def test_stock_ksampler_equals_the_guider(graph, image, sampler, text_scale, image_scale):
    ours, _ = graph(image, text_scale, image_scale, sampler=sampler)
    stock, _ = graph(image, text_scale, image_scale, sampler=sampler, ksampler=True)
    torch.testing.assert_close(sampling_range(ours), sampling_range(stock), atol=1e-5, rtol=0)


def native(call, editor, graph, image, text_scale, image_scale):
    """The host's own dual guidance on the same picture, text and noise."""
    fitted, *_ = call("IP2PFitImage", image=image, size=64, method="scale", multiple="8")
    (text,) = call("CLIPTextEncode", clip=editor.clip, text="make it snow")
    (empty,) = call("CLIPTextEncode", clip=editor.clip, text="")
    positive, negative, latent = call("InstructPixToPixConditioning", positive=text, negative=empty, pixels=fitted, vae=editor.vae)
    scales = {"cfg_conds": text_scale, "cfg_cond2_negative": image_scale, "style": "regular"}
    (guider,) = call("DualCFGGuider", model=editor.model, cond1=positive, cond2=negative, negative=empty, **scales)
    return graph.custom(guider, latent, "euler", 6, 5, editor.model)["samples"]


@pytest.mark.parametrize(("text_scale", "image_scale"), [*SCALES[:5], (3, 0.5)])
def test_equals_the_hosts_dual_guider(call, editor, graph, image, text_scale, image_scale):
    theirs = native(call, editor, graph, image, text_scale, image_scale)
    ours, _ = graph(image, text_scale, image_scale)
    torch.testing.assert_close(sampling_range(ours), sampling_range(theirs), atol=1e-4, rtol=0)


def test_plain_ksampler_is_image_scale_one(call, editor, graph, image):
    fitted, *_ = call("IP2PFitImage", image=image, size=64, method="scale", multiple="8")
    told = {"clip": editor.clip, "vae": editor.vae, "image": fitted, "instruction": "make it snow", "negative": "", "encoding": "auto"}
    positive, negative, latent = call("IP2PInstruction", **told)
    settings = {"seed": 5, "steps": 6, "cfg": 7.5, "sampler_name": "euler", "scheduler": "normal"}
    plain, *_ = call("KSampler", model=editor.model, positive=positive, negative=negative, latent_image=latent, **settings)
    torch.testing.assert_close(graph(image, 7.5, 1.0)[0], plain["samples"], atol=1e-5, rtol=0)


def counted(model, log):
    """A clone that logs the rows of each call of the network and what they are labelled."""
    clone = model.clone()

    def wrapper(apply, args):
        log.append((len(args["input"]), args["cond_or_uncond"], args["c"]["transformer_options"]["cond_or_uncond"]))
        return apply(args["input"], args["timestep"], **args["c"])

    clone.set_model_unet_function_wrapper(wrapper)
    return clone


@pytest.mark.parametrize(
    ("scales", "rows"), [((7.5, 1.5), 3), ((7.5, 1), 2), ((2, 2), 2), ((1, 1.5), 3), ((1, 1), 1), ((0, 1.5), 2), ((0, 1), 1), ((0, 0), 1)]
)
@pytest.mark.parametrize("ksampler", [False, True])
def test_one_call_a_step_with_only_the_passes_needed(editor, graph, image, scales, rows, ksampler):
    log = []
    graph(image, *scales, model=counted(editor.model, log), ksampler=ksampler)
    assert [row for row, *_ in log] == [rows] * 6


def test_other_nodes_see_the_labels_of_a_plain_ksampler(editor, graph, image):
    log = []
    graph(image, model=counted(editor.model, log))
    for _, argument, option in log:
        assert sorted(argument) == sorted(option) == [0, 1, 1]


def test_attention_patches_find_their_rows(editor, graph, image):
    """A patch that indexes by cond_or_uncond, as image-prompt adapters do, finds as many rows as labels, each 0 or 1."""
    seen = []

    def patch(n, context, value, options):
        labels = options["cond_or_uncond"]
        assert n.shape[0] % len(labels) == 0
        seen.append(tuple([("cond", "uncond")[label] for label in labels]))
        return n, context, value

    model = editor.model.clone()
    model.set_model_attn2_patch(patch)
    graph(image, model=model)
    assert set(seen) == {("uncond", "uncond", "cond")} or {tuple(sorted(s)) for s in seen} == {("cond", "uncond", "uncond")}


def hooked(model, log):
    """A clone whose pre-CFG, CFG and post-CFG hooks log what they are shown."""
    clone = model.clone()

    def pre(args):
        log.append(("pre", len(args["conds"]), args["conds_out"][0].clone(), args["conds_out"][1].clone()))
        return args["conds_out"]

    def post(args):
        log.append(("post", 2, args["cond_denoised"].clone(), args["uncond_denoised"].clone()))
        return args["denoised"]

    clone.set_model_sampler_pre_cfg_function(pre)
    clone.set_model_sampler_post_cfg_function(post)
    return clone


@pytest.mark.parametrize("scales", [(7.5, 1.5), (2, 2), (1, 1.5)])
def test_hooks_see_what_a_plain_ksampler_shows(call, editor, graph, image, scales):
    """The first step starts from the same noise, so its predictions must be those of an unpatched run."""
    ours, plain = [], []
    graph(image, *scales, model=hooked(editor.model, ours), steps=1)
    fitted, *_ = call("IP2PFitImage", image=image, size=64, method="scale", multiple="8")
    told = {"clip": editor.clip, "vae": editor.vae, "image": fitted, "instruction": "make it snow", "negative": "", "encoding": "auto"}
    positive, negative, latent = call("IP2PInstruction", **told)
    settings = {"seed": 5, "steps": 1, "cfg": 7.5, "sampler_name": "euler", "scheduler": "normal"}
    call("KSampler", model=hooked(editor.model, plain), positive=positive, negative=negative, latent_image=latent, **settings)
    assert [kind for kind, *_ in ours] == [kind for kind, *_ in plain] == ["pre", "post"]
    for (_, n, cond, uncond), (_, plain_n, plain_cond, plain_uncond) in zip(ours, plain, strict=True):
        assert n == plain_n == 2
        torch.testing.assert_close(cond, plain_cond, atol=1e-4, rtol=1e-5)
        torch.testing.assert_close(uncond, plain_uncond, atol=1e-4, rtol=1e-5)


def test_post_cfg_hooks_get_the_whole_result(editor, graph, image):
    """A hook added by another node sees equation 3 complete, whichever node came first."""
    seen = []

    def post(args):
        seen.append(args["denoised"].clone())
        return args["denoised"]

    model = editor.model.clone()
    model.set_model_sampler_post_cfg_function(post)
    latent, _ = graph(image, 7.5, 1.5, model=model)
    torch.testing.assert_close(sampling_range(latent), seen[-1], atol=1e-4, rtol=0)


def test_a_hook_that_calls_the_network_again_does_no_harm(editor, graph, image):
    """Perturbed-attention and similar hooks predict once more in the middle of a step."""
    import comfy.samplers

    def post(args):
        comfy.samplers.calc_cond_batch(args["model"], [args["cond"]], args["input"] + 1, args["sigma"], args["model_options"])
        return args["denoised"]

    model = editor.model.clone()
    model.set_model_sampler_post_cfg_function(post)
    torch.testing.assert_close(graph(image, model=model)[0], graph(image)[0], atol=1e-5, rtol=1e-5)


def test_low_memory_splits_the_batch(editor, graph, image, monkeypatch):
    import comfy.model_management

    log = []
    whole, _ = graph(image)
    monkeypatch.setattr(comfy.model_management, "get_free_memory", lambda *args, **kwargs: 1)
    split, _ = graph(image, model=counted(editor.model, log))
    assert {rows for rows, *_ in log} == {1}
    assert sorted(label for _, (label,), _ in log) == [0] * 6 + [1] * 12
    torch.testing.assert_close(sampling_range(split), sampling_range(whole), atol=1e-4, rtol=0)


def test_patching_twice_keeps_the_last_scale(call, editor, graph, image):
    (patched,) = call("IP2PGuidance", model=editor.model, image_scale=1.9)
    assert torch.equal(graph(image, 7.5, 1.5, model=patched)[0], graph(image, 7.5, 1.5)[0])


def test_negative_from_plain_text_gets_the_picture(call, editor, graph, image):
    fitted, *_ = call("IP2PFitImage", image=image, size=64, method="scale", multiple="8")
    told = {"clip": editor.clip, "vae": editor.vae, "image": fitted, "instruction": "make it snow", "negative": "", "encoding": "auto"}
    positive, _, latent = call("IP2PInstruction", **told)
    (plain,) = call("CLIPTextEncode", clip=editor.clip, text="")
    (guider,) = call("IP2PGuider", model=editor.model, positive=positive, negative=plain, text_scale=7.5, image_scale=1.5)
    assert torch.equal(graph.custom(guider, latent, "euler", 6, 5, editor.model)["samples"], graph(image)[0])


def test_areas_and_several_conditionings(call, editor, image):
    """Area conditioning works: an area over the whole picture changes nothing."""
    fitted, *_ = call("IP2PFitImage", image=image, size=64, method="scale", multiple="8")
    told = {"clip": editor.clip, "vae": editor.vae, "image": fitted, "negative": "", "encoding": "auto"}
    positive, negative, latent = call("IP2PInstruction", **told, instruction="make it snow")
    (area,) = call("ConditioningSetArea", conditioning=positive, width=64, height=64, x=0, y=0, strength=1.0)
    (patched,) = call("IP2PGuidance", model=editor.model, image_scale=1.5)
    settings = {"seed": 5, "steps": 4, "cfg": 7.5, "sampler_name": "euler", "scheduler": "normal"}
    plain, *_ = call("KSampler", model=patched, positive=positive, negative=negative, latent_image=latent, **settings)
    areal, *_ = call("KSampler", model=patched, positive=area, negative=negative, latent_image=latent, **settings)
    torch.testing.assert_close(areal["samples"], plain["samples"], atol=1e-3, rtol=1e-3)
