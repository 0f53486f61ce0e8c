"""Picture files to float tensors (1, H, W, 3) in [0, 1] and back."""

import io
import logging
import struct
import uuid
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError
from torch import Tensor

log = logging.getLogger(__name__)

SIXTEEN_BITS = 65535
BROKEN = (UnidentifiedImageError, OSError, EOFError, SyntaxError, ValueError, TypeError, ArithmeticError, LookupError, struct.error)
"""What Pillow raises for damaged pictures, by where the damage is."""
FORMATS = ("PNG", "JPEG", "WEBP", "TIFF", "BMP")


def open_picture(path: Path) -> Tensor:
    """The picture in a file, upright (EXIF), in sRGB, without its alpha. Raises ValueError with one sentence where it can't be read."""
    if not path.is_file():
        raise ValueError(f"There is no picture at {path}: check the name.")
    try:
        with Image.open(path) as image:
            return from_pil(image)
    except Image.DecompressionBombError as error:
        raise ValueError(f"{path.name} has too many pixels: make it smaller.") from error
    except BROKEN as error:
        log.debug("%s: %s", path, error)
        raise ValueError(f"{path.name} is not a readable picture: choose a whole JPEG, PNG, WebP or TIFF file.") from error


def from_pil(image: Image.Image) -> Tensor:
    """Any Pillow picture as (1, H, W, 3): grey, palette, CMYK and 16-bit modes are converted, alpha is dropped."""
    upright = ImageOps.exif_transpose(image)
    pixels = _deep(upright) if upright.mode.startswith("I") or upright.mode == "F" else np.asarray(_srgb(upright), np.float32) / 255
    if pixels.ndim == 2:
        pixels = np.repeat(pixels[..., None], 3, axis=2)
    return torch.from_numpy(np.ascontiguousarray(pixels))[None]


def _deep(image: Image.Image) -> np.ndarray:
    """A grey picture of 16-bit integers (also kept in 32-bit ones) or floats, in [0, 1]."""
    values = np.asarray(image).astype(np.float32)
    largest = values.max(initial=0)
    whole = 1.0 if image.mode == "F" and largest <= 1 else 255.0 if image.mode in ("F", "I") and largest <= 255 else SIXTEEN_BITS
    return np.clip(np.nan_to_num(values) / whole, 0, 1)


def _srgb(image: Image.Image) -> Image.Image:
    """RGB in the sRGB space where the picture carries another profile; a broken profile is ignored."""
    profile = image.info.get("icc_profile")
    if profile and image.mode in ("RGB", "CMYK"):
        try:
            own = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            return ImageCms.profileToProfile(image, own, ImageCms.createProfile("sRGB"), outputMode="RGB") or image.convert("RGB")
        except (ImageCms.PyCMSError, OSError) as error:
            log.debug("colour profile: %s", error)
    return image.convert("RGB")


def to_pil(picture: Tensor) -> Image.Image:
    """The 8-bit picture of an (H, W, 3) tensor in [0, 1]."""
    return Image.fromarray((picture.detach().float().clamp(0, 1) * 255).round().to(torch.uint8).cpu().numpy())


def picture_format(path: Path) -> str:
    """Pillow's name of the format that the file's ending asks for. ValueError for an ending that can't be written."""
    kind = Image.registered_extensions().get(path.suffix.lower(), "")
    if kind not in FORMATS or path.is_dir():
        raise ValueError(f"{path.name} has no ending of a picture format: name it .png, .jpg or .webp.")
    return kind


def save_picture(picture: Tensor, path: Path) -> None:
    """Write an (H, W, 3) tensor in the format of the file's ending, beside its place first. ValueError for an unknown ending."""
    kind = picture_format(path)
    part = path.with_name(f".{path.stem}.{uuid.uuid4().hex[:8]}{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            to_pil(picture).save(part, format=kind, **({"quality": 95} if kind in ("JPEG", "WEBP") else {}))
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise ValueError(f"{path} can't be written ({error.strerror or error}): choose another place.") from error
