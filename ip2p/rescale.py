"""Rescaled guidance (Lin, Liu, Li and Yang 2023, "Common Diffusion Noise Schedules and Sample Steps are Flawed", section 3.4).

High scales spread the values of the guided prediction, which overexposes the picture. The remedy is to bring their standard deviation
back to that of the prediction with instruction (equation 15), and to mix the result with what it was (equation 16, phi).
"""

import math
from dataclasses import dataclass
from typing import cast

from torch import Tensor

from .engine import Part, Step
from .guidance import Passes, Predictions


def rescaled(guided: Tensor, reference: Tensor, phi: float) -> Tensor:
    """``guided`` (B, ...) with the share `phi` of the way to the standard deviation that each row of ``reference`` has.

    ``phi`` 0 changes nothing, and equal tensors stay what they are, both to the bit.
    """
    spread = tuple(range(1, guided.ndim))
    ratio = reference.std(spread, keepdim=True) / guided.std(spread, keepdim=True).clamp(min=1e-12)
    return guided + phi * (ratio - 1) * guided


def shrunk(x: Tensor, sigma: float, flow: bool = False) -> Tensor:
    """What of a noisy latent a velocity network leaves to its output: ``D = shrunk(x) - factor(sigma) v``.

    ``x / (sigma^2 + 1)`` for the latents ``x = latent + sigma noise`` of diffusion; ``x`` itself for flow matching.
    """
    return x if flow else x / (sigma**2 + 1)


@dataclass(frozen=True)
class Rescale(Part):
    """Rescaling in the space of the velocity, which is the network's output in the paper, whatever the network here predicts.

    ``phi``: 0 (off) to 1; the paper takes 0.7. ``flow``: the network is one of flow matching. Raises ValueError for another phi.
    """

    phi: float = 0.7
    flow: bool = False
    order = 50

    def __post_init__(self) -> None:
        if not (math.isfinite(self.phi) and 0 <= self.phi <= 1):
            raise ValueError(f"The strength of rescaling is {self.phi:g}: use 0 (off) to 1.")

    def wants(self, step: Step, passes: Passes) -> Passes:
        """The prediction with instruction is what the spread is taken from."""
        return passes if self.phi == 0 else passes._replace(text=True)

    def after(self, step: Step, predictions: Predictions, guided: Tensor) -> Tensor:
        """The guided latent with its velocity rescaled."""
        if self.phi == 0:
            return guided
        rest = shrunk(step.x, step.sigma, self.flow)
        velocity = guided - rest
        return guided + (rescaled(velocity, cast(Tensor, predictions.text) - rest, self.phi) - velocity)
