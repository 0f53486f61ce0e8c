"""Curves of scales over the run, and where each kind of guidance acts."""

import math

import pytest
import torch

from ip2p.engine import Engine, Step
from ip2p.guidance import Passes, Predictions, Scales
from ip2p.schedules import Curve, Schedule, constant, cosine, linear, sampled, span, typed

PROGRESS = [0.0, 0.1, 1 / 3, 0.5, 0.777, 1.0]


def step(progress):
    return Step(torch.zeros(1, 4, 8, 8), 1.0, progress)


@pytest.mark.parametrize("value", [7.5, 0.1, 1 / 3, 0.0])
def test_curves_between_equal_scales_are_that_scale_to_the_bit(value):
    curves = (constant(value), linear(value, value), cosine(value, value), typed(repr(value)), typed(f"0:{value!r}, 40:{value!r}"))
    for curve in (*curves, sampled(value), sampled([value] * 4)):
        assert all(curve.at(progress) == value for progress in PROGRESS)


def test_shapes():
    assert [linear(7.5, 1.5).at(p) for p in (0, 0.5, 1)] == [7.5, 4.5, 1.5]
    assert cosine(7.5, 1.5).at(0.5) == pytest.approx(4.5)
    assert cosine(7.5, 1.5).at(0.25) == pytest.approx(7.5 - 6 * (1 - math.cos(math.pi / 4)) / 2)
    assert cosine(7.5, 1.5).at(0) == 7.5
    assert cosine(7.5, 1.5).at(1) == 1.5


def test_typed_points():
    curve = typed("0:7.5, 50:5, 100:1")
    assert [curve.at(p) for p in (0, 0.25, 0.5, 0.75, 1)] == [7.5, 6.25, 5, 3, 1]
    assert typed("20%: 8;\n60 : 2") == Curve(((0.2, 8.0), (0.6, 2.0)))
    assert [typed("20:8, 60:2").at(p) for p in (0, 0.2, 0.6, 1)] == [8, 8, 2, 2]
    assert typed(" 7.5 ") == constant(7.5)
    assert str(curve) == "0%: 7.5, 50%: 5, 100%: 1"


def test_wired_lists_stand_evenly_over_the_run():
    assert [sampled([7.5, 5, 1]).at(p) for p in (0, 0.25, 0.5, 1)] == [7.5, 6.25, 5, 1]
    assert sampled(6).at(0.7) == 6


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is empty"),
        (" , ", "is empty"),
        ("high", "'high' is no point"),
        ("0:7, 5", "'5' is no point.*percent:scale"),
        ("0:7, 50:x", "'50:x' is no point"),
        ("0:7, 120:1", "stands at 120 percent: use 0 to 100"),
        ("50:7, 20:1", "20 percent follows the one at 50.*rising"),
        ("0:7, 0:1", "write them rising"),
        ("0:-1", "-1.0, which is not a number of at least 0"),
        ("nan", "not a number of at least 0"),
    ],
)
def test_what_is_no_schedule_is_refused_in_a_sentence(text, said):
    with pytest.raises(ValueError, match=said):
        typed(text)


@pytest.mark.parametrize("values", [[], ["a"], [None], [float("nan")], [[1, 2]]])
def test_what_is_no_list_of_scales_is_refused(values):
    with pytest.raises(ValueError, match=r"schedule|scale"):
        sampled(values)


@pytest.mark.parametrize(("first", "last"), [(-1, 50), (0, 101), (60, 40), (float("nan"), 50)])
def test_impossible_spans(first, last):
    with pytest.raises(ValueError, match="text guidance is to act from"):
        span("text", first, last)


def test_an_empty_schedule_is_no_schedule():
    for progress in PROGRESS:
        scales = Scales(7.5, torch.ones(1, 1, 8, 8))
        assert Schedule().scales(step(progress), scales).text is scales.text
        assert Schedule().scales(step(progress), scales).image is scales.image


def test_constant_curves_are_the_constants():
    for progress in PROGRESS:
        assert Schedule(constant(7.5), constant(1.5)).scales(step(progress), Scales(3.0, 3.0)) == Scales(7.5, 1.5)


def test_outside_its_span_a_scale_is_one_and_its_passes_are_saved():
    engine = Engine([Schedule(None, None, span("text", 0, 60), span("image", 20, 80))])
    said = {p: engine.begin(step(p), 7.5, 1.5) for p in (0.0, 0.2, 0.6, 0.7, 0.8, 0.9)}
    both, no_picture, none = Passes(True, True, True), Passes(True, True, False), Passes(True, False, False)
    assert said == {0.0: no_picture, 0.2: both, 0.6: both, 0.7: both, 0.8: both, 0.9: none}


def test_a_constant_schedule_gives_the_engines_exact_result_to_the_bit():
    generator = torch.Generator().manual_seed(0)
    found = Predictions(*(torch.randn(2, 4, 8, 8, generator=generator) for _ in range(3)))

    def guided(parts):
        engine = Engine(parts)
        engine.begin(step(0.4), 7.5, 1.5)
        return engine.guided(engine.complete(found))

    assert torch.equal(guided([Schedule(typed("7.5"), linear(1.5, 1.5))]), guided([]))
    assert not torch.equal(guided([Schedule(typed("7"), None)]), guided([]))
