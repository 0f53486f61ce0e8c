"""The moving average of weights against its closed form."""

import math

import torch

from ip2p.training import ema


def averaged(values, decay, start=0.0):
    """The average after each of `values`, in float64."""
    average = [torch.tensor([start], dtype=torch.float64)]
    for updates, value in enumerate(values):
        ema.update(average, [torch.tensor([value], dtype=torch.float64)], updates, decay)
        yield average[0].item()


def test_the_rise_in_closed_form():
    """With d_n = (1 + n) / (10 + n) a start's weight after n updates is the product of d: 9! n! / (n + 9)!, one over a binomial."""
    for count, left in enumerate(averaged([0.0] * 200, decay=0.9999, start=1.0), start=1):
        assert math.isclose(left, 1 / math.comb(count + 9, 9), rel_tol=1e-12)


def test_the_steady_decay_in_closed_form():
    """Once (1 + n) / (10 + n) passes the limit d, each update multiplies the start's weight by d."""
    limit = 0.9  # reached at n = 80
    weights = list(averaged([0.0] * 120, decay=limit, start=1.0))
    assert math.isclose(weights[119], weights[79] * limit**40, rel_tol=1e-12)
    assert ema.decay_at(79, limit) < limit == ema.decay_at(81, limit)


def test_a_varying_weight_in_closed_form():
    """sum over k of (1 - d_k) w_k times the decays that came after."""
    values, decay = [math.sin(n) for n in range(50)], 0.8
    decays = [min(decay, (1 + n) / (10 + n)) for n in range(50)]
    expected = sum((1 - decays[k]) * values[k] * math.prod(decays[k + 1 :]) for k in range(50)) + 3.0 * math.prod(decays)
    assert math.isclose(list(averaged(values, decay, start=3.0))[-1], expected, rel_tol=1e-12)
