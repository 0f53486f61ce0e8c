"""Samplers as short free functions, and the wrappers that turn a network into the denoiser they call (Karras et al. 2022, k-diffusion).

A `denoise(x, sigma)` takes a noisy latent `x = latent + sigma * noise` of shape (B, C, H, W) and a scalar sigma and returns the
denoised latent. Sigmas are (steps + 1,) on the CPU, falling, the last 0. Randomness comes in as `noise()`, progress goes out by `on_step`.
"""

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from .engine import Engine, Step, checked
from .guidance import Predictions
from .sigmas import progress_of, timestep

Denoise = Callable[[Tensor, Tensor], Tensor]
Progress = Callable[[float], float]
"""The share of the noise schedule, 0 to 1, that is done at a sigma."""
OnStep = Callable[[int, int, Tensor], None]
"""Called after each step with (steps done, steps in all, denoised latent)."""


class Text(NamedTuple):
    """What the network reads of a text: token features (B, tokens, width) and, for SDXL, a pooled vector (B, width)."""

    context: Tensor
    pooled: Tensor | None = None

    def expand(self, batch: int) -> "Text":
        """One text for every picture of a batch."""
        pooled = None if self.pooled is None else self.pooled.expand(batch, -1)
        return Text(self.context.expand(batch, -1, -1), pooled)

    def first(self, rows: int) -> "Text":
        """The texts of the first pictures of a batch."""
        return Text(self.context[:rows], None if self.pooled is None else self.pooled[:rows])


class Predict(Protocol):
    """The network's raw output for latents (B, 4, H, W), timesteps (B,), texts and conditioning latents (B, 4, H, W)."""

    def __call__(self, z_t: Tensor, t: Tensor, text: Text, image_latent: Tensor) -> Tensor: ...


class Conditions(NamedTuple):
    """One edit's conditionings: the instruction, the empty or negative text, and the picture's latent (B, 4, H, W)."""

    text: Text
    negative: Text
    image: Tensor


def eps_denoised(predict: Predict, x: Tensor, sigma: Tensor, text: Text, image: Tensor) -> Tensor:
    """The denoised latent of an eps-network of the SD 1.x schedule: `x - sigma * eps(x / sqrt(sigma^2 + 1), t)`, t not rounded."""
    t = timestep(sigma.float()).expand(len(x)).to(x.device)
    return x - sigma * predict(x / (sigma**2 + 1).sqrt(), t, text, image)


def v_denoised(predict: Predict, x: Tensor, sigma: Tensor, text: Text, image: Tensor) -> Tensor:
    """The denoised latent of a v-network of the SD 1.x schedule, t not rounded."""
    return _from_v(predict, x, sigma, timestep(sigma.float()), text, image)


def edm_denoised(predict: Predict, x: Tensor, sigma: Tensor, text: Text, image: Tensor) -> Tensor:
    """The denoised latent of a v-network in EDM's conditioning with sigma_data 1 (CosXL): c_noise = log(sigma) / 4."""
    return _from_v(predict, x, sigma, 0.25 * sigma.log(), text, image)


def _from_v(predict: Predict, x: Tensor, sigma: Tensor, t: Tensor, text: Text, image: Tensor) -> Tensor:
    """``v = (noise - sigma latent) / sqrt(sigma^2 + 1)``, solved for the latent (Salimans and Ho 2022, appendix D)."""
    scale = (sigma**2 + 1).sqrt()
    return x / scale**2 - sigma / scale * predict(x / scale, t.expand(len(x)).to(x), text, image)


def guided(
    predict: Predict,
    conditions: Conditions,
    text_scale: float,
    image_scale: float,
    denoised: Callable[..., Tensor] = eps_denoised,
    engine: Engine | None = None,
    source: Tensor | None = None,
    progress: Progress = progress_of,
) -> Denoise:
    """Equation 3 around a network: the passes that a step needs in one batched call, then combined by ``engine`` (default: no parts).

    ``source`` is the picture's latent on the network's scale, for parts that need it; ``progress`` the share of the noise schedule that
    is done at a sigma. Raises ValueError for a scale that is not a finite
    number of at least 0.
    """
    scales, run = checked(text_scale, image_scale), engine or Engine()
    batch = len(conditions.image)
    text, negative = conditions.text.expand(batch), conditions.negative.expand(batch)
    told = ((text, conditions.image), (negative, conditions.image), (negative, torch.zeros_like(conditions.image)))

    def denoise(x: Tensor, sigma: Tensor) -> Tensor:
        step = Step(x, float(sigma), progress(float(sigma)), source=source)
        passes = run.begin(step, *scales)
        rows = 1 if run.rows_are_equal and len(x) > 1 and torch.equal(x, x[:1].expand_as(x)) else batch
        wanted = [condition for condition, need in zip(told, passes, strict=True) if need]
        texts, images = stacked([text.first(rows) for text, _ in wanted]), torch.cat([image[:rows] for _, image in wanted])
        found = denoised(predict, x[:rows].repeat(len(wanted), 1, 1, 1), sigma, texts, images).chunk(len(wanted))
        parts = iter(one.expand_as(x) for one in found)
        predictions = Predictions(*(next(parts) if need else None for need in passes))
        return run.guided(run.complete(predictions, rows))

    return denoise


