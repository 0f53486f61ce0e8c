"""The guidance together with the host's own features, against a guider of the test's own with three predictions and terms held by hand."""

import pytest
import torch
from by_hand import close, sampled
from small_networks import FAMILIES, UNET, picture, text

SMALL = FAMILIES["SD 1.5"]
SCALES = (4.0, 1.5)
STEPS = 8


@pytest.fixture
def model(models):
    return models["SD 1.5"]


@pytest.fixture
def told():
    return given(picture(SMALL, rows=2))


def given(latent):
    """Positive, negative and null conditioning of a picture; the third is what a user would wire for D_0."""
    return [
        [[words, {**options, "concat_latent_image": shown}] for words, options in text(SMALL, seed)]
        for seed, shown in ((1, latent), (2, latent), (2, torch.zeros_like(latent)))
    ]


def reference(model, told, every=(1, 1), state=lambda sigma: None, scales=SCALES):
    """The host's guider with the host's own three predictions; terms are held as noise predictions until `state` of sigma changes."""
    import comfy.samplers

    class Reference(comfy.samplers.CFGGuider):
        count, before, held = 0, None, {}

        def predict_noise(self, x, timestep, model_options={}, seed=None):  # noqa: B006  the host's signature
            sigma = float(timestep[0])
            conds = [self.conds[name] for name in ("positive", "negative", "null")]
            text, image, null = comfy.samplers.calc_cond_batch(self.inner_model, conds, x, timestep, model_options)
            self.count = self.count + 1 if self.before == state(sigma) and self.held else 0
            self.before = state(sigma)
            now = {"image": (image - null) / sigma, "text": (text - image) / sigma}
            self.held = self.held | {name: now[name] for name, k in zip(now, every, strict=True) if self.count % k == 0}
            return text + sigma * ((scales[0] - 1) * self.held["text"] + (scales[1] - 1) * self.held["image"])

    guider = Reference(model)
    guider.inner_set_conds(dict(zip(("positive", "negative", "null"), told, strict=True)))
    return guider


@pytest.fixture
def both(pack, model):
    """Sample with our guider and with the test's; returns both latents and our engine."""

    def both(told, every=(1, 1), state=lambda sigma: None, parts=(), ours=model, shown=None, **settings):
        from ip2p.refresh import Refresh

        carrying = pack.guidance.with_part(ours, "refresh", Refresh(*every))
        for part in parts:
            carrying = pack.guidance.with_part(carrying, type(part).__name__, part)
        guider = pack.guidance.guider(carrying, *told[:2], *SCALES)
        latent = torch.zeros_like(picture(SMALL, rows=2)) if shown is None else shown
        found = sampled(guider, latent, steps=STEPS, **settings)
        expected = sampled(reference(model, told, every, state), latent, steps=STEPS, **settings)
        return found, expected, pack.guidance.last_run(guider)

    return both


EVERY = [(1, 1), (2, 2), (4, 2)]


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


@pytest.fixture
def control(nodes):
    """A small random ControlNet of the host's classes."""
    import comfy.cldm.cldm
    import comfy.controlnet
    import comfy.ops

    config = {name: value for name, value in UNET.items() if name not in ("out_channels", "transformer_depth_output")}
    network = comfy.cldm.cldm.ControlNet(
        **config, in_channels=4, hint_channels=3, dtype=torch.float32, device="cpu", operations=comfy.ops.manual_cast
    )
    draw = torch.Generator().manual_seed(8)
    with torch.no_grad():
        for weight in network.parameters():
            weight.copy_(torch.randn(weight.shape, generator=draw) * 0.08)
    return comfy.controlnet.ControlNet(network, load_device=torch.device("cpu"))


def controlled(call, control, told, start, end):
    hint = torch.rand(1, 64, 64, 3, generator=torch.Generator().manual_seed(6))
    shared = {"control_net": control, "image": hint, "strength": 1.0, "start_percent": start, "end_percent": end}
    positive, negative = call("ControlNetApplyAdvanced", positive=told[0], negative=told[1], **shared)
    null = [[words, {**options, "concat_latent_image": torch.zeros_like(options["concat_latent_image"])}] for words, options in negative]
    return [positive, negative, null]


