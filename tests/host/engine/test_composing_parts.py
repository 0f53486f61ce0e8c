"""Parts of the guidance together with the host's features and with other packs' hooks (the host's own guidance nodes stand for them)."""

import pytest
import torch
from by_hand import close, sampled
from composing import SCALES, SMALL, STEPS, controlled, given, halved, hooked, plainly_masked, reference, start
from small_networks import picture


@pytest.fixture
def model(models):
    return plainly_masked(models["SD 1.5"])


FEATURES = ["two pictures", "heun", "controlnet", "halves", "noise mask", "hooks"]


@pytest.fixture(params=FEATURES)
def feature(request, call, model):
    """What is told, how it is sampled, and the sigma at which something changes."""
    told, settings, border = given(picture(SMALL, rows=2)), {}, None
    if request.param == "heun":
        settings["sampler"] = "heun"
    elif request.param == "controlnet":
        told, border = controlled(call, told, 0.0, 0.4), 0.4
    elif request.param == "halves":
        told = halved(call, told)
    elif request.param == "noise mask":
        settings["mask"] = torch.ones(1, 1, 8, 8)
        settings["mask"][..., :3] = 0
    elif request.param == "hooks":
        told, border = hooked(call, model, told, [(0.0, 0.2), (0.4, 1.0)]), 0.4
    sigma = None if border is None else model.model.model_sampling.percent_to_sigma(border)
    state = (lambda level: None) if sigma is None else (lambda level: level < sigma or (request.param == "hooks" and level == sigma))
    return told, settings, state


@pytest.fixture
def ours(pack, model):
    def ours(told, settings, *parts):
        carrying = model
        for part in parts:
            carrying = pack.guidance.with_part(carrying, type(part).__name__, part)
        guider = pack.guidance.guider(carrying, *told[:2], *SCALES)
        return sampled(guider, start(), steps=STEPS, **settings), pack.guidance.last_run(guider)

    return ours


def test_neutral_parts_change_nothing(ours, feature):
    from ip2p.isolate import Isolate
    from ip2p.projection import Projected
    from ip2p.refresh import Refresh
    from ip2p.rescale import Rescale
    from ip2p.schedules import Schedule, constant
    from ip2p.spatial import Spatial

    told, settings, _ = feature
    ones = torch.ones(1, 64, 64)
    neutral = (
        Refresh(1, 1),
        Schedule(constant(SCALES[0]), constant(SCALES[1])),
        Spatial(ones, ones),
        Rescale(0),
        Projected("text", 1.0),
        Isolate(strength=0.0),
    )
    assert torch.equal(ours(told, settings, *neutral)[0], ours(told, settings)[0])


def test_schedule_spatial_scales_and_refresh(ours, feature, model, families):
    from ip2p.refresh import Refresh
    from ip2p.schedules import Schedule, linear
    from ip2p.spatial import Spatial

    told, settings, state = feature
    mask = torch.rand(2, 8, 8, generator=torch.Generator().manual_seed(3))

    def formula(x, sigma, text, terms):
        scale = (6 - 4 * families.progress_of(model.model.model_sampling, sigma)) * mask[:, None]
        return text + (scale - 1) * terms["text"] + (SCALES[1] - 1) * terms["image"]

    found, _ = ours(told, settings, Schedule(linear(6, 2)), Spatial(text=mask), Refresh(2, 2))
    close(found, sampled(reference(model, told, (2, 2), state, formula), start(), steps=STEPS, **settings))


def test_rescale_and_projection_and_refresh(ours, feature, model):
    from ip2p.projection import Projected
    from ip2p.refresh import Refresh
    from ip2p.rescale import Rescale

    told, settings, state = feature

    def formula(x, sigma, text, terms):
        rows = text.flatten(1)
        share = (terms["text"].flatten(1) * rows).sum(1) / rows.square().sum(1)
        across = terms["text"] - share.view(-1, 1, 1, 1) * text
        guided = text + (SCALES[0] - 1) * across + (SCALES[1] - 1) * terms["image"]
        rest = x / (sigma**2 + 1)
        ratio = (text - rest).flatten(1).std(1) / (guided - rest).flatten(1).std(1)
        return rest + (1 - 0.7 + 0.7 * ratio.view(-1, 1, 1, 1)) * (guided - rest)

    found, _ = ours(told, settings, Rescale(0.7), Projected("text", 0.0), Refresh(2, 2))
    close(found, sampled(reference(model, told, (2, 2), state, formula), start(), steps=STEPS, **settings))


def in_a_corner(call, told):
    """Positive conditionings that are told the instruction in a corner and the negative's text elsewhere."""
    mask = torch.zeros(1, 64, 64)
    mask[..., :24, :24] = 1
    settings = {"strength": 1.0, "set_cond_area": "default"}
    (here,) = call("ConditioningSetMask", conditioning=told[0], mask=mask, **settings)
    (elsewhere,) = call("ConditioningSetMask", conditioning=told[1], mask=1 - mask, **settings)
    return [*call("ConditioningCombine", conditioning_1=here, conditioning_2=elsewhere), *told[1:]]


@pytest.mark.parametrize("feature", [name for name in FEATURES if name != "halves"], indirect=True)  # it has masks of its own
def test_isolating_keeps_the_rest_of_the_picture(call, ours, feature):
    """Whatever else is at work, the place is found, and the latent far from it is drawn to the picture's."""
    from ip2p.isolate import Isolate

    told, settings, _ = feature
    told, source = in_a_corner(call, told), picture(SMALL, rows=2)
    free, _ = ours(told, settings)
    kept, engine = ours(told, settings, Isolate(strength=1.0))
    place = engine.parts[0].place()
    assert place.local.all()
    assert place.cells[..., :2, :2].all()
    assert not place.cells[..., 5:, 5:].any()
    before, after = (float((latent - source)[..., 6:, 6:].abs().mean()) for latent in (free, kept))
    assert after < 0.6 * before


OTHERS = {
    "pre-CFG": ("TCFG", {}),
    "CFG": ("RescaleCFG", {"multiplier": 0.5}),
    "post-CFG": ("Mahiro", {}),
    "post-CFG that predicts again": ("PerturbedAttentionGuidance", {"scale": 2.0}),
}


@pytest.mark.parametrize("every", [(1, 1), (2, 2)])
@pytest.mark.parametrize("kind", OTHERS)
def test_other_packs_hooks(pack, call, model, kind, every):
    """They see D_c and D_I, held or fresh, and after ordinary guidance the whole result, whichever node came first."""
    from ip2p.refresh import Refresh

    told = given(picture(SMALL, rows=2))
    name, settings = OTHERS[kind]
    (theirs,) = call(name, model=model, **settings)
    expected = sampled(reference(theirs, told, every), start(), steps=STEPS)
    first = pack.guidance.guider(pack.guidance.with_part(theirs, "refresh", Refresh(*every)), *told[:2], *SCALES)
    close(sampled(first, start(), steps=STEPS), expected)
    (after,) = call(name, model=pack.guidance.with_part(model, "refresh", Refresh(*every)), **settings)
    close(sampled(pack.guidance.guider(after, *told[:2], *SCALES), start(), steps=STEPS), expected)
    alone = sampled(reference(model, told, every), start(), steps=STEPS)
    assert (alone - expected).std() > 1e-3 * alone.std(), "the other pack's hook does something"
