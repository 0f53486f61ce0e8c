"""Dual classifier-free guidance (Brooks, Holynski, Efros 2022, section 3.2.1, equation 3).

Three predictions of one noisy latent, all of shape (B, C, H, W):

- ``text``:  given the picture and the instruction (written ``D_c``),
- ``image``: given the picture and the empty or negative text (``D_I``),
- ``null``:  given a zero picture latent and the same empty or negative text (``D_0``).

The formulas are affine with coefficients that sum to 1, so they hold alike for noise, denoised and velocity predictions.
"""

import math
from typing import NamedTuple, cast

from torch import Tensor


class Passes(NamedTuple):
    """Which of the three predictions a step needs."""

    text: bool
    image: bool
    null: bool


def check_scale(name: str, value: float) -> float:
    """Return ``value`` as a float, or raise ValueError if it is not a finite number of at least 0."""
    value = float(value)
    if not math.isfinite(value) or value < 0:
        raise ValueError(f"The {name} scale is {value}, which is not a number of at least 0; set it to a value such as 1.5 or 7.5.")
    return value


def needed(text_scale: float, image_scale: float) -> Passes:
    """The passes equation 3 cannot do without at these scales.

    ``image_scale == 1`` removes ``null``; ``text_scale == image_scale`` removes ``image``; both at 1 leave only ``text``;
    at ``text_scale == 0`` the instruction has no weight and ``text`` is not needed either.
    """
    text = text_scale != 0
    image = text_scale != image_scale
    null = image_scale != 1
    return Passes(text, image, null)


def combine(text: Tensor | None, image: Tensor | None, null: Tensor | None, text_scale: float, image_scale: float) -> Tensor:
    """Equation 3 in its residual form: ``D_c + (s_T - 1)(D_c - D_I) + (s_I - 1)(D_I - D_0)``.

    A prediction that :func:`needed` calls unnecessary may be None: its neighbour stands in for it, so that its term is exactly zero.
    Raises ValueError if one that is needed is missing.
    """
    passes = needed(text_scale, image_scale)
    for name, wanted, given in zip(Passes._fields, passes, (text, image, null), strict=True):
        if wanted and given is None:
            raise ValueError(f"The '{name}' prediction is needed at text scale {text_scale} and image scale {image_scale}.")
    d_image = cast(Tensor, image if passes.image else null if passes.null else text)
    d_text = cast(Tensor, text) if passes.text else d_image
    d_null = cast(Tensor, null) if passes.null else d_image
    return d_text + (text_scale - 1) * (d_text - d_image) + image_term(d_image, d_null, image_scale)


def image_term(image: Tensor, null: Tensor, image_scale: float) -> Tensor:
    """``(s_I - 1)(D_I - D_0)``: what equation 3 adds to ordinary classifier-free guidance between ``D_c`` and ``D_I``."""
    return (image_scale - 1) * (image - null)
