"""The paper's objective (section 3.2): predict the noise in an edited latent from the photo's latent and the instruction."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ..noising import SCALE, add_noise, dropout_masks
from ..sigmas import alphas_cumprod

STEPS = 1000
Predict = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Batch:
    """Scaled targets (B, 4, h, w), unscaled photo latents (B, 4, h, w), text features (B, T, C) and those of the empty text (1, T, C)."""

    target: Tensor
    image: Tensor
    text: Tensor
    empty: Tensor


def scaled_sample(mean: Tensor, deviation: float, generator: torch.Generator) -> Tensor:
    """A draw from the posterior, times 0.18215: what the network denoises."""
    return SCALE * (mean + deviation * torch.randn(mean.shape, generator=generator))


def conditioned(batch: Batch, r: Tensor) -> tuple[Tensor, Tensor]:
    """(text, image) after conditioning dropout by one uniform ``r`` (B,) a sample: the empty text, the zero latent."""
    drop_text, drop_image = dropout_masks(r)
    text = torch.where(drop_text.view(-1, 1, 1), batch.empty, batch.text)
    return text, batch.image * (~drop_image).view(-1, 1, 1, 1)


def snr_weight(t: Tensor, gamma: float) -> Tensor:
    """min(SNR, gamma) / SNR at timesteps (B,) for noise prediction (Hang et al. 2023, section 3.4); ones for gamma 0."""
    if not gamma:
        return torch.ones(t.shape)
    a = alphas_cumprod()[t].float()
    snr = a / (1 - a)
    return snr.clamp(max=gamma) / snr


def loss(predict: Predict, batch: Batch, gamma: float, generator: torch.Generator) -> Tensor:
    """The weighted mean squared error of the predicted noise, for uniform timesteps 0..999."""
    size = len(batch.target)
    t = torch.randint(STEPS, (size,), generator=generator)
    noise = torch.randn(batch.target.shape, generator=generator)
    text, image = conditioned(batch, torch.rand(size, generator=generator))
    eps = predict(add_noise(batch.target, noise, t), t, text, image)
    return ((eps.float() - noise).pow(2).mean((1, 2, 3)) * snr_weight(t, gamma)).mean()
