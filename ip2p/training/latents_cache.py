"""Encoded pairs and instructions, kept on disk once and used by every later run of the same data, autoencoder and crop."""

import threading
from pathlib import Path

import torch
from torch import Tensor

from ..metrics.cache import Cache
from .encoders import Encoders

TEXTS = 64 * 2**20
"""Bytes of text states kept in memory."""
LATENTS = 256 * 2**20
"""Bytes of latents kept in memory."""
Latents = tuple[Tensor, Tensor, Tensor]
"""Mean and deviation of the edited picture's posterior, and the mode of the source's: float32 (4, h, w), unscaled."""


class LatentsCache:
    """What the encoders made, in half precision: in memory the latest, in a folder (where one is named) all.

    Each entry is a file of its own with a checksum, written beside its place and renamed in; a damaged one is made again, which is
    logged. Where nothing can be written, that is told once and training goes on without the folder.
    """

    def __init__(self, encode: Encoders, folder: Path | None = None) -> None:
        self.encode = encode
        self._latents = Cache(folder / "latents" if folder else None, LATENTS)
        self._texts = Cache(folder / "texts" if folder else None, TEXTS)
        self._lock = threading.Lock()

    def kept(self, key: str) -> Latents | None:
        """The latents of a key, or None; from any thread."""
        with self._lock:
            found = self._latents.get(f"{self.encode.latent_identity}|{key}")
        return None if found is None else _three(found)

    def keep(self, key: str, latents: Latents) -> None:
        """Keep the latents of a key."""
        with self._lock:
            self._latents.put(f"{self.encode.latent_identity}|{key}", torch.stack(latents).half())

    def latents(self, pictures: Tensor) -> Latents:
        """The latents of a pair (2, H, W, 3): source, edited; in the precision that is kept, so that a run is the same with and without."""
        mean, deviation = self.encode.latent(pictures)
        return _three(torch.stack([mean[1], deviation[1], mean[0]]).half())

    def text(self, instruction: str, repeated: bool = True) -> Tensor:
        """The text states (1, T, C) of an instruction; kept if it is `repeated`."""
        key = f"{self.encode.text_identity}|{instruction}"
        with self._lock:
            found = self._texts.get(key)
            if found is None:
                found = self.encode.text([instruction]).half()
                if repeated:
                    self._texts.put(key, found)
        return found.float()


def _three(stacked: Tensor) -> Latents:
    mean, deviation, image = stacked.float()
    return mean, deviation, image
