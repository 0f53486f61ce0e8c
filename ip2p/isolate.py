"""Keep an edit where it belongs: what the instruction does not mean stays the picture's own, to the byte.

Late in sampling the guided latent is drawn towards the picture's own wherever the relevance map says that the instruction means nothing
(as Avrahami et al. 2022, "Blended Diffusion", do with a drawn mask), so that the network itself joins the two. Afterwards the edit is put
onto the picture at the picture's own resolution, with a soft edge; beyond that edge every pixel is the input's.
"""

import logging
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor

from . import fit
from .engine import Engine, Step
from .guidance import Passes, Predictions
from .relevance import UNTIL, Relevance, Split, otsu

log = logging.getLogger(__name__)

SOFT, STRICT = 0.5, 1.0
"""Two places of the slider by name; 0 is off."""
LARGEST = 0.5
"""The share of the picture above which an edit counts as one of the whole."""
CLEAREST = 1.7
"""How many times as relevant as the rest the place must be; with less there is no clear place, and the edit is one of the whole."""
MARGIN, FEATHER = 1.0, 1.5
"""In cells of the latent (8 pixels): how far the edit may reach beyond its place when strict, and the width of the soft edge there."""
ROOM = 0.1
"""How far it may reach beyond that when the slider is at half, in parts of the picture's longer side."""
NOTHING_FOUND = "not isolated, as this run never had both predictions, with and without the instruction; take the one-pass adapter out"


def check_strength(value: float) -> float:
    """Return the slider's value as a float, or raise ValueError if it is not from 0 (off) to 1 (strict)."""
    value = float(value)
    if not 0 <= value <= 1:
        raise ValueError(f"Isolating is set to {value}; use a number from 0 (off) to 1 (strict).")
    return value


def distance(place: Tensor) -> Tensor:
    """How far each cell of (B, 1, H, W) is from the nearest one that belongs to the place, in cells; as far as can be where none does."""
    from scipy import ndimage

    cells = place[:, 0].cpu().numpy()
    far = float(np.hypot(*cells.shape[1:]))
    maps = [ndimage.distance_transform_edt(~one) if one.any() else np.full(one.shape, far) for one in cells]
    return torch.from_numpy(np.stack(maps).astype(np.float32))[:, None]


def margin(strength: float, longer: int) -> float:
    """How far, in cells, an edit may reach beyond its place, in a latent whose longer side has so many; no end as the slider nears 0."""
    return MARGIN + (1 / strength - 1) * ROOM * longer if strength else float("inf")


def edge(distances: Tensor, reach: float) -> Tensor:
    """The weight of the edit: 1 up to ``reach`` cells from its place, 0 from ``FEATHER`` cells further on, smooth between."""
    if reach == float("inf"):
        return torch.ones_like(distances)
    falling = ((reach + FEATHER - distances) / FEATHER).clamp(0, 1)
    return falling * falling * (3 - 2 * falling)


@dataclass(frozen=True)
class Place:
    """Where the edits of a batch belong. ``cells`` (B, 1, H, W): True there. ``split``: how clearly."""

    cells: Tensor
    split: Split

    @property
    def local(self) -> Tensor:
        """(B,): whether each edit has a place of its own, small and clear enough; one of the whole picture has none."""
        return ((self.split.area <= LARGEST) & (self.split.ratio >= CLEAREST)).cpu()

    def weights(self, strength: float) -> Tensor:
        """The weight of the edit in each cell, (B, 1, H, W): 1 in its place, 0 away from it, and 1 everywhere for an edit of the whole."""
        near = edge(distance(self.cells), margin(strength, max(self.cells.shape[-2:])))
        return torch.where(self.local.view(-1, 1, 1, 1), near, torch.ones_like(near))

    def over(self, how: fit.Fit, strength: float) -> Tensor:
        """The same for each pixel of the original picture, (B, height, width).

        It is the distance that is enlarged, not the weights, so that the edge is smooth however large the picture.
        """
        far = distance(self.cells)
        reach = margin(strength, max(self.cells.shape[-2:]))
        scale = far.amax().clamp(min=reach + FEATHER) if reach < float("inf") else far.amax().clamp(min=1)
        away = far.new_ones(len(far), how.height, how.width, 3)
        near = edge(fit.restore((far / scale).movedim(1, -1), how, away)[..., 0] * scale, reach)
        near = torch.where(near < 1 / 255, torch.zeros_like(near), near)  # where a saved mask shows 0, nothing changes
        return torch.where(self.local.view(-1, 1, 1), near, torch.ones_like(near))

    def told(self) -> list[str]:
        """A sentence for each picture."""
        said = []
        for area, ratio, local in zip(self.split.area.tolist(), self.split.ratio.tolist(), self.local.tolist(), strict=True):
            if local:
                said.append(f"isolated: the edit belongs to {area:.0%} of the picture")
            else:
                said.append(
                    f"not isolated, as the edit is one of the whole picture ({ratio:.1f} times as strong in {area:.0%} as elsewhere)"
                )
        return said


