"""The denoiser stage: a small InstructPix2Pix UNet in LDM layout, on encoded pairs and instructions made up as it goes."""

import numpy as np
import torch
from diffusers import UNet2DConditionModel
from torch import Tensor, nn

from ..training import objective
from ..training.loop import Randomness
from ..training.objective import Batch, Draws
from ..worlds.asking import ask
from ..worlds.photo_operators import KINDS
from .config import Unet
from .latents import Pairs
from .text import tokens_of


def build(config: Unet, context: int) -> UNet2DConditionModel:
    """The UNet with random weights, its channels last in memory; ``context`` is the text encoder's width."""
    attentive = [level in config.attention for level in range(len(config.widths))]
    unet = UNet2DConditionModel(
        in_channels=8,
        out_channels=4,
        down_block_types=tuple("CrossAttnDownBlock2D" if has else "DownBlock2D" for has in attentive),
        up_block_types=tuple("CrossAttnUpBlock2D" if has else "UpBlock2D" for has in reversed(attentive)),
        block_out_channels=config.widths,
        layers_per_block=config.blocks,
        attention_head_dim=config.heads,  # this argument is the number of heads
        cross_attention_dim=context,
    )
    return unet.to(memory_format=torch.channels_last)


class UnetLoss:
    """The objective on random crops of random pairs, each with a random instruction for its kind."""

    def __init__(self, unet: UNet2DConditionModel, text: nn.Module, pairs: Pairs, captions: list[str], config: Unet) -> None:
        self.unet, self.text, self.pairs, self.captions, self.config = unet, text, pairs, captions, config
        self.empty = self._features([""])

    def __call__(self, chance: Randomness) -> Tensor:
        return objective.losses(self._predict, self._batch(chance), self.config.snr).mean()

    def _predict(self, noisy: Tensor, t: Tensor, text: Tensor, image: Tensor) -> Tensor:
        joined = torch.cat([noisy, image], dim=1).contiguous(memory_format=torch.channels_last)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return self.unet(joined, t, text).sample

    @torch.no_grad()
    def _features(self, instructions: list[str]) -> Tensor:
        return self.text(tokens_of(instructions)).last_hidden_state

    def _batch(self, chance: Randomness) -> Batch:
        rng, side = chance.numpy, int(chance.numpy.choice(self.config.sides))
        size = max(1, round(self.config.schedule.batch * (min(self.config.sides) / side) ** 2))
        photos = torch.from_numpy(rng.integers(len(self.pairs.source), size=size))
        edits = torch.from_numpy(rng.integers(self.pairs.edited.shape[1], size=len(photos)))
        room = self.pairs.source.shape[-1] - side
        top, left = (int(rng.integers(room + 1)) for _ in range(2))
        window = (..., slice(top, top + side), slice(left, left + side))
        instructions = [self._ask(int(kind), rng) for kind in self.pairs.kinds[photos, edits]]
        mean, image = self.pairs.edited[photos, edits][window].float(), self.pairs.source[photos][window].float()
        deviation = torch.full_like(mean, self.pairs.deviation)
        return Batch(mean, deviation, image, self._features(instructions), self.empty, Draws.of(mean.shape, chance.torch))

    def _ask(self, kind: int, rng: np.random.Generator) -> str:
        """An instruction for the kind, or, in the configured share of cases, for any."""
        if rng.random() < self.config.misaligned:
            kind = int(rng.integers(len(KINDS)))
        return ask(KINDS[kind], rng, self.captions)
