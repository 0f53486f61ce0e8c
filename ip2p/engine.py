"""Guidance over a sampling run: equation 3, and parts that each change one thing about it.

A step asks for up to three predictions (`guidance`), all as denoised latents (B, C, H, W). A part may change the scales of a step, leave
passes out and fill their predictions in, change the two terms, or work on the guided result. With no parts, or with parts that are
neutral, the result is that of equation 3 to the bit.
"""

import copy
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from torch import Tensor

from .guidance import Passes, Predictions, Scale, Scales, Terms, check_scale, filled, needed, same, weighed

P = TypeVar("P", bound="Part")


@dataclass(frozen=True)
class Step:
    """One call of the denoiser.

    ``x``: the noisy latent (B, C, H, W) at noise level ``sigma``. ``progress``: the share of the noise schedule that is done, 0 to 1.
    ``key``: what the network is told; another key means that nothing of earlier steps holds. ``source``: the picture's own latent, on
    the scale of ``x``, where it is known.
    """

    x: Tensor
    sigma: float
    progress: float
    key: Hashable = None
    source: Tensor | None = None


class Part:
    """One idea about guidance. What a part does not override leaves the step as it is."""

    order = 0
    """Parts with lower numbers are asked first; equal ones in the order they were given."""

    def begin(self: P) -> P:
        """The part as a new run starts: a copy of its own where it keeps anything from step to step."""
        return copy.copy(self)

    def scales(self, step: Step, scales: Scales) -> Scales:
        """The scales of this step."""
        return scales

    def wants(self, step: Step, passes: Passes) -> Passes:
        """The predictions that the step must have, computed or filled in."""
        return passes

    def computes(self, step: Step, passes: Passes) -> Passes:
        """Those of the wanted predictions that the network has to make; `complete` is then told what it made."""
        return passes

    def complete(self, step: Step, found: Predictions, wanted: Passes) -> Predictions:
        """All the wanted predictions, from those that were made."""
        return found

    def terms(self, step: Step, text: Tensor, terms: Terms) -> Terms:
        """The two terms that the scales weigh; ``text`` is ``D_c``."""
        return terms

    def after(self, step: Step, predictions: Predictions, guided: Tensor) -> Tensor:
        """The guided latent."""
        return guided


@dataclass
class Counted:
    """Network passes over single pictures: those that were ``made``, and those that equation 3 asks for (``exact``)."""

    steps: int = 0
    made: int = 0
    exact: int = 0

    @property
    def saved(self) -> int:
        return max(0, self.exact - self.made)

    def __str__(self) -> str:
        share = f", {self.saved} saved ({self.saved / self.exact:.0%})" if self.saved else ""
        return f"{self.made} network passes in {self.steps} steps{share}"


@dataclass
class Engine:
    """One run's guidance. For each step: `begin`, make the passes it names, `complete`, `guided`."""

    parts: Sequence[Part] = ()
    counted: Counted = field(default_factory=Counted)

    def __post_init__(self) -> None:
        self.parts = tuple(part.begin() for part in ordered(self.parts))
        self.step: Step | None = None
        self.wanted = Passes(True, True, True)
        self.used = Scales(1.0, 1.0)

    def add(self, *parts: Part) -> "Engine":
        """Take in further parts before the run; returns the engine itself."""
        self.parts = tuple(ordered([*self.parts, *(part.begin() for part in parts)]))
        return self

    @property
    def rows_are_equal(self) -> bool:
        """Whether a part says that equal rows of a batch are told the same, so that one of them can stand for all."""
        return any(getattr(part, "rows_are_equal", False) for part in self.parts)

    def begin(self, step: Step, text_scale: Scale, image_scale: Scale, watched: bool = False) -> Passes:
        """Take a step up and say which predictions to make. ``watched``: others look at ``D_c`` and ``D_I``, which so must be there."""
        wanted = needed(*self._scaled(step, text_scale, image_scale))
        if watched:
            wanted = Passes(True, True, wanted.null)
        for part in self.parts:
            wanted = part.wants(step, wanted)
        computed = wanted
        for part in self.parts:
            computed = part.computes(step, computed)
        self.wanted = wanted
        return computed

    def begin_single(self, step: Step, text_scale: float, image_scale: float) -> tuple[float, float]:
        """Take up a step of a network that makes the guided prediction itself, as `text` alone, and give the scales to tell it.

        Raises ValueError where a part gives scales that are not single numbers.
        """
        text, image = self._scaled(step, text_scale, image_scale)
        if isinstance(text, Tensor) or isinstance(image, Tensor):
            raise ValueError("The one-pass adapter takes one text and one image scale; take the adapter out, or the map of scales.")
        self.wanted = Passes(True, False, False)
        return text, image

    def _scaled(self, step: Step, text_scale: Scale, image_scale: Scale) -> Scales:
        self.step, scales = step, Scales(text_scale, image_scale)
        for part in self.parts:
            scales = part.scales(step, scales)
        self.used = scales
        self.counted.steps += 1
        self._exact = len(step.x) * sum(needed(*scales))
        return scales

    def complete(self, found: Predictions, rows: int | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """The step's predictions; ``rows`` of the batch were computed (default: all), of which each stands for its equals."""
        assert self.step is not None
        computed = sum(given is not None for given in found)
        self.counted.made += computed * (len(self.step.x) if rows is None else rows)
        self.counted.exact += self._exact
        for part in self.parts:
            found = part.complete(self.step, found, self.wanted)
        return filled(found, self.wanted)

    def guided(
        self, predictions: tuple[Tensor | None, Tensor | None, Tensor | None], plain: Tensor | None = None, cfg: float = 1.0
    ) -> Tensor:
        """The step's guided latent.

        ``plain`` is ``D_I + cfg (D_c - D_I)`` as others have made it; what they changed about it stays.
        """
        assert self.step is not None
        text, image, null = filled(Predictions(*predictions), Passes(True, True, True))
        given = Terms(text - image, image - null)
        terms = given
        for part in self.parts:
            terms = part.terms(self.step, text, terms)
        out = weighed(text, terms, self.used) if plain is None else self._on(plain, cfg, given, terms)
        for part in self.parts:
            out = part.after(self.step, Predictions(text, image, null), out)
        return out

    def _on(self, plain: Tensor, cfg: float, given: Terms, terms: Terms) -> Tensor:
        """``plain`` with its text term exchanged for this step's, and with the image term."""
        if terms.text is not given.text or not same(self.used.text, cfg):
            plain = plain + (self.used.text - 1) * terms.text - (cfg - 1) * given.text
        return plain + (self.used.image - 1) * terms.image if self.wanted.null else plain


def ordered(parts: Iterable[Part]) -> list[Part]:
    """Parts in the order in which they are asked."""
    return sorted(parts, key=lambda part: part.order)


def checked(text_scale: float, image_scale: float) -> tuple[float, float]:
    """Two scales. Raises ValueError for one that is not a finite number of at least 0."""
    return check_scale("text", text_scale), check_scale("image", image_scale)
