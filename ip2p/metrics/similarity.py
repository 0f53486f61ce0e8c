"""Distances of features. Features are (B, D), of any length unless said otherwise; results have the shape (B,)."""

import torch.nn.functional as F
from torch import Tensor


def cosine(a: Tensor, b: Tensor) -> Tensor:
    """Cosine of the angle, -1 to 1; 0 where either is zero."""
    return F.cosine_similarity(a, b, dim=-1)


def direction(image_0: Tensor, image_1: Tensor, text_0: Tensor, text_1: Tensor) -> Tensor:
    """CLIP directional similarity (Gal et al. 2022; InstructPix2Pix, section 4.1): does the picture change as its caption does?

    The cosine of image_1 - image_0 and text_1 - text_0 of unit-length features; 0 where pictures or captions are the same.
    """
    return cosine(image_1 - image_0, text_1 - text_0)


def self_similarity(keys: Tensor) -> Tensor:
    """Cosine of each token's key with each other's: (B, T, D) to (B, T, T)."""
    unit = F.normalize(keys, dim=-1)
    return unit @ unit.transpose(1, 2)


def structure_distance(keys_a: Tensor, keys_b: Tensor) -> Tensor:
    """Mean squared difference of the self-similarities of the keys (B, T, D) (Tumanyan et al. 2022, "Splicing ViT Features", section 3).

    0 where the layout is the same, whatever the colours; about 0.01 to 0.1 for edits. Raises ValueError for unequal numbers of tokens.
    """
    if keys_a.shape[1] != keys_b.shape[1]:
        raise ValueError(f"{keys_a.shape[1]} and {keys_b.shape[1]} patches can't be compared; bring the two pictures to one size.")
    return (self_similarity(keys_a) - self_similarity(keys_b)).square().mean((1, 2))
