"""Rescaling of the guided prediction (Lin et al. 2023, section 3.4)."""

import pytest
import torch

from ip2p.engine import Engine, Step
from ip2p.guidance import Predictions
from ip2p.rescale import Rescale, rescaled


@pytest.fixture
def predictions():
    generator = torch.Generator().manual_seed(0)
    return Predictions(*(torch.randn(2, 4, 8, 8, generator=generator, dtype=torch.float64) for _ in range(3)))


X, SIGMA = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(1), dtype=torch.float64) * 3, 3.0


def guided(parts, found, scales=(7.5, 1.5)):
    engine = Engine(parts)
    engine.begin(Step(X, SIGMA, 0.4), *scales)
    return engine.guided(engine.complete(found))


def velocity(denoised):
    """v of the noisy latent x = latent + sigma noise (Salimans and Ho 2022)."""
    return (X / (SIGMA**2 + 1) - denoised) * (SIGMA**2 + 1) ** 0.5 / SIGMA


def test_the_formula_of_the_paper():
    generator = torch.Generator().manual_seed(2)
    x_cfg, x_pos = (torch.randn(3, 4, 8, 8, generator=generator) * size for size in (4, 1))
    factor = x_pos.std((1, 2, 3)) / x_cfg.std((1, 2, 3))
    expected = 0.7 * x_cfg * factor.view(3, 1, 1, 1) + 0.3 * x_cfg
    torch.testing.assert_close(rescaled(x_cfg, x_pos, 0.7), expected)
    torch.testing.assert_close(rescaled(x_cfg, x_pos, 1.0).std((1, 2, 3)), x_pos.std((1, 2, 3)))


def test_the_velocity_is_what_is_rescaled(predictions):
    out = guided([Rescale(0.7)], predictions)
    plain = guided([], predictions)
    torch.testing.assert_close(velocity(out), rescaled(velocity(plain), velocity(predictions.text), 0.7))
    assert not torch.allclose(out, plain)


def test_flow_networks_have_another_velocity(predictions):
    out, plain = guided([Rescale(1.0, flow=True)], predictions), guided([], predictions)
    spread = ((X - out) / SIGMA).std((1, 2, 3))
    torch.testing.assert_close(spread, ((X - predictions.text) / SIGMA).std((1, 2, 3)))
    assert not torch.allclose(spread, ((X - plain) / SIGMA).std((1, 2, 3)))


def test_off_is_exact_to_the_bit(predictions):
    assert torch.equal(guided([Rescale(0.0)], predictions), guided([], predictions))


def test_where_nothing_is_guided_nothing_is_rescaled(predictions):
    assert torch.equal(guided([Rescale(1.0)], predictions, (1, 1)), predictions.text)


def test_rows_of_a_batch_are_rescaled_by_themselves(predictions):
    whole = guided([Rescale(0.7)], predictions)
    louder = Predictions(*(torch.cat([p[:1], 5 * p[1:]]) for p in predictions))
    assert torch.equal(guided([Rescale(0.7)], louder)[0], whole[0])


@pytest.mark.parametrize("phi", [-0.1, 1.1, float("nan")])
def test_impossible_strengths(phi):
    with pytest.raises(ValueError, match="use 0"):
        Rescale(phi)
