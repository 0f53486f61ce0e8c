"""The one training loop. Stopped anywhere and resumed it gives the same weights to the bit; split over micro-batches and processes in any
way it gives the same result, up to the rounding of sums."""

import logging
import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from . import ema, optimizer
from .chance import Randomness
from .checkpoints import Checkpoints, Parameters, ResumeError, fill
from .config import OptimizerConfig, RunConfig
from .processes import Processes
from .schedule import rate_at

log = logging.getLogger(__name__)

PATIENCE = 50
"""Steps in a row without a finite loss that end a run."""


class NonFiniteError(ValueError):
    """A loss, a gradient or a weight that is no number; the message names the step and the samples."""


class Stopped(Exception):  # noqa: N818 (a wish, not a fault)
    """Raised by a callback to end the run after its last whole step."""


@dataclass(frozen=True)
class Losses:
    """The losses (n,) of some samples of a step, with their gradients, and which samples they are."""

    values: Tensor
    ids: tuple[str, ...] = ()


@dataclass(frozen=True)
class Progress:
    """A step that was done: how many are, of how many, its mean loss (nan: it was skipped), its rate, and its seconds."""

    step: int
    steps: int
    loss: float
    rate: float
    samples: int
    seconds: float


@dataclass(frozen=True)
class Fitted:
    """The averaged weights in the order of the parameters (the weights themselves where nothing is averaged), and how far the run is."""

    average: list[Tensor]
    step: int
    finished: bool


LossOf = Callable[[int, Sequence[int]], Losses]
"""(step, indices) -> the losses of those samples of the step's global batch; must not depend on how a step is split."""
OnStep = Callable[[Progress], None]


@dataclass(frozen=True)
class Watch:
    """Who is told and asked. ``on_start``: with how many steps are done already. ``on_step``: after each step.

    ``should_stop``: before each micro-batch; on True the run saves and ends. ``validate``: every ``every`` steps and after the last, on
    the main process, with the averaged weights in place; its number (higher is better) decides which checkpoint is the best.
    """

    on_start: Callable[[int], None] | None = None
    on_step: OnStep | None = None
    should_stop: Callable[[], bool] | None = None
    validate: Callable[[int], float] | None = None
    every: int = 0


def fit(
    parameters: Parameters,
    losses: LossOf,
    settings: OptimizerConfig,
    run: RunConfig,
    store: Checkpoints,
    processes: Processes | None = None,
    watch: Watch | None = None,
) -> Fitted:
    """Train ``parameters`` until ``run.steps``, from the newest whole checkpoint of ``store`` where there is one.

    The loss of a step is the mean over its global batch. A checkpoint is saved every ``save_every`` steps, at the end, when the run is
    stopped, and when something fails. Raises NonFiniteError, ResumeError, and what ``losses`` raises.
    """
    trainer = _Trainer(parameters, losses, settings, run, store, processes or Processes(), watch or Watch())
    trainer.resume()
    with _own_chance(trainer.processes.device):
        finished = trainer.train()
    return Fitted(trainer.average or [p.detach() for p in trainer.tensors], trainer.done, finished)


