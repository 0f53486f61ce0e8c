"""Scales that change while sampling: curves over the run, and the part of the run in which each kind of guidance acts.

Progress is the share of the noise schedule that is done, 0 at the first noise and 1 at the last; people read it in percent.
"""

import math
import re
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from .engine import Part, Scales, Step
from .guidance import check_scale

Span = tuple[float, float]
WHOLE: Span = (0.0, 1.0)
OFF = 1.0
"""The scale at which a kind of guidance does nothing."""
KINDS = ("linear", "cosine", "constant", "points", "smooth points")


@dataclass(frozen=True)
class Curve:
    """A scale over the run: (progress, scale) points, progress rising within 0..1, every scale a finite number of at least 0.

    Between two points it goes straight, or by half a cosine where `smooth`; before the first and after the last it stays. Raises
    ValueError, in a sentence, for points that make no curve.
    """

    points: tuple[tuple[float, float], ...]
    smooth: bool = False

    def __post_init__(self) -> None:
        if not self.points:
            raise ValueError("The schedule is empty: write at least one number, such as 7.5, or points such as 0:7.5, 100:1.")
        for place, value in self.points:
            if not 0 <= place <= 1:
                raise ValueError(f"A point of the schedule stands at {100 * place:g} percent: use 0 to 100.")
            check_scale("scheduled", value)
        for (here, _), (there, _) in pairwise(self.points):
            if there <= here:
                raise ValueError(f"The schedule's point at {100 * there:g} percent follows the one at {100 * here:g}: write them rising.")

    def at(self, progress: float) -> float:
        """The scale at a progress of 0..1. Between equal scales it is that scale to the bit."""
        places = [place for place, _ in self.points]
        after = bisect_right(places, progress)
        if after in (0, len(places)):
            return self.points[min(after, len(places) - 1)][1]
        (here, a), (there, b) = self.points[after - 1], self.points[after]
        way = (progress - here) / (there - here)
        return a + (b - a) * ((1 - math.cos(math.pi * way)) / 2 if self.smooth else way)

    def __str__(self) -> str:
        said = ", ".join(f"{100 * place:g}%: {value:g}" for place, value in self.points)
        return said if len(self.points) > 1 else f"{self.points[0][1]:g}"


def constant(value: float) -> Curve:
    """One scale all along."""
    return Curve(((0.0, float(value)),))


def linear(first: float, last: float) -> Curve:
    """A straight line from the first scale to the last."""
    return Curve(((0.0, float(first)), (1.0, float(last))))


def cosine(first: float, last: float) -> Curve:
    """Half a cosine from the first scale to the last: it leaves and arrives level."""
    return Curve(((0.0, float(first)), (1.0, float(last))), smooth=True)


def typed(text: str, smooth: bool = False) -> Curve:
    """The curve of "7.5", or of points such as "0:7.5, 50:5, 100:1", each percent:scale. Raises ValueError, in a sentence."""
    parts = [part.strip() for part in re.split(r"[,;\n]", text) if part.strip()]
    if len(parts) == 1 and ":" not in parts[0]:
        return constant(_number(parts[0], parts[0]))
    return Curve(tuple(_point(part) for part in parts), smooth)


def _point(part: str) -> tuple[float, float]:
    percent, colon, value = part.partition(":")
    if not colon:
        raise ValueError(f"{part!r} is no point of a schedule: write percent:scale, such as 50:5, with commas between points.")
    return _number(percent.strip().removesuffix("%"), part) / 100, _number(value, part)


def _number(text: str, part: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise ValueError(f"{part!r} is no point of a schedule: write one number, or percent:scale, such as 50:5.") from error


def sampled(values: float | Sequence[float], smooth: bool = False) -> Curve:
    """The curve through a list of scales that stand evenly over the run, or of one scale. Raises ValueError, in a sentence."""
    several = [values] if isinstance(values, (int, float)) else list(values)
    try:
        numbers = [float(value) for value in several]
    except (TypeError, ValueError) as error:
        raise ValueError("The wired schedule is no list of numbers: wire floats, such as 7.5, 5, 1.") from error
    last = max(1, len(numbers) - 1)
    return Curve(tuple((place / last, value) for place, value in enumerate(numbers)), smooth)


def curve(kind: str, first: float, last: float, points: str = "") -> Curve:
    """The curve of one of `KINDS`; a constant is `first`, and ``points`` are read as `typed` does. Raises ValueError, in a sentence."""
    if kind in ("points", "smooth points"):
        return typed(points, smooth=kind == "smooth points")
    if kind == "constant":
        return constant(first)
    if kind not in KINDS:
        raise ValueError(f"There is no schedule of the kind {kind!r}: use one of {', '.join(KINDS)}.")
    return (cosine if kind == "cosine" else linear)(first, last)


def span(name: str, first: float, last: float) -> Span:
    """A part of the run from its ends in percent. Raises ValueError, in a sentence, for ends that are no such part."""
    if not 0 <= first <= 100 or not 0 <= last <= 100 or first > last:
        raise ValueError(f"The {name} guidance is to act from {first:g} to {last:g} percent: use 0 to 100, the start not after the end.")
    return first / 100, last / 100


def within(where: Span, progress: float) -> bool:
    """Whether a progress is in a part of the run, both ends included."""
    return where[0] <= progress <= where[1]


@dataclass(frozen=True)
class Schedule(Part):
    """Curves in the place of the two scales (None: the scale as it is set), and where in the run each kind of guidance acts.

    Outside its span a scale is 1: no guidance of that kind, and the passes that only it needs are saved.
    """

    text: Curve | None = None
    image: Curve | None = None
    text_span: Span = WHOLE
    image_span: Span = WHOLE
    order = 10

    def scales(self, step: Step, scales: Scales) -> Scales:
        """The scales of a step."""
        text = scales.text if self.text is None else self.text.at(step.progress)
        image = scales.image if self.image is None else self.image.at(step.progress)
        return Scales(text if within(self.text_span, step.progress) else OFF, image if within(self.image_span, step.progress) else OFF)
