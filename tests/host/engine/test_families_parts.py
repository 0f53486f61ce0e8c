"""Every part of the guidance in every family of editors: neutral ones change nothing, the others do what their formulas say."""

import pytest
import torch
from by_hand import STEPS, by_hand, close, conditionings, sampled
from small_networks import FAMILIES, picture, text, told


@pytest.fixture(params=FAMILIES)
def small(request):
    return FAMILIES[request.param]


@pytest.fixture
def model(models, small):
    return models[next(name for name, one in FAMILIES.items() if one is small)]


@pytest.fixture
def run(pack, model, small):
    """Sample a family's picture with scales and parts; returns the latent and the engine."""

    def run(*parts, scales=(4.0, 1.5), rows=1, latent=None, mask=None, **settings):
        shown = picture(small, rows=rows)
        carrying = model
        for part in parts:
            carrying = pack.guidance.with_part(carrying, type(part).__name__, part)
        guider = pack.guidance.guider(carrying, *conditionings(small, shown), *scales)
        out = sampled(guider, torch.zeros_like(shown) if latent is None else latent, mask=mask, **settings)
        return out, pack.guidance.last_run(guider)

    return run


def hand(model, small, scales=(4.0, 1.5), rows=1, **settings):
    shown = picture(small, rows=rows)
    return by_hand(model, small, *conditionings(small, shown), torch.zeros_like(shown), scales, **settings)


def test_neutral_parts_change_nothing(run):
    from ip2p.projection import Projected
    from ip2p.refresh import Refresh
    from ip2p.relevance import Relevance
    from ip2p.rescale import Rescale
    from ip2p.schedules import Schedule, constant
    from ip2p.spatial import Spatial

    ones = torch.ones(1, 16, 16)
    neutral = [Refresh(1, 1), Schedule(constant(4.0), constant(1.5)), Spatial(ones, ones), Rescale(0), Projected("text", 1.0), Relevance()]
    for part in neutral:
        assert torch.equal(run(part)[0], run()[0]), part
    assert torch.equal(run(*neutral)[0], run()[0])


@pytest.mark.parametrize("every", [(2, 1), (2, 2)])
def test_refresh_holds_noise_predictions(run, model, small, every):
    """Differences of noise predictions are what is held, in flow models as in diffusion."""
    from ip2p.refresh import Refresh

    ours, engine = run(Refresh(*every))
    close(ours, hand(model, small, every=every))
    assert engine.counted.exact == 3 * STEPS
    assert engine.counted.made == {(2, 1): 10, (2, 2): 8}[every]


def test_schedule_runs_by_the_models_own_progress(run, model, small, families):
    from ip2p.schedules import Schedule, linear

    def at(sigma):
        return 6 - 4 * families.progress_of(model.model.model_sampling, sigma), 1.5

    close(run(Schedule(linear(6, 2)))[0], hand(model, small, at))


def test_spatial_scales(run, model, small):
    from ip2p.spatial import Spatial

    mask = torch.zeros(2, *small.latent[-2:])
    mask[0, :, :2] = mask[1, 2:] = 1
    scale = 4.0 * mask.view(2, *[1] * (len(small.latent) - 2), *small.latent[-2:])
    close(run(Spatial(text=mask), rows=2)[0], hand(model, small, (scale, 1.5), rows=2))


def test_relevance_is_a_map_of_the_picture(run, small):
    from ip2p.relevance import Relevance

    _, engine = run(Relevance(), rows=2)
    found = engine.parts[0].map()
    assert found.shape == (2, 1, *small.latent[-2:])
    assert found.isfinite().all()
    assert found.min() >= 0
    assert found.std() > 0


def test_a_sweeps_cells_are_single_runs(run):
    from ip2p.sweep import Cells

    pairs = ((4.0, 1.5), (2.0, 1.2), (6.0, 1.7))
    noise = torch.zeros_like(run()[0]).expand(3, *run()[0].shape[1:])
    cells, engine = run(Cells(pairs), latent=noise.clone(), batch_index=[0, 0, 0])
    assert engine.counted.made == 3 + 9 * (STEPS - 1)
    for cell, pair in zip(cells, pairs, strict=True):
        close(cell[None], run(scales=pair)[0])


