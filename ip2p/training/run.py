"""A training run, whole: what the command and the host's node call."""

import logging
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from .. import checkpoint
from ..checkpoint import Checkpoint
from ..configs import ConfigError, to_table
from ..data.example import DataError, Example
from ..data.pairs import PairSet, open_pairs
from . import curves, loop, processes, resuming
from .batches import Batches
from .checkpoints import Checkpoints, ResumeError, fill
from .config import TrainConfig, load, save
from .cpu import quicken
from .encoders import Encoders
from .kinds import Kind, Place, kind_of
from .log import Log
from .loop import Losses, Progress
from .placing import placed
from .precision import DTYPES, autocast
from .trainable import Trainable
from .validation import Validated, Validation

log = logging.getLogger(__name__)

CONFIG, CHECKPOINTS, CACHE, PICTURES = "config.yaml", "checkpoints", "cache", "validation"
RECENT = 20
"""Steps over which the speed is told."""


@dataclass(frozen=True)
class Event:
    """A step that was done, or, with ``validated``, what the validation after it found. ``loss`` is nan for a step that was left out."""

    step: int
    steps: int
    loss: float
    rate: float
    images_per_s: float
    seconds_left: float
    validated: Validated | None = None


@dataclass(frozen=True)
class Trained:
    """A run as it is after ``step`` steps: the network with its raw weights in place, the averaged ones in the order of its parameters,
    the exported files, and what was other than when the run began."""

    trainable: Trainable
    average: list[Tensor]
    folder: Path
    step: int
    finished: bool
    files: tuple[Path, ...] = ()
    notes: tuple[str, ...] = ()


OnEvent = Callable[[Event], None]
ShouldStop = Callable[[], bool]


def train(
    config: TrainConfig,
    out: Path,
    base: Checkpoint | None = None,
    pairs: PairSet | None = None,
    device: str | torch.device = "auto",
    on_event: OnEvent | None = None,
    should_stop: ShouldStop | None = None,
) -> Trained:
    """Train in a folder, or go on with the run that is there, until it is finished or ``should_stop`` says so.

    ``base`` and ``pairs`` stand for what the config names, whose relative places are looked for in the folder first. ``on_event`` is told
    of each step and validation, on the main process; ``should_stop`` is asked before each part of a batch and in each step of a
    validation's sampling. Raises ValueError in one sentence for what can't be had.
    """
    team = processes.start(device)
    try:
        with torch.inference_mode(False), torch.enable_grad():
            return _Run(config, out, base, pairs, team, on_event, should_stop).train()
    except torch.cuda.OutOfMemoryError as error:
        cure = "lower run.micro_batch, set model.gradient_checkpointing to true, or train a LoRA"
        raise ValueError(f"The memory of the device is too small for this run: {cure}.") from error
    finally:
        processes.end()


