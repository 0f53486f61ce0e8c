"""Held terms inside the host: neutral settings, what they save, and what makes a full step."""

import pytest
import torch

LATENT_SCALE = 0.18215


def counted_rows(model):
    """A clone of a model, and the list of the rows of each call of its network."""
    clone, rows = model.clone(), []

    def wrapper(apply, args):
        rows.append(len(args["input"]))
        return apply(args["input"], args["timestep"], **args["c"])

    clone.set_model_unet_function_wrapper(wrapper)
    return clone, rows


def faster(call, model, image_every=1, text_every=1, until=100.0, preset="custom", steps=6):
    numbers = {"steps": steps, "image_every": image_every, "text_every": text_every, "until": until}
    return call("IP2PFast", model=model, preset=preset, **numbers)


@pytest.mark.parametrize("scales", [(7.5, 1.5), (2, 2), (3, 1), (1, 1), (0, 1.2)])
def test_refreshing_every_step_is_exact(call, editor, graph, image, scales):
    model = faster(call, editor.model)[0]
    assert torch.equal(graph(image, *scales, model=model)[0], graph(image, *scales)[0])


@pytest.mark.parametrize("ksampler", [False, True])
def test_fewer_rows_go_through_the_network(call, editor, graph, image, ksampler):
    model, rows = counted_rows(faster(call, editor.model, 4, 2)[0])
    exact, _ = graph(image)
    fast, _ = graph(image, model=model, ksampler=ksampler)
    assert rows == [3, 1, 2, 1, 3, 1]
    assert 0 < (fast - exact).abs().mean() * LATENT_SCALE < 0.5


def test_headless_and_host_hold_the_same(call, pack, editor, editor_file, graph, image):
    """The node's graph and `Editor.edit` make the same picture with the same held terms, as they do without any."""
    from ip2p.edit import Editor
    from ip2p.engine import Engine
    from ip2p.refresh import Refresh

    headless = Editor.load(editor_file, device="cpu")
    settings = {"steps": 6, "seed": 5, "text_scale": 7.5, "image_scale": 1.5, "size": 64, "sampler": "euler"}
    differences = []
    for every in ((1, 1), (4, 2)):
        ours = headless.edit(image, "make it snow", engine=Engine((Refresh(*every),)), **settings)
        theirs = graph(image, model=faster(call, editor.model, *every)[0])[1]
        differences.append((ours - theirs).abs().mean().item())
    assert differences[1] < max(2 * differences[0], 5e-3)


def test_the_report_counts(call, editor, graph, image):
    model = faster(call, editor.model, 4, 2)[0]
    fitted, *_ = call("IP2PFitImage", image=image, size=64, method="scale", multiple="8")
    told = {"clip": editor.clip, "vae": editor.vae, "image": fitted, "instruction": "make it snow", "negative": "", "encoding": "auto"}
    positive, negative, latent = call("IP2PInstruction", **told)
    (guider,) = call("IP2PGuider", model=model, positive=positive, negative=negative, text_scale=7.5, image_scale=1.5)
    sampled = graph.custom(guider, latent, "euler", 6, 5, model)
    out, passes, saved, report = call("IP2PReport", latent=sampled, guider=guider)
    assert out is sampled
    assert (passes, saved) == (11, 7)
    assert "11 network passes in 6 steps" in report
    (unused,) = call("IP2PGuider", model=model, positive=positive, negative=negative, text_scale=7.5, image_scale=1.5)
    with pytest.raises(ValueError, match="Nothing has been sampled"):
        call("IP2PReport", latent=latent, guider=unused)
    with pytest.raises(ValueError, match="neither a guider nor a model"):
        call("IP2PReport", latent=latent)


def test_a_cancelled_run_leaves_no_trace(call, editor, graph, image):
    """After a run that ended in an exception, the next one is as if there had been none."""
    model = faster(call, editor.model, 4, 2)[0]
    expected, _ = graph(image, model=model)
    broken = model.clone()

    def fails(args):
        if float(args["sigma"][0]) < 3:
            raise RuntimeError("stop")
        return args["denoised"]

    broken.set_model_sampler_post_cfg_function(fails)
    with pytest.raises(RuntimeError, match="stop"):
        graph(image, model=broken)
    assert torch.equal(graph(image, model=model)[0], expected)


def test_the_last_preset_counts_and_the_model_stays_as_it_was(call, editor, graph, image):
    exact, _ = graph(image)
    slow = faster(call, faster(call, editor.model, 8, 4)[0], 1, 1)[0]
    assert torch.equal(graph(image, model=slow)[0], exact)
    assert "ip2p_parts" not in editor.model.model_options


@pytest.mark.parametrize("preset", ["exact", "balanced", "fast", "few-step LoRA", "authors"])
def test_presets_say_how_to_sample(call, editor, preset):
    from ip2p.presets import PRESETS

    _, sampler, sigmas, steps, text_scale, image_scale = faster(call, editor.model, preset=preset)
    assert len(sigmas) == steps + 1 == PRESETS[preset].steps + 1
    assert sampler.sampler_function.__name__ == f"sample_{PRESETS[preset].sampler}"
    assert text_scale > 1 <= image_scale


def test_the_edit_node_is_the_graph_at_every_speed(call, editor, graph, image):
    settings = {"instruction": "make it snow", "negative": "", "seed": 5, "steps": 6, "size": 64, "sampler": "euler", "scheduler": "normal"}
    scales = {"text_scale": 7.5, "image_scale": 1.5}
    for speed in ("exact", "balanced", "fast"):
        model = faster(call, editor.model, preset=speed)[0]
        (edited,) = call("IP2PEdit", model=editor.model, clip=editor.clip, vae=editor.vae, image=image, speed=speed, **settings, **scales)
        assert torch.equal(edited, graph(image, model=model)[1])
