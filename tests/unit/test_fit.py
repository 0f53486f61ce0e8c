"""Fitting pictures to the network and back."""

import itertools

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

from ip2p import fit

SIZES = [(1000, 667), (640, 427), (37, 52), (512, 512), (100, 1000), (1600, 1200), (1, 1)]


@pytest.mark.parametrize(
    ("width", "height", "reference", "exact"),
    [
        (1000, 667, (512, 320), (512, 384)),  # the float floor loses a block
        (640, 427, (512, 384), (512, 384)),
        (427, 640, (384, 512), (384, 512)),
        (512, 512, (512, 512), (512, 512)),
        (1920, 1080, (512, 320), (512, 320)),
    ],
)
def test_golden_sizes(width, height, reference, exact):
    for method, target in (("reference", reference), ("exact", exact)):
        plan = fit.plan(width, height, 512, method, 64)
        assert (plan.target_width, plan.target_height) == target


def test_reference_gives_the_authors_pixels():
    pixels = np.random.default_rng(0).integers(0, 256, (667, 1000, 3), dtype=np.uint8)
    plan = fit.plan(1000, 667, 512, "reference", 64)
    ours = fit.apply(torch.from_numpy(pixels / 255.0).float()[None], plan)
    theirs = ImageOps.fit(Image.fromarray(pixels), (512, 320), method=Image.Resampling.LANCZOS)
    assert np.array_equal((ours[0].numpy() * 255).round().astype(np.uint8), np.asarray(theirs))


def test_exact_is_the_same_resampling():
    coarse = np.random.default_rng(0).integers(30, 226, (15, 20, 3), dtype=np.uint8)
    pixels = np.asarray(Image.fromarray(coarse).resize((400, 300), Image.Resampling.BICUBIC))
    plan = fit.plan(400, 300, 256, "exact", 64)
    ours = fit.apply(torch.from_numpy(pixels / 255.0).float()[None], plan)[0].numpy()
    theirs = (
        np.asarray(ImageOps.fit(Image.fromarray(pixels), (plan.target_width, plan.target_height), method=Image.Resampling.LANCZOS)) / 255
    )
    assert np.abs(ours - theirs).max() <= 2 / 255


@pytest.mark.parametrize(("method", "multiple", "size"), list(itertools.product(fit.METHODS, fit.MULTIPLES, [0, 256])))
def test_every_size_fits_and_comes_back(method, multiple, size):
    for width, height in SIZES:
        if size == 0 and width * height > 10**6:
            continue
        plan = fit.plan(width, height, size, method, multiple)
        picture = torch.rand(1, height, width, 4)
        fitted = fit.apply(picture, plan)
        assert fitted.shape == (1, plan.target_height, plan.target_width, 3)
        assert plan.target_width % multiple == plan.target_height % multiple == 0
        assert fitted.min() >= 0
        assert fitted.max() <= 1
        assert fit.restore(fitted, plan, picture).shape == (1, height, width, 3)


@pytest.mark.parametrize("method", ["crop", "pad"])
def test_without_scaling_the_round_trip_is_exact(method):
    picture = torch.rand(1, 427, 641, 3)
    plan = fit.plan(641, 427, 0, method, 8)
    assert torch.equal(fit.restore(fit.apply(picture, plan), plan, picture), picture)


def test_crop_keeps_what_it_cut_off():
    picture = torch.rand(1, 70, 100, 3)
    plan = fit.plan(100, 70, 0, "crop", 64)
    restored = fit.restore(torch.zeros(1, 64, 64, 3), plan, picture)
    assert (restored[:, 3:67, 18:82] == 0).all()
    assert torch.equal(restored[:, :3], picture[:, :3])
    assert torch.equal(restored[:, :, 82:], picture[:, :, 82:])


def test_place_is_kept():
    """A bright spot comes back where it was, for every way of fitting."""
    picture = torch.zeros(1, 333, 500, 3)
    picture[:, 150:170, 300:320] = 1
    for method in fit.METHODS:
        plan = fit.plan(500, 333, 256, method, 64)
        back = fit.restore(fit.apply(picture, plan), plan, torch.zeros_like(picture))[0, ..., 0]
        rows, columns = torch.nonzero(back > 0.5, as_tuple=True)
        assert abs(rows.float().mean() - 159.5) < 1.5
        assert abs(columns.float().mean() - 309.5) < 1.5


