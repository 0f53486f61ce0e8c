"""Numbered files of what was made once to be trained on many times."""

import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

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
    """All files of a folder, in order. Raises DataError where there are none."""
    files = sorted(folder.glob("*.pt"))
    if not files:
        raise DataError(f"There are no {folder.name} in {folder}; run the stage '{folder.name}' first.")
    return [torch.load(path, weights_only=True) for path in files]
