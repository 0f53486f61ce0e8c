"""Pictures and masks of a dataset, from files or from the bytes in a table, brought to one size."""

import io
from collections.abc import Callable
from pathlib import Path

import torch.nn.functional as F
from PIL import Image, ImageOps
from torch import Tensor

from ..pictures import BROKEN, from_pil, open_picture
from .example import DataError, Open

PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")
ORIENTATION = 0x0112
"""The EXIF tag; values from 5 on say that the picture lies on its side."""


def limited(picture: Tensor, size: int) -> Tensor:
    """A picture (H, W, 3) or mask (H, W) whose long side is at most `size` pixels (0: as it is), antialiased."""
    height, width = picture.shape[:2]
    if not size or max(height, width) <= size:
        return picture
    target = tuple(max(1, round(side * size / max(height, width))) for side in (height, width))
    planes = picture.movedim(-1, 0)[None] if picture.ndim == 3 else picture[None, None]
    small = F.interpolate(planes, target, mode="bicubic" if picture.ndim == 3 else "bilinear", antialias=True, align_corners=False)
    small = small.clamp(0, 1)
    return small[0].movedim(0, -1).contiguous() if picture.ndim == 3 else small[0, 0]


def picture_file(path: Path, size: int = 0) -> Open:
    """Opens the picture of a file, upright and in sRGB, as (H, W, 3)."""

    def opened() -> Tensor:
        return limited(open_picture(path)[0], size)

    return opened


def decoded(data: bytes, where: str) -> Image.Image:
    """The whole picture in some bytes, upright (EXIF). Raises DataError that says `where` they stand."""
    try:
        image = Image.open(io.BytesIO(data))
        image.load()
        return ImageOps.exif_transpose(image)
    except Image.DecompressionBombError as error:
        raise DataError(f"{where} has too many pixels: make it smaller, or skip it.") from error
    except BROKEN as error:
        raise DataError(f"{where} is not a readable picture: download the file again, or skip it.") from error


def picture_of(data: bytes, where: str) -> Tensor:
    """(H, W, 3) of an encoded picture. Raises DataError that says `where` it stands."""
    image = decoded(data, where)
    try:
        return from_pil(image)[0]
    except BROKEN as error:
        raise DataError(f"{where} is not a readable picture: download the file again, or skip it.") from error


def shape_of(data: bytes | Path, where: str) -> tuple[int, int]:
    """(height, width) of an encoded picture, upright, from its head alone. Raises DataError that says `where` it stands."""
    try:
        with Image.open(io.BytesIO(data) if isinstance(data, bytes) else data) as image:
            width, height = image.size
            turned = image.getexif().get(ORIENTATION, 1) >= 5
    except Image.DecompressionBombError as error:
        raise DataError(f"{where} has too many pixels: make it smaller, or skip it.") from error
    except BROKEN as error:
        raise DataError(f"{where} is not a readable picture: download the file again, or skip it.") from error
    return (width, height) if turned else (height, width)


def file_shape(path: Path) -> tuple[int, int]:
    """(height, width) of a file's picture. Raises DataError."""
    return shape_of(path, path.name)


def file_image(path: Path) -> Image.Image:
    """The picture of a file as Pillow has it, with its alpha, upright. Raises DataError."""
    if not path.is_file():
        raise DataError(f"There is no picture at {path}: check the name, or download the data again.")
    return decoded(path.read_bytes(), path.name)


def grey_mask(image: Image.Image) -> Tensor:
    """(H, W) in [0, 1] of a black and white picture of any depth: 1 where it is white, or where it is 1 if it has only 0 and 1.

    A picture with a transparent part is white where transparent, unless all that can be seen of it is white.
    """
    image = image.convert("RGBA") if "transparency" in image.info else image
    deep = image.mode.startswith(("I", "F"))
    grey = from_pil(image if deep else image.convert("L"))[0, ..., 0]
    if "A" in image.getbands():
        alpha = from_pil(image.getchannel("A"))[0, ..., 0]
        if float(alpha.min()) < 0.5:
            seen = alpha >= 0.5
            return (seen if bool(seen.any()) and bool((grey[seen] >= 0.99).all()) else ~seen).float()
    labels = 0 < float(grey.max()) <= 1.01 / 255
    return (grey > 0).float() if labels else grey


def mask_file(path: Path, image: Path, size: int = 0) -> Open:
    """Opens a black and white mask as (H, W), of the size of the picture in `image`."""

    def opened() -> Tensor:
        mask = grey_mask(file_image(path))
        same_size(mask, file_image(image).size, path.name)
        return limited(mask, size)

    return opened


def same_size(mask: Tensor, size: tuple[int, int], where: str) -> None:
    """Raise DataError unless a mask (H, W) has the `size` (width, height) of its picture."""
    if (mask.shape[1], mask.shape[0]) != size:
        found, wanted = f"{mask.shape[1]} x {mask.shape[0]}", f"{size[0]} x {size[1]}"
        raise DataError(f"The mask {where} is {found} pixels and its picture {wanted}: make both one size, or leave the mask out.")


def once(make: Callable[[], Tensor]) -> Open:
    """The same picture without making it twice in a row: for pictures that several openers of one example need."""
    kept: list[Tensor] = []

    def opened() -> Tensor:
        if not kept:
            kept.append(make())
        return kept[0]

    return opened


def printable(name: str) -> str:
    """A name as it can be shown: what is no UTF-8 in it becomes question marks."""
    return name.encode("utf-8", "replace").decode()


def file_key(*files: Path) -> str:
    """What some files hold, as far as names, sizes and times tell. Raises DataError for one that is not there."""
    try:
        stats = [(path.name, path.stat()) for path in files]
    except OSError as error:
        raise DataError(f"{error.filename} is not there: add the file, or take the pair out of the list.") from error
    return "|".join(f"{name}:{stat.st_size}:{stat.st_mtime_ns}" for name, stat in stats)
