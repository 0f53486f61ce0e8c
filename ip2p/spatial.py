"""Scales of each place: masks over the picture that multiply the text scale and the image scale of equation 3."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from .engine import Part, Step
from .guidance import Predictions, Scale, Scales


def resized(mask: Tensor, height: int, width: int) -> Tensor:
    """A mask (h, w), (N, h, w) or (N, 1, h, w) as (N, 1, height, width): each cell the mean of what it covers, between cells bilinear.

    Raises ValueError for another shape, or none at all.
    """
    planes = mask.reshape(-1, 1, *mask.shape[-2:]).float() if mask.ndim in (2, 3) else mask.float()
    if planes.ndim != 4 or planes.shape[1] != 1 or planes.numel() == 0:
        raise ValueError(f"A mask has the shape (batch, height, width), not {tuple(mask.shape)}; wire a mask of the picture.")
    if planes.shape[-2:] == (height, width):
        return planes
    smaller = height <= planes.shape[-2] and width <= planes.shape[-1]
    return F.interpolate(planes, (height, width), mode="area") if smaller else F.interpolate(planes, (height, width), mode="bilinear")


def multiplied(scale: Scale, mask: Tensor | None, x: Tensor) -> Scale:
    """``scale`` times a mask over the latent ``x`` (B, C, H, W): (B, 1, H, W), or the scale itself where the mask is 1 everywhere.

    Fewer masks than pictures take turns. A latent with frames (B, C, T, H, W) has one mask for all of them.
    """
    if mask is None or bool((mask == 1).all()):
        return scale
    cells = resized(mask, *x.shape[-2:]).to(x)
    cells = cells.view(len(cells), *[1] * (x.ndim - 3), *x.shape[-2:])
    return scale * cells[torch.arange(len(x), device=x.device) % len(cells)]


@dataclass(frozen=True, eq=False)
class Spatial(Part):
    """``text`` and ``image``: masks (N, h, w) of any size over the whole picture, 0 to 1, that multiply the two scales; None leaves one.

    1 leaves a scale as it is. Where the text mask is 0 the instruction has no weight; where the image mask is 0 the picture has none.
    """

    text: Tensor | None = None
    image: Tensor | None = None
    order = 10

    def __post_init__(self) -> None:
        for name, mask in (("text", self.text), ("image", self.image)):
            if mask is not None and (not mask.isfinite().all() or (mask < 0).any()):
                raise ValueError(f"The mask of the {name} scale has values below 0 or no numbers at all; give one from 0 to 1.")

    def scales(self, step: Step, scales: Scales) -> Scales:
        """Both scales of the step, as maps where there are masks."""
        return Scales(multiplied(scales.text, self.text, step.x), multiplied(scales.image, self.image, step.x))


MASKED_FROM = 0.85
"""The progress of a run, 0 to 1, from which on the latent outside a drawn mask is the picture's own."""


@dataclass(frozen=True, eq=False)
class Masked(Part):
    """Makes the latent the picture's own wherever a drawn mask (N, h, w) of any size over the whole picture is 0; 1 leaves the edit.

    It does so late: a network that sees from the first step that nothing changes around the mask takes that for its answer. Fewer masks
    than pictures take turns. Without the picture's latent there is nothing to keep, and the part does nothing.
    """

    mask: Tensor
    order = 95

    def after(self, step: Step, predictions: Predictions, guided: Tensor) -> Tensor:
        """``source + m (D - source)``; the sampler then leads the noise there to the source."""
        if step.source is None or step.progress < MASKED_FROM:
            return guided
        cells = multiplied(1.0, self.mask, guided)
        return guided if isinstance(cells, float) else torch.lerp(step.source.to(guided), guided, cells)