class _Trainer:
    """The state of a run: after ``done`` steps the weights, their average and the optimiser belong together while ``whole``."""

    def __init__(
        self,
        parameters: Parameters,
        losses: LossOf,
        settings: OptimizerConfig,
        run: RunConfig,
        store: Checkpoints,
        processes: Processes,
        watch: Watch,
    ) -> None:
        self.parameters, self.losses, self.settings, self.run = parameters, losses, settings, run
        self.store, self.processes, self.watch = store, processes, watch
        self.tensors = [parameter for _, parameter in parameters]
        processes.same_([p.detach() for p in self.tensors])
        self.optimizer = optimizer.make(self.tensors, settings)
        self.average = [p.detach().clone() for p in self.tensors] if run.ema else []
        self.scaler = torch.amp.GradScaler(processes.device.type, enabled=run.precision == "fp16")
        self.done = self.samples = self.failures = 0
        self.saved, self.whole = 0, True

    def resume(self) -> None:
        """Go on from the newest whole checkpoint. Raises ResumeError where it is of another network."""
        state = self.store.load() if self.processes.main else None
        step = self.processes.told(state and state["step"])
        if step is None:
            return
        state = state or self.store.read(step)
        where = f"The checkpoint {self.store.place(step)}"
        fill(self.parameters, state["weights"], where)
        if self.average:
            averaged = state["average"] or state["weights"]
            fill([(name, mean) for (name, _), mean in zip(self.parameters, self.average, strict=True)], averaged, where)  # type: ignore[misc]
        try:
            self.optimizer.load_state_dict(state["optimizer"])
        except (ValueError, KeyError) as error:
            raise ResumeError(f"{where} is of another optimiser: use another folder, or the settings it began with.") from error
        if state["scaler"]:
            self.scaler.load_state_dict(state["scaler"])
        self.done, self.samples, self.saved = step, state["samples"], step
        log.info("continuing after step %d of %d", self.done, self.run.steps)

    def train(self) -> bool:
        """Step until the end; False where the run was stopped before it."""
        if self.watch.on_start:
            self.watch.on_start(self.done)
        try:
            if self.done and self.processes.told(self._unseen()):
                self._look()
            while self.done < self.run.steps:
                if not self._step():
                    return False
            return True
        except Stopped:
            return False
        finally:
            if self.whole and self.saved != self.done:
                self.save()

    def _step(self) -> bool:
        """One step of the whole batch; False where it was given up because the run should stop."""
        started, step = time.perf_counter(), self.done
        rate = rate_at(step, self.settings.rate, self.run)
        torch.manual_seed(int(Randomness.of(self.run.seed, step, self.processes.index).numpy.integers(2**62)))  # for networks that drop out
        self.optimizer.zero_grad(set_to_none=True)
        loss, faulty, stop = self._gradients(step)
        if stop:
            return False
        if faulty:
            self._failed(step, f"The loss of step {step + 1} is no number, for {', '.join(faulty)}")
        else:
            self.whole = False
            self._apply(step, rate)
            self.whole = True
        self.done, self.samples = step + 1, self.samples + self.run.batch
        if self.watch.on_step:
            self.watch.on_step(Progress(self.done, self.run.steps, loss, rate, self.samples, time.perf_counter() - started))
        self._look()
        return True

    def _gradients(self, step: int) -> tuple[float, list[str], bool]:
        """Add up the gradients of this process's samples; the mean loss, the samples without a finite one, and whether to stop, of all."""
        found: list[Losses] = []
        own, stop = self.processes.share(self.run.batch), False
        size = self.run.micro_batch or len(own) or 1
        for start in range(0, len(own), size):
            if stop := bool(self.watch.should_stop and self.watch.should_stop()):
                break
            part = self.losses(step, own[start : start + size])
            self.scaler.scale(part.values.sum() / self.run.batch).backward()
            found.append(Losses(part.values.detach(), part.ids))
        values = torch.cat([one.values.float() for one in found]).cpu() if found else torch.zeros(0)
        ids = [name for one in found for name in one.ids] or [f"sample {index}" for index in own]
        faulty = [ids[place] for place in torch.nonzero(~values.isfinite()).flatten().tolist()]
        every = self.processes.gather((float(values.sum()), faulty, stop))
        names = [name for _, some, _ in every for name in some]
        return sum(total for total, _, _ in every) / self.run.batch, names, any(stop for _, _, stop in every)

    def _apply(self, step: int, rate: float) -> None:
        """Turn the gradients into a step of the weights and of their average."""
        if self.processes.count > 1:
            for parameter in self.tensors:
                parameter.grad = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
            self.processes.sum_([p.grad for p in self.tensors if p.grad is not None])
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.scaler.unscale_(self.optimizer)
        norm = nn.utils.clip_grad_norm_(self.tensors, self.settings.clip or math.inf)
        if not self.scaler.is_enabled() and not norm.isfinite():
            return self._failed(step, f"The gradient of step {step + 1} is no number, though its losses are")
        self.scaler.step(self.optimizer)
        self.scaler.update()
        if self.average:
            ema.update(self.average, self.tensors, step, self.run.ema)
        self.failures = 0
        return None

    def _failed(self, step: int, reason: str) -> None:
        """Leave a step out, or end the run. Raises NonFiniteError."""
        self.failures += 1
        self.whole = True  # nothing was changed
        if self.run.nonfinite == "stop" or self.failures >= PATIENCE:
            many = f", the {self.failures}th time in a row" if self.failures > 1 else ""
            raise NonFiniteError(f"{reason}{many}: look at these samples, lower optimizer.rate, or use bf16 or fp32.")
        log.warning("%s; the step was left out.", reason)

    def _unseen(self) -> bool:
        """Whether the run was stopped after a step whose validation was not finished."""
        manifest = self.store.manifest(self.done)
        return self._is_due() and manifest is not None and manifest.score is None

    def _is_due(self) -> bool:
        return bool(self.watch.validate) and (self.done % max(1, self.watch.every) == 0 or self.done == self.run.steps)

    def _look(self) -> None:
        """Validate where it is time for it, and save where it is time for it or the step is the best so far."""
        score = self._score() if self._is_due() else None
        best = self.store.best_score() if score is not None and self.processes.main else None
        if self.done % self.run.save_every == 0 or self.done == self.run.steps or (score is not None and (best is None or score > best)):
            self.save(score)

    def _score(self) -> float:
        """The main process's validation, with the averaged weights. Raises Stopped on all where it was stopped."""
        score: float | None = None
        with self._averaged():
            if self.processes.main and self.watch.validate:
                with suppress(Stopped):
                    score = self.watch.validate(self.done)
            score = self.processes.told(score)
        if score is None:
            raise Stopped
        return score

    @contextmanager
    def _averaged(self) -> Iterator[None]:
        """The averaged weights in the network's place, for a while; no memory is taken."""
        self._exchange()
        try:
            with _own_chance(self.processes.device):
                yield
        finally:
            self._exchange()

    def _exchange(self) -> None:
        for place, mean in enumerate(self.average):
            self.average[place], self.tensors[place].data = self.tensors[place].data, mean

    def save(self, score: float | None = None) -> None:
        """Write a checkpoint, on the main process. Raises NonFiniteError rather than writing weights that are no numbers."""
        self.saved = self.done
        if not self.processes.main:
            return
        for name, parameter in self.parameters:
            if not parameter.detach().isfinite().all():
                raise NonFiniteError(f"The weight {name} is no number after step {self.done}: lower optimizer.rate and start from before.")
        self.store.save(self._state(), self.done, self.samples, score)

    def _state(self) -> dict[str, Any]:
        names = [name for name, _ in self.parameters]
        return {
            "weights": {name: parameter.detach() for name, parameter in self.parameters},
            "average": dict(zip(names, self.average, strict=True)) if self.average else {},
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
        }


@contextmanager
def _own_chance(device: torch.device) -> Iterator[None]:
    """The global random states are as before afterwards."""
    with torch.random.fork_rng([device] if device.type == "cuda" else [], device_type="cuda"):
        yield
