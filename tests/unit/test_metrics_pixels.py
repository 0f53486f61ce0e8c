"""L1, L2, PSNR, SSIM: closed forms, and two independent libraries on photos."""

import numpy as np
import pytest
import torch
from metric_models import changed, mask_of, photo
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from torchmetrics.functional.image import peak_signal_noise_ratio as torchmetrics_psnr
from torchmetrics.functional.image import structural_similarity_index_measure as torchmetrics_ssim

from ip2p.metrics import pixels

PHOTOS = ("china.jpg", "flower.jpg", "rocket.jpg", "astronaut.jpg", "chelsea.jpg", "coffee.jpg")


def constant(value, height=24, width=30):
    return torch.full((1, height, width, 3), value)


def test_constant_pictures():
    a, b = constant(0.25), constant(0.75)
    assert pixels.l1(a, b).item() == pytest.approx(0.5)
    assert pixels.l2(a, b).item() == pytest.approx(0.25)
    assert pixels.psnr(a, b).item() == pytest.approx(6.0206, abs=1e-4)
    luminance = (2 * 0.25 * 0.75 + 1e-4) / (0.25**2 + 0.75**2 + 1e-4)
    assert pixels.ssim(a, b).item() == pytest.approx(luminance, abs=1e-6)


def test_one_pixel_of_one_channel():
    a, b = constant(0.5), constant(0.5)
    b[0, 12, 15, 1] = 1
    values = 24 * 30 * 3
    assert pixels.l1(a, b).item() == pytest.approx(0.5 / values)
    assert pixels.l2(a, b).item() == pytest.approx(0.25 / values)


def test_a_known_shift_of_a_ramp():
    ramp = torch.arange(30.0).div(60).view(1, 1, 30, 1).expand(1, 24, 30, 3)
    assert pixels.l1(ramp[:, :, :-3], ramp[:, :, 3:]).item() == pytest.approx(3 / 60, abs=1e-6)
    assert pixels.psnr(ramp[:, :, :-3], ramp[:, :, 3:]).item() == pytest.approx(20 * np.log10(20), abs=1e-3)


def test_equal_pictures():
    a = photo()[None]
    assert pixels.l1(a, a).item() == pixels.l2(a, a).item() == 0
    assert pixels.psnr(a, a).item() == pixels.PSNR_CAP
    assert pixels.ssim(a, a).item() == pytest.approx(1, abs=1e-6)


def test_the_opposite_of_a_pattern():
    board = (torch.arange(24).view(-1, 1) + torch.arange(30)).remainder(2).float()[None, ..., None].expand(1, 24, 30, 3)
    assert pixels.ssim(board, 1 - board).item() == pytest.approx((0.0009 - 0.5) / (0.0009 + 0.5), abs=1e-3)


@pytest.mark.parametrize("name", PHOTOS)
def test_against_scikit_image_and_torchmetrics(name):
    a = photo(name)
    b = changed(a)
    one, other = a.numpy(), b.numpy()
    planes = [x.permute(2, 0, 1)[None] for x in (b, a)]
    assert pixels.l1(a[None], b[None]).item() == pytest.approx(np.abs(one.astype(float) - other).mean(), rel=1e-5)
    psnr = pixels.psnr(a[None], b[None]).item()
    assert psnr == pytest.approx(peak_signal_noise_ratio(one, other, data_range=1), abs=1e-4)
    assert psnr == pytest.approx(torchmetrics_psnr(*planes, data_range=1.0).item(), abs=1e-4)
    window = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 1.0, "channel_axis": -1, "full": True}
    mean, whole = structural_similarity(one.astype(np.float64), other.astype(np.float64), **window)
    assert pixels.ssim(a[None], b[None]).item() == pytest.approx(mean, abs=1e-6)
    ours = pixels.ssim_map(a[None], b[None])[0]
    np.testing.assert_allclose(ours, whole[5:-5, 5:-5].mean(-1), atol=1e-6)
    exact = [x.double() for x in planes]
    theirs = torchmetrics_ssim(*exact, data_range=1.0, return_full_image=True)[1][0, :, 5:-5, 5:-5].mean(0)
    np.testing.assert_allclose(ours, theirs, atol=1e-6)


def test_masks_split_the_whole():
    a = photo()[None]
    b, mask = changed(photo())[None], mask_of(photo())[None]
    for distance in (pixels.l1, pixels.l2):
        share = mask.mean()
        parts = distance(a, b, mask) * share + distance(a, b, 1 - mask) * (1 - share)
        torch.testing.assert_close(parts, distance(a, b))
    only = torch.where(mask[..., None] == 1, b, a)
    assert pixels.l1(a, only, 1 - mask).item() == 0
    assert pixels.psnr(a, only, 1 - mask).item() == pixels.PSNR_CAP
    torch.testing.assert_close(pixels.l2(a, only, mask), pixels.l2(a, b, mask))
    inner = mask[:, 5:-5, 5:-5].bool()
    torch.testing.assert_close(pixels.ssim(a, b, mask)[0], pixels.ssim_map(a, b)[inner].mean())


def test_a_mask_of_ones_is_no_mask():
    a, b = photo()[None], changed(photo())[None]
    for distance in (pixels.l1, pixels.l2, pixels.psnr, pixels.ssim):
        torch.testing.assert_close(distance(a, b, torch.ones(a.shape[:3])), distance(a, b))
        assert distance(a, b, torch.zeros(a.shape[:3])).isnan()


def test_a_batch_is_its_singles_and_the_order_of_a_pair_does_not_matter():
    a = torch.stack([photo(), photo("flower.jpg"), photo("rocket.jpg")])
    b = torch.stack([changed(x, i) for i, x in enumerate(a)])
    for distance in (pixels.l1, pixels.l2, pixels.psnr, pixels.ssim):
        together = distance(a, b)
        torch.testing.assert_close(together, torch.cat([distance(a[i : i + 1], b[i : i + 1]) for i in range(3)]))
        torch.testing.assert_close(together, distance(b, a))
        torch.testing.assert_close(together, distance(a.flip(2), b.flip(2)))


def test_resizing_keeps_constants_and_the_range():
    assert torch.equal(pixels.resized(constant(1.0), 24, 30), constant(1.0))
    small = pixels.resized(photo()[None], 31, 17)
    assert small.shape == (1, 31, 17, 3)
    assert small.min() >= 0
    assert small.max() <= 1
    torch.testing.assert_close(pixels.resized(constant(0.3), 50, 11), constant(0.3, 50, 11))


def test_what_cannot_be_compared_says_why():
    with pytest.raises(ValueError, match="one size"):
        pixels.l1(constant(0.0), constant(0.0, 25))
    with pytest.raises(ValueError, match="RGB"):
        pixels.l2(constant(0.0)[0], constant(0.0)[0])
    with pytest.raises(ValueError, match="at least 11"):
        pixels.ssim(constant(0.0, 10), constant(0.0, 10))