class _Run:
    """What a run is made of; the data and the validation are opened when they are first needed."""

    def __init__(
        self,
        config: TrainConfig,
        out: Path,
        base: Checkpoint | None,
        pairs: PairSet | None,
        team: processes.Processes,
        on_event: OnEvent | None,
        should_stop: ShouldStop | None,
    ) -> None:
        self.written = config
        self.config = config = placed(config, out)
        self.out, self.team, self.given = out, team, pairs
        self.on_event, self.should_stop = on_event, should_stop
        self.base = base or read_base(config)
        self.kind = kind_of(config)
        about = to_table(self.written) | {resuming.BASE: resuming.identity(self.base)}
        self.store = Checkpoints(out / CHECKPOINTS, config.run.keep, about)
        self.notes = resuming.compared(self.store, about)
        cache = Path(config.data.cache) if config.data.cache else out / CACHE
        self.place = Place(out, cache, team.device, team.main, should_stop)
        self.model = prepared(self.kind, self.base, config, team.device)
        self.recent: deque[float] = deque(maxlen=RECENT)
        self.last: Progress | None = None
        self.log: Log | None = None
        if config.run.batch < team.count:
            raise ConfigError(f"A batch of {config.run.batch} can't be shared by {team.count} processes: raise run.batch.")

    def train(self) -> Trained:
        config = self.config
        if self.team.main:
            for note in self.notes:
                log.warning("continuing with another setting than before: %s", note)
            save(self.written, self.out / CONFIG)
        validate = self._validate if self._validates() else None
        watch = loop.Watch(self._started, self._stepped, self.should_stop, validate, config.validation.every)
        try:
            fitted = loop.fit(self.model.parameters, self._losses, config.optimizer, config.run, self.store, self.team, watch)
        finally:
            self._close()
        files: list[Path] = []
        if fitted.finished and self.team.main:
            files = self.kind.write(self.model, fitted.average, config, self.out)
        return Trained(self.model, fitted.average, self.out, fitted.step, fitted.finished, tuple(files), self.notes)

    @cached_property
    def batches(self) -> Batches:
        """What the steps learn from."""
        config = self.config
        with self.team.main_first():  # it may make what the others only open
            pairs = self.given or self.kind.pairs(self.base, config, self.place)
        log.info("%d prompts of %s", pairs.length, pairs.name)
        encoders = Encoders(self.base, self.team.device)
        ask = self._ask if self.team.count == 1 else None  # one of several must not stop alone
        return Batches(pairs, encoders, config.data, config.run.seed, config.run.batch, self.place.cache, ask, config.objective.offset)

    def _losses(self, step: int, indices: Sequence[int]) -> Losses:
        batch = self.batches(step, indices).to(self.team.device)
        with autocast(self.config, self.team.device):
            values = self.kind.losses(self.model, batch, self.config)
        return Losses(values, batch.ids)

    def _started(self, step: int) -> None:
        run = self.config.run
        self.log = Log(self.out, step, run.batch, run.log_every, run.tensorboard) if self.team.main else None

    def _stepped(self, done: Progress) -> None:
        self.last = done
        self.recent.append(done.seconds)
        if self.log:
            self.log.step(done)
            self._tell()

    def _tell(self, validated: Validated | None = None) -> None:
        done = self.last
        if done and self.on_event:
            each = sum(self.recent) / len(self.recent)
            left = each * (done.steps - done.step)
            self.on_event(Event(done.step, done.steps, done.loss, done.rate, self.config.run.batch / each, left, validated))

    def _validates(self) -> bool:
        """Whether there is something to validate on; the other processes only need to know that the main one does."""
        return bool(self.team.told(self.config.validation.count and (not self.team.main or self._held_out())))

    @cached_property
    def _examples(self) -> list[Example]:
        chosen = self.config.validation
        source = chosen.source or self.config.data.source
        size = chosen.size or self.config.data.crop
        return open_pairs(source, chosen.split, size, self.place.cache).examples(chosen.count)

    def _held_out(self) -> bool:
        """Whether there are held-out pairs; none in a small set is no fault, none where they are named is one."""
        try:
            return bool(self._examples)
        except DataError as error:
            if self.config.validation.source:
                raise
            log.warning("There is no validation: %s", error)
            return False

    @cached_property
    def validation(self) -> Validation:
        """The fixed edits, encoded once; the networks that this takes wait in the CPU's memory."""
        from ..edit import Editor
        from ..metrics.measures import Measures
        from ..networks import build_text_encoders, build_vae

        chosen, device = self.config.validation, self.team.device
        vae, texts = build_vae(self.base).to(device), [one.to(device) for one in build_text_encoders(self.base)]
        model = Editor(self.model.unet, vae, texts, self.base.family, dict(self.base.settings), prediction=self.model.prediction)
        measures = Measures.load(lpips=chosen.lpips, clip=chosen.clip, device=str(device)) if chosen.lpips or chosen.clip else None
        size = chosen.size or self.config.data.crop
        made = Validation(
            self._examples, self.kind.editor(model), chosen.text_scales, chosen.image_scales, chosen.steps, size, chosen.seed, measures
        )
        for module in (vae, *texts):
            module.to("cpu")
        return made

    def _validate(self, step: int) -> float:
        """Validate, note it, tell it; higher is better."""
        from ..pictures import save_picture

        validation = self.validation
        with autocast(self.config, self.team.device), _lent(validation.editor.vae, self.team.device):
            found = validation(self.model.unet, step, self._ask)
        if self.log:
            self.log.validated(step, found.numbers)
        save_picture(found.picture, self.out / PICTURES / f"step-{step:08d}.png")
        self._plot()
        self._tell(found)
        best = self.config.validation.best
        return found.score if not best else resuming.score_of(found, best)

    def _ask(self, *_: object) -> None:
        if self.should_stop and self.should_stop():
            raise loop.Stopped

    def _close(self) -> None:
        if "batches" in self.__dict__:
            self.batches.close()
        if self.log:
            self.log.close()
            self._plot()

    def _plot(self) -> None:
        """Draw the curves, if there is something to draw and something to draw with; a plot is no reason to end a run."""
        try:
            if curves.series(curves.lines(self.out), "loss")[0]:
                curves.write(self.out)
        except (ValueError, OSError) as error:
            log.warning("The curves are not drawn: %s", error)


def read_base(config: TrainConfig) -> Checkpoint:
    """The model that a config starts from. Raises CheckpointError."""
    if not config.model.base:
        raise ValueError("No base model is named: set model.base to a Stable Diffusion 1.x checkpoint or an editor.")
    place = checkpoint.located(config.model.base)
    return checkpoint.read(place, config.model.weights, editor=False)


def prepared(kind: Kind, base: Checkpoint, config: TrainConfig, device: torch.device) -> Trainable:
    """The network in training, the same for the same seed; the global random state is as before."""
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(config.run.seed)
        model = kind.prepare(base, config, device, DTYPES[config.run.precision])
    return replace(model, unet=quicken(model.unet)) if device.type == "cpu" and config.run.precision != "fp32" else model


@contextmanager
def _lent(module: torch.nn.Module, device: torch.device) -> Iterator[None]:
    """A network on the device for a while, else in the CPU's memory."""
    module.to(device)
    try:
        yield
    finally:
        module.to("cpu")


def open_run(folder: Path, which: str | int = "last", base: Checkpoint | None = None) -> Trained:
    """A run as a checkpoint has it, on the CPU: "last", "best" (by validation) or a step. Raises ValueError in one sentence."""
    config = load(folder / CONFIG)
    store = Checkpoints(folder / CHECKPOINTS)
    step = store.best() if which == "best" else which
    state = store.load() if step == "last" or step is None else store.read(int(step))
    if state is None:
        raise ResumeError(f"There is no checkpoint in {folder}: train some steps first.")
    model = prepared(kind_of(config), base or read_base(config), config, torch.device("cpu"))
    fill(model.parameters, state["weights"], str(folder))
    saved = state["average"] or state["weights"]
    average = [saved[name] for name, _ in model.parameters]
    return Trained(model, average, folder, state["step"], state["step"] >= config.run.steps)


def progress_of(folder: Path) -> str:
    """How far the run in a folder is, in words: "step 120 of 500"; empty where there is none."""
    store = Checkpoints(folder / CHECKPOINTS)
    known = next((manifest for step in store.steps() if (manifest := store.manifest(step))), None)
    return f"step {known.step} of {known.config.get('run', {}).get('steps', known.step)}" if known else ""
