"""The objective "edit": the paper's own (section 3.2)."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from ..checkpoint import Checkpoint
from ..data.pairs import PairSet
from ..edit import Editor
from . import export, objective, trainable
from .batches import pairs_of
from .config import TrainConfig
from .kinds import Place
from .objective import Batch
from .trainable import Trainable


def prepare(base: Checkpoint, config: TrainConfig, device: torch.device, dtype: torch.dtype) -> Trainable:
    """The base as an editor in training. Raises ValueError."""
    return trainable.prepare(base, config.model, device, dtype)


def pairs(base: Checkpoint, config: TrainConfig, place: Place) -> PairSet:
    """What is learnt from. Raises DataError."""
    return pairs_of(config.data, place.cache)


def losses(model: Trainable, batch: Batch, config: TrainConfig) -> Tensor:
    """Each sample's loss (B,)."""
    return objective.losses(model.predict, batch, config.objective.snr, model.prediction)


def editor(plain: Editor) -> Editor:
    """What validation edits with."""
    return plain


def write(model: Trainable, average: Sequence[Tensor], config: TrainConfig, folder: Path) -> list[Path]:
    """The files that the config asks for."""
    return export.write(model, average, config.export, folder)
