"""The picture plane: x to the right and y down, both 0..1 over the whole scene, whatever the number of pixels."""

from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

import numpy as np

Array: TypeAlias = np.ndarray
Colour: TypeAlias = tuple[float, float, float]
Tint: TypeAlias = Colour | Array
"""A colour as numbers or as an array (3,) or (H, W, 3)."""


@dataclass(frozen=True)
class Canvas:
    """Centres of the pixels: `x` (1, W), `y` (H, 1); `px` is the side of a pixel."""

    x: Array
    y: Array
    px: float

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.y.shape[0], self.x.shape[1]

    def span(self, left: float, top: float, right: float, bottom: float) -> tuple[slice, slice]:
        """Rows and columns of the pixels within a box; empty slices where the box is out of sight."""
        columns = np.searchsorted(self.x[0], [left - self.px, right + self.px])
        rows = np.searchsorted(self.y[:, 0], [top - self.px, bottom + self.px])
        return slice(*rows), slice(*columns)

    def part(self, span: tuple[slice, slice]) -> "Canvas":
        """The canvas of these rows and columns alone."""
        return Canvas(self.x[:, span[1]], self.y[span[0]], self.px)


@lru_cache(maxsize=16)
def canvas(size: int, zoom: float = 1.0) -> Canvas:
    """`size` x `size` pixels that show the middle 1/`zoom` of the scene."""
    line = (0.5 + ((np.arange(size) + 0.5) / size - 0.5) / zoom).astype(np.float32)
    line.flags.writeable = False
    return Canvas(line[None, :], line[:, None], 1 / (size * zoom))
