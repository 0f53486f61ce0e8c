"""Projected guidance of each term (Sadat, Hilliges and Weber 2024)."""

import pytest
import torch

from ip2p.engine import Engine, Step
from ip2p.guidance import Passes, Predictions
from ip2p.projection import Projected, limited, projected, split

ROWS = (1, 2, 3)
NEUTRAL = {"parallel": 1.0, "threshold": 0.0, "momentum": 0.0}


@pytest.fixture
def predictions():
    generator = torch.Generator().manual_seed(0)
    return Predictions(*(torch.randn(2, 4, 8, 8, generator=generator, dtype=torch.float64) for _ in range(3)))


def run(parts, steps, scales=(7.5, 1.5), key="told"):
    engine, out = Engine(parts), []
    for found in steps:
        engine.begin(Step(torch.zeros_like(found.text), 1.0, 0.5, key), *scales)
        out.append(engine.guided(engine.complete(found)))
    return out


def test_split(predictions):
    text, term = predictions.text, predictions.text - predictions.image
    parallel, orthogonal = split(term, text)
    torch.testing.assert_close(parallel + orthogonal, term)
    torch.testing.assert_close((orthogonal * text).sum(ROWS), torch.zeros(2, dtype=torch.float64), atol=1e-9, rtol=0)
    ratio = parallel / text
    torch.testing.assert_close(ratio, ratio[:, :1, :1, :1].expand_as(ratio))


def test_norms_are_limited_row_by_row(predictions):
    term = torch.cat([predictions.text[:1], 0.01 * predictions.text[1:]])
    short = limited(term, 2.5)
    assert short[0].norm().item() == pytest.approx(2.5)
    assert torch.equal(short[1], term[1])
    assert limited(term, 0) is term


def test_a_share_of_the_parallel_part_stays(predictions):
    term = predictions.text - predictions.image
    parallel, orthogonal = split(term, predictions.text)
    torch.testing.assert_close(projected(term, predictions.text, 0.0), orthogonal)
    torch.testing.assert_close(projected(term, predictions.text, 0.3), orthogonal + 0.3 * parallel)


@pytest.mark.parametrize("term", ["text", "image"])
def test_neutral_is_exact_to_the_bit(predictions, term):
    assert torch.equal(run([Projected(term, **NEUTRAL)], [predictions])[0], run([], [predictions])[0])


def test_each_term_by_itself(predictions):
    text, image, null = predictions
    (out,) = run([Projected("text", 0.0), Projected("image", 0.5)], [predictions])
    expected = text + 6.5 * split(text - image, text)[1]
    parallel, orthogonal = split(image - null, text)
    torch.testing.assert_close(out, expected + 0.5 * (orthogonal + 0.5 * parallel))


def test_negative_momentum_sums_over_the_steps(predictions):
    other = Predictions(*(2 * p + 1 for p in predictions))
    _, second = run([Projected("text", 1.0, 0.0, -0.5)], [predictions, other])
    (text, image, null), before = other, predictions.text - predictions.image
    torch.testing.assert_close(second, text + 6.5 * (text - image - 0.5 * before) + 0.5 * (image - null))


def test_momentum_ends_with_the_run_and_with_its_conditioning(predictions):
    part = Projected("text", 1.0, 0.0, -0.5)
    first = run([part], [predictions] * 2)
    assert torch.equal(run([part], [predictions])[0], first[0])
    engine = Engine([part])
    outs = []
    for key in ("one", "other"):
        engine.begin(Step(torch.zeros_like(predictions.text), 1.0, 0.5, key), 7.5, 1.5)
        outs.append(engine.guided(engine.complete(predictions)))
    assert torch.equal(outs[0], outs[1])
    assert not torch.equal(first[0], first[1])


def test_equal_scales_keep_the_terms_apart():
    engine = Engine([Projected("text", 0.0)])
    assert engine.begin(Step(torch.zeros(1, 4, 8, 8), 1.0, 0.5), 2, 2) == Passes(True, True, True)
    assert engine.begin(Step(torch.zeros(1, 4, 8, 8), 1.0, 0.5), 1, 1) == Passes(True, False, False)
    neutral = Engine([Projected("text", **NEUTRAL)])
    assert neutral.begin(Step(torch.zeros(1, 4, 8, 8), 1.0, 0.5), 2, 2) == Passes(True, False, True)


@pytest.mark.parametrize(
    "change", [{"term": "both"}, {"parallel": 1.5}, {"threshold": -1.0}, {"momentum": 1.0}, {"momentum": float("nan")}]
)
def test_impossible_settings(change):
    with pytest.raises(ValueError, match="use"):
        Projected(**{"term": "text", **change})
