"""The columns of a table of measurements: titles, which way is better, units."""

from typing import NamedTuple


class Column(NamedTuple):
    """How a column is shown. ``unit`` is empty for plain numbers."""

    title: str
    higher_is_better: bool
    unit: str = ""


KINDS = {
    "l1": Column("L1", False),
    "l2": Column("L2", False),
    "psnr": Column("PSNR", True, "dB"),
    "ssim": Column("SSIM", True),
    "lpips": Column("LPIPS", False),
    "dino": Column("DINO", True),
    "structure": Column("Structure distance", False),
}
"""What compares the result with the source and with the target. Against the source, "better" means that more was kept."""
PARTIAL = ("l1", "l2", "psnr", "ssim", "lpips")
"""What is also measured inside and outside a mask."""
PIE = ("l2", "psnr", "ssim")
"""What PIE-Bench's own script measures outside a mask in another way than we do; its LPIPS is ours."""
REGIONS = {"inside": "inside the mask", "outside": "outside the mask", "pie": "outside the mask as PIE-Bench"}


def _columns() -> dict[str, Column]:
    out = {
        "clip_image": Column("CLIP image similarity", True),
        "clip_image_target": Column("CLIP image similarity to the target", True),
        "clip_text": Column("CLIP text similarity", True),
        "clip_text_inside": Column("CLIP text similarity inside the mask", True),
        "clip_direction": Column("CLIP directional similarity", True),
    }
    for against in ("source", "target"):
        for kind, column in KINDS.items():
            title = f"{column.title} to the {against}"
            out[f"{kind}_{against}"] = column._replace(title=title)
            for region, words in REGIONS.items():
                if kind in (PIE if region == "pie" else PARTIAL) and not (region == "pie" and against == "target"):
                    out[f"{kind}_{against}_{region}"] = column._replace(title=f"{title} {words}")
    return out


COLUMNS: dict[str, Column] = _columns()
"""Every column that `Measures` may give, by name, in the order of a table."""
