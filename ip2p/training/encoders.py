"""The base model's autoencoder and text encoder, which training reads through but does not change."""

import hashlib
import logging
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from ..checkpoint import Checkpoint
from ..layout import TEXT, VAE

log = logging.getLogger(__name__)

DIGEST = 16
ENCODING = ("encoder.", "quant_conv.")
"""The parts of an autoencoder that latents depend on."""


class Encoders:
    """Pictures into posteriors and instructions into text states. The networks are built when they are first needed: a run whose latents
    are all kept on disk never loads the autoencoder."""

    def __init__(self, checkpoint: Checkpoint, device: torch.device | str = "cpu") -> None:
        self.checkpoint, self.device = checkpoint, torch.device(device)
        self._vae: Any = None
        self._text: list[nn.Module] = []

    @cached_property
    def latent_identity(self) -> str:
        """Says which autoencoder it is: a digest of the weights that encode."""
        return identity({name: tensor for name, tensor in self.checkpoint.part(VAE).items() if name.startswith(ENCODING)})

    @cached_property
    def text_identity(self) -> str:
        """Says which text encoder it is."""
        return f"{identity(self.checkpoint.part(TEXT))}-{self.checkpoint.settings.get('text_heads', 0)}"

    @torch.no_grad()
    def latent(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation (B, 4, H/8, W/8) of the posterior of pictures (B, H, W, 3) in [0, 1], unscaled, on the CPU."""
        if self._vae is None:
            from ..networks import build_vae

            self._vae = build_vae(self.checkpoint)
            self._vae.decoder = nn.Identity()  # never asked for, and more than half of the memory
            self._vae.to(self.device)
        with torch.autocast(self.device.type, enabled=False):
            found = self._vae.encode(pictures.to(self.device).permute(0, 3, 1, 2).float() * 2 - 1).latent_dist
        return found.mean.float().cpu(), found.std.float().cpu()

    @torch.no_grad()
    def text(self, instructions: Sequence[str]) -> Tensor:
        """Text states (B, T, C) of instructions, on the CPU."""
        from .. import text

        if not self._text:
            from ..networks import build_text_encoders

            self._text = [encoder.to(self.device) for encoder in build_text_encoders(self.checkpoint)]
        with torch.autocast(self.device.type, enabled=False):
            return torch.cat([text.encode(self._text, instruction).context.float().cpu() for instruction in instructions])

    def release(self) -> None:
        """Give the networks' memory back; they are built again when they are needed."""
        self._vae, self._text = None, []


def identity(state: Mapping[str, Tensor]) -> str:
    """A digest of named weights."""
    digest = hashlib.blake2b(digest_size=DIGEST)
    for name in sorted(state):
        digest.update(name.encode())
        digest.update(state[name].detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
