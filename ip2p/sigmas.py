"""The noise schedule of Stable Diffusion 1.x and the authors' sampling sigmas (k-diffusion's convention).

``sigma = sqrt((1 - a) / a)`` with ``a`` the cumulated product of ``1 - beta``; a noisy latent is ``x = latent + sigma * noise``.
"""

from functools import lru_cache

import torch
from torch import Tensor

STEPS = 1000
BETA_START = 0.00085
BETA_END = 0.012


@lru_cache(maxsize=1)
def _alphas_cumprod() -> Tensor:
    betas = torch.linspace(BETA_START**0.5, BETA_END**0.5, STEPS, dtype=torch.float64) ** 2
    return torch.cumprod(1 - betas, dim=0)


def alphas_cumprod() -> Tensor:
    """The (1000,) float64 products of ``1 - beta``, betas linear in their square root from 0.00085 to 0.012."""
    return _alphas_cumprod().clone()


def model_sigmas() -> Tensor:
    """The (1000,) float64 sigmas of the discrete timesteps, rising from 0.0292 to 14.6146."""
    a = _alphas_cumprod()
    return ((1 - a) / a).sqrt()


def sigma(t: Tensor) -> Tensor:
    """Sigma of the fractional timesteps ``t`` in [0, 999]: linear interpolation of log-sigma; same shape and dtype as ``t``."""
    log_sigmas = model_sigmas().log().to(t.device)
    wide = t.to(torch.float64).clamp(0, STEPS - 1)
    low = wide.floor().long()
    high = wide.ceil().long()
    return log_sigmas[low].lerp(log_sigmas[high], wide - low).exp().to(t.dtype)


def timestep(sigma: Tensor) -> Tensor:
    """The fractional timestep in [0, 999] of each sigma: the inverse of :func:`sigma`; the authors' sampler does not round it."""
    log_sigmas = model_sigmas().log().to(sigma.device)
    log_sigma = sigma.to(torch.float64).log()
    low = (torch.searchsorted(log_sigmas, log_sigma.contiguous(), right=True) - 1).clamp(0, STEPS - 2)
    fraction = (log_sigma - log_sigmas[low]) / (log_sigmas[low + 1] - log_sigmas[low])
    return (low + fraction.clamp(0, 1)).to(sigma.dtype)


def progress_of(sigma: float) -> float:
    """The share of the noise schedule, 0 to 1, that is done at ``sigma``: what the host calls percent."""
    return 1 - float(timestep(torch.tensor(sigma, dtype=torch.float64))) / (STEPS - 1)


def normal(steps: int) -> Tensor:
    """The (steps + 1,) float32 sampling sigmas of the authors: timesteps linearly spaced from 999 to 0, then sigma 0.

    This is k-diffusion's ``get_sigmas`` and the host's ``normal`` scheduler, not the spacing of Karras et al. (2022).
    """
    if steps < 1:
        raise ValueError(f"The number of steps is {steps}; use at least 1.")
    t = torch.linspace(STEPS - 1, 0, steps, dtype=torch.float64)
    return torch.cat([sigma(t), torch.zeros(1, dtype=torch.float64)]).float()
