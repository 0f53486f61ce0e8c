"""The schedule of Stable Diffusion 1.x, against numbers computed apart from the code and against k-diffusion's published bounds."""

import math

import pytest
import torch

from ip2p import sigmas


def test_alphas_are_the_product_of_the_betas():
    product = 1.0
    expected = []
    for i in range(1000):
        root = math.sqrt(0.00085) + (math.sqrt(0.012) - math.sqrt(0.00085)) * i / 999
        product *= 1 - root * root
        expected.append(product)
    torch.testing.assert_close(sigmas.alphas_cumprod(), torch.tensor(expected, dtype=torch.float64))


def test_bounds():
    table = sigmas.model_sigmas()
    assert table[0].item() == pytest.approx(0.0292, abs=5e-5)
    assert table[-1].item() == pytest.approx(14.6146, abs=5e-5)
    assert (table.diff() > 0).all()


def test_normal_spacing():
    """Timesteps are linear from 999 to 0 (golden values of k-diffusion's get_sigmas for five steps)."""
    golden = torch.tensor([14.6146, 4.0861, 1.6156, 0.6951, 0.0292, 0.0])
    torch.testing.assert_close(sigmas.normal(5), golden, atol=5e-5, rtol=0)


def test_one_step_starts_at_the_top():
    torch.testing.assert_close(sigmas.normal(1), torch.tensor([14.6146, 0.0]), atol=5e-5, rtol=0)


def test_timestep_inverts_sigma_between_the_steps_too():
    t = torch.tensor([0.0, 0.25, 3.5, 500.75, 998.5, 999.0], dtype=torch.float64)
    torch.testing.assert_close(sigmas.timestep(sigmas.sigma(t)), t, atol=1e-6, rtol=0)


def test_timestep_is_not_rounded_and_stays_in_range():
    t = sigmas.timestep(torch.tensor([1e-3, 1.0, 100.0]))
    assert t[0] == 0
    assert t[2] == 999
    assert t[1] != t[1].round()


def test_no_steps():
    with pytest.raises(ValueError, match="at least 1"):
        sigmas.normal(0)
