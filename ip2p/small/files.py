"""Numbered files of what was made once to be trained on many times."""

import logging
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import torch

from ..data.example import DataError

log = logging.getLogger(__name__)


def write(folder: Path, files: int, make: Callable[[int], dict[str, Any]]) -> None:
    """Make all files that are not there yet; what one holds depends on its number alone."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(files):
        path = folder / f"{number:05d}.pt"
        if not path.is_file():
            partial = path.with_suffix(".partial")
            torch.save(make(number), partial)
            os.replace(partial, path)  # noqa: PTH105
            log.info("%s: file %d of %d", folder.name, number + 1, files)


def read(folder: Path) -> list[dict[str, Any]]:
    """All files of a folder, in order. Raises DataError where there are none, or one is broken."""
    files = sorted(folder.glob("*.pt"))
    if not files:
        raise DataError(f"There are no {folder.name} in {folder}; run the stage '{folder.name}' first.")
    return [_read(path) for path in files]


def _read(path: Path) -> dict[str, Any]:
    try:
        return dict(torch.load(path, weights_only=True))
    except (OSError, RuntimeError, ValueError, TypeError, EOFError, KeyError, pickle.UnpicklingError, BadZipFile) as error:
        stage = path.parent.name
        raise DataError(f"{path} is broken: delete it and run the stage '{stage}' again (of a reproduction: --again {stage}).") from error
