"""The released file: the trained parts under LDM names, float16, with the settings that shapes don't tell."""

from dataclasses import dataclass
from pathlib import Path

from diffusers import UNet2DConditionModel
from torch import Tensor
from transformers import CLIPTextModel

from .. import checkpoint
from ..keys import unet_to_ldm, vae_to_ldm
from ..layout import TEXT, UNET, VAE
from ..text_keys import clip_to_ldm
from .autoencoder import Decoder, Encoder
from .config import Config
from .text import Reader, neutralise


@dataclass(frozen=True)
class Parts:
    """The four trained networks."""

    unet: UNet2DConditionModel
    encoder: Encoder
    decoder: Decoder
    text: CLIPTextModel


def text_encoder(reader: Reader, captions: list[str]) -> CLIPTextModel:
    """The transformer of a trained reader, rounded to float16's values, unmet tokens made neutral."""
    neutralise(reader, captions)
    encoder = reader.encoder.eval().requires_grad_(False)
    encoder.load_state_dict({name: _rounded(tensor) for name, tensor in encoder.state_dict().items()})
    return encoder


def _rounded(tensor: Tensor) -> Tensor:
    return tensor.half().to(tensor.dtype) if tensor.is_floating_point() else tensor


def write(path: Path, parts: Parts, config: Config) -> None:
    """Write the file that `ip2p.checkpoint.read` and the host's loader take."""
    vae = vae_to_ldm({**parts.encoder.state_dict(), **parts.decoder.state_dict()})
    groups = ((UNET, unet_to_ldm(parts.unet.state_dict())), (VAE, vae), (TEXT, clip_to_ldm(parts.text.state_dict())))
    state = {prefix + name: tensor.detach().half().contiguous() for prefix, group in groups for name, tensor in group.items()}
    checkpoint.write(path, state, settings(config))


def settings(config: Config) -> dict[str, object]:
    """What a reader can't tell from the weights' shapes, and how to sample."""
    sampling = {name: getattr(config.export, name) for name in ("size", "steps", "text_scale", "image_scale")}
    return {"num_heads": config.unet.heads, "text_heads": config.text.heads, **sampling}
