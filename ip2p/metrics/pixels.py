"""Distances of pictures pixel by pixel: L1, L2, PSNR and SSIM, over the whole picture or weighted by a mask.

Pictures are float tensors (B, H, W, 3) in [0, 1], weights (B, H, W) of at least 0; each distance has the shape (B,). A weight that is 0
everywhere gives NaN: there is nothing to measure.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

PSNR_CAP = 100.0
"""dB of equal pictures, whose PSNR is infinite, which JSON can't say; reached by a mean square of 1e-10, far below one 8-bit step."""
TAPS, SIGMA = 11, 1.5
"""The Gaussian window of SSIM (Wang et al. 2004, section III-C), in pixels; no picture may be smaller than it."""
K1, K2 = 0.01, 0.03


def l1(a: Tensor, b: Tensor, weight: Tensor | None = None) -> Tensor:
    """Mean absolute difference, 0 to 1."""
    return mean(l1_map(a, b), weight)


def l2(a: Tensor, b: Tensor, weight: Tensor | None = None) -> Tensor:
    """Mean squared difference (MSE, what MagicBrush's table calls L2), 0 to 1."""
    return mean(l2_map(a, b), weight)


def psnr(a: Tensor, b: Tensor, weight: Tensor | None = None) -> Tensor:
    """-10 log10 of the mean squared difference, in dB, at most `PSNR_CAP`."""
    return decibels(l2(a, b, weight))


def ssim(a: Tensor, b: Tensor, weight: Tensor | None = None) -> Tensor:
    """Mean structural similarity of the three channels, -1 to 1; 1 for equal pictures.

    Means over the pixels whose whole window lies in the picture, as Wang et al. and scikit-image do: a border of 5 pixels carries no
    weight of its own (recent torchmetrics counts that border too, with the picture mirrored). With ``weight`` the map's weighted
    mean; a window at the region's edge still sees what lies beyond.
    """
    return mean_inner(ssim_map(a, b), weight)


def decibels(square: Tensor) -> Tensor:
    """The PSNR of a mean squared difference of pictures in [0, 1]."""
    return (-10 * square.log10()).clamp(max=PSNR_CAP)


def l1_map(a: Tensor, b: Tensor) -> Tensor:
    """Absolute difference of each pixel, mean of the channels: (B, H, W)."""
    check_pair(a, b)
    return (a - b).abs().mean(-1)


def l2_map(a: Tensor, b: Tensor) -> Tensor:
    """Squared difference of each pixel, mean of the channels: (B, H, W)."""
    check_pair(a, b)
    return (a - b).square().mean(-1)


def ssim_map(a: Tensor, b: Tensor) -> Tensor:
    """Structural similarity around each pixel whose window lies in the picture, mean of the channels: (B, H - 10, W - 10).

    Raises ValueError for a picture smaller than the window.
    """
    check_pair(a, b)
    if min(a.shape[1:3]) < TAPS:
        raise ValueError(f"A picture of {a.shape[2]} x {a.shape[1]} pixels is too small for SSIM: enlarge it to at least {TAPS} a side.")
    exact = torch.float32 if a.device.type == "mps" else torch.float64  # variances are small differences of large numbers
    a, b = (x.movedim(-1, 1).reshape(-1, 1, *x.shape[1:3]).to(exact) for x in (a, b))
    mean_a, mean_b, aa, bb, ab = (_blur(x) for x in (a, b, a * a, b * b, a * b))
    variances = aa - mean_a.square() + bb - mean_b.square()
    covariance = ab - mean_a * mean_b
    luminance = (2 * mean_a * mean_b + K1**2) / (mean_a.square() + mean_b.square() + K1**2)
    out = luminance * (2 * covariance + K2**2) / (variances + K2**2)
    return out.reshape(-1, 3, *out.shape[2:]).mean(1).float()


def _blur(planes: Tensor) -> Tensor:
    """Gaussian means of (N, 1, H, W) over windows that lie inside: (N, 1, H - 10, W - 10)."""
    steps = torch.arange(TAPS, dtype=planes.dtype, device=planes.device) - TAPS // 2
    window = torch.exp(-steps.square() / (2 * SIGMA**2))
    window = window / window.sum()
    return F.conv2d(F.conv2d(planes, window.view(1, 1, -1, 1)), window.view(1, 1, 1, -1))


def mean(values: Tensor, weight: Tensor | None) -> Tensor:
    """Mean of a map (B, H, W) over the picture, by weight where there is one."""
    if weight is None:
        return values.mean((1, 2))
    return (values * weight).sum((1, 2)) / weight.sum((1, 2))


def mean_inner(values: Tensor, weight: Tensor | None) -> Tensor:
    """The same of an SSIM map, with the weight (B, H, W) of the whole picture."""
    edge = TAPS // 2
    return mean(values, None if weight is None else weight[..., edge:-edge, edge:-edge])


def check_pair(a: Tensor, b: Tensor) -> None:
    """Raises ValueError unless both are (B, H, W, 3) of one size."""
    for x in (a, b):
        if x.ndim != 4 or x.shape[-1] != 3:
            raise ValueError(f"A picture batch has the shape (batch, height, width, 3), not {tuple(x.shape)}; convert it to RGB.")
    if a.shape != b.shape:
        raise ValueError(f"Pictures of the shapes {tuple(a.shape)} and {tuple(b.shape)} can't be compared; bring them to one size.")


def resized(pictures: Tensor, height: int, width: int) -> Tensor:
    """(B, H, W, 3) as (B, height, width, 3): antialiased bicubic, kept in [0, 1]; the same tensor where nothing changes."""
    if pictures.shape[1:3] == (height, width):
        return pictures
    planes = F.interpolate(pictures.movedim(-1, 1), (height, width), mode="bicubic", antialias=True, align_corners=False)
    return planes.clamp(0, 1).movedim(1, -1)
