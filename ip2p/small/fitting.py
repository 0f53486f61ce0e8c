"""How a small network is fitted: the training ring's loop, for losses that are one number a step."""

import logging
from collections.abc import Callable
from pathlib import Path

from torch import Tensor, nn

from ..training import loop
from ..training.chance import Randomness
from ..training.checkpoints import Checkpoints
from ..training.config import OptimizerConfig, RunConfig
from ..training.schedule import Schedule

log = logging.getLogger(__name__)

REPORT_EVERY = 50

Loss = Callable[[Randomness], Tensor]


def fit(
    module: nn.Module, loss: Loss, schedule: Schedule, folder: Path, resume: bool = False, on_step: loop.OnStep | None = None
) -> list[Tensor]:
    """Train ``module``, with its checkpoints in ``folder``; returns the averaged parameters. To the loop, a step's batch is one sample.

    With ``resume`` the newest checkpoint is continued, else what is there is removed.
    """
    optimizer = OptimizerConfig(rate=schedule.rate, betas=(0.9, 0.99), weight_decay=schedule.weight_decay, clip=schedule.clip)
    run = RunConfig(
        steps=schedule.steps,
        batch=1,
        schedule="cosine",
        warmup=schedule.warmup,
        floor=0.1,
        ema=schedule.ema,
        seed=schedule.seed,
        save_every=schedule.save_every,
        nonfinite="stop",
    )

    def one(step: int, indices: object) -> loop.Losses:
        return loop.Losses(loss(Randomness.of(schedule.seed, step))[None], ("its batch",))

    parameters = [(name, parameter) for name, parameter in module.named_parameters() if parameter.requires_grad]
    store = Checkpoints(folder, 1)
    if not resume:
        store.clear()
    module.train()
    fitted = loop.fit(parameters, one, optimizer, run, store, watch=loop.Watch(on_step=on_step))
    module.eval()
    return fitted.average


def reporter(name: str) -> loop.OnStep:
    """Logs the mean loss every `REPORT_EVERY` steps."""
    recent: list[float] = []

    def report(done: loop.Progress) -> None:
        recent.append(done.loss)
        if done.step % REPORT_EVERY == 0 or done.step == done.steps:
            log.info("%s: step %d of %d, loss %.4f", name, done.step, done.steps, sum(recent) / len(recent))
            recent.clear()

    return report
