"""What the network is told: the instruction and the picture, as the host's CONDITIONING and LATENT."""

from typing import Any

import comfy.utils
import torch
from comfy.text_encoders.qwen_image import QwenImageTokenizer
from torch import Tensor

from ..ip2p import tiles
from ..ip2p.fit import rgb, sized_mask

Conditioning = list[list[Any]]
ENCODINGS = ("auto", "whole", "tiled")
"""How to encode; ``auto`` takes tiles for pictures of more than ``tiles.LARGEST_WHOLE`` pixels."""


def instruct(
    clip: Any, vae: Any, image: Tensor, instruction: str, negative: str = "", mask: Tensor | None = None, encoding: str = "auto"
) -> tuple[Conditioning, Conditioning, dict[str, Tensor]]:
    """Positive and negative conditioning, both with the picture's latent, and the latent to sample from.

    ``image`` is (B, H, W, C) in [0, 1]; its latent is the mode of the VAE's posterior, unscaled (the host scales it where a family
    wants that). ``mask`` is (B, H, W): 1 where the picture may change. Raises ValueError, in a sentence for the user, for bad wiring.
    """
    texts = [encode_text(clip, text) for text in (instruction, negative)]
    picture = encode(vae, image, encoding)
    positive, negative_ = (with_picture(text, picture) for text in texts)
    return positive, negative_, start(picture, mask)


def encode(vae: Any, image: Tensor, encoding: str = "auto") -> Tensor:
    """The (B, C, H/8, W/8) latent mode of a picture whose sides are multiples of 8; alpha is dropped."""
    check_vae(vae)
    if encoding not in ENCODINGS:
        raise ValueError(f"The encoding '{encoding}' is unknown; use one of {', '.join(ENCODINGS)}.")
    image = rgb(image)
    height, width = image.shape[1:3]
    if height % 8 or width % 8:
        raise ValueError(f"The picture is {width} x {height}, which are not multiples of 8; put a 'Fit image' node before this one.")
    if encoding == "whole" or (encoding == "auto" and not tiles.are_needed(height, width)):
        return vae.encode(image)
    if _is_plain(vae):
        return tiles.encode(lambda part: vae.encode(part.movedim(1, -1)), image.movedim(-1, 1))
    return vae.encode_tiled(image)


def decode(vae: Any, latent: Tensor) -> Tensor:
    """The picture (B, H, W, 3) of a latent, in tiles where it is large; each is decoded under the host's memory management."""
    if _is_plain(vae) and tiles.are_needed(latent.shape[-2] * 8, latent.shape[-1] * 8):
        return tiles.decode(lambda part: vae.decode(part).movedim(-1, 1), latent).movedim(1, -1)
    return vae.decode(latent)


def _is_plain(vae: Any) -> bool:
    """Whether an autoencoder is one of still pictures, eight times smaller as latents; others are left to the host's own tiles."""
    return getattr(vae, "latent_dim", None) == 2 and getattr(vae, "downscale_ratio", None) == 8


def start(picture: Tensor, mask: Tensor | None = None) -> dict[str, Tensor]:
    """The latent to sample from: zero where the network is free, the picture where the mask keeps it.

    Several pictures share one draw of noise (``batch_index``), so that each comes out as it would alone.
    """
    latent: dict[str, Any] = {"samples": torch.zeros_like(picture)}
    if len(picture) > 1:
        latent["batch_index"] = [0] * len(picture)
    if mask is None:
        return latent
    height, width = picture.shape[-2:]
    mask = sized_mask(mask, width * 8, height * 8).unsqueeze(1)
    free = comfy.utils.reshape_mask(mask.float(), picture.shape).to(picture) == 1
    return {**latent, "samples": torch.where(free, latent["samples"], picture), "noise_mask": mask}


def check_clip(clip: Any) -> None:
    """Raise ValueError, in a sentence for the user, where there is no text encoder, or one that must be shown the picture as well."""
    if clip is None:
        raise ValueError("There is no text encoder (CLIP) here; load a full checkpoint, or load one with the host's CLIP loader.")
    if isinstance(getattr(clip, "tokenizer", None), QwenImageTokenizer):
        raise ValueError(
            "Qwen-Image-Edit's text encoder looks at the picture too; encode both texts with the host's TextEncodeQwenImageEdit and wire "
            "them into the 'InstructPix2Pix guider'."
        )


def check_vae(vae: Any) -> None:
    """Raise ValueError, in a sentence for the user, where there is no autoencoder."""
    if vae is None:
        raise ValueError("There is no VAE here; load a full checkpoint, or load one with the host's VAE loader.")


def encode_text(clip: Any, text: str) -> Conditioning:
    """One text as the host's CLIPTextEncode gives it. Raises ValueError where there is no text encoder."""
    check_clip(clip)
    return clip.encode_from_tokens_scheduled(clip.tokenize(text))


def with_picture(conditioning: Conditioning, picture: Tensor) -> Conditioning:
    """A text's conditioning with the latent of the picture to edit."""
    return [[tokens, {**options, "concat_latent_image": picture}] for tokens, options in conditioning]
