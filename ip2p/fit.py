"""Bring a picture to a size the network takes, and bring the result back to the original size and place.

Pictures are float tensors (B, H, W, C) in [0, 1]; masks are (B, H, W) in [0, 1].
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

METHODS = ("scale", "pad", "crop", "exact", "reference")
MULTIPLES = (8, 64)
METHOD, MULTIPLE = METHODS[0], MULTIPLES[0]
"""What a whole edit uses: the picture keeps its edges, which the authors' crop would leave unedited, and its shape within 4 pixels."""
LARGEST = 8192
"""No side of a fitted picture may be longer, in pixels."""

SEAM = 4.0
"""How wide the soft edge inside a hard-edged mask is, in pixels of the edit: half a cell of the latent; more shows as a halo."""

Box = tuple[float, float, float, float]
"""Left, top, right, bottom in pixels; may be fractional."""


@dataclass(frozen=True)
class Fit:
    """How an original of ``width`` x ``height`` maps onto ``target_width`` x ``target_height``.

    ``source`` is the part of the original that is kept; ``inner`` is where it lies in the target (smaller than it when padded).
    """

    width: int
    height: int
    target_width: int
    target_height: int
    source: Box
    inner: Box
    method: str

    def __str__(self) -> str:
        return f"{self.width} x {self.height} -> {self.target_width} x {self.target_height} ({self.method})"


def plan(width: int, height: int, size: int = 512, method: str = METHOD, multiple: int = MULTIPLE) -> Fit:
    """Work out the fit of a ``width`` x ``height`` picture.

    ``reference`` and ``exact`` are the authors' resize: scale the long side to ``size``, round the short side up and the long
    side down to whole multiples, crop the middle. ``reference`` keeps the float arithmetic of the public code, which loses a block
    at some sizes (1000 x 667 gives 512 x 320); ``exact`` does not (512 x 384). The long side can come out above ``size`` where
    rounding the short side up enlarges the picture. ``crop``, ``pad`` and ``scale`` scale the long side to ``size`` (0 keeps it)
    and then crop, pad (repeating the edge) or stretch to multiples. Raises ValueError for impossible sizes or unknown methods.
    """
    if width < 1 or height < 1:
        raise ValueError(f"The picture is {width} x {height} pixels, so there is nothing to fit; load a picture that is not empty.")
    if method not in METHODS:
        raise ValueError(f"The fit method '{method}' is unknown; use one of {', '.join(METHODS)}.")
    if multiple < 1 or size < 0:
        raise ValueError(f"A size of {size} in multiples of {multiple} is impossible; use a size of at least 0 and a multiple such as 64.")
    if method in ("exact", "reference"):
        target = (_reference_size if method == "reference" else _exact_size)(width, height, size or max(width, height), multiple)
        if max(target) > max(LARGEST, size):
            raise ValueError(f"A picture of {width} x {height} is too narrow for the fit method '{method}'; use scale or pad.")
        source = _middle(width, height, target[0] / target[1])
        return Fit(width, height, *target, source, (0, 0, *target), method)
    return _multiples(width, height, size, method, multiple)


