"""The one training loop: a loss, a schedule, a checkpoint. A run that was stopped and resumed gives the same weights to the bit."""

import logging
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from . import ema
from .chance import Randomness
from .checkpoints import load, save
from .schedule import Schedule, rate_at

log = logging.getLogger(__name__)

REPORT_EVERY = 50


Loss = Callable[[Randomness], Tensor]
OnStep = Callable[[int, float], None]


def fit(module: nn.Module, loss: Loss, schedule: Schedule, path: Path, resume: bool = False, on_step: OnStep | None = None) -> list[Tensor]:
    """Train ``module`` until ``schedule.steps``; returns the averaged parameters, in the order of ``module.parameters()``.

    ``loss`` is called once a step. ``path`` receives a checkpoint every ``save_every`` steps and at the end, and at an interrupt;
    with ``resume`` an existing one is continued.
    """
    parameters = [p for p in module.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=schedule.rate, betas=(0.9, 0.99), weight_decay=schedule.weight_decay, fused=True)
    average = [p.detach().clone() for p in parameters]
    done = load(path, module, optimizer, average) if resume and path.is_file() else 0
    module.train()
    try:
        for step in range(done, schedule.steps):
            value = _step(parameters, optimizer, loss, schedule, step)
            ema.update(average, parameters, step, schedule.ema)
            done = step + 1
            if on_step:
                on_step(done, value)
            if done % schedule.save_every == 0:
                save(path, module, optimizer, average, done)
    finally:
        save(path, module, optimizer, average, done)
    module.eval()
    return average


def _step(parameters: list[nn.Parameter], optimizer: torch.optim.Optimizer, loss: Loss, schedule: Schedule, step: int) -> float:
    for group in optimizer.param_groups:
        group["lr"] = rate_at(step, schedule)
    optimizer.zero_grad(set_to_none=True)
    value = loss(Randomness.of(schedule.seed, step))
    value.backward()
    if schedule.clip:
        nn.utils.clip_grad_norm_(parameters, schedule.clip)
    optimizer.step()
    return float(value.detach())


def reporter(name: str, steps: int) -> OnStep:
    """Logs the mean loss every `REPORT_EVERY` steps."""
    recent: list[float] = []

    def report(step: int, value: float) -> None:
        recent.append(value)
        if step % REPORT_EVERY == 0 or step == steps:
            log.info("%s: step %d of %d, loss %.4f", name, step, steps, sum(recent) / len(recent))
            recent.clear()

    return report


def with_average(module: nn.Module, average: list[Tensor]) -> nn.Module:
    """Put averaged parameters into a module, in place; returns it, frozen."""
    with torch.no_grad():
        for parameter, mean in zip((p for p in module.parameters() if p.requires_grad), average, strict=True):
            parameter.copy_(mean)
    return module.eval().requires_grad_(False)
