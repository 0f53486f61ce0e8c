"""What a backdrop is painted on: colours in plain daylight, and with each pixel how deep it is, how it glows and how wet it may get."""

from dataclasses import dataclass

import numpy as np

from .canvas import Array, Canvas, Tint
from .fields import mix


@dataclass(frozen=True)
class Painting:
    """`colour` (H, W, 3), `clear` (H, W) how much sky still shows, `depth` (H, W) 0 near to 1 far, `lamp` (H, W, 3) light given off
    when it is dark, `water` (H, W) how much of the scene above is mirrored."""

    plane: Canvas
    colour: Array
    clear: Array
    depth: Array
    lamp: Array
    water: Array
    sun_side: float = -1.0
    shore: float = 0.5

    def window(self, left: float, top: float, right: float, bottom: float) -> "Painting":
        """The same painting within a box of scene coordinates; painting there paints here."""
        span = self.plane.span(left, top, right, bottom)
        colour, clear, depth, lamp, water = (array[span] for array in (self.colour, self.clear, self.depth, self.lamp, self.water))
        return Painting(self.plane.part(span), colour, clear, depth, lamp, water, self.sun_side, self.shore)

    @property
    def empty(self) -> bool:
        """Whether no pixel lies in it."""
        return 0 in self.plane.shape

    def paint(
        self,
        colour: Tint,
        coverage: Array,
        depth: Array | float | None = None,
        lamp: Tint | None = None,
        water: Array | float = 0,
    ) -> None:
        """Lays a colour, (3,) or (H, W, 3), over what is there, as far as `coverage` (H, W) goes."""
        self.clear[...] *= 1 - coverage
        share = coverage / np.maximum(1 - self.clear, 1e-6)  # of what is painted here at all, so that edges against the sky stay clean
        self.colour[...] = mix(self.colour, colour, share[..., None])
        self.lamp[...] = mix(self.lamp, (0, 0, 0) if lamp is None else lamp, share[..., None])
        self.water[...] = mix(self.water, water, share)
        if depth is not None:
            self.depth[...] = mix(self.depth, depth, share)

    def tone(self, coverage: Array, strength: float) -> None:
        """Makes what is there lighter (positive strength) or darker, as far as `coverage` goes."""
        goal = 1.0 if strength > 0 else 0.0
        self.colour[...] = mix(self.colour, goal, (coverage * np.float32(abs(strength)))[..., None])


def blank(plane: Canvas, sun_side: float, shore: float) -> Painting:
    """Nothing painted: all sky."""
    height, width = plane.shape
    zeros = [np.zeros(shape, np.float32) for shape in ((height, width, 3), (height, width, 3), (height, width))]
    ones = [np.ones((height, width), np.float32) for _ in range(2)]
    return Painting(plane, zeros[0], ones[0], ones[1], zeros[1], zeros[2], sun_side, shore)
