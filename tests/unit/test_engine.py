"""The engine: neutral parts are equation 3 to the bit, and each hook of a part does what it says."""

from dataclasses import dataclass

import pytest
import torch

from ip2p import guidance, sampling, sigmas
from ip2p.engine import Engine, Part, Step
from ip2p.guidance import Passes, Predictions, Scales, Terms
from ip2p.presets import PRESETS, SPEEDS, find
from ip2p.refresh import Refresh

STEPS = 12


class Network:
    """A smooth function of all that a network is told, which counts the rows it is asked for."""

    def __init__(self):
        self.rows = []

    def __call__(self, z_t, t, text, image_latent):
        self.rows.append(len(z_t))
        told = text.context.mean((1, 2))[:, None, None, None]
        return torch.tanh(z_t * (0.6 + 0.0003 * t[:, None, None, None]) + told * torch.cos(image_latent + z_t) - 0.4 * image_latent)


def conditions(batch=1):
    generator = torch.Generator().manual_seed(3)
    texts = [sampling.Text(torch.full((1, 7, 5), value)) for value in (0.9, 0.1)]
    return sampling.Conditions(*texts, torch.randn(batch, 4, 8, 8, generator=generator))


def run(parts=(), text_scale=7.5, image_scale=1.5, batch=1, steps=STEPS, network=None, engine=None):
    """(latent, engine, network) of a whole run."""
    network = network or Network()
    engine = engine or Engine(parts)
    denoise = sampling.guided(network, conditions(batch), text_scale, image_scale, engine=engine)
    noise = sampling.noise_stream((batch, 4, 8, 8), 0)
    latent = sampling.euler_ancestral(denoise, noise() * 14.6, sigmas.normal(steps), noise)
    return latent, engine, network


@pytest.mark.parametrize("scales", [(7.5, 1.5), (1.0, 1.5), (2.0, 2.0), (3.0, 1.0), (1.0, 1.0), (0.0, 1.2), (0.0, 0.0)])
@pytest.mark.parametrize("parts", [(), (Part(),), (Refresh(),), (Refresh(1, 1, 1.0), Part())])
def test_neutral_parts_are_equation_3_to_the_bit(scales, parts):
    network, told = Network(), conditions()

    def plainly(x, sigma):
        texts = (told.text, told.negative, told.negative)
        images = (told.image, told.image, torch.zeros_like(told.image))
        wanted = guidance.needed(*scales)
        pairs = [pair for pair, need in zip(zip(texts, images, strict=True), wanted, strict=True) if need]
        joined = sampling.Text(torch.cat([text.context for text, _ in pairs]))
        stacked = x.repeat(len(pairs), 1, 1, 1)
        found = iter(sampling.eps_denoised(network, stacked, sigma, joined, torch.cat([image for _, image in pairs])).chunk(len(pairs)))
        return guidance.combine(*(next(found) if need else None for need in wanted), *scales)

    noise = sampling.noise_stream((1, 4, 8, 8), 0)
    expected = sampling.euler_ancestral(plainly, noise() * 14.6, sigmas.normal(STEPS), noise)
    assert torch.equal(run(parts, *scales)[0], expected)


@pytest.mark.parametrize(("every", "passes"), [((4, 2), 21), ((1, 1), 36), ((8, 4), 17), ((100, 100), 14), ((3, 2), 24)])
def test_passes_are_counted_and_saved(every, passes):
    _, engine, network = run((Refresh(*every),))
    assert sum(network.rows) == engine.counted.made == passes
    assert engine.counted.exact == 36
    assert engine.counted.saved == 36 - passes
    assert str(passes) in str(engine.counted)


def test_nothing_is_refreshed_after_the_cut_off():
    _, engine, network = run((Refresh(1, 1, until=0.5),))
    assert network.rows == [3] * 6 + [1] * 6
    assert engine.counted.made == 24


@pytest.mark.parametrize(("scales", "passes"), [((7.5, 1.0), 12 + 6), ((2.0, 2.0), 12 + 6), ((0.0, 1.5), 12 + 3), ((1.0, 1.0), 12)])
def test_the_collapses_stay_collapsed(scales, passes):
    assert run((Refresh(4, 2),), *scales)[1].counted.made == passes


def test_held_terms_are_near_and_nearer_the_more_often_they_are_refreshed():
    exact = run()[0]
    errors = [(run((Refresh(*every),))[0] - exact).abs().mean() for every in ((2, 2), (4, 4), (12, 12))]
    assert 0 < errors[0] < errors[1] < errors[2]


def test_a_term_that_does_not_change_in_noise_space_is_held_exactly():
    """With eps = text + image, both differences are constant in noise space, and holding them for ever is exact."""

    def linear(z_t, t, text, image_latent):
        return z_t * 0.5 + text.context.mean((1, 2))[:, None, None, None] + 0.3 * image_latent

    torch.testing.assert_close(run((Refresh(100, 100),), network=linear)[0], run(network=linear)[0], atol=1e-4, rtol=1e-4)


def steps_of(engine, *steps):
    """The passes that each step computes, and its completed predictions."""
    chance = torch.Generator().manual_seed(0)
    asked = []
    for step in steps:
        passes = engine.begin(step, 7.5, 1.5)
        asked.append(tuple(passes))
        engine.complete(Predictions(*(torch.randn(step.x.shape, generator=chance) if need else None for need in passes)))
    return asked


def step(sigma, key="a", size=8, batch=1):
    return Step(torch.zeros(batch, 4, size, size), sigma, 1 - sigma / 15, key)


