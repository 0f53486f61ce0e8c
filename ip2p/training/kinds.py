"""The objectives by name. Each is a module with the five functions of `Kind`: "edit" is `edit.py`, "distil" is `distil.py`."""

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

import torch
from torch import Tensor

from ..checkpoint import Checkpoint
from .config import TrainConfig

if TYPE_CHECKING:
    from ..data.pairs import PairSet
    from ..edit import Editor
    from .objective import Batch
    from .trainable import Trainable


@dataclass(frozen=True)
class Place:
    """Where a run works: its folder, the folder of what is kept between runs, its device, whether it is the process that writes, and
    whether it should stop."""

    out: Path
    cache: Path
    device: torch.device
    main: bool = True
    should_stop: Callable[[], bool] | None = None


class Kind(Protocol):
    """An objective."""

    def prepare(self, base: Checkpoint, config: TrainConfig, device: torch.device, dtype: torch.dtype) -> "Trainable":
        """The network in training, its frozen weights in ``dtype``."""

    def pairs(self, base: Checkpoint, config: TrainConfig, place: Place) -> "PairSet":
        """What is learnt from."""

    def losses(self, model: "Trainable", batch: "Batch", config: TrainConfig) -> Tensor:
        """The loss (B,) of each sample, float32."""

    def editor(self, plain: "Editor") -> "Editor":
        """What validation edits with, made from the base's editor; its network is given at each validation."""

    def write(self, model: "Trainable", average: Sequence[Tensor], config: TrainConfig, folder: Path) -> list[Path]:
        """The files of the averaged weights that the config asks for."""


def kind_of(config: TrainConfig) -> Kind:
    """The objective that a config names."""
    return cast(Kind, importlib.import_module(f".{config.objective.kind}", __package__))
