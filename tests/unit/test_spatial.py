"""Scales of each place: masks that multiply the text scale and the image scale."""

import pytest
import tiny
import torch

from ip2p.checkpoint import Checkpoint
from ip2p.edit import Editor
from ip2p.engine import Engine, Step
from ip2p.guidance import Predictions, Scales
from ip2p.spatial import MASKED_FROM, Masked, Spatial, multiplied, resized

SETTINGS = {name: str(value) for name, value in tiny.SETTINGS.items()}


@pytest.fixture(scope="module")
def editor():
    return Editor.build(Checkpoint(tiny.ldm(), "sd15", "only", SETTINGS), torch.device("cpu"))


@pytest.fixture(scope="module")
def photo():
    return torch.rand(2, 64, 96, 3, generator=torch.Generator().manual_seed(3))


def edited(editor, photo, *parts, text_scale=5.0, image_scale=1.5):
    settings = {"steps": 3, "size": 96, "text_scale": text_scale, "image_scale": image_scale}
    return editor.edit(photo, "make it night", engine=Engine(parts), **settings)


@pytest.mark.parametrize("scales", [(5.0, 1.5), (2.0, 2.0), (1.0, 1.0)])
def test_all_one_masks_are_no_masks_to_the_bit(editor, photo, scales):
    ones = torch.ones(1, 50, 70)
    text_scale, image_scale = scales
    plain = edited(editor, photo, text_scale=text_scale, image_scale=image_scale)
    assert torch.equal(edited(editor, photo, Spatial(ones, ones), text_scale=text_scale, image_scale=image_scale), plain)
    assert torch.equal(edited(editor, photo, Spatial(), text_scale=text_scale, image_scale=image_scale), plain)


def test_a_mask_of_one_number_is_another_scale(editor, photo):
    half = edited(editor, photo, Spatial(text=torch.full((1, 8, 12), 0.5)))
    assert torch.allclose(half, edited(editor, photo, text_scale=2.5), atol=1e-5)
    more = edited(editor, photo, Spatial(image=torch.full((1, 8, 12), 0.5)), image_scale=3.0)
    assert torch.allclose(more, edited(editor, photo), atol=1e-5)


def test_each_place_has_the_result_of_its_own_scale():
    """Equation 3 works on each cell alone, so one step under a mask is two steps side by side."""
    step = Step(torch.zeros(1, 4, 8, 8), 1.0, 0.5)
    mask = torch.zeros(1, 8, 8)
    mask[:, :, 4:] = 1
    found = [torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(seed)) for seed in range(3)]

    def result(text_scale, *parts):
        engine = Engine(parts)
        engine.begin(step, text_scale, 1.5)
        return engine.guided(engine.complete(Predictions(*found)))

    masked = result(6.0, Spatial(text=mask))
    assert torch.equal(masked[..., 4:], result(6.0)[..., 4:])
    assert torch.allclose(masked[..., :4], result(0.0)[..., :4], atol=1e-6)


def test_a_mask_of_each_picture(editor, photo):
    masks = torch.stack([torch.full((64, 96), 0.25), torch.ones(64, 96)])
    together = edited(editor, photo, Spatial(text=masks))
    assert torch.allclose(together[1:], edited(editor, photo[1:]), atol=1e-5)
    assert torch.allclose(together[:1], edited(editor, photo[:1], text_scale=1.25), atol=1e-5)


def test_masks_take_turns():
    x = torch.zeros(3, 4, 2, 2)
    out = multiplied(2.0, torch.tensor([0.0, 0.5]).view(2, 1, 1), x)
    assert out.shape == (3, 1, 2, 2)
    assert out[:, 0, 0, 0].tolist() == [0.0, 1.0, 0.0]


@pytest.mark.parametrize("size", [(64, 96), (50, 70), (3, 5), (8, 12)])
def test_resizing_keeps_ones_means_and_the_place(size):
    assert resized(torch.ones(size), 8, 12).sub(1).abs().max() < 1e-6
    left = torch.zeros(size)
    left[:, : size[1] // 2] = 1
    cells = resized(left, 8, 12)[0, 0]
    assert cells[:, 0].min() > 0.99
    assert cells[:, -1].max() < 0.01


def test_a_part_that_multiplies_scales_that_are_maps_already():
    step = Step(torch.zeros(2, 4, 2, 2), 1.0, 0.5)
    scales = Scales(torch.tensor([1.0, 3.0]).view(2, 1, 1, 1), 1.5)
    out = Spatial(text=torch.full((2, 2), 0.5)).scales(step, scales)
    assert out.text[:, 0, 1, 1].tolist() == [0.5, 1.5]
    assert out.image == 1.5


@pytest.mark.parametrize("mask", [torch.full((1, 4, 4), -0.1), torch.full((1, 4, 4), float("nan"))])
def test_impossible_masks_are_named(mask):
    with pytest.raises(ValueError, match="mask of the image scale"):
        Spatial(image=mask)


def test_a_mask_of_a_wrong_shape_is_named():
    with pytest.raises(ValueError, match="A mask has the shape"):
        resized(torch.ones(1, 3, 4, 4), 2, 2)


def test_the_sampler_takes_maps_of_scales(editor, photo):
    """A mask that is 0 for the text leaves what no instruction would give."""
    none = edited(editor, photo, Spatial(text=torch.zeros(1, 64, 96)))
    assert torch.allclose(none, edited(editor, photo, text_scale=0.0), atol=1e-5)


def test_a_drawn_mask_keeps_every_pixel_outside_it(editor):
    """Of a picture larger than the edit; a mask of ones is no mask to the bit, and an empty one gives the input back."""
    photo = torch.randint(0, 256, (1, 80, 120, 3), generator=torch.Generator().manual_seed(5)) / 255
    mask = torch.zeros(1, 80, 120)
    mask[:, 20:60, 30:90] = 1
    settings = {"steps": 3, "size": 96}
    plain = editor.edit(photo, "make it night", **settings)
    masked = editor.edit(photo, "make it night", mask=mask, **settings)
    assert torch.equal(masked[:, mask[0] == 0], photo[:, mask[0] == 0])
    assert not torch.equal(masked[:, 40, 60], photo[:, 40, 60])
    assert torch.equal(editor.edit(photo, "make it night", mask=torch.ones(1, 80, 120), **settings), plain)
    assert torch.equal(editor.edit(photo, "make it night", mask=torch.zeros(1, 80, 120), **settings), photo)


def test_under_a_drawn_mask_the_latent_outside_is_the_source_late():
    source, guided = torch.randn(2, 1, 4, 8, 8, generator=torch.Generator().manual_seed(1))
    mask = torch.zeros(1, 64, 64)
    mask[:, :, 32:] = 1
    step = Step(guided, 1.0, 0.5, source=source)
    assert Masked(mask).after(step, Predictions(guided, guided, guided), guided) is guided, "early on all is free"
    step = Step(guided, 1.0, MASKED_FROM, source=source)
    out = Masked(mask).after(step, Predictions(guided, guided, guided), guided)
    assert torch.equal(out[..., :4], source[..., :4])
    assert torch.allclose(out[..., 4:], guided[..., 4:])
    assert Masked(mask).after(Step(guided, 1.0, 1.0), Predictions(guided, guided, guided), guided) is guided
