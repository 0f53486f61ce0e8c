"""What a run would cost, from the time of a few steps: passes exactly, hours and bytes by proportion."""

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from torch import Tensor

from ..captions.triplet import Triplet
from ..data.encoded import encoded
from .build import Plan, build
from .draws import chunks
from .early_stop import PASSES, Midway

STEPS = 3
"""Steps that are timed; the first one alone warms up."""


@dataclass(frozen=True)
class Estimate:
    """Of a whole run without an early stop, in one process: network passes over single pictures, hours, and gigabytes on the disk."""

    prompts: int
    samples: int
    passes: int
    hours: float
    gigabytes: float

    def told(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self)

    def __str__(self) -> str:
        return (
            f"{self.prompts:,} prompts, {self.samples:,} samples, {self.passes:,} network passes: "
            f"about {self.hours:,.2f} hours in one process and {self.gigabytes:,.3f} GB, before any early stop"
        )


def estimate(plan: Plan, triplets: Sequence[Triplet]) -> Estimate:
    """Time one group of samples of the first prompt over a few steps. Raises ValueError in a sentence."""
    few = replace(plan, early=None, settings=replace(plan.settings, steps=min(STEPS, plan.settings.steps)))
    generate, _ = build(few)
    group = next(chunks(triplets[0], few.settings))
    moments: list[float] = [time.monotonic()]
    midway = Midway(group, None, generate.paint.decode, generate.score)

    def on_step(_: int, __: int, denoised: Tensor) -> None:
        denoised.flatten()[:1].cpu()  # waits for the device
        moments.append(time.monotonic())

    pictures = generate.paint(group, midway, on_step)
    generate.score(pictures, [(triplets[0].caption, triplets[0].edited_caption)] * len(group))
    size = sum(len(encoded(picture, plan.kind)) for pair in pictures for picture in pair) / len(group)
    after = time.monotonic() - moments[-1]
    step = (moments[-1] - moments[1]) / (len(moments) - 2) if len(moments) > 2 else moments[1] - moments[0]
    samples = len(triplets) * plan.settings.samples
    hours = samples / len(group) * (step * plan.settings.steps + after) / 3600
    passes = samples * plan.settings.steps * PASSES
    return Estimate(len(triplets), samples, passes, round(hours, 4), round(samples * size / 1e9, 6))
