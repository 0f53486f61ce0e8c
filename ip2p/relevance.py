"""Where an instruction works: a map of the picture, found while sampling, without a further pass.

``D_c - D_I`` is what the instruction adds to a prediction. Its size, averaged over the channels and over the run, is large where the edit
is meant to happen ("Watch Your Steps", Mirzaei et al. 2023, section 3.1, has the idea, with passes of its own at one noise level).
Otsu's threshold (1979) parts it into the place of the edit and the rest. It is taken as noise predictions, over the first part of the
schedule: `bench/README.md` has what was tried, and what it gave.
"""

from dataclasses import dataclass, field, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from .engine import Part, Step
from .guidance import Passes, Predictions

UNTIL = 0.65
"""The progress of a run, 0 to 1, up to which steps count; it is noise level 1 of the SD schedule."""
BLUR = (0.25, 0.5, 0.25)
"""Weights of a cell and its two neighbours, along rows and along columns: single cells of the latent are noisy."""
HEAT = ((0.0, 0.0, 0.25), (0.5, 0.0, 0.45), (0.9, 0.1, 0.2), (1.0, 0.6, 0.0), (1.0, 1.0, 0.6))
"""Colours from no relevance to the most, at even steps."""


@dataclass(frozen=True)
class Split:
    """Otsu's parting of each map of a batch; every field has the shape (B,).

    Values above ``threshold`` are the upper class. ``separability`` is the part of the variance that lies between the two classes, 0 to 1
    (Otsu's eta), ``ratio`` the mean of the upper class over that of the lower, and ``area`` the share of the upper class, 0 to 1.
    """

    threshold: Tensor
    separability: Tensor
    ratio: Tensor
    area: Tensor


def difference(text: Tensor, image: Tensor, sigma: float) -> Tensor:
    """``|D_c - D_I| / sigma``, the mean of the channels: (B, 1, H, W) from denoised latents (B, C, H, W) at noise level ``sigma`` > 0.

    Over sigma, a difference of denoised latents is one of noise (or velocity) predictions. Frames, (B, C, T, H, W), are averaged too.
    """
    return (text - image).abs().flatten(1, -3).mean(1, keepdim=True) / sigma


def smoothed(values: Tensor) -> Tensor:
    """A map (B, 1, H, W) after a binomial blur of 3 x 3 cells whose borders repeat."""
    row = values.new_tensor(BLUR)
    padded = F.pad(values, (1, 1, 1, 1), mode="replicate")
    return F.conv2d(padded, (row[:, None] * row[None, :])[None, None])


def otsu(values: Tensor) -> Split:
    """The parting into two classes that has the largest variance between them (Otsu 1979), of each map (B, ...) by itself.

    Exact: every parting of the sorted values is tried, there is no histogram. The threshold lies midway between the two classes' nearest
    values. A map of equal values has no upper class: threshold that value, separability 0, ratio 1, area 0. Raises ValueError for a map
    without a value, or with one that is no finite number.
    """
    rows = values.flatten(1).double()
    n = rows.shape[1]
    if n == 0 or not rows.isfinite().all():
        raise ValueError("A relevance map needs finite values; lower the scales or set the model to a higher precision.")
    ordered = rows.sort(1).values
    if n == 1:
        ordered = ordered.expand(-1, 2)
        n = 2
    sums = ordered.cumsum(1)
    below = torch.arange(1, n, dtype=torch.float64, device=rows.device)
    low, high = sums[:, :-1] / below, (sums[:, -1:] - sums[:, :-1]) / (n - below)
    between = below * (n - below) / n**2 * (high - low).square()
    between = torch.where(ordered[:, 1:] > ordered[:, :-1], between, torch.zeros_like(between))
    best = between.argmax(1, keepdim=True)
    at = [found.gather(1, best)[:, 0] for found in (between, low, high, ordered[:, :-1], ordered[:, 1:], below.expand_as(low))]
    most, mean_low, mean_high, last_low, first_high, count = at
    parted, tiny = most > 0, torch.finfo(torch.float64).tiny
    return Split(
        threshold=(last_low + first_high) / 2,
        separability=torch.where(parted, most / ordered.var(1, unbiased=False).clamp(min=tiny), 0.0),
        ratio=torch.where(parted, mean_high / mean_low.clamp(min=tiny), 1.0),
        area=torch.where(parted, (n - count) / n, 0.0),
    )


def soft(values: Tensor, split: Split) -> Tensor:
    """Relevance maps (B, 1, H, W) as masks from 0 to 1, in which Otsu's threshold is 0.5 and twice that, and more, is 1."""
    half = split.threshold.to(values).view(-1, 1, 1, 1)
    return (values / (2 * half).clamp(min=torch.finfo(values.dtype).tiny)).clamp(0, 1)


def heat(pictures: Tensor, masks: Tensor) -> Tensor:
    """Pictures (N, H, W, 3) in grey under the colours of masks (B, H, W), 0 to 1: blue-black, red, yellow. Gives (B, H, W, 3)."""
    grey = pictures[torch.arange(len(masks)) % len(pictures)].mean(-1, keepdim=True)
    stops = torch.tensor(HEAT, device=masks.device, dtype=masks.dtype)
    at = masks.clamp(0, 1) * (len(stops) - 1)
    low = at.floor().long().clamp(max=len(stops) - 2)
    colour = torch.lerp(stops[low], stops[low + 1], (at - low).unsqueeze(-1))
    return 0.45 * grey.to(masks) + 0.55 * colour


@dataclass
class Relevance(Part):
    """Keeps the running mean of ``|D_c - D_I|`` over a run. It changes nothing, but it asks for ``D_I`` where equation 3 could do without.

    Only steps count whose two predictions are both made, not held from earlier ones, and which are no later than `UNTIL`; all of them
    where a run begins later than that. Where the network makes one prediction for both (a one-pass adapter) there is nothing to find.
    """

    order = 90
    _sum: Tensor | None = field(default=None, repr=False)
    _steps: int = field(default=0, repr=False)
    _fresh: bool = field(default=False, repr=False)
    _until: float | None = field(default=None, repr=False)

    def begin(self) -> "Relevance":
        """The same part, with nothing found yet."""
        return replace(self, _sum=None, _steps=0, _fresh=False, _until=None)

    def wants(self, step: Step, passes: Passes) -> Passes:
        """Both predictions whose difference is the map."""
        return Passes(True, True, passes.null)

    def computes(self, step: Step, passes: Passes) -> Passes:
        """Whatever the others left; remembers whether the difference will be a fresh one."""
        self._fresh = passes.text and passes.image
        return passes

    def complete(self, step: Step, found: Predictions, wanted: Passes) -> Predictions:
        """Count a fresh difference. A latent of another shape begins a new map."""
        if self._fresh and found.text is not None and found.image is not None and step.sigma > 0:
            self._count(step, difference(found.text, found.image, step.sigma).float())
        return found

    def _count(self, step: Step, now: Tensor) -> None:
        if self._sum is None or self._sum.shape != now.shape:
            self._sum, self._steps, self._until = now, 1, UNTIL if step.progress <= UNTIL else 1.0
        elif self._until is not None and step.progress <= self._until:
            self._sum, self._steps = self._sum + now, self._steps + 1

    def map(self) -> Tensor | None:
        """The relevance found so far, (B, 1, H, W), at least 0; None where no step was fresh."""
        return None if self._sum is None else smoothed(self._sum / self._steps)
