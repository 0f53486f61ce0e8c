"""Large pictures through an autoencoder in overlapping tiles, so that memory is that of one tile.

Autoencoders of this kind see their picture only from nearby, but for the statistics of their group norms and one attention layer in the
middle, so tiles that overlap come out almost as the whole does; where two overlap they are faded into each other.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

LARGEST_WHOLE = 1024 * 1024
"""Pixels up to which a picture is encoded and decoded whole."""
TILE, OVERLAP = 768, 128
"""Side of a tile and the least overlap of two, in pixels; multiples of 8."""
Map = Callable[[Tensor], Tensor]


def are_needed(height: int, width: int) -> bool:
    """Whether a picture of this many pixels is large enough for tiles."""
    return height * width > LARGEST_WHOLE


def places(length: int, tile: int, overlap: int) -> list[int]:
    """Where tiles begin along one side, spread evenly, each at least ``overlap`` over the one before; one at 0 where all fits in one."""
    if length <= tile:
        return [0]
    count = math.ceil((length - overlap) / (tile - overlap))
    return [(length - tile) * number // (count - 1) for number in range(count)]


def tiled(run: Map, whole: Tensor, tile: int, overlap: int, scale: float) -> Tensor:
    """``run`` over a (B, C, H, W) tensor tile by tile, the results faded into each other; it makes ``scale`` times as many pixels a side.

    ``tile`` and ``overlap`` count in the input's own pixels. Tiles begin where the output has a whole pixel.
    """
    height, width = whole.shape[-2:]
    grain = max(1, round(1 / scale))  # input pixels of one output pixel
    out = weights = None
    for top in places(height // grain, tile // grain, overlap // grain):
        for left in places(width // grain, tile // grain, overlap // grain):
            made = run(whole[..., top * grain : top * grain + tile, left * grain : left * grain + tile])
            y, x = (round(place * grain * scale) for place in (top, left))
            if out is None or weights is None:
                out = made.new_zeros(*made.shape[:2], round(height * scale), round(width * scale))
                weights = made.new_zeros(1, 1, *out.shape[-2:])
            window = _window(made, round(overlap * scale))
            out[..., y : y + made.shape[-2], x : x + made.shape[-1]] += made * window
            weights[..., y : y + made.shape[-2], x : x + made.shape[-1]] += window
    assert out is not None
    assert weights is not None
    return out / weights


def _window(made: Tensor, fade: int) -> Tensor:
    """(1, 1, H, W) of weights that rise from the border of a tile to 1 over ``fade`` pixels, never 0."""
    sides = []
    for length in made.shape[-2:]:
        near = torch.arange(length, device=made.device, dtype=made.dtype)
        sides.append((torch.minimum(near, near.flip(0)) + 1).div(max(1, fade)).clamp(max=1))
    return sides[0][:, None] * sides[1][None, :]


def encode(run: Map, picture: Tensor, factor: int = 8) -> Tensor:
    """The latent of a (B, 3, H, W) picture through an encoder that makes sides ``factor`` times smaller."""
    return tiled(run, picture, TILE, OVERLAP, 1 / factor)


def decode(run: Map, latent: Tensor, factor: int = 8) -> Tensor:
    """The picture (B, 3, H, W) of a latent through a decoder that makes sides ``factor`` times larger."""
    return tiled(run, latent, TILE // factor, OVERLAP // factor, factor)
