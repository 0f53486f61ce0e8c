"""Schedules, rescaling and projection on a MODEL: neutral settings give the plain guider's latent to the bit, others work as said."""

import pytest
import torch


@pytest.fixture(scope="module")
def plain(graph, module_image):
    return graph(module_image, steps=4)[0]


@pytest.fixture(scope="module")
def module_image():
    return torch.rand(1, 90, 70, 3, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def schedule(call, editor):
    def run(**change):
        given = {"model": editor.model, "text_points": "", "image_points": "", "text_start": 0.0, "text_end": 100.0}
        return call("IP2PScheduleScales", **given | {"image_start": 0.0, "image_end": 100.0} | change)

    return run


CONSTANT = [{}, {"text_points": "7.5"}, {"text_points": "0:7.5, 100:7.5", "image_points": "1.5"}, {"text_curve": [7.5, 7.5, 7.5]}]


@pytest.mark.parametrize("change", CONSTANT)
def test_constant_schedules_are_the_constant_to_the_bit(schedule, graph, module_image, plain, change):
    model, preview = schedule(**change)
    assert torch.equal(graph(module_image, steps=4, model=model)[0], plain)
    assert preview.shape[-1] == 3


def test_neutral_parts_are_exact_to_the_bit(call, editor, graph, module_image, plain):
    (model,) = call("IP2PRescale", model=editor.model, strength=0.0)
    (model,) = call("IP2PProject", model=model, terms="both", parallel=1.0, threshold=0.0, momentum=0.0)
    assert torch.equal(graph(module_image, steps=4, model=model)[0], plain)


def test_a_curve_replaces_the_scale_of_the_guider(call, schedule, graph, module_image, plain):
    curve, preview = call("IP2PScaleCurve", kind="constant", first=7.5, last=0.0, points="")
    model, _ = schedule(text_curve=curve)
    torch.testing.assert_close(graph(module_image, 3.0, steps=4, model=model)[0], plain, atol=1e-4, rtol=1e-4)
    other, _ = schedule(text_curve=call("IP2PScaleCurve", kind="cosine", first=7.5, last=1.0, points="")[0])
    assert not torch.allclose(graph(module_image, steps=4, model=other)[0], plain, atol=1e-2)
    assert preview.std() > 0


def test_the_scales_are_those_of_each_steps_percent(schedule, graph, module_image, call, pack, editor):
    """Four steps of the normal scheduler stand at 0, 33, 67 and 100 percent."""
    model, _ = schedule(text_points="0:9, 40:9, 60:3, 100:3", image_end=50.0)
    by_hand = []
    model.model_options["ip2p_parts"] = {**model.model_options["ip2p_parts"], "watch": watch(by_hand)}
    graph(module_image, steps=4, model=model)
    assert [tuple(round(value, 2) for value in scales) for scales in by_hand] == [(9, 1.5), (9, 1.5), (3, 1), (3, 1)]


def watch(seen):
    from ip2p.engine import Part

    class Watch(Part):
        order = 99

        def scales(self, step, scales):
            seen.append(tuple(scales))
            return scales

    return Watch()


@pytest.mark.parametrize("ksampler", [False, True])
def test_outside_the_spans_passes_are_saved(schedule, graph, module_image, pack, ksampler):
    model, _ = schedule(text_end=50.0, image_end=50.0)
    log = []
    model.set_model_unet_function_wrapper(
        lambda apply, args: log.append(len(args["input"])) or apply(args["input"], args["timestep"], **args["c"])
    )
    graph(module_image, steps=4, model=model, ksampler=ksampler)
    assert log == [3, 3, 1, 1]


@pytest.mark.parametrize(
    ("node", "change"),
    [("IP2PRescale", {"strength": 0.7}), ("IP2PProject", {"terms": "both", "parallel": 0.0, "threshold": 5.0, "momentum": -0.5})],
)
def test_the_parts_work_alike_under_guider_ksampler_and_edit_node(call, editor, graph, module_image, plain, node, change):
    (model,) = call(node, model=editor.model, **change)
    ours, picture = graph(module_image, steps=4, model=model)
    assert not torch.equal(ours, plain)
    stock, _ = graph(module_image, steps=4, model=model, ksampler=True)
    torch.testing.assert_close(ours, stock, atol=1e-3, rtol=1e-4)
    told = {"model": model, "clip": editor.clip, "vae": editor.vae, "image": module_image, "instruction": "make it snow", "negative": ""}
    settings = {"seed": 5, "steps": 4, "size": 64, "scheduler": "normal", "sampler": "euler", "text_scale": 7.5, "image_scale": 1.5}
    assert torch.equal(call("IP2PEdit", **told, **settings)[0], picture)


def test_parts_add_up_whatever_their_order(call, editor, graph, module_image, schedule):
    def rescaled(model):
        return call("IP2PRescale", model=model, strength=0.7)[0]

    def projected(model):
        return call("IP2PProject", model=model, terms="text", parallel=0.0, threshold=0.0, momentum=0.0)[0]

    one, other = rescaled(projected(editor.model)), projected(rescaled(editor.model))
    assert torch.equal(graph(module_image, steps=3, model=one)[0], graph(module_image, steps=3, model=other)[0])


def test_again_replaces_and_the_given_model_stays_as_it_was(call, editor, graph, module_image, plain):
    (strong,) = call("IP2PRescale", model=editor.model, strength=1.0)
    (off,) = call("IP2PRescale", model=strong, strength=0.0)
    assert torch.equal(graph(module_image, steps=4, model=off)[0], plain)
    assert torch.equal(graph(module_image, steps=4)[0], plain)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"text_points": "0:7, x"}, "is no point of a schedule"),
        ({"image_start": 60.0, "image_end": 40.0}, "image guidance is to act from 60 to 40"),
    ],
)
def test_bad_settings_are_refused_in_a_sentence(schedule, change, said):
    with pytest.raises(ValueError, match=said):
        schedule(**change)


def test_a_negative_text_takes_the_place_of_the_empty_one(call, editor, graph, module_image, plain):
    """In D_I and in D_0 alike, by the conditioning node and by the edit node."""
    fitted, *_ = call("IP2PFitImage", image=module_image, size=64, method="scale", multiple="8")
    told = {"clip": editor.clip, "vae": editor.vae, "image": fitted, "instruction": "make it snow", "encoding": "auto"}
    positive, negative, latent = call("IP2PInstruction", **told, negative="blurry")
    (text,) = call("CLIPTextEncode", clip=editor.clip, text="blurry")
    assert torch.equal(negative[0][0], text[0][0])
    assert torch.equal(negative[0][1]["concat_latent_image"], positive[0][1]["concat_latent_image"])
    (guider,) = call("IP2PGuider", model=editor.model, positive=positive, negative=negative, text_scale=7.5, image_scale=1.5)
    out = graph.custom(guider, latent, "euler", 4, 5, editor.model)["samples"]
    assert not torch.allclose(out, plain, atol=1e-3)
    settings = {"seed": 5, "steps": 4, "size": 64, "scheduler": "normal", "sampler": "euler", "text_scale": 7.5, "image_scale": 1.5}
    wired = {"model": editor.model, "clip": editor.clip, "vae": editor.vae, "image": fitted, "instruction": "make it snow"}
    (edited,) = call("IP2PEdit", **wired, negative="blurry", **settings)
    (by_hand,) = call("VAEDecode", vae=editor.vae, samples={"samples": out})
    assert torch.equal(edited, by_hand)
