"""The autoencoder stage: an encoder that learns the Stable Diffusion latent space from a teacher, a decoder that reconstructs from it."""

from collections.abc import Sequence
from functools import cached_property

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL
from torch import Tensor, nn

from .. import checkpoint
from ..data.photo_files import Photo, crop
from ..keys import vae_to_diffusers
from ..layout import VAE
from ..metrics.perceptual import Perceptual
from ..noising import SCALE
from ..training.chance import Randomness
from ..training.cpu import quicken
from ..worlds.chance import random_scene
from ..worlds.drawing import draw
from ..worlds.photo_operators import EDITS, apply
from .config import Autoencoder, Joint
from .start import fill
from .teacher import Teacher

JITTER = 0.03
"""Noise of up to this size on the decoder's latents (scaled), because a denoiser's results are not exact."""


def build(config: Autoencoder | Joint, start: str = "") -> AutoencoderKL:
    """The whole autoencoder with random weights, or those of the file ``start``. Raises CheckpointError for one that doesn't fit."""
    levels = len(config.widths)
    whole = AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * levels,
        up_block_types=("UpDecoderBlock2D",) * levels,
        block_out_channels=config.widths,
        layers_per_block=config.blocks,
        latent_channels=4,
    )
    if start:
        fill(whole, vae_to_diffusers(checkpoint.read(start).part(VAE)), start)
    return quicken(whole.to(memory_format=torch.channels_last))


SCENE = 256
"""Pixels a side of the scenes."""
COARSE = 4
"""Pixels a side over which colours are also compared in the mean, so that they stay true where detail is lost."""


class Encoder(nn.Module):
    """Pictures (B, 3, H, W) in [-1, 1] to the posterior's mean and log variance, each (B, 4, H/8, W/8), unscaled."""

    def __init__(self, whole: AutoencoderKL) -> None:
        super().__init__()
        self.encoder, self.quant_conv = whole.encoder, whole.quant_conv

    def forward(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        mean, log_variance = self.quant_conv(self.encoder(pictures)).chunk(2, dim=1)
        return mean, log_variance


class Decoder(nn.Module):
    """Unscaled latents (B, 4, h, w) to pictures (B, 3, 8h, 8w), about [-1, 1]."""

    def __init__(self, whole: AutoencoderKL) -> None:
        super().__init__()
        self.decoder, self.post_quant_conv = whole.decoder, whole.post_quant_conv

    def forward(self, latents: Tensor) -> Tensor:
        return self.decoder(self.post_quant_conv(latents))


class Crops:
    """Batches of crops of photos, a share of them edited, and of the world's scenes."""

    def __init__(self, photos: Sequence[Photo], config: Autoencoder, scales: tuple[int, int]) -> None:
        self.photos, self.config, self.scales = photos, config, scales

    @cached_property
    def drawn(self) -> list[np.ndarray]:
        """The scenes, drawn once."""
        rng = np.random.default_rng(self.config.scenes)
        return [draw(random_scene(rng), SCENE).picture for _ in range(self.config.scenes)]

    def batch(self, size: int, chance: np.random.Generator) -> Tensor:
        """(size, 3, crop, crop) in [-1, 1]."""
        stacked = np.stack([self._one(chance) for _ in range(size)])
        return torch.from_numpy(stacked).permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last) * 2 - 1

    def _one(self, chance: np.random.Generator) -> np.ndarray:
        if self.config.world and chance.random() < self.config.world:
            scene, side = self.drawn[int(chance.integers(len(self.drawn)))], self.config.crop
            top, left = (int(chance.integers(SCENE - side + 1)) for _ in range(2))
            return scene[top : top + side, left : left + side]
        photo = self.photos[int(chance.integers(len(self.photos)))].open()
        picture = np.ascontiguousarray(crop(photo, self.config.crop, self.scales, chance))
        if chance.random() < self.config.edited:
            picture = apply(EDITS[int(chance.integers(len(EDITS)))], picture)
        return picture


class EncoderLoss:
    """Distance of our mean, scaled, to the teacher's latent; the log variance is held at a small constant."""

    def __init__(self, encoder: Encoder, crops: Crops, teacher: Teacher) -> None:
        self.encoder, self.crops, self.teacher, self.config = encoder, crops, teacher, crops.config

    def __call__(self, chance: Randomness) -> Tensor:
        pictures = self.crops.batch(self.config.encoder.batch, chance.numpy)
        target = self.teacher.encode(pictures)
        mean, log_variance = self.encoder(pictures)
        apart = mean * SCALE - target
        return apart.abs().mean() + apart.pow(2).mean() + 1e-3 * (log_variance - self.config.log_variance).pow(2).mean()


class DecoderLoss:
    """Pixels, means of small squares, differences to the right and below, and LPIPS where its weights are there.

    The latents are the teacher's or our own; without a teacher all are our own.
    """

    def __init__(self, decoder: Decoder, encoder: Encoder, crops: Crops, teacher: Teacher | None) -> None:
        self.decoder, self.encoder, self.crops, self.teacher, self.config = decoder, encoder, crops, teacher, crops.config
        self.perceptual = Perceptual(self.config.perceptual) if self.config.perceptual else None

    def __call__(self, chance: Randomness) -> Tensor:
        pictures = self.crops.batch(self.config.decoder.batch, chance.numpy)
        latents = self._latents(pictures, chance)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            made = self.decoder(latents / SCALE)
        made = made.float()
        coarse = F.l1_loss(F.avg_pool2d(made, COARSE), F.avg_pool2d(pictures, COARSE))
        loss = F.l1_loss(made, pictures) + coarse + self.config.gradient_weight * gradient_distance(made, pictures)
        if self.perceptual:
            loss = loss + self.config.perceptual_weight * self.perceptual(made, pictures).mean()
        return loss

    @torch.no_grad()
    def _latents(self, pictures: Tensor, chance: Randomness) -> Tensor:
        """Scaled latents of the batch, all by one of the two encoders, with a little noise."""
        taught = self.teacher is not None and chance.numpy.random() >= self.config.own
        with torch.autocast("cpu", dtype=torch.bfloat16):
            latents = self.teacher.encode(pictures) if taught and self.teacher else self.encoder(pictures)[0].float() * SCALE
        amount = JITTER * torch.rand(len(latents), 1, 1, 1, generator=chance.torch)
        return latents + amount * torch.randn(latents.shape, generator=chance.torch)


def gradient_distance(a: Tensor, b: Tensor) -> Tensor:
    """Mean absolute difference of the horizontal and of the vertical pixel differences of two (B, C, H, W) batches, summed."""
    apart = a - b
    return (apart[..., 1:, :] - apart[..., :-1, :]).abs().mean() + (apart[..., :, 1:] - apart[..., :, :-1]).abs().mean()
