"""Samplers on problems with a known answer, and the one batched call that guidance makes."""

import math

import pytest
import torch

from ip2p import sampling
from ip2p.sampling import Conditions, Text
from ip2p.sigmas import normal, timestep

SPREAD = 0.7


def exact(x, sigma):
    """The best denoiser of data that is normal with standard deviation SPREAD: x s^2 / (s^2 + sigma^2)."""
    return x * SPREAD**2 / (SPREAD**2 + sigma**2)


def test_euler_converges_to_the_exact_solution():
    x = torch.linspace(-3, 3, 64, dtype=torch.float64).view(1, 1, 8, 8) * 14.6
    sigma = normal(1)[0]
    truth = x * SPREAD / math.sqrt(SPREAD**2 + float(sigma) ** 2)  # the flow keeps each quantile
    errors = [(sampling.euler(exact, x, normal(steps).double()) - truth).abs().max().item() for steps in (50, 100, 200)]
    assert errors[2] < 0.03
    assert errors[0] / errors[1] == pytest.approx(2, rel=0.25)  # first order


def test_euler_ancestral_draws_from_the_data():
    noise = sampling.noise_stream((1, 4, 64, 64), seed=5)
    sigmas = normal(200)
    samples = sampling.euler_ancestral(exact, noise() * sigmas[0], sigmas, noise)
    assert samples.std().item() == pytest.approx(SPREAD, rel=0.03)
    assert abs(samples.mean().item()) < 0.03


def test_without_fresh_noise_ancestral_is_euler():
    x = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(0)) * 14.6
    sigmas = normal(10)
    plain = sampling.euler(exact, x, sigmas)
    assert torch.allclose(sampling.euler_ancestral(exact, x, sigmas, lambda: torch.zeros_like(x), eta=0.0), plain, atol=1e-5)


@pytest.mark.parametrize(("sigma", "following"), [(14.6, 10.0), (1.0, 0.5), (0.1, 0.0292), (0.0292, 0.0)])
def test_ancestral_steps_keep_the_variance(sigma, following):
    down, up = sampling.ancestral_step(sigma, following)
    assert down**2 + up**2 == pytest.approx(following**2)
    assert up <= following
    assert sampling.ancestral_step(sigma, following, eta=0) == (pytest.approx(following), 0)


def test_noise_is_one_stream_shared_by_the_batch():
    one, three = sampling.noise_stream((1, 4, 8, 8), 7), sampling.noise_stream((3, 4, 8, 8), 7)
    for _ in range(3):
        single, batch = one(), three()
        assert all(torch.equal(picture, single[0]) for picture in batch)
    generator = torch.Generator().manual_seed(7)
    whole = [torch.randn(1, 4, 8, 8, generator=generator) for _ in range(2)]
    again = sampling.noise_stream((1, 4, 8, 8), 7)
    assert torch.equal(again(), whole[0])
    assert torch.equal(again(), whole[1])


def test_every_step_is_reported():
    seen = []
    sampling.euler(exact, torch.randn(1, 4, 8, 8), normal(4), lambda done, total, latent: seen.append((done, total, tuple(latent.shape))))
    assert seen == [(step, 4, (1, 4, 8, 8)) for step in (1, 2, 3, 4)]


class Network:
    """A linear stand-in for a UNet that records what it is asked: eps = x + context mean + 2 * image mean + t / 1000."""

    def __init__(self):
        self.calls = []

    def __call__(self, z_t, t, text, image_latent):
        self.calls.append(len(z_t))
        assert t.shape == (len(z_t),)
        assert len(text.context) == len(image_latent) == len(z_t)
        parts = text.context.mean((1, 2)) + 2 * image_latent.mean((1, 2, 3)) + t / 1000
        return z_t + parts.view(-1, 1, 1, 1)


def conditions(batch=2):
    image = torch.arange(1.0, batch + 1).view(-1, 1, 1, 1).expand(batch, 4, 8, 8)
    return Conditions(Text(torch.full((1, 77, 16), 5.0)), Text(torch.full((1, 77, 16), 3.0)), image)


@pytest.mark.parametrize(
    ("text_scale", "image_scale", "passes"), [(7.5, 1.5, 3), (7.5, 1.0, 2), (1.5, 1.5, 2), (1.0, 1.0, 1), (3.0, 0.5, 3)]
)
def test_guidance_asks_for_the_needed_passes_in_one_call(text_scale, image_scale, passes):
    network, given, x = Network(), conditions(), torch.randn(2, 4, 8, 8)
    sigma = torch.tensor(2.0)
    out = sampling.guided(network, given, text_scale, image_scale)(x, sigma)
    assert network.calls == [2 * passes]

    def alone(text, image):
        return sampling.eps_denoised(Network(), x, sigma, text.expand(2), image)

    with_text, with_image = alone(given.text, given.image), alone(given.negative, given.image)
    null = alone(given.negative, torch.zeros_like(given.image))
    formula = null + image_scale * (with_image - null) + text_scale * (with_text - with_image)
    assert torch.allclose(out, formula, atol=1e-4)


@pytest.mark.parametrize("scale", [float("nan"), float("inf"), -1.0])
def test_impossible_scales_are_refused(scale):
    with pytest.raises(ValueError, match="not a number of at least 0"):
        sampling.guided(Network(), conditions(), scale, 1.5)
    with pytest.raises(ValueError, match="not a number of at least 0"):
        sampling.guided(Network(), conditions(), 7.5, scale)


def test_the_eps_network_sees_unit_variance_and_a_fractional_timestep():
    seen = {}

    def network(z_t, t, text, image_latent):
        seen.update(z=z_t, t=t)
        return torch.zeros_like(z_t)

    x, sigma = torch.randn(1, 4, 8, 8), torch.tensor(3.3)
    image = torch.zeros(1, 4, 8, 8)
    assert torch.equal(sampling.eps_denoised(network, x, sigma, conditions(1).text, image), x)
    assert torch.allclose(seen["z"], x / math.sqrt(1 + 3.3**2))
    assert seen["t"].item() == pytest.approx(timestep(sigma).item())
    assert seen["t"].item() % 1 != 0


@pytest.mark.parametrize(
    ("denoised", "told"), [(sampling.edm_denoised, math.log(5) / 4), (sampling.v_denoised, timestep(torch.tensor(5.0)))]
)
def test_velocity_networks(denoised, told):
    """v = (n - sigma * x0) / sqrt(sigma^2 + 1) is the exact velocity; the wrapper must give back x0."""
    x0, n, sigma = torch.randn(1, 4, 8, 8), torch.randn(1, 4, 8, 8), torch.tensor(5.0)
    velocity = (n - sigma * x0) / (sigma**2 + 1).sqrt()
    seen = {}

    def network(z_t, t, text, image_latent):
        seen["t"] = t
        return velocity

    assert torch.allclose(denoised(network, x0 + sigma * n, sigma, conditions(1).text, x0), x0, atol=1e-4)
    assert seen["t"].item() == pytest.approx(float(told))


def test_the_exponential_schedule():
    sigmas = sampling.exponential(5, 0.002, 120.0)
    assert sigmas.shape == (6,)
    assert sigmas[0].item() == pytest.approx(120, rel=1e-5)
    assert sigmas[-2].item() == pytest.approx(0.002, rel=1e-5)
    assert sigmas[-1] == 0
    assert torch.allclose(sigmas[1:-1] / sigmas[:-2], (sigmas[1] / sigmas[0]).expand(4))
    with pytest.raises(ValueError, match="use at least 1"):
        sampling.exponential(0, 0.002, 120.0)
