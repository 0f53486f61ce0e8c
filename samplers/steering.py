"""Schedules, rescaling and projection as parts that a MODEL carries."""

from collections.abc import Sequence
from typing import Any

import comfy.model_management
import comfy.model_sampling
from comfy.model_patcher import ModelPatcher
from torch import Tensor

from ..ip2p.evaluation.curve_picture import curve_picture
from ..ip2p.projection import TERMS, Projected
from ..ip2p.rescale import Rescale
from ..ip2p.schedules import WHOLE, Curve, Schedule, sampled, span, typed
from .guidance import with_part


def wired(value: Any, points: str) -> Curve | None:
    """The curve that is wired, as a curve or as numbers, or else typed; None where there is neither. Raises ValueError."""
    if isinstance(value, Curve):
        return value
    if value is not None:
        return sampled(value)
    return typed(points) if points.strip() else None


def scheduled(
    model: ModelPatcher, text: Curve | None, image: Curve | None, text_span: Sequence[float], image_span: Sequence[float]
) -> tuple[ModelPatcher, Tensor]:
    """A clone of ``model`` with a schedule, in the place of an earlier one, and its picture (1, H, W, 3). Spans are in percent."""
    part = Schedule(text, image, span("text", *text_span), span("image", *image_span))
    shown = curve_picture({"text": (text, part.text_span), "image": (image, part.image_span)})
    return with_part(model, "schedule", part), _out(shown)


def picture(name: str, one: Curve) -> Tensor:
    """The picture (1, H, W, 3) of a curve."""
    return _out(curve_picture({name: (one, WHOLE)}))


def rescaled(model: ModelPatcher, phi: float) -> ModelPatcher:
    """A clone of ``model`` that rescales the guided prediction."""
    flow = isinstance(model.get_model_object("model_sampling"), comfy.model_sampling.CONST)
    return with_part(model, "rescale", Rescale(phi, flow))


def projected(model: ModelPatcher, terms: str, parallel: float, threshold: float, momentum: float) -> ModelPatcher:
    """A clone of ``model`` that projects the text's term, the picture's, or both; what it did with the other stays."""
    if terms not in TERMS:
        raise ValueError(f"There are no '{terms}' terms to project; use {', '.join(TERMS)}.")
    for term in TERMS[terms]:
        model = with_part(model, f"projection of the {term} term", Projected(term, parallel, threshold, momentum))
    return model


def _out(page: Tensor) -> Tensor:
    return page[None].to(comfy.model_management.intermediate_device())
