"""Scores of a pair: is the change in the pictures the change in the captions (the paper's sections 3.1.2 and A.2)?

Names are those of the authors' `metadata.jsonl`: `clip_sim_0` and `clip_sim_1` of each picture with its caption, `clip_sim_dir` of the
change (Gal et al. 2022), `clip_sim_image` of the two pictures; cosines, -1 to 1. Ours besides: `aesthetic` of the less pleasing picture,
`nsfw` of the less safe one, `hashes` of both.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ..metrics.clip import Clip
from ..metrics.similarity import cosine, direction
from . import rating
from .hashes import hashes
from .rating import Rating

Facts = dict[str, Any]

IMAGE, CAPTION, EDITED, DIRECTION = "clip_sim_image", "clip_sim_0", "clip_sim_1", "clip_sim_dir"
AESTHETIC, NSFW, HASHES = "aesthetic", "nsfw", "hashes"
CLIP_SCORES = (IMAGE, CAPTION, EDITED, DIRECTION)
DIGITS = 6
"""Decimal places of a score that is kept."""


class Scorer:
    """A stage: the networks are there from the start; a call takes pairs of pictures and gives each one's scores."""

    def __init__(self, clip: Clip, aesthetic: Rating | None = None, nsfw: Rating | None = None) -> None:
        self.clip, self.aesthetic, self.nsfw = clip, aesthetic, nsfw

    @classmethod
    def load(cls, clip: str, aesthetic: str = "", nsfw: str = "", device: str = "auto") -> "Scorer":
        """Networks by public name or folder ("" = without; the paper's CLIP is openai/clip-vit-large-patch14). Raises ValueError."""
        return cls(
            Clip.load(clip, device=device),
            rating.aesthetic(aesthetic, device) if aesthetic else None,
            rating.nsfw(nsfw, device) if nsfw else None,
        )

    @torch.no_grad()
    def __call__(self, pictures: Tensor, captions: Sequence[tuple[str, str]], rough: bool = False) -> list[Facts]:
        """Scores of pairs (N, 2, H, W, 3) in [0, 1], each with its caption and edited caption; ``rough``: those of CLIP alone."""
        if not len(pictures):
            return []
        singles = pictures.flatten(0, 1).float()
        found = self._clip(self.clip(singles).unflatten(0, (-1, 2)), captions)
        if not rough:
            found |= {} if self.aesthetic is None else {AESTHETIC: self.aesthetic(singles).view(-1, 2).amin(1)}
            found |= {} if self.nsfw is None else {NSFW: self.nsfw(singles).view(-1, 2).amax(1)}
        rows: list[Facts] = [
            {name: round(float(values[number]), DIGITS) for name, values in found.items()} for number in range(len(pictures))
        ]
        return rows if rough else [{**row, HASHES: hashes(pair)} for row, pair in zip(rows, pictures, strict=True)]

    def _clip(self, images: Tensor, captions: Sequence[tuple[str, str]]) -> dict[str, Tensor]:
        texts = sorted({text for pair in captions for text in pair})  # a prompt's samples share their texts
        places = {text: number for number, text in enumerate(texts)}
        features = self.clip.texts(texts)
        before, after = (features[[places[pair[half]] for pair in captions]] for half in (0, 1))
        return {
            CAPTION: cosine(images[:, 0], before),
            EDITED: cosine(images[:, 1], after),
            DIRECTION: direction(images[:, 0], images[:, 1], before, after),
            IMAGE: cosine(images[:, 0], images[:, 1]),
        }

    @property
    def identity(self) -> dict[str, str]:
        """What the scores depend on besides pictures and captions."""
        parts: dict[str, Clip | Rating | None] = {"clip": self.clip, "aesthetic": self.aesthetic, "nsfw": self.nsfw}
        return {name: part.identity for name, part in parts.items() if part is not None}

    def modules(self) -> dict[str, nn.Module]:
        """The networks, for whoever manages the device's memory."""
        parts: dict[str, Clip | Rating | None] = {"clip": self.clip, "aesthetic": self.aesthetic, "nsfw": self.nsfw}
        return {name: module for name, part in parts.items() if part is not None for module in part.modules().values()}
