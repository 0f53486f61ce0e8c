"""Dual classifier-free guidance (Brooks, Holynski, Efros 2022, section 3.2.1, equation 3).

Three predictions of one noisy latent, all of shape (B, C, H, W):

- ``text``:  given the picture and the instruction (written ``D_c``),
- ``image``: given the picture and the empty or negative text (``D_I``),
- ``null``:  given a zero picture latent and the same empty or negative text (``D_0``).

The formulas are affine with coefficients that sum to 1, so they hold alike for noise, denoised and velocity predictions. A scale is a
number, or a tensor that broadcasts to the predictions: (B, 1, H, W) for a scale of each place, (B, 1, 1, 1) for one of each picture.
"""

import math
from typing import NamedTuple, cast

import torch
from torch import Tensor

Scale = float | Tensor


class Passes(NamedTuple):
    """Which of the three predictions a step needs."""

    text: bool
    image: bool
    null: bool


class Predictions(NamedTuple):
    """``D_c``, ``D_I`` and ``D_0``, of which those that a step does not have are None."""

    text: Tensor | None
    image: Tensor | None
    null: Tensor | None


class Terms(NamedTuple):
    """What the scales weigh: ``text`` is ``D_c - D_I``, ``image`` is ``D_I - D_0``."""

    text: Tensor
    image: Tensor


class Scales(NamedTuple):
    """``s_T`` and ``s_I``."""

    text: Scale
    image: Scale


def check_scale(name: str, value: float) -> float:
    """Return ``value`` as a float, or raise ValueError if it is not a finite number of at least 0."""
    value = float(value)
    if not math.isfinite(value) or value < 0:
        raise ValueError(f"The {name} scale is {value}, which is not a number of at least 0; set it to a value such as 1.5 or 7.5.")
    return value


def same(one: Scale, other: Scale) -> bool:
    """Whether two scales are equal everywhere."""
    if isinstance(one, Tensor) or isinstance(other, Tensor):
        return bool((torch.as_tensor(one) == torch.as_tensor(other)).all())
    return one == other


def needed(text_scale: Scale, image_scale: Scale) -> Passes:
    """The passes equation 3 cannot do without at these scales.

    ``image_scale == 1`` removes ``null``; ``text_scale == image_scale`` removes ``image``; both at 1 leave only ``text``;
    at ``text_scale == 0`` the instruction has no weight and ``text`` is not needed either.
    """
    return Passes(not same(text_scale, 0), not same(text_scale, image_scale), not same(image_scale, 1))


def filled(found: Predictions, passes: Passes) -> tuple[Tensor, Tensor, Tensor]:
    """All three predictions, where a neighbour stands in for one that ``passes`` leaves out, so that its term is exactly zero.

    Raises ValueError if one that is needed is missing.
    """
    for name, wanted, given in zip(Passes._fields, passes, found, strict=True):
        if wanted and given is None:
            raise ValueError(f"The '{name}' prediction is needed at these scales, and it was not made.")
    text, image, null = (given if wanted else None for wanted, given in zip(passes, found, strict=True))
    image = cast(Tensor, image if image is not None else null if null is not None else text)
    return image if text is None else text, image, image if null is None else null


def combine(text: Tensor | None, image: Tensor | None, null: Tensor | None, text_scale: Scale, image_scale: Scale) -> Tensor:
    """Equation 3 in its residual form: ``D_c + (s_T - 1)(D_c - D_I) + (s_I - 1)(D_I - D_0)``.

    A prediction that :func:`needed` calls unnecessary may be None. Raises ValueError if one that is needed is missing.
    """
    d_text, d_image, d_null = filled(Predictions(text, image, null), needed(text_scale, image_scale))
    return weighed(d_text, Terms(d_text - d_image, d_image - d_null), Scales(text_scale, image_scale))


def weighed(text: Tensor, terms: Terms, scales: Scales) -> Tensor:
    """``D_c`` and the two terms, each with its scale less 1."""
    return text + (scales.text - 1) * terms.text + (scales.image - 1) * terms.image
