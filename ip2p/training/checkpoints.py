"""Checkpoints: all that a stopped run needs to go on, each a folder that appears whole or not at all, with a checksum of what it holds."""

import hashlib
import json
import logging
import os
import pickle
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import Tensor, nn

from ..configs import ConfigError

log = logging.getLogger(__name__)

STATE, MANIFEST, PARTIAL = "state.pt", "manifest.json", ".partial"
Parameters = Sequence[tuple[str, nn.Parameter]]


class ResumeError(ConfigError):
    """A checkpoint does not fit what should continue from it; the message says what to do."""


@dataclass(frozen=True)
class Manifest:
    """What a checkpoint is: its step, how many samples the run had seen, the checksum of its state, its score where it was validated, and
    the settings of its run as a table."""

    step: int
    samples: int
    sha256: str
    score: float | None = None
    config: dict[str, Any] = field(default_factory=dict)


class Checkpoints:
    """The checkpoints of a folder: the last ``keep`` and the one with the best score stay. ``config``: a table that new ones carry."""

    def __init__(self, folder: Path, keep: int = 2, config: dict[str, Any] | None = None) -> None:
        self.folder, self.keep, self.config = folder, keep, config or {}

    def steps(self) -> list[int]:
        """The steps with a checkpoint, damaged or not, the newest first."""
        return sorted((int(place.name[5:]) for place in self.folder.glob("step-*") if place.name[5:].isdigit()), reverse=True)

    def place(self, step: int) -> Path:
        """The folder of a step's checkpoint."""
        return self.folder / f"step-{step:08d}"

    def clear(self) -> None:
        """Remove them all."""
        for place in self.folder.glob("step-*"):
            shutil.rmtree(place)

    def best(self) -> int | None:
        """The step with the highest score, the newest of equals; None where none has one."""
        scored = [(manifest.score, step) for step in self.steps() if (manifest := self.manifest(step)) and manifest.score is not None]
        return max(scored)[1] if scored else None

    def best_score(self) -> float | None:
        """The highest score; None where none has one."""
        step = self.best()
        manifest = None if step is None else self.manifest(step)
        return manifest.score if manifest else None

    def save(self, state: dict[str, Any], step: int, samples: int, score: float | None = None) -> None:
        """Write a state beside its place, make sure that it is on the disk, rename it into place, and remove what need not be kept.

        Raises ValueError where it can't be written; what was there before stays.
        """
        place = self.place(step)
        partial = place.with_name(place.name + PARTIAL)
        try:
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir(parents=True)
            manifest = Manifest(step, samples, _written(partial / STATE, state), score, self.config)
            with (partial / MANIFEST).open("wb") as file:
                file.write(json.dumps(asdict(manifest)).encode())
                _flushed(file)
            if place.exists():  # a damaged one
                shutil.rmtree(place)
            partial.rename(place)
            _flush_folder(self.folder)
        except (OSError, RuntimeError) as error:  # torch reports a full disk as a RuntimeError
            shutil.rmtree(partial, ignore_errors=True)
            raise ValueError(f"The checkpoint {place} can't be written ({error}): make room on the disk, then start again.") from error
        self._prune()

    def load(self) -> dict[str, Any] | None:
        """The newest state that is whole, with its ``step`` and ``samples``; None where there is none. What is damaged is said."""
        for step in self.steps():
            try:
                return self.read(step)
            except ResumeError as error:
                log.warning("%s The one before it is taken.", error)
        return None

    def read(self, step: int) -> dict[str, Any]:
        """The state of a step, with its ``step`` and ``samples``. Raises ResumeError where it is damaged."""
        place, manifest = self.place(step), self.manifest(step)
        try:
            if manifest is None or _digest(place / STATE) != manifest.sha256:
                raise ResumeError(f"The checkpoint {place} is damaged.")
            state = torch.load(place / STATE, map_location="cpu", weights_only=True)
        except (OSError, RuntimeError, pickle.UnpicklingError, EOFError) as error:
            raise ResumeError(f"The checkpoint {place} is damaged ({' '.join(str(error).split())}).") from error
        return {**state, "step": manifest.step, "samples": manifest.samples}

    def manifest(self, step: int) -> Manifest | None:
        """What a step's checkpoint says of itself; None where it is damaged."""
        try:
            return Manifest(**json.loads((self.place(step) / MANIFEST).read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None

    def _prune(self) -> None:
        keep = {*self.steps()[: self.keep], self.best()}
        for step in self.steps():
            if step not in keep:
                shutil.rmtree(self.place(step), ignore_errors=True)
        for partial in self.folder.glob(f"step-*{PARTIAL}"):
            shutil.rmtree(partial, ignore_errors=True)


class _Hashing:
    """A file that only grows, with the checksum of what went into it."""

    def __init__(self, file: BinaryIO) -> None:
        self.file, self.sha256 = file, hashlib.sha256()

    def write(self, part: Any) -> int:
        self.sha256.update(part)
        return self.file.write(part)

    def flush(self) -> None:
        self.file.flush()


def _written(path: Path, state: dict[str, Any]) -> str:
    """Write a state; its checksum."""
    with path.open("wb") as file:
        hashing = _Hashing(file)
        torch.save(state, hashing)  # type: ignore[arg-type]  # it needs no more of a file than these two methods
        _flushed(file)
    return hashing.sha256.hexdigest()


def _flushed(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


def _flush_folder(folder: Path) -> None:
    """Make a rename in a folder last; systems that can't open a folder do it by themselves."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        sha256 = hashlib.sha256()
        while part := file.read(1 << 22):
            sha256.update(part)
    return sha256.hexdigest()


@torch.no_grad()
def fill(parameters: Parameters, saved: dict[str, Tensor], where: str) -> None:
    """Copy saved tensors into parameters of the same names and shapes. Raises ResumeError."""
    if {name: parameter.shape for name, parameter in parameters} != {name: tensor.shape for name, tensor in saved.items()}:
        raise ResumeError(f"{where} is of another network than the settings describe: use another folder, or the settings it began with.")
    for name, parameter in parameters:
        parameter.copy_(saved[name])


def load_average(folder: Path, module: nn.Module) -> nn.Module:
    """Fill what is trainable of a module with the averaged parameters of a folder's newest checkpoint; freeze all. Raises ResumeError."""
    state = Checkpoints(folder).load()
    if state is None:
        raise ResumeError(f"There is no checkpoint in {folder}; train that stage first.")
    trained = [(name, parameter) for name, parameter in module.named_parameters() if parameter.requires_grad]
    fill(trained, state["average"] or state["weights"], str(folder))
    return module.eval().requires_grad_(False)
