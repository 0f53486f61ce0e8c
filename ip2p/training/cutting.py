"""One resize, one crop and one flip for both pictures of a pair (appendix A.3), by numbers that are drawn beforehand."""

import re
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ..data.example import DataError
from ..pictures import to_pil

BLOCK = 64
"""Sides of buckets are whole multiples of this many pixels."""
SHAPES = 0.02
"""The two pictures of a pair may differ by this part in their shape (width over height)."""
SIDES = re.compile(r"\b(left|right|leftmost|rightmost|lefthand|righthand|clockwise|counterclockwise|anticlockwise)\b", re.IGNORECASE)


@dataclass(frozen=True)
class Cut:
    """`width` x `height` pixels of a picture that was resized to cover them `zoom` times: the part that begins at the fractions `left`
    and `top` of the room there is, mirrored with `flip`."""

    width: int
    height: int
    zoom: float
    left: float
    top: float
    flip: bool

    def __call__(self, picture: Image.Image) -> np.ndarray:
        """The part (height, width, 3) of a picture in RGB, in bytes; Lanczos."""
        factor = max(self.zoom * self.width / picture.width, self.zoom * self.height / picture.height)
        wide, high = (max(low, round(side * factor)) for low, side in ((self.width, picture.width), (self.height, picture.height)))
        left, top = int(self.left * (wide - self.width + 1)), int(self.top * (high - self.height + 1))
        across, down = picture.width / wide, picture.height / high
        box = (left * across, top * down, (left + self.width) * across, (top + self.height) * down)
        part = np.asarray(picture.resize((self.width, self.height), Image.Resampling.LANCZOS, box))
        return part[:, ::-1] if self.flip else part


def names_a_side(instruction: str) -> bool:
    """Whether an instruction says left or right, so that it would be wrong of a mirrored picture."""
    return SIDES.search(instruction) is not None


def cut_pair(image: Tensor, edited: Tensor, cut: Cut, name: str) -> np.ndarray:
    """(2, height, width, 3) bytes: the same part of both pictures (H, W, 3). The sizes may differ, the shapes may not."""
    sizes = [(picture.shape[1], picture.shape[0]) for picture in (image, edited)]
    shapes = [wide / max(1, high) for wide, high in sizes]
    if abs(shapes[0] / shapes[1] - 1) > SHAPES:
        raise DataError(
            f"The pictures of {name} are {sizes[0][0]} x {sizes[0][1]} and {sizes[1][0]} x {sizes[1][1]} pixels: make both one size."
        )
    first, second = to_pil(image), to_pil(edited)
    if second.size != first.size:
        second = second.resize(first.size, Image.Resampling.LANCZOS)
    return np.stack([cut(first), cut(second)])


def as_pictures(cut: np.ndarray) -> Tensor:
    """(B, H, W, 3) in [0, 1] of bytes."""
    return torch.from_numpy(np.ascontiguousarray(cut)).float() / 255


def bucket_sizes(crop: int) -> list[tuple[int, int]]:
    """(width, height) of about crop x crop pixels, in whole blocks, from twice as high as wide to twice as wide as high, and the square."""
    wides = range(BLOCK, 2 * crop + 1, BLOCK)
    found = [(wide, round(crop * crop / wide / BLOCK) * BLOCK) for wide in wides]
    shaped = [size for size in found if size[1] and 0.5 <= size[0] / size[1] <= 2]
    return sorted({(crop, crop), *shaped, *((high, wide) for wide, high in shaped)})


def bucket_of(shape: float, sizes: list[tuple[int, int]]) -> tuple[int, int]:
    """The bucket whose shape is nearest to `shape` (width over height)."""
    return min(sizes, key=lambda size: abs(np.log(size[0] / size[1] / shape)))
