"""Columns of pixel distances over the whole picture, inside and outside a mask, and outside it in PIE-Bench's way."""

from torch import Tensor

from . import pixels


def regions(mask: Tensor | None) -> dict[str, Tensor | None]:
    """Weights (1, H, W) by the ending of a column's name; None is the whole picture. A region without a pixel is left out."""
    if mask is None:
        return {"": None}
    return {"": None} | {name: weight for name, weight in (("_inside", mask), ("_outside", 1 - mask)) if weight.any()}


def pixel_columns(against: str, a: Tensor, b: Tensor, mask: Tensor | None) -> dict[str, float]:
    """L1, L2, PSNR and SSIM of two (1, H, W, 3) pictures, as ``l1_<against><region>`` and so on; NaN where SSIM has no window."""
    absolute, squares, similar = pixels.l1_map(a, b), pixels.l2_map(a, b), pixels.ssim_map(a, b)
    out: dict[str, float] = {}
    for region, weight in regions(mask).items():
        l2 = pixels.mean(squares, weight)
        found = {"l1": pixels.mean(absolute, weight), "l2": l2, "psnr": pixels.decibels(l2), "ssim": pixels.mean_inner(similar, weight)}
        out |= {f"{kind}_{against}{region}": float(value) for kind, value in found.items()}
    return out


def pie_columns(a: Tensor, b: Tensor, mask: Tensor) -> dict[str, float]:
    """L2, PSNR and SSIM of the source and the result as PIE-Bench's script has them.

    Both are blacked out inside the mask, and the mean is taken over the whole picture. Its SSIM is torchmetrics' of that time.
    """
    kept = (1 - mask)[..., None]
    if not kept.any():
        return {}
    a, b = a * kept, b * kept
    return {f"{kind}_source_pie": float(f(a, b)) for kind, f in (("l2", pixels.l2), ("psnr", pixels.psnr), ("ssim", pixels.ssim))}
