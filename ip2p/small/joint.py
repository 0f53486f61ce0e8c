"""The joint stage: an autoencoder of the world's scenes, encoder and decoder trained together (Rombach et al. 2022, section 3.1).

No teacher says what the latents should be: a little noise keeps them smooth, and they are brought to Stable Diffusion's scale afterwards.
"""

import math
from functools import cached_property

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL
from torch import Tensor

from ..checkpoint import located
from ..noising import SCALE
from ..training.chance import Randomness
from ..worlds.drawing import draw
from ..worlds.subset import Subset
from . import autoencoder
from .autoencoder import COARSE, gradient_distance
from .config import Joint

NEAR_ONE = 0.01
"""Weight of the squared distance of the latents' mean square from 1."""


def build(config: Joint) -> AutoencoderKL:
    """The whole autoencoder: random, or that of the file it starts from, its latents of a mean square of about 1. CheckpointError."""
    whole = autoencoder.build(config, str(located(config.start)) if config.start else "")
    if config.start:
        _rescale(whole, torch.zeros(4), torch.full((4,), 1 / SCALE))
    return whole


class Scenes:
    """Pictures of scenes (count, size, size, 3) in bytes, drawn once."""

    def __init__(self, config: Joint, part: Subset) -> None:
        self.config, self.part = config, part

    @cached_property
    def pictures(self) -> np.ndarray:
        """(count, size, size, 3) uint8."""
        config = self.config
        drawn = (
            draw(self.part.scene(np.random.default_rng([config.schedule.seed, number])), config.size) for number in range(config.scenes)
        )
        return np.stack([(one.picture * 255).round().astype(np.uint8) for one in drawn])

    def crops(self, count: int, rng: np.random.Generator) -> Tensor:
        """(count, 3, crop, crop) in [-1, 1], half of them mirrored."""
        side, room = self.config.crop, self.config.size - self.config.crop + 1
        found = []
        for _ in range(count):
            picture = self.pictures[int(rng.integers(len(self.pictures)))]
            top, left = (int(rng.integers(room)) for _ in range(2))
            crop = picture[top : top + side, left : left + side]
            found.append(crop[:, ::-1] if rng.random() < 0.5 else crop)
        stacked = torch.from_numpy(np.stack(found)).permute(0, 3, 1, 2).float()
        return (stacked / 127.5 - 1).contiguous(memory_format=torch.channels_last)


class JointLoss:
    """Pixels, means of small squares, and differences to the right and below; latents of mean square 1 with noise of a fixed size."""

    def __init__(self, whole: AutoencoderKL, scenes: Scenes, config: Joint) -> None:
        self.whole, self.scenes, self.config = whole, scenes, config

    def __call__(self, chance: Randomness) -> Tensor:
        pictures = self.scenes.crops(self.config.schedule.batch, chance.numpy)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            mean = self.whole.quant_conv(self.whole.encoder(pictures))[:, :4].float()
            noisy = mean + self.config.noise * torch.randn(mean.shape, generator=chance.torch)
            made = self.whole.decoder(self.whole.post_quant_conv(noisy))
        made = made.float()
        coarse = F.l1_loss(F.avg_pool2d(made, COARSE), F.avg_pool2d(pictures, COARSE))
        apart = F.l1_loss(made, pictures) + coarse + self.config.gradient_weight * gradient_distance(made, pictures)
        return apart + NEAR_ONE * (mean.pow(2).mean() - 1).pow(2)


@torch.no_grad()
def normalise(whole: AutoencoderKL, scenes: Scenes, config: Joint, count: int = 64) -> None:
    """Give each latent channel, over scenes, the mean 0 and the standard deviation 1 / 0.18215 that SD's scaling expects, and the posterior
    a deviation of the training's noise; what the decoder gets stays the same."""
    pictures = torch.from_numpy(scenes.pictures[:count]).permute(0, 3, 1, 2).float() / 127.5 - 1
    parts = pictures.contiguous(memory_format=torch.channels_last).split(8)
    means = torch.cat([whole.quant_conv(whole.encoder(part))[:, :4] for part in parts])
    shift, spread = means.mean((0, 2, 3)), means.std((0, 2, 3)) * SCALE
    _rescale(whole, shift, spread)
    whole.quant_conv.weight[4:] = 0
    whole.quant_conv.bias[4:] = 2 * torch.log(config.noise / spread)


@torch.no_grad()
def _rescale(whole: AutoencoderKL, shift: Tensor, spread: Tensor) -> None:
    """Make latents (mean - shift) / spread, channel by channel, and the decoder take them so."""
    into, out_of = whole.quant_conv, whole.post_quant_conv
    into.weight[:4] /= spread.view(-1, 1, 1, 1)
    into.bias[:4] = (into.bias[:4] - shift) / spread
    out_of.bias += out_of.weight[..., 0, 0] @ shift
    out_of.weight *= spread.view(1, -1, 1, 1)


@torch.no_grad()
def psnr(whole: AutoencoderKL, scenes: Scenes, count: int = 32) -> float:
    """How near scenes are to themselves after a round trip, in dB over all their pixels."""
    pictures = torch.from_numpy(scenes.pictures[:count]).permute(0, 3, 1, 2).float() / 127.5 - 1
    made = torch.cat([whole.decode(whole.encode(part).latent_dist.mode()).sample.clamp(-1, 1) for part in pictures.split(8)])
    return 10 * math.log10(4 / float(F.mse_loss(made, pictures)))
