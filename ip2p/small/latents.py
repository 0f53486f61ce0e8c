"""The latents stage: photos and their edits, encoded once and kept on disk, so that the denoiser's steps cost nothing but themselves."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..data.photo_files import Photo, crop
from ..training.cpu import quicken
from ..worlds.photo_operators import KINDS, apply_all
from . import files
from .autoencoder import Encoder
from .config import Latents
from .wishes import random_kinds


@dataclass(frozen=True)
class Pairs:
    """Encoded photos: ``source`` (N, 4, h, w), their ``edited`` versions (N, K, 4, h, w), which ``kinds`` (N, K, 2), numbers of KINDS of
    which the second may be -1, and the posterior's standard deviation ``deviation``; all unscaled means, float16."""

    source: Tensor
    edited: Tensor
    kinds: Tensor
    deviation: float

    def __len__(self) -> int:
        return self.edited.shape[0] * self.edited.shape[1]


def write(photos: Sequence[Photo], encoder: Encoder, config: Latents, folder: Path) -> None:
    """Encode all photos, a file at a time; files that are already there are kept. A file's content depends on its number alone."""
    parts = -(-len(photos) // config.photos)

    def encoded(number: int) -> dict[str, Tensor]:
        start = number % parts * config.photos
        return _encode(photos[start : start + config.photos], encoder, config, number)

    files.write(folder, parts * config.passes, encoded)


def _encode(photos: Sequence[Photo], encoder: Encoder, config: Latents, number: int) -> dict[str, Tensor]:
    chance = np.random.default_rng([config.seed, number])
    quicken(encoder.eval())
    rows = [_one(photo, encoder, config, chance) for photo in photos]
    means, kinds, deviations = zip(*rows, strict=True)
    stacked = torch.stack(means).half()
    deviation = torch.stack(deviations).mean()
    return {"source": stacked[:, 0].clone(), "edited": stacked[:, 1:].clone(), "kinds": torch.stack(kinds), "deviation": deviation}


@torch.no_grad()
def _one(photo: Photo, encoder: Encoder, config: Latents, chance: np.random.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """(1 + edits, 4, h, w) means of a crop and of random edits of it, the (edits, 2) kinds, and the mean deviation."""
    picture = np.ascontiguousarray(crop(photo.open(), config.crop, config.scales, chance))
    chosen = _kinds(config.edits, chance)
    pictures = np.stack([picture, *(apply_all(kinds, picture) for kinds in chosen)])
    batch = torch.from_numpy(pictures).permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last) * 2 - 1
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mean, log_variance = encoder(batch)
    numbers = torch.tensor([[KINDS.index(kind) for kind in kinds] + [-1] * (2 - len(kinds)) for kinds in chosen])
    return mean.float(), numbers, (log_variance.float() / 2).exp().mean()


def _kinds(count: int, chance: np.random.Generator) -> list[tuple[str, ...]]:
    """So many different edits: of one kind, or of two at once."""
    found: list[tuple[str, ...]] = []
    while len(found) < count:
        kinds = random_kinds(chance)
        if kinds not in found:
            found.append(kinds)
    return found


def read(folder: Path) -> Pairs:
    """All files of a folder, in order. Raises DataError."""
    parts = files.read(folder)
    joined = {name: torch.cat([part[name] for part in parts]) for name in ("source", "edited", "kinds")}
    return Pairs(**joined, deviation=float(torch.stack([part["deviation"] for part in parts]).mean()))
