"""What training does to latents and conditionings (section 3.2 and appendix A.3)."""

from torch import Tensor

from .sigmas import alphas_cumprod

SCALE = 0.18215
"""Stable Diffusion 1.x multiplies target latents by this; InstructPix2Pix leaves the conditioning latent unscaled."""


def add_noise(latent: Tensor, noise: Tensor, t: Tensor) -> Tensor:
    """``sqrt(a_t) latent + sqrt(1 - a_t) noise`` for scaled latents (B, C, H, W) and integer timesteps (B,) in 0..999."""
    a = alphas_cumprod()[t.cpu()].to(latent).view(-1, *[1] * (latent.ndim - 1))
    return a.sqrt() * latent + (1 - a).sqrt() * noise


def dropout_masks(r: Tensor) -> tuple[Tensor, Tensor]:
    """Which samples lose their (text, picture), from one uniform ``r`` in [0, 1) per sample, shape (B,).

    Text is dropped for r < 0.10 and the picture for 0.05 <= r < 0.15: 5% text only, 5% both, 5% picture only.
    """
    return r < 0.10, (r >= 0.05) & (r < 0.15)
