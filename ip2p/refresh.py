"""Fewer passes: the two terms of equation 3 change slowly from step to step, so they are held and refreshed now and then.

Every step computes ``D_c`` afresh. ``D_c - D_I`` is refreshed every ``text_every`` steps and ``D_I - D_0`` every ``image_every``; between
them they are held as noise predictions (a difference of denoised latents over sigma), which change less over sigma than denoised latents
do. When anything changes that the network is told, or the noise level rises, the step is computed in full.
"""

from collections.abc import Hashable
from dataclasses import dataclass, field, replace
from itertools import pairwise

from torch import Tensor

from .engine import Part, Step
from .guidance import Passes, Predictions


@dataclass
class Refresh(Part):
    """``image_every``, ``text_every``: steps between refreshes, 1 is exact. ``until``: the progress (0 to 1) from which on nothing is
    refreshed any more.

    Raises ValueError, in a sentence, for numbers out of their range.
    """

    image_every: int = 1
    text_every: int = 1
    until: float = 1.0
    order = 50
    _held: dict[tuple[str, str], Tensor] = field(default_factory=dict, repr=False)
    _key: Hashable = field(default=None, repr=False)
    _sigma: float = field(default=0.0, repr=False)
    _count: int = field(default=0, repr=False)

    def __post_init__(self) -> None:
        for name, value in (("image", self.image_every), ("text", self.text_every)):
            if value < 1:
                raise ValueError(f"The {name} branch can't be refreshed every {value} steps; use 1 (exact) or more.")
        if not 0 <= self.until <= 1:
            raise ValueError(f"Refreshing can't end at {self.until}; use a share of the run from 0 to 1.")

    @property
    def saves(self) -> bool:
        """Whether any pass is left out at all."""
        return self.image_every > 1 or self.text_every > 1 or self.until < 1

    def begin(self) -> "Refresh":
        """The same settings, with nothing held."""
        return replace(self, _held={}, _key=None, _sigma=0.0, _count=0)

    def computes(self, step: Step, passes: Passes) -> Passes:
        """The passes that are due: the first that is wanted always, the others when their term is."""
        key = (passes, step.key, step.x.shape, step.x.dtype, step.x.device)
        if key != self._key or step.sigma > self._sigma:
            self._count, self._held = 0, {}
        self._key, self._sigma = key, step.sigma
        count, self._count = self._count, self._count + 1
        if not self._held:  # the first step, and every one of exact settings
            return passes
        late = step.progress >= self.until
        null = passes.null and not late and count % (self.image_every if passes.image else self.text_every) == 0
        image = passes.image and (null or (not late and count % self.text_every == 0))
        if not passes.text:  # the image pass is then the first
            image = passes.image
        return Passes(passes.text, image, null or not (passes.text or passes.image))

    def complete(self, step: Step, found: Predictions, wanted: Passes) -> Predictions:
        """Hold the terms that were computed, fill in the predictions that were not."""
        made = found._asdict()
        names = [name for name, want in zip(Passes._fields, wanted, strict=True) if want]
        for upper, lower in pairwise(names):
            above, below = made[upper], made[lower]
            if below is None:
                made[lower] = above - self._held[upper, lower] * step.sigma
            elif self.saves:
                self._held[upper, lower] = (above - below) / step.sigma
        return Predictions(**made)
