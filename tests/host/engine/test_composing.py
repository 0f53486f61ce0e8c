"""The guidance together with the host's own features, against a guider of the test's own with three predictions and terms held by hand."""

import pytest
import torch
from by_hand import close, sampled
from composing import EVERY, SCALES, SMALL, STEPS, controlled, given, halved, hooked, plainly_masked, reference, start
from small_networks import picture


@pytest.fixture
def model(models):
    return plainly_masked(models["SD 1.5"])


@pytest.fixture
def told():
    return given(picture(SMALL, rows=2))


@pytest.fixture
def both(pack, model):
    """Sample with our guider and with the test's; returns both latents and our engine."""

    def both(told, every=(1, 1), state=lambda sigma: None, shown=None, **settings):
        from ip2p.refresh import Refresh

        carrying = pack.guidance.with_part(model, "refresh", Refresh(*every))
        guider = pack.guidance.guider(carrying, *told[:2], *SCALES)
        latent = start() if shown is None else shown
        found = sampled(guider, latent, steps=STEPS, **settings)
        expected = sampled(reference(model, told, every, state), latent, steps=STEPS, **settings)
        return found, expected, pack.guidance.last_run(guider)

    return both


@pytest.mark.parametrize("every", EVERY)
@pytest.mark.parametrize("sampler", ["euler", "heun", "dpm_2", "dpmpp_2m"])
def test_samplers_with_one_and_two_calls_a_step(both, told, every, sampler):
    ours, expected, engine = both(told, every, sampler=sampler)
    close(ours, expected)
    calls = 2 * STEPS - 1 if sampler in ("heun", "dpm_2") else STEPS
    assert engine.counted.steps == calls
    assert engine.counted.exact == calls * 3 * 2
    image, words = every
    fresh = [(k % image == 0, k % image == 0 or k % words == 0) for k in range(calls)]
    assert engine.counted.made == 2 * sum(1 + null + negative for null, negative in fresh)


@pytest.mark.parametrize("every", [(1, 1), (3, 2)])
@pytest.mark.parametrize("sampler", ["uni_pc", "dpm_adaptive", "heunpp2", "euler_cfg_pp", "res_multistep_cfg_pp", "ipndm", "deis", "lms"])
def test_samplers_that_go_back_or_look_at_predictions(both, told, every, sampler):
    """Adaptive samplers may go back to a higher noise level, which is made in full; those of the CFG++ kind look at D_I."""
    ours, expected, engine = both(told, every, sampler=sampler)
    close(ours, expected)
    assert engine.counted.made <= engine.counted.exact


def test_a_schedule_that_rises(both, told):
    """Restart sampling goes back to a higher noise level."""
    sigmas = torch.tensor([14.0, 6.0, 3.0, 5.0, 2.0, 1.0, 3.0, 0.5, 0.0])
    ours, expected, engine = both(told, (4, 4), sigmas=sigmas)
    close(ours, expected)
    assert engine.counted.made == 2 * (3 * 3 + 5)


@pytest.mark.parametrize("every", EVERY)
def test_default_conditionings(both, call, told, every):
    """What no mask covers is told the default."""
    mask = torch.zeros(1, 64, 64)
    mask[..., :24] = 1
    (masked,) = call("ConditioningSetMask", conditioning=told[0], mask=mask, strength=1.0, set_cond_area="default")
    (positive,) = call("ConditioningSetDefaultCombine", cond=masked, cond_DEFAULT=told[1])
    ours, expected, _ = both([positive, *told[1:]], every)
    close(ours, expected)


@pytest.mark.parametrize("every", EVERY)
@pytest.mark.parametrize("span", [(0.0, 1.0), (0.3, 1.0), (0.0, 0.4), (0.25, 0.6)])
def test_controlnet_that_switches_in_the_middle(both, call, model, told, span, every):
    """Where it switches on or off the step is made in full, and what was held before is not used any more."""
    first, last = (model.model.model_sampling.percent_to_sigma(end) for end in span)
    ours, expected, _ = both(controlled(call, told, *span), every, state=lambda sigma: last <= sigma <= first)
    close(ours, expected)
    assert (ours - both(told, every)[0]).std() > 5e-3 * ours.std(), "the ControlNet does something"


