"""How fast a network learns, step by step."""

import math
from dataclasses import dataclass

from .config import RunConfig


def rate_at(step: int, rate: float, run: RunConfig) -> float:
    """The learning rate of step 0, 1, ...: a linear rise over ``warmup`` steps, times 1, or a cosine from 1 to ``floor`` over all steps."""
    rise = min(1.0, (step + 1) / max(1, run.warmup))
    if run.schedule == "constant":
        return rate * rise
    fall = (1 + math.cos(math.pi * min(1.0, step / max(1, run.steps)))) / 2
    return rate * rise * (run.floor + (1 - run.floor) * fall)


@dataclass(frozen=True)
class Schedule:
    """How long and how fast a small network learns: AdamW, a linear rise over ``warmup`` steps, then a cosine to a tenth of the rate."""

    steps: int = 1000
    batch: int = 32
    rate: float = 1e-3
    warmup: int = 100
    weight_decay: float = 0.01
    clip: float = 1.0
    ema: float = 0.999
    save_every: int = 200
    seed: int = 0