def stacked(texts: list[Text]) -> Text:
    """Texts of several pictures as those of one batch."""
    pooled = [text.pooled for text in texts if text.pooled is not None]
    return Text(torch.cat([text.context for text in texts]), torch.cat(pooled) if pooled else None)


def noise_stream(shape: tuple[int, ...], seed: int | Sequence[int]) -> Callable[[], Tensor]:
    """One continuous stream of noise from one seed, drawn on the CPU: the same on every device, and for every picture of a batch.

    Several seeds, one for each picture of the batch, give each picture the stream that it would have alone.
    """
    if isinstance(seed, int):
        generator = torch.Generator("cpu").manual_seed(seed)
        return lambda: torch.randn(1, *shape[1:], generator=generator).expand(shape)
    streams = [noise_stream((1, *shape[1:]), one) for one in seed]
    return lambda: torch.cat([stream() for stream in streams])


def counted(on_step: OnStep | None, before: int, total: int) -> OnStep | None:
    """``on_step`` for one of several runs, after ``before`` steps of ``total``."""
    return None if on_step is None else lambda done, _, latent: on_step(before + done, total, latent)


@torch.no_grad()
def euler(denoise: Denoise, x: Tensor, sigmas: Tensor, on_step: OnStep | None = None) -> Tensor:
    """Euler's method on the probability-flow ODE (Karras et al. 2022, algorithm 1 without churn). Returns the latent at sigma 0."""
    for i, (sigma, following) in enumerate(pairwise(sigmas)):
        denoised = denoise(x, sigma)
        x = x + (x - denoised) / sigma * (following - sigma)
        if on_step:
            on_step(i + 1, len(sigmas) - 1, denoised)
    return x


@torch.no_grad()
def euler_ancestral(
    denoise: Denoise, x: Tensor, sigmas: Tensor, noise: Callable[[], Tensor], on_step: OnStep | None = None, eta: float = 1.0
) -> Tensor:
    """Euler steps to a lower sigma and fresh noise back up: the authors' sampler. `eta` 0 is plain Euler, 1 is theirs."""
    for i, (sigma, following) in enumerate(pairwise(sigmas)):
        denoised = denoise(x, sigma)
        down, up = ancestral_step(float(sigma), float(following), eta)
        x = x + (x - denoised) / sigma * (down - sigma)
        if following > 0:
            x = x + noise().to(x) * up
        if on_step:
            on_step(i + 1, len(sigmas) - 1, denoised)
    return x


def ancestral_step(sigma: float, following: float, eta: float = 1.0) -> tuple[float, float]:
    """(sigma to step down to, sigma of the fresh noise): together they have the variance of `following`."""
    up = min(following, eta * math.sqrt(following**2 * (sigma**2 - following**2) / sigma**2))
    return math.sqrt(following**2 - up**2), up


def exponential(steps: int, sigma_min: float, sigma_max: float) -> Tensor:
    """(steps + 1,) sigmas, evenly spaced in their logarithm from `sigma_max` to `sigma_min`, then 0: CosXL's schedule."""
    if steps < 1:
        raise ValueError(f"The number of steps is {steps}; use at least 1.")
    return torch.cat([torch.linspace(math.log(sigma_max), math.log(sigma_min), steps).exp(), torch.zeros(1)])


def exponential_progress(sigma: float, sigma_min: float, sigma_max: float) -> float:
    """The share of :func:`exponential` that is done at a sigma, 0 to 1."""
    return (math.log(sigma_max) - math.log(min(max(sigma, sigma_min), sigma_max))) / (math.log(sigma_max) - math.log(sigma_min))
