"""Intervals over crossed samples: what they are for plain means, and how often they hold the truth."""

import math

import numpy as np
import pytest

from ip2p.evaluation.intervals import jackknife, mean


def test_the_mean_of_one_sample_has_students_interval():
    values = np.random.default_rng(0).normal(3, 2, 17)
    found, expected = jackknife(lambda kept: float(values[kept].mean()), [17]), mean(list(values))
    assert (found.value, found.low, found.high, found.n) == pytest.approx((expected.value, expected.low, expected.high, 17))


def test_crossed_samples_hold_the_truth_about_as_often_as_said():
    """Means of seeds x tasks, each cell with an effect of its seed, of its task, and of its own: 95% within the error of 400 trials."""
    rng, held = np.random.default_rng(1), []
    for _ in range(400):
        values = rng.normal(0, 0.5, (3, 1)) + rng.normal(0, 1, (1, 20)) + rng.normal(0, 1, (3, 20))
        found = jackknife(lambda seeds, tasks, values=values: float(values[np.ix_(seeds, tasks)].mean()), values.shape)
        held.append(found.low <= 0 <= found.high)
    assert 0.92 <= np.mean(held) <= 0.99


def test_the_spread_over_few_seeds_is_not_hidden_by_many_tasks():
    values = np.repeat([[0.0], [1.0], [2.0]], 500, axis=1)
    found = jackknife(lambda seeds, tasks: float(values[np.ix_(seeds, tasks)].mean()), values.shape)
    assert (found.low, found.high) == pytest.approx((mean([0.0, 1.0, 2.0]).low, mean([0.0, 1.0, 2.0]).high))


def test_what_has_no_spread_and_what_is_undefined():
    same = jackknife(lambda seeds, tasks: 0.0, (3, 9))
    assert (same.value, same.low, same.high, same.n) == (0, 0, 0, 27)
    undefined = jackknife(lambda seeds: math.nan, (3,))
    assert math.isnan(undefined.value)
    assert (undefined.low, undefined.high) == (-math.inf, math.inf)
    single = jackknife(lambda seeds, tasks: float(len(seeds)), (1, 9))
    assert (single.value, single.low, single.high) == (1, -math.inf, math.inf)