@pytest.mark.parametrize("sampler", ["euler_ancestral", "heun"])
def test_rescale_and_projection_with_other_samplers(run, sampler, model):
    import comfy.model_sampling

    from ip2p.projection import Projected
    from ip2p.rescale import Rescale

    flow = isinstance(model.model.model_sampling, comfy.model_sampling.CONST)
    without, _ = run(sampler=sampler)
    changed, engine = run(Rescale(0.7, flow), Projected("text"), Projected("image"), sampler=sampler)
    assert changed.shape == without.shape
    assert changed.isfinite().all()
    assert not torch.equal(changed, without)
    assert engine.counted.made == engine.counted.exact


def test_a_noise_mask_keeps_the_rest_of_the_latent(run, small):
    latent, mask = picture(small, seed=5), torch.zeros(1, 1, *small.latent[-2:])
    mask[..., 2:] = 1
    out, _ = run(latent=latent, mask=mask)
    torch.testing.assert_close(out[..., :2], latent[..., :2], atol=1e-4, rtol=1e-4)
    assert (out[..., 2:] - latent[..., 2:]).abs().mean() > 0.01


def test_progress_is_the_inverse_of_the_hosts_percent(families, model):
    sampling = model.model.model_sampling
    for percent in (0.001, 0.1, 1 / 3, 0.5, 0.77, 0.999):
        assert families.progress_of(sampling, float(sampling.percent_to_sigma(percent))) == pytest.approx(percent, abs=1e-5)
    assert families.progress_of(sampling, float(sampling.sigma_max)) == pytest.approx(0, abs=1e-5)
    assert families.progress_of(sampling, 0.0) == 1


@pytest.mark.parametrize("node", ["ModelSamplingFlux", "ModelSamplingSD3", "ModelSamplingDiscrete", "ModelSamplingContinuousEDM"])
def test_progress_with_the_hosts_other_schedules(call, families, models, node):
    """The host's nodes exchange a model's schedule for another one."""
    inputs = {
        "ModelSamplingFlux": ("Flux Kontext", {"max_shift": 1.3, "base_shift": 0.5, "width": 512, "height": 768}),
        "ModelSamplingSD3": ("OmniGen2", {"shift": 5.0}),
        "ModelSamplingDiscrete": ("SD 1.5", {"sampling": "lcm", "zsnr": True}),
        "ModelSamplingContinuousEDM": ("SDXL", {"sampling": "v_prediction", "sigma_max": 50.0, "sigma_min": 0.01}),
    }
    name, settings = inputs[node]
    sampling = call(node, model=models[name], **settings)[0].get_model_object("model_sampling")
    for percent in (0.0501, 0.3, 0.9):
        sigma = float(sampling.percent_to_sigma(percent))
        again = float(sampling.percent_to_sigma(families.progress_of(sampling, sigma)))
        assert again == pytest.approx(sigma, rel=1e-4)


REFUSED = {
    "inpainting": "inpainting model",
    "Flux Fill": "inpainting model",
    "text-to-image": "text-to-image model",
    "Chroma": "This is a Chroma model, which takes no picture",
    "Wan": "This is a WAN21 model, which makes video",
}


class TestRefusals:
    @pytest.mark.parametrize("name", REFUSED)
    def test_models_that_take_no_picture(self, call, models, name):
        with pytest.raises(ValueError, match=REFUSED[name]):
            call("IP2PGuidance", model=models[name], image_scale=1.5)

    @pytest.mark.parametrize("name", ["Flux Kontext", "HiDream-E1"])
    def test_no_picture_in_the_conditioning(self, call, models, name):
        """A text-to-image model of the same architecture is told by its conditioning."""
        plain_text = text(FAMILIES[name], 1)
        scales = {"text_scale": 4.0, "image_scale": 1.5}
        with pytest.raises(ValueError, match="carries no picture to edit.*ReferenceLatent" if "Flux" in name else "carries no picture"):
            call("IP2PGuider", model=models[name], positive=plain_text, negative=plain_text, **scales)

    def test_a_picture_of_another_vae(self, pack, models):
        small = FAMILIES["Flux Kontext"]
        wrong = told(small, 1, torch.zeros(1, 4, 8, 8))
        guider = pack.guidance.guider(models["Flux Kontext"], wrong, wrong, 4.0, 1.5)
        with pytest.raises(ValueError, match=r"has 4 channels.*has 16; encode it with the VAE"):
            sampled(guider, torch.zeros_like(picture(small)))

    def test_the_one_pass_adapter_is_for_instruct_pix2pix_alone(self, nodes, models):
        from launcher.in_process import pack_module

        with pytest.raises(ValueError, match="This is a Flux model"):
            pack_module(nodes, "samplers.one_pass").attach(models["Flux Kontext"], "embedded")