def _reference_size(width: int, height: int, size: int, multiple: int) -> tuple[int, int]:
    short = min(width, height)
    factor = size / max(width, height)
    factor = math.ceil(short * factor / multiple) * multiple / short
    blocks = int((width * factor) // multiple), int((height * factor) // multiple)
    return max(1, blocks[0]) * multiple, max(1, blocks[1]) * multiple


def _exact_size(width: int, height: int, size: int, multiple: int) -> tuple[int, int]:
    short, long = sorted((width, height))
    blocks = -(-short * size // (long * multiple))
    return width * blocks // short * multiple, height * blocks // short * multiple


def _middle(width: int, height: int, aspect: float) -> Box:
    """The largest centred box of the given aspect (width over height) in a width x height picture."""
    if width / height > aspect:
        left = (width - height * aspect) / 2
        return left, 0, width - left, height
    top = (height - width / aspect) / 2
    return 0, top, width, height - top


def _multiples(width: int, height: int, size: int, method: str, multiple: int) -> Fit:
    factor = size / max(width, height) if size else 1.0
    scaled = max(1, round(width * factor)), max(1, round(height * factor))
    rounding: dict[str, Callable[[float], int]] = {"crop": math.floor, "pad": math.ceil, "scale": round}
    target = _whole(scaled[0] / multiple, rounding[method]) * multiple, _whole(scaled[1] / multiple, rounding[method]) * multiple
    if method == "pad":
        left, top = ((t - s) // 2 for t, s in zip(target, scaled, strict=True))
        inner = left, top, left + scaled[0], top + scaled[1]
        return Fit(width, height, *target, (0, 0, width, height), inner, method)
    if method == "crop" and target[0] <= scaled[0] and target[1] <= scaled[1]:
        left, top = ((s - t) // 2 for t, s in zip(target, scaled, strict=True))
        x, y = width / scaled[0], height / scaled[1]
        source = left * x, top * y, (left + target[0]) * x, (top + target[1]) * y
    elif method == "crop":  # smaller than one multiple: nothing can be cut off, so enlarge the middle
        source = _middle(width, height, target[0] / target[1])
    else:
        source = 0, 0, width, height
    return Fit(width, height, *target, source, (0, 0, *target), method)


def _whole(blocks: float, rounding: Callable[[float], int]) -> int:
    return max(1, rounding(blocks))


def rgb(image: Tensor) -> Tensor:
    """(B, H, W, C) with 1, 2, 3 or 4 channels to (B, H, W, 3): alpha is dropped, grey is repeated. Raises ValueError otherwise."""
    if image.ndim != 4 or image.shape[-1] not in (1, 2, 3, 4):
        raise ValueError(f"A picture batch has the shape (batch, height, width, channels), not {tuple(image.shape)}; wire an IMAGE here.")
    if image.numel() == 0:
        raise ValueError(f"The picture batch is empty (shape {tuple(image.shape)}); load at least one picture.")
    return image[..., :1].expand(-1, -1, -1, 3) if image.shape[-1] < 3 else image[..., :3]


def sized_mask(mask: Tensor, width: int, height: int) -> Tensor:
    """A mask (h, w) or (B, h, w) as (B, height, width). One of another size must be all the same, as a host's placeholder is.

    Raises ValueError for a mask that belongs to another picture.
    """
    mask = mask.reshape(-1, *mask.shape[-2:])
    if mask.numel() == 0:
        raise ValueError(f"The mask is empty (shape {tuple(mask.shape)}); wire a mask of the picture.")
    if mask.shape[-2:] == (height, width):
        return mask
    if (mask == mask[0, 0, 0]).all():
        return mask[:1, :1, :1].expand(len(mask), height, width)
    raise ValueError(f"The mask is {mask.shape[2]} x {mask.shape[1]} but the picture is {width} x {height}; wire the mask of this picture.")


def apply(image: Tensor, fit: Fit) -> Tensor:
    """The (B, target_height, target_width, 3) picture of a (B, height, width, C) original; Lanczos; alpha is dropped."""
    image = rgb(image)
    _check_size(image, fit)
    if fit.method == "reference":
        return torch.stack([_authors(picture, fit) for picture in image])
    return torch.stack([_place(picture, fit, Image.Resampling.LANCZOS) for picture in image])


def apply_mask(mask: Tensor, fit: Fit) -> Tensor:
    """The (B, target_height, target_width) mask of a (B, height, width) mask over the original; bilinear."""
    mask = sized_mask(mask, fit.width, fit.height)
    return torch.stack([_place(m.unsqueeze(-1), fit, Image.Resampling.BILINEAR)[..., 0] for m in mask])


def restore(edited: Tensor, fit: Fit, original: Tensor, mask: Tensor | None = None) -> Tensor:
    """Put an edited batch (B, h, w, C) back onto its original (N, height, width, C): returns (B, height, width, 3).

    ``edited`` may have been enlarged since; it is taken to cover the fit's whole target. What the fit cut away comes from the
    original, whose pictures repeat where there are fewer than edits. With ``mask`` (height x width or the edit's own size), pixels
    where it is 0 are the original's own; inside that edge the mask is `softened`.
    """
    edited, original = rgb(edited), rgb(original).to(edited)
    _check_size(original, fit)
    covered = _covered(fit)
    out = original[torch.arange(len(edited), device=original.device) % len(original)].clone()
    left, top, right, bottom = covered
    for i, picture in enumerate(edited):
        box = _box_in_edit(fit, covered, picture.shape[1], picture.shape[0])
        out[i, top:bottom, left:right] = _resize(picture, (right - left, bottom - top), box, Image.Resampling.LANCZOS)
    return out if mask is None else _composite(out, original, mask, fit)


def _composite(edited: Tensor, original: Tensor, mask: Tensor, fit: Fit) -> Tensor:
    if mask.shape[-2:] == (fit.target_height, fit.target_width):
        blank = torch.zeros(len(sized_mask(mask, fit.target_width, fit.target_height)), fit.height, fit.width, 3)
        mask = restore(mask.reshape(-1, *mask.shape[-2:], 1), fit, blank)[..., 0]
    mask = softened(sized_mask(mask, fit.width, fit.height), fit).to(edited)
    rows = torch.arange(len(edited), device=edited.device)
    mask, original = mask[rows % len(mask)].unsqueeze(-1), original[rows % len(original)]
    return torch.where(mask == 0, original, torch.where(mask == 1, edited, original + mask * (edited - original)))


def softened(mask: Tensor, fit: Fit) -> Tensor:
    """Masks (N, height, width) of the original that rise smoothly from 0 at their edge, to what they are `SEAM` pixels inside.

    What is 0 stays 0, and 1 stays 1 there; the picture's border is no edge. A thin stroke still reaches its full value.
    """
    return torch.stack([_softened(one, SEAM * (fit.source[2] - fit.source[0]) / (fit.inner[2] - fit.inner[0])) for one in mask])


def _softened(mask: Tensor, width: float) -> Tensor:
    inside = mask > 0
    if inside.all() or not inside.any():
        return mask
    from scipy import ndimage

    depth = torch.from_numpy(ndimage.distance_transform_edt(inside.cpu().numpy())).to(mask)
    rising = (depth / min(width, float(depth.max()))).clamp(0, 1)
    return mask * rising * rising * (3 - 2 * rising)


def _check_size(image: Tensor, fit: Fit) -> None:
    if (image.shape[2], image.shape[1]) != (fit.width, fit.height):
        raise ValueError(
            f"The picture is {image.shape[2]} x {image.shape[1]} but the fit was made for {fit.width} x {fit.height}; "
            "wire the fit of this very picture."
        )


def _authors(picture: Tensor, fit: Fit) -> Tensor:
    """The authors' own call on 8-bit pixels, for results equal to theirs."""
    pixels = Image.fromarray((picture.cpu().numpy() * 255).round().clip(0, 255).astype(np.uint8))
    fitted = ImageOps.fit(pixels, (fit.target_width, fit.target_height), method=Image.Resampling.LANCZOS)
    return torch.from_numpy(np.asarray(fitted, dtype=np.float32) / 255).to(picture)


def _place(picture: Tensor, fit: Fit, resample: Image.Resampling) -> Tensor:
    left, top, right, bottom = (int(side) for side in fit.inner)
    inner = _resize(picture, (right - left, bottom - top), fit.source, resample)
    pad = (left, fit.target_width - right, top, fit.target_height - bottom)
    if not any(pad):
        return inner
    return torch.nn.functional.pad(inner.permute(2, 0, 1)[None], pad, mode="replicate")[0].permute(1, 2, 0)


def _resize(picture: Tensor, size: tuple[int, int], box: Box | None, resample: Image.Resampling) -> Tensor:
    """Resample the ``box`` of an (H, W, C) picture to ``size`` = (width, height) in float arithmetic, clamped to [0, 1]."""
    height, width = picture.shape[:2]
    box = box or (0, 0, width, height)
    if box[2] - box[0] == size[0] and box[3] - box[1] == size[1] and all(float(side).is_integer() for side in box):
        left, top, right, bottom = (int(side) for side in box)
        return picture[top:bottom, left:right]
    planes = picture.detach().cpu().to(torch.float32).numpy()
    out = [np.asarray(Image.fromarray(np.ascontiguousarray(planes[..., c])).resize(size, resample, box)) for c in range(planes.shape[-1])]
    return torch.from_numpy(np.stack(out, axis=-1)).clamp(0, 1).to(picture)


def _covered(fit: Fit) -> tuple[int, int, int, int]:
    """The whole pixels of the original that the edit covers."""
    left, top, right, bottom = fit.source
    return math.ceil(left - 1e-6), math.ceil(top - 1e-6), math.floor(right + 1e-6), math.floor(bottom + 1e-6)


def _box_in_edit(fit: Fit, covered: tuple[int, int, int, int], width: int, height: int) -> Box:
    """Where the covered pixels lie in an edit of ``width`` x ``height`` that spans the fit's target."""
    x = (fit.inner[2] - fit.inner[0]) / (fit.source[2] - fit.source[0])
    y = (fit.inner[3] - fit.inner[1]) / (fit.source[3] - fit.source[1])
    grow_x, grow_y = width / fit.target_width, height / fit.target_height
    left = (fit.inner[0] + (covered[0] - fit.source[0]) * x) * grow_x
    top = (fit.inner[1] + (covered[1] - fit.source[1]) * y) * grow_y
    right = (fit.inner[0] + (covered[2] - fit.source[0]) * x) * grow_x
    bottom = (fit.inner[1] + (covered[3] - fit.source[1]) * y) * grow_y
    return max(0.0, left), max(0.0, top), min(float(width), right), min(float(height), bottom)