@pytest.mark.parametrize("changed", [step(8.0, "b"), step(8.0, size=16), step(8.0, batch=2), step(12.0)])
def test_anything_that_changes_mid_run_makes_a_full_step(changed):
    full, held = (True, True, True), (True, False, False)
    assert steps_of(Engine((Refresh(8, 8),)), step(10.0), step(9.0), changed, step(7.0, changed.key))[:3] == [full, held, full]


def test_a_new_run_holds_nothing_of_the_last():
    part = Refresh(8, 4)
    first = run((part,))[0]
    assert torch.equal(run((part,))[0], first)


def test_each_row_of_a_batch_is_as_alone():
    batch, *_ = run((Refresh(4, 2),), batch=3)
    told = conditions(3)
    denoise = sampling.guided(Network(), told._replace(image=told.image[1:2]), 7.5, 1.5, engine=Engine((Refresh(4, 2),)))
    noise = sampling.noise_stream((1, 4, 8, 8), 0)
    alone = sampling.euler_ancestral(denoise, noise() * 14.6, sigmas.normal(STEPS), noise)
    torch.testing.assert_close(batch[1:2], alone, atol=1e-5, rtol=1e-5)


@dataclass
class Doubled(Part):
    """Doubles the text scale in the second half."""

    def scales(self, step, scales):
        return scales._replace(text=scales.text * 2) if step.progress > 0.5 else scales


class Swapped(Part):
    """Turns the text term around."""

    def terms(self, step, text, terms):
        return Terms(-terms.text, terms.image)


class Zero(Part):
    """Ends the step at zero."""

    order = 90

    def after(self, step, predictions, guided):
        return guided * 0


def three():
    return [torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(n)) for n in range(3)]


def guided(parts, progress=0.0, plain=None, cfg=1.0, scales=(7.5, 1.5)):
    engine = Engine(parts)
    engine.begin(Step(torch.zeros(1, 4, 8, 8), 1.0, progress), *scales)
    return engine.guided(engine.complete(Predictions(*three())), plain, cfg)


def test_parts_change_scales_terms_and_result():
    text, image, null = three()
    torch.testing.assert_close(guided((Doubled(),), 0.9), guidance.combine(text, image, null, 15.0, 1.5))
    assert torch.equal(guided((Doubled(),), 0.1), guidance.combine(text, image, null, 7.5, 1.5))
    torch.testing.assert_close(guided((Swapped(),)), text - 6.5 * (text - image) + 0.5 * (image - null))
    assert not guided((Zero(), Doubled(), Swapped())).any()


@pytest.mark.parametrize("parts", [(), (Doubled(),), (Swapped(), Doubled())])
def test_over_ordinary_guidance_it_is_the_same(parts):
    """In the host, equation 3 is built on the host's own D_I + cfg (D_c - D_I)."""
    text, image, _ = three()
    plain = image + 7.5 * (text - image)
    torch.testing.assert_close(guided(parts, 0.9, plain, 7.5), guided(parts, 0.9), atol=1e-4, rtol=1e-4)


def test_what_others_did_to_ordinary_guidance_stays():
    text, image, _ = three()
    plain = image + 7.5 * (text - image)
    torch.testing.assert_close(guided((Doubled(),), 0.9, plain + 3, 7.5), guided((Doubled(),), 0.9) + 3, atol=1e-4, rtol=1e-4)


@dataclass
class Rows(Part):
    """A text scale for each row."""

    values: tuple
    rows_are_equal = True

    def scales(self, step, scales):
        return Scales(torch.tensor(self.values)[:, None, None, None], scales.image)


def test_rows_with_scales_of_their_own_share_the_first_step():
    network, values = Network(), (3.0, 5.0, 7.5)
    told = conditions(1)
    engine = Engine((Rows(values),))
    denoise = sampling.guided(network, told._replace(image=told.image.expand(3, -1, -1, -1)), 7.5, 1.5, engine=engine)
    noise = sampling.noise_stream((3, 4, 8, 8), 0)
    together = sampling.euler_ancestral(denoise, noise() * 14.6, sigmas.normal(STEPS), noise)
    assert network.rows == [3] + [9] * 11
    assert engine.counted.made == 3 + 99
    for row, value in enumerate(values):
        torch.testing.assert_close(together[row : row + 1], run(text_scale=value)[0], atol=1e-4, rtol=1e-4)


def test_watched_predictions_are_there():
    engine = Engine()
    assert engine.begin(step(3.0), 2.0, 2.0, watched=True) == Passes(True, True, True)
    assert engine.begin(step(3.0), 2.0, 1.0, watched=True) == Passes(True, True, False)
    assert engine.begin(step(3.0), 2.0, 2.0) == Passes(True, False, True)


@pytest.mark.parametrize("settings", [{"image_every": 0}, {"text_every": -1}, {"until": 1.5}])
def test_impossible_refreshes(settings):
    with pytest.raises(ValueError, match="use "):
        Refresh(**settings)


@pytest.mark.parametrize("name", PRESETS)
def test_presets_count_what_a_run_takes(name):
    preset = PRESETS[name]
    _, engine, _ = run((preset.refresh,), steps=preset.steps)
    assert engine.counted.made == preset.passes


def test_speeds():
    assert [PRESETS[name].passes for name in SPEEDS] == [90, 42, 21]
    with pytest.raises(ValueError, match="use exact, balanced, fast"):
        find("authors")
