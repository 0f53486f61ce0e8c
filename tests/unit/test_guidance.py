"""Equation 3 and its collapses."""

import itertools

import pytest
import torch

from ip2p.guidance import check_scale, combine, needed

SCALES = [0.0, 0.5, 1.0, 1.5, 7.5]


def paper(text, image, null, text_scale, image_scale):
    """Equation 3 as the paper writes it."""
    return null + image_scale * (image - null) + text_scale * (text - image)


@pytest.fixture
def predictions():
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(2, 4, 8, 8, generator=generator, dtype=torch.float64) for _ in range(3)]


@pytest.mark.parametrize(("text_scale", "image_scale"), list(itertools.product(SCALES, SCALES)))
def test_equals_the_paper(predictions, text_scale, image_scale):
    torch.testing.assert_close(combine(*predictions, text_scale, image_scale), paper(*predictions, text_scale, image_scale))


@pytest.mark.parametrize(("text_scale", "image_scale"), list(itertools.product(SCALES, SCALES)))
def test_what_is_not_needed_may_be_missing(predictions, text_scale, image_scale):
    given = [p if wanted else None for p, wanted in zip(predictions, needed(text_scale, image_scale), strict=True)]
    torch.testing.assert_close(combine(*given, text_scale, image_scale), paper(*predictions, text_scale, image_scale))


def test_collapses():
    assert needed(7.5, 1.5) == (True, True, True)
    assert needed(7.5, 1.0) == (True, True, False)
    assert needed(2.0, 2.0) == (True, False, True)
    assert needed(1.0, 1.0) == (True, False, False)
    assert needed(0.0, 1.5) == (False, True, True)
    assert needed(0.0, 1.0) == (False, True, False)
    assert needed(0.0, 0.0) == (False, False, True)


def test_both_scales_one_is_the_prediction_itself(predictions):
    assert torch.equal(combine(predictions[0], None, None, 1, 1), predictions[0])


def test_image_scale_one_is_ordinary_guidance(predictions):
    text, image, _ = predictions
    torch.testing.assert_close(combine(text, image, None, 7.5, 1), image + 7.5 * (text - image))


def test_denoised_space_equals_noise_space(predictions):
    """The coefficients sum to 1, so guiding denoised latents and guiding noise give the same latent."""
    x, sigma = torch.randn(2, 4, 8, 8, dtype=torch.float64), 3.0
    denoised = [x - sigma * eps for eps in predictions]
    torch.testing.assert_close(combine(*denoised, 7.5, 1.5), x - sigma * combine(*predictions, 7.5, 1.5))


def test_a_needed_prediction_must_be_there(predictions):
    with pytest.raises(ValueError, match="'null' prediction is needed"):
        combine(predictions[0], predictions[1], None, 7.5, 1.5)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1])
def test_impossible_scales(value):
    with pytest.raises(ValueError, match="text scale"):
        check_scale("text", value)