@pytest.mark.parametrize("every", EVERY)
@pytest.mark.parametrize("span", [(0.0, 1.0), (0.3, 1.0), (0.0, 0.4), (0.25, 0.6)])
def test_controlnet_that_switches_in_the_middle(both, call, model, told, control, span, every):
    """Where it switches on or off the step is made in full, and what was held before is not used any more."""
    first, last = (model.model.model_sampling.percent_to_sigma(end) for end in span)
    ours, expected, _ = both(controlled(call, control, told, *span), every, state=lambda sigma: last <= sigma <= first)
    close(ours, expected)
    assert (ours - both(told, every)[0]).std() > 5e-3 * ours.std(), "the ControlNet does something"


@pytest.mark.parametrize("span", [(0.0, 0.5), (0.5, 1.0)])
def test_controlnet_that_switches_exactly_at_a_step(both, call, model, told, control, span):
    """A step may fall on the very sigma at which a range ends: the range still holds there."""
    sampling = model.model.model_sampling
    first, last = (sampling.percent_to_sigma(end) for end in span)
    middle = sampling.percent_to_sigma(0.5)
    sigmas = torch.tensor([float(sampling.sigma_max), sampling.percent_to_sigma(0.25), middle, sampling.percent_to_sigma(0.6), 0.5, 0.0])
    told = controlled(call, control, told, *span)
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
    mask = torch.zeros(1, 64, 64)
    mask[..., :40] = 1
    masked = []
    for one, other in zip(told, (told[1], told[0], told[2]), strict=True):
        (left,) = call("ConditioningSetMask", conditioning=one, mask=mask, strength=1.0, set_cond_area="default")
        (right,) = call("ConditioningSetMask", conditioning=other, mask=1 - mask, strength=0.8, set_cond_area="default")
        masked.append(call("ConditioningCombine", conditioning_1=left, conditioning_2=right)[0])
    null = [[words, {**options, "concat_latent_image": torch.zeros_like(options["concat_latent_image"])}] for words, options in masked[1]]
    ours, expected, _ = both([*masked[:2], null], every)
    close(ours, expected)


@pytest.mark.parametrize("every", EVERY)
def test_a_noise_mask(both, told, every):
    mask = torch.zeros(1, 1, 8, 8)
    mask[..., 3:] = 1
    shown = picture(SMALL, seed=5, rows=2)
    ours, expected, _ = both(told, every, shown=shown, mask=mask)
    close(ours, expected)
    torch.testing.assert_close(ours[..., :3], shown[..., :3], atol=1e-4, rtol=1e-4)


def lora(model, size=3.0):
    """A LoRA of one attention layer, by the host's generic names."""
    name = "diffusion_model.input_blocks.1.1.transformer_blocks.0.attn2.to_v"
    rows, columns = model.model.get_submodule(name).weight.shape
    draw = torch.Generator().manual_seed(12)
    up, down = torch.randn(rows, 2, generator=draw) * size, torch.randn(2, columns, generator=draw) * size
    return {f"{name}.lora_up.weight": up, f"{name}.lora_down.weight": down}


def hooked(call, model, told, frames, which=(0, 1, 2)):
    """Conditionings with a LoRA hook whose strength follows keyframes of (percent, strength)."""
    import comfy.hooks

    hooks = comfy.hooks.create_hook_lora(lora=lora(model), strength_model=1.0, strength_clip=0.0)
    keyframes = None
    for percent, strength in frames:
        (keyframes,) = call("CreateHookKeyframe", strength_mult=strength, start_percent=percent, prev_hook_kf=keyframes)
    (hooks,) = call("SetHookKeyframes", hooks=hooks, hook_kf=keyframes)
    return [comfy.hooks.set_hooks_for_conditioning(one, hooks) if k in which else one for k, one in enumerate(told)]


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
