"""The painter stage: a small text-to-image network of the world: a UNet, and a text transformer that learns with it.

The pack's own painter has its autoencoder and word embeddings from the editor, so that its file needn't hold them.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from .. import checkpoint
from ..keys import unet_to_ldm
from ..layout import TEXT, UNET, VAE
from ..text_keys import clip_to_ldm
from ..training import objective
from ..training.chance import Randomness
from ..training.cpu import quicken
from ..training.objective import Batch, Draws
from .captioned import Drawn, caption
from .config import Painter, TextEncoder
from .text import started, tokens_of
from .unet import shaped

TOKENS = "embeddings.token_embedding.weight"
EMPTY = 0.1
"""Share of steps' samples whose caption is empty (Ho and Salimans 2022)."""


class Network(nn.Module):
    """UNet and text transformer, trained as one unless the transformer stays as it is; the words of one from a file always do."""

    def __init__(self, config: Painter, text: TextEncoder) -> None:
        super().__init__()
        encoder = started(text).requires_grad_(text.learns)
        encoder.get_input_embeddings().requires_grad_(text.learns and not text.start)
        self.text = encoder
        unet = shaped(config, 4, encoder.config.hidden_size)
        self.unet = quicken(unet.to(memory_format=torch.channels_last))


class PainterLoss:
    """The noise-prediction objective on whole scenes under captions worded anew."""

    def __init__(self, network: Network, drawn: Drawn, config: Painter) -> None:
        self.network, self.drawn, self.config = network, drawn, config

    def __call__(self, chance: Randomness) -> Tensor:
        chosen = chance.numpy.integers(len(self.drawn.scenes), size=self.config.schedule.batch)
        captions = ["" if chance.numpy.random() < EMPTY else caption(self.drawn.scenes[number], chance.numpy) for number in chosen.tolist()]
        latent = self.drawn.latent[torch.from_numpy(chosen)].float()
        text = self.network.text(tokens_of(captions)).last_hidden_state
        nothing, drawn = torch.zeros_like(latent), Draws.of(latent.shape, chance.torch, self.config.offset)
        draws = replace(drawn, r=torch.ones_like(drawn.r))  # captions are dropped above
        return objective.losses(self._predict, Batch(latent, nothing, nothing, text, text[:1], draws), self.config.snr).mean()

    def _predict(self, noisy: Tensor, t: Tensor, text: Tensor, image: Tensor) -> Tensor:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return self.network.unet(noisy.contiguous(memory_format=torch.channels_last), t, text).sample


def write(path: Path, network: Network, config: Painter, vae: Mapping[str, Tensor] | None = None) -> None:
    """Write the file: with the ``vae`` (LDM names) a whole one, without it one that `ip2p.checkpoint.read` completes with the editor's
    autoencoder and word embeddings."""
    text = {name: tensor for name, tensor in clip_to_ldm(network.text.state_dict()).items() if vae or not name.endswith(TOKENS)}
    groups = ((UNET, unet_to_ldm(network.unet.state_dict())), (TEXT, text), (VAE, vae or {}))
    state = {prefix + name: tensor.detach().half().contiguous() for prefix, group in groups for name, tensor in group.items()}
    settings = {"num_heads": config.heads, "text_heads": network.text.config.num_attention_heads, "size": config.size}
    rest = {} if vae else {"rest": Path(config.editor or checkpoint.EMBEDDED).name}
    checkpoint.write(path, state, {**settings, "steps": config.steps, "text_scale": config.text_scale, **rest})