@pytest.mark.parametrize("span", [(0.0, 0.5), (0.5, 1.0)])
def test_controlnet_that_switches_exactly_at_a_step(both, call, model, told, span):
    """A step may fall on the very sigma at which a range ends: the range still holds there."""
    sampling = model.model.model_sampling
    first, last = (sampling.percent_to_sigma(end) for end in span)
    middle = sampling.percent_to_sigma(0.5)
    sigmas = torch.tensor([float(sampling.sigma_max), sampling.percent_to_sigma(0.25), middle, sampling.percent_to_sigma(0.6), 0.5, 0.0])
    told = controlled(call, told, *span)
    ours, expected, _ = both(told, (4, 4), state=lambda sigma: last <= sigma <= first, sigmas=sigmas)
    close(ours, expected)


@pytest.mark.parametrize("every", EVERY)
def test_conditionings_with_ranges_in_time(both, call, model, told, every):
    early, late = (
        call("ConditioningSetTimestepRange", conditioning=given(picture(SMALL, rows=2))[0], start=start, end=end)[0]
        for start, end in ((0.0, 0.4), (0.4, 1.0))
    )
    (other,) = call("ConditioningAverage", conditioning_to=late, conditioning_from=told[1], conditioning_to_strength=0.3)
    (positive,) = call("ConditioningCombine", conditioning_1=early, conditioning_2=other)
    border = model.model.model_sampling.percent_to_sigma(0.4)
    ours, expected, _ = both([positive, *told[1:]], every, state=lambda sigma: sigma >= border)
    close(ours, expected)


@pytest.mark.parametrize("every", EVERY)
def test_areas(both, call, told, every):
    (area,) = call("ConditioningSetArea", conditioning=told[0], width=32, height=64, x=0, y=0, strength=1.0)
    (rest,) = call("ConditioningSetAreaStrength", conditioning=told[1], strength=0.7)
    (positive,) = call("ConditioningCombine", conditioning_1=area, conditioning_2=rest)
    ours, expected, _ = both([positive, *told[1:]], every)
    close(ours, expected)


@pytest.mark.parametrize("every", EVERY)
def test_masked_conditionings(both, call, told, every):
    ours, expected, _ = both(halved(call, told), every)
    close(ours, expected)


@pytest.mark.parametrize("every", EVERY)
def test_a_noise_mask(both, told, every):
    mask = torch.zeros(1, 1, 8, 8)
    mask[..., 3:] = 1
    shown = picture(SMALL, seed=5, rows=2)
    ours, expected, _ = both(told, every, shown=shown, mask=mask)
    close(ours, expected)
    torch.testing.assert_close(ours[..., :3], shown[..., :3], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("every", EVERY)
@pytest.mark.parametrize("which", [(0, 1, 2), (0,)])
def test_lora_hooks_with_keyframes(both, call, model, told, every, which):
    border = model.model.model_sampling.percent_to_sigma(0.45)
    frames = [(0.0, 0.2), (0.45, 1.0)]
    ours, expected, _ = both(hooked(call, model, told, frames, which), every, state=lambda sigma: sigma <= border)
    close(ours, expected)
    assert (ours - both(told, every)[0]).std() > 5e-3 * ours.std(), "the LoRA does something"


@pytest.mark.parametrize("which", [(0, 1, 2), (1, 2)])
def test_keyframes_that_follow_one_a_step(both, call, model, told, which):
    """Keyframes at one percent take a step each, which no noise level tells."""
    border = model.model.model_sampling.percent_to_sigma(0.3)
    frames = [(0.0, 0.1), (0.3, 0.6), (0.3, 1.0)]
    passed = []

    def state(sigma):
        if sigma <= border and sigma not in passed:
            passed.append(sigma)
        return min(len(passed), 2)

    ours, expected, _ = both(hooked(call, model, told, frames, which), (4, 4), state=state)
    close(ours, expected)


@pytest.mark.parametrize("every", EVERY)
def test_batches_that_low_memory_splits(both, told, every, monkeypatch):
    """The host is told that there is no free memory, so it makes every pass alone."""
    import comfy.model_management

    whole, _, _ = both(told, every)
    monkeypatch.setattr(comfy.model_management, "get_free_memory", lambda *args, **kwargs: 1)
    ours, expected, engine = both(told, every)
    close(ours, expected)
    close(ours, whole)
    assert engine.counted.exact == STEPS * 3 * 2