def test_enlarged_edits_come_back_too():
    picture = torch.rand(1, 100, 150, 3)
    plan = fit.plan(150, 100, 64, "exact", 64)
    twice = fit.apply(picture, plan).repeat_interleave(2, 1).repeat_interleave(2, 2)
    assert fit.restore(twice, plan, picture).shape == picture.shape


def test_mask_protects_to_the_bit():
    picture, edit = torch.rand(1, 100, 150, 3), torch.rand(1, 64, 128, 3)
    plan = fit.plan(150, 100, 128, "exact", 64)
    mask = torch.zeros(1, 100, 150)
    mask[:, :, :75] = 1
    assert torch.equal(fit.restore(edit, plan, picture, mask)[:, :, 75:], picture[:, :, 75:])
    assert torch.equal(fit.restore(edit, plan, picture, torch.ones(1, 100, 150)), fit.restore(edit, plan, picture))


def test_fitted_mask_is_accepted_and_wrong_ones_are_named():
    picture = torch.rand(1, 100, 150, 3)
    plan = fit.plan(150, 100, 128, "exact", 64)
    fitted = fit.apply_mask(torch.zeros(1, 100, 150), plan)
    assert torch.equal(fit.restore(torch.rand(1, plan.target_height, plan.target_width, 3), plan, picture, fitted), picture)
    with pytest.raises(ValueError, match="mask is 10 x 10"):
        fit.restore(torch.rand(1, 64, 64, 3), plan, picture, torch.rand(1, 10, 10))


def test_a_mask_without_content_fits_any_picture():
    """The host hands out a small mask of zeros for a picture in which nothing was painted."""
    picture = torch.rand(1, 100, 150, 3)
    plan = fit.plan(150, 100, 128, "exact", 64)
    assert torch.equal(fit.apply_mask(torch.zeros(1, 64, 64), plan), torch.zeros(1, plan.target_height, plan.target_width))
    assert torch.equal(fit.restore(torch.rand(1, 64, 128, 3), plan, picture, torch.zeros(64, 64)), picture)
    with pytest.raises(ValueError, match="mask is 20 x 10 but the picture is 150 x 100"):
        fit.apply_mask(torch.rand(1, 10, 20), plan)


def test_more_edits_than_originals():
    picture = torch.rand(1, 64, 64, 3)
    plan = fit.plan(64, 64, 64)
    assert fit.restore(torch.rand(3, 64, 64, 3), plan, picture).shape[0] == 3


@pytest.mark.parametrize("channels", [1, 2, 4])
def test_channels_become_rgb(channels):
    assert fit.rgb(torch.rand(1, 8, 8, channels)).shape == (1, 8, 8, 3)


@pytest.mark.parametrize("shape", [(0, 8, 8, 3), (1, 0, 8, 3)])
def test_empty_batches_are_named(shape):
    with pytest.raises(ValueError, match="empty"):
        fit.rgb(torch.zeros(shape))


def test_bad_plans():
    for arguments in ((0, 10), (10, 10, 512, "squash"), (10, 10, -1)):
        with pytest.raises(ValueError, match=r".+"):
            fit.plan(*arguments)


def test_the_wrong_fit_is_named():
    with pytest.raises(ValueError, match="fit was made for 100 x 100"):
        fit.apply(torch.rand(1, 50, 50, 3), fit.plan(100, 100))


def test_the_usual_way_keeps_the_whole_picture():
    """What an edit uses unasked: nothing is cut off, the shape changes by no more than four pixels a side."""
    for width, height in SIZES:
        plan = fit.plan(width, height, 512)
        assert plan.source == (0, 0, width, height)
        factor = 512 / max(width, height)
        assert abs(plan.target_width - width * factor) <= max(4.5, 8 - width * factor)
        assert abs(plan.target_height - height * factor) <= max(4.5, 8 - height * factor)


def test_pictures_too_narrow_for_the_authors_resize_are_named():
    with pytest.raises(ValueError, match="too narrow for the fit method 'exact'; use scale or pad"):
        fit.plan(3, 2000, 512, "exact", 64)
    assert fit.plan(3, 2000, 512).target_height == 512