def place(relevance: Tensor) -> Place:
    """The place that Otsu's threshold finds in each relevance map of (B, 1, H, W)."""
    split = otsu(relevance)
    cells = relevance.detach().cpu().double() > split.threshold.cpu().view(-1, 1, 1, 1)
    return Place(cells, split)


@dataclass
class Isolate(Relevance):
    """Draws the latent towards the picture's own away from the edit's place, once that is known; ``strength`` is 0 (off) to 1 (strict).

    Raises ValueError, in a sentence, for another strength.
    """

    strength: float = STRICT
    _weights: Tensor | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        self.strength = check_strength(self.strength)

    def begin(self) -> "Isolate":
        """The same setting, with nothing found yet."""
        return replace(self, _sum=None, _steps=0, _fresh=False, _until=None, _weights=None)

    def wants(self, step: Step, passes: Passes) -> Passes:
        """Both predictions whose difference tells the place; none more when off."""
        return super().wants(step, passes) if self.strength else passes

    def after(self, step: Step, predictions: Predictions, guided: Tensor) -> Tensor:
        """``D + w (source - D)``, where w grows to ``strength`` over the rest of the run."""
        relevance = self.map() if self.strength and step.progress > UNTIL else None
        if step.source is None or relevance is None or relevance.shape[-2:] != guided.shape[-2:]:
            return guided
        if self._weights is None or len(self._weights) != len(guided):
            weights = place(relevance).weights(self.strength).to(guided)
            self._weights = weights.view(len(guided), *[1] * (guided.ndim - 3), *guided.shape[-2:])
        drawn = self.strength * (step.progress - UNTIL) / (1 - UNTIL)
        keep = drawn * (1 - self._weights)
        return torch.where(keep > 0, guided + keep * (step.source.to(guided) - guided), guided)

    def place(self) -> Place | None:
        """Where the edits of this run belong; None where nothing was found."""
        relevance = self.map()
        return None if relevance is None else place(relevance)


def restored(run: Engine, edited: Tensor, how: fit.Fit, original: Tensor, mask: Tensor | None = None) -> tuple[Tensor, list[str]]:
    """`fit.restore`, and where the run has an `Isolate` that is on, only at the edit's place; with what was done, a sentence a picture.

    ``edited`` (B, h, w, 3) covers the fit's target, ``original`` is (N, height, width, C), a drawn ``mask`` (N, height, width) narrows the
    place. Beyond the soft edge every pixel is the original's own.
    """
    part = next((part for part in run.parts if isinstance(part, Isolate) and part.strength), None)
    found = part.place() if part else None
    if part is None or found is None:
        return fit.restore(edited, how, original, mask), [NOTHING_FOUND] if part else []
    for said in found.told():
        log.info("%s", said)
    if not found.local.any():
        return fit.restore(edited, how, original, mask), found.told()
    weights = found.over(how, part.strength).to(edited)
    if mask is not None:
        drawn = fit.sized_mask(mask, how.width, how.height).to(weights)
        weights = weights * drawn[torch.arange(len(weights)) % len(drawn)]
    return fit.restore(edited, how, original, weights), found.told()
