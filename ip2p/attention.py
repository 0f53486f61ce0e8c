"""Prompt-to-Prompt (Hertz et al. 2022) as operations on attention: what the second picture of a pair takes over from the first.

Rows ``2n`` and ``2n + 1`` of a batch are a pair. Attention maps are (pairs, heads, places, tokens) and sum to 1 over their tokens.
"""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

TOLERANCE = 1e-4
"""Noise levels that are relatively this near are the same; they go through the arithmetic of samplers."""
POOL = 3
"""A place counts as marked if one of its eight neighbours is (Hertz et al., official code of the local blend)."""


class CrossEdit(NamedTuple):
    """How the second pictures' cross-attention maps come from the first ones', for N pairs over T tokens.

    ``mapper`` (N, T, T): the weight of the first text's token (row) in the second text's token (column). ``aligned`` (N, T): tokens of
    the second text that have a map of the first; others keep their own. ``weights`` (N, T): factors of the maps. ``shares`` (N, T): the
    share of the steps, 0 to 1, in which a token is edited. ``marks`` (N, 2, T): the tokens of both texts whose places may change (local
    blend), none of them: all places may.
    """

    mapper: Tensor
    aligned: Tensor
    weights: Tensor
    shares: Tensor
    marks: Tensor


def active(share: Tensor, step: int, steps: int) -> Tensor:
    """Whether a share of the steps, 0 to 1, still lasts at step 0 <= ``step`` < ``steps``: ``share > step / (steps - 1)``.

    That is the rule of InstructPix2Pix (appendix A.2; their shares stay below 1). By it a share of 1 would leave out the last step; here
    it lasts throughout, so that 1 means all.
    """
    return (share > step / max(1, steps - 1)) | (share >= 1)


def step_of(sigma: float, sigmas: Tensor) -> int:
    """Which step of a schedule (steps + 1,) of falling sigmas a noise level belongs to, 0 <= step < steps.

    A call between two sigmas, as samplers with several calls a step make it, belongs to the step that began at the larger one.
    """
    begun = int((sigmas[:-1] >= sigma * (1 - TOLERANCE)).sum())
    return max(0, begun - 1)


def shared(x: Tensor, pairs: Tensor) -> Tensor:
    """(2 N, ...) in which the second rows of the named ``pairs`` (N,) are the first ones'; the same tensor where none is named.

    Of queries and keys, or of what they are computed from, this makes the second picture's map ``softmax(q k^T)`` the first one's.
    """
    if pairs.device.type == "cpu" and not pairs.any():  # elsewhere the question would wait for the device
        return x
    both = x.unflatten(0, (-1, 2))
    second = torch.where(pairs.to(x.device).view(-1, *[1] * (x.ndim - 1)), both[:, 0], both[:, 1])
    return torch.stack([both[:, 0], second], dim=1).flatten(0, 1)


def attention_maps(q: Tensor, k: Tensor) -> Tensor:
    """``softmax(q k^T / sqrt(d))`` (B, heads, places, tokens), in float32, of q (B, heads, places, d) and k (B, heads, tokens, d)."""
    return (q.float() @ k.float().transpose(-1, -2) / math.sqrt(q.shape[-1])).softmax(dim=-1)


def edited(first: Tensor, own: Tensor, edit: CrossEdit, now: Tensor) -> Tensor:
    """The second pictures' maps: word swap, added words and weights in one formula (Hertz et al., section 3.3).

    ``first`` and ``own`` are the maps (N, heads, places, T) of both pictures, ``now`` (N, T) the tokens that are edited in this step.
    Maps are not scaled back to the sum 1, as in the original. Where nothing is edited, the result equals ``own`` to the bit.
    """
    aligned, weights, now = (each[:, None, None, :] for each in (edit.aligned, edit.weights, now))
    mapped = torch.where(aligned, first @ edit.mapper[:, None], own)
    return torch.where(now, weights * mapped, own)


def fitted(edit: CrossEdit, tokens: int) -> CrossEdit:
    """The edit for texts that are ``tokens`` long: repeated as a whole, as hosts do it to batch texts of several lengths, or with
    something appended, which is left alone."""
    length = edit.shares.shape[-1]
    copies, rest = divmod(tokens, length)
    if copies == 1 and not rest:
        return edit
    mapper, taken, weights, shares, marks = edit
    if rest:
        more = tokens - length
        if more < 0:
            raise ValueError(f"The text is {tokens} tokens long here, but the edit was made for {length}; encode both texts alike.")
        padded = F.pad(mapper, (0, more, 0, more))
        return CrossEdit(padded, F.pad(taken, (0, more)), F.pad(weights, (0, more)), F.pad(shares, (0, more)), F.pad(marks, (0, more)))
    # each copy of a token has its part of the attention: the parts of the first text's copies go, together, to one copy of the second's
    spread = F.pad(mapper.repeat(1, copies, 1), (0, tokens - length))
    again = (1, copies)
    return CrossEdit(spread, taken.repeat(again), weights.repeat(again), shares.repeat(again), marks.repeat(1, 1, copies))


def marked(maps: Tensor, marks: Tensor) -> Tensor:
    """(N, places): how much the places attend to the marked tokens (N, T), the mean over the heads."""
    return torch.einsum("nhpt,nt->np", maps, marks.float()) / maps.shape[1]


def grid(places: int, height: int, width: int) -> tuple[int, int]:
    """The sides (h, w) of an attention map, from its number of places and the sides of the latent, which levels halve, rounding up.

    Raises ValueError for a number that no level has.
    """
    h, w = height, width
    while h * w > places and (h, w) != (1, 1):
        h, w = -(-h // 2), -(-w // 2)
    if h * w != places:
        raise ValueError(f"An attention map of {places} places doesn't belong to a latent of {width} x {height}.")
    return h, w


def blend_mask(marked: Tensor, size: tuple[int, int], threshold: float) -> Tensor:
    """Where pairs may differ, (N, 1, height, width) of 0 and 1: the places that attend most to the marked words, in either picture.

    ``marked`` (N, 2, h, w) are the summed maps of both; a place is in where it has more than ``threshold`` of its picture's maximum
    (Hertz et al., section 3.3, local editing). A pair without marked words may differ everywhere.
    """
    wide = F.max_pool2d(marked, POOL, stride=1, padding=POOL // 2)
    large = F.interpolate(wide, size=size, mode="nearest")
    most = large.amax(dim=(-1, -2), keepdim=True)
    inside = ((large > threshold * most) & (most > 0)).any(dim=1, keepdim=True)
    return (inside | (most == 0).all(dim=1, keepdim=True)).float()


def blended(x: Tensor, mask: Tensor) -> Tensor:
    """Latents (2 N, C, h, w) whose second rows equal the first ones' where ``mask`` (N, 1, h, w) is 0."""
    both = x.unflatten(0, (-1, 2))
    return torch.stack([both[:, 0], torch.where(mask > 0, both[:, 1], both[:, 0])], dim=1).flatten(0, 1)
