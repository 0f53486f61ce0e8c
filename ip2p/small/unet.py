"""The denoiser stage: a small InstructPix2Pix UNet in LDM layout, on encoded pairs and instructions made up as it goes."""

from dataclasses import dataclass

import numpy as np
import torch
from diffusers import UNet2DConditionModel
from torch import Tensor, nn

from .. import checkpoint
from ..keys import unet_to_diffusers
from ..layout import UNET
from ..training import objective
from ..training.chance import Randomness
from ..training.cpu import quicken
from ..training.objective import Batch, Draws
from ..worlds.photo_operators import KINDS
from .config import Painter, Unet
from .latents import Pairs
from .scenes import Edited
from .start import fill
from .text import tokens_of
from .wishes import ask_for, random_kinds


def build(config: Unet, context: int) -> UNet2DConditionModel:
    """The UNet, its channels last in memory, with random weights or those of ``config.start``; ``context`` is the text's width.

    Raises CheckpointError for a start that is no editor's file or of another shape.
    """
    unet = shaped(config, 8, context)
    if config.start:
        fill(unet, unet_to_diffusers(checkpoint.read(config.start).part(UNET)), config.start)
    return quicken(unet.to(memory_format=torch.channels_last))


def shaped(config: Unet | Painter, channels: int, context: int) -> UNet2DConditionModel:
    """A UNet of a config's shape with random weights, for latents of so many ``channels``; ``context`` is the text's width."""
    attentive = [level in config.attention for level in range(len(config.widths))]
    return UNet2DConditionModel(
        in_channels=channels,
        out_channels=4,
        down_block_types=tuple("CrossAttnDownBlock2D" if has else "DownBlock2D" for has in attentive),
        up_block_types=tuple("CrossAttnUpBlock2D" if has else "UpBlock2D" for has in reversed(attentive)),
        block_out_channels=config.widths,
        layers_per_block=config.blocks,
        attention_head_dim=config.heads,  # this argument is the number of heads
        cross_attention_dim=context,
    )


@dataclass(frozen=True)
class Crops:
    """A batch before it is encoded: latents of the pictures and of their edits (B, 4, h, w), what was asked, and how much of each
    latent's place changes (B, h, w), or None where all of it does."""

    image: Tensor
    edited: Tensor
    instructions: list[str]
    changed: Tensor | None = None


class UnetLoss:
    """The objective on random crops of photos' pairs, on windows of scenes, and on whole scenes."""

    def __init__(
        self, unet: UNet2DConditionModel, text: nn.Module, photos: Pairs, scenes: Edited | None, captions: list[str], config: Unet
    ) -> None:
        self.unet, self.text, self.photos, self.scenes, self.captions, self.config = unet, text, photos, scenes, captions, config
        self.empty = self._features([""])

    def __call__(self, chance: Randomness) -> Tensor:
        batch = self._batch(self._crops(chance.numpy), chance.torch)
        return objective.losses(self._predict, batch, self.config.snr).mean()

    def _predict(self, noisy: Tensor, t: Tensor, text: Tensor, image: Tensor) -> Tensor:
        joined = torch.cat([noisy, image], dim=1).contiguous(memory_format=torch.channels_last)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return self.unet(joined, t, text).sample

    @torch.no_grad()
    def _features(self, instructions: list[str]) -> Tensor:
        return self.text(tokens_of(instructions)).last_hidden_state

    def _crops(self, rng: np.random.Generator) -> Crops:
        if self.scenes is None or rng.random() >= self.config.world:
            return self._of_photos(rng)
        return self._of_scenes(self.scenes, rng, 0 if rng.random() < self.config.whole else int(rng.choice(self.config.sides)))

    def _size(self, side: int) -> int:
        """How many crops of ``side`` make a batch: all batches cost the same."""
        return max(1, round(self.config.schedule.batch * (min(self.config.sides) / side) ** 2))

    def _of_photos(self, rng: np.random.Generator) -> Crops:
        side = int(rng.choice(self.config.sides))
        photos = torch.from_numpy(rng.integers(len(self.photos.source), size=self._size(side)))
        edits = torch.from_numpy(rng.integers(self.photos.edited.shape[1], size=len(photos)))
        room = self.photos.source.shape[-1] - side
        top, left = (int(rng.integers(room + 1)) for _ in range(2))
        window = (..., slice(top, top + side), slice(left, left + side))
        instructions = [self._ask(kinds, rng) for kinds in self.photos.kinds[photos, edits].tolist()]
        return Crops(self.photos.source[photos][window].float(), self.photos.edited[photos, edits][window].float(), instructions)

    def _ask(self, numbers: list[int], rng: np.random.Generator) -> str:
        """An instruction for the kinds, or, in the configured share of cases, for any."""
        aligned = rng.random() >= self.config.misaligned
        kinds = [KINDS[number] for number in numbers if number >= 0] if aligned else random_kinds(rng)
        return ask_for(kinds, rng, self.captions)

    def _of_scenes(self, scenes: Edited, rng: np.random.Generator, side: int) -> Crops:
        """Edits of single things: whole scenes for ``side`` 0, else windows of that many latents of a scene."""
        whole = scenes.source.shape[-1]
        rows = [self._one(scenes, rng, side or whole) for _ in range(self._size(side or whole))]
        image, edited, changed, instructions = zip(*rows, strict=True)
        return Crops(torch.stack(image).float(), torch.stack(edited).float(), list(instructions), torch.stack(changed).float())

    def _one(self, scenes: Edited, rng: np.random.Generator, side: int) -> tuple[Tensor, Tensor, Tensor, str]:
        scene = int(rng.integers(len(scenes.source)))
        edit = int(rng.integers(scenes.edited.shape[1]))
        asked = int(rng.integers(scenes.edited.shape[1])) if rng.random() < self.config.misaligned_world else edit
        options = scenes.instructions[scene][asked]
        window = (..., *around(scenes.changed[scene, edit], side, rng))
        latents = (scenes.source[scene][window], scenes.edited[scene, edit][window], scenes.changed[scene, edit][window])
        return *latents, options[int(rng.integers(len(options)))]

    def _batch(self, crops: Crops, generator: torch.Generator) -> Batch:
        weight = None if crops.changed is None else focused(crops.changed, self.config.focus)
        deviation = torch.full_like(crops.edited, self.photos.deviation)
        text, draws = self._features(crops.instructions), Draws.of(crops.edited.shape, generator)
        return Batch(crops.edited, deviation, crops.image, text, self.empty, draws, weight=weight)


def around(changed: Tensor, side: int, rng: np.random.Generator) -> tuple[slice, slice]:
    """A random window of ``side`` latents a side of (h, w): half of the time one that holds a changed place, else anywhere, so that
    things which nobody asked about are learned to be left alone."""
    places = torch.nonzero(changed > (0 if rng.random() < 0.5 else -1))
    chosen = places[int(rng.integers(len(places)))].tolist() if len(places) else [0, 0]
    slices = []
    for place, length in zip(chosen, changed.shape, strict=True):
        first = int(np.clip(place - rng.integers(side // 4, side - side // 4), 0, length - side))
        slices.append(slice(first, first + side))
    return slices[0], slices[1]


def focused(changed: Tensor, focus: float) -> Tensor:
    """Weights (B, 1, h, w) of mean 1: places that change count up to 1 + ``focus`` times as much as the rest."""
    weight = 1 + focus * changed[:, None]
    return weight / weight.mean((2, 3), keepdim=True)
