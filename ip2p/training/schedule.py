"""How long and how fast a network learns."""

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Schedule:
    """How long and how fast one network learns. AdamW; the rate rises over ``warmup`` steps, then falls along a cosine to a tenth."""

    steps: int = 1000
    batch: int = 32
    rate: float = 1e-3
    warmup: int = 100
    weight_decay: float = 0.01
    clip: float = 1.0
    ema: float = 0.999
    save_every: int = 200
    seed: int = 0


def rate_at(step: int, schedule: Schedule) -> float:
    """The learning rate of step 0, 1, ...: a linear rise, then a cosine to a tenth of the full rate."""
    rise = min(1.0, (step + 1) / max(1, schedule.warmup))
    fall = 0.55 + 0.45 * math.cos(math.pi * min(1.0, step / max(1, schedule.steps)))
    return schedule.rate * rise * fall
