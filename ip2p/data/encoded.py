"""Pictures as bytes: what they are, and how they come to be."""

import io
from typing import TYPE_CHECKING, Any

from .example import DataError
from .record import PairError

if TYPE_CHECKING:
    from torch import Tensor

KINDS = ("png", "jpg", "webp")
"""How made pictures can be stored. png and webp lose nothing; jpg is the authors' and is about a third as large."""
JPEG_QUALITY = 95
HEADS = ((b"\x89PNG\r\n\x1a\n", "png"), (b"\xff\xd8\xff", "jpg"), (b"BM", "bmp"), (b"II*\x00", "tif"), (b"MM\x00*", "tif"))


def ending_of(data: bytes, where: str = "A picture") -> str:
    """The ending that a file of these bytes has: png, jpg, webp, bmp or tif. Raises DataError that says `where` they stand."""
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "webp"
    for head, ending in HEADS:
        if data.startswith(head):
            return ending
    raise PairError(f"{where} is no PNG, JPEG, WebP, BMP or TIFF picture: save it as one, or leave it out.")


def encoded(picture: "Tensor", kind: str = "png") -> bytes:
    """The file of a picture (H, W, 3) in [0, 1]; the same picture gives the same bytes. `kind` is one of KINDS."""
    from ..pictures import to_pil

    if kind not in KINDS:
        raise DataError(f"Pictures can't be stored as {kind!r}: use {', '.join(KINDS)}.")
    out = io.BytesIO()
    settings: dict[str, dict[str, Any]] = {
        "png": {"compress_level": 6},
        "jpg": {"quality": JPEG_QUALITY, "subsampling": 0},
        "webp": {"lossless": True},
    }
    to_pil(picture).save(out, {"jpg": "JPEG"}.get(kind, kind.upper()), **settings[kind])
    return out.getvalue()


def encoded_mask(mask: "Tensor") -> bytes:
    """The PNG of a mask (H, W) in [0, 1]."""
    from PIL import Image
    from torch import uint8

    out = io.BytesIO()
    Image.fromarray((mask.detach().float().clamp(0, 1) * 255).round().to(uint8).cpu().numpy()).save(out, "PNG")
    return out.getvalue()
