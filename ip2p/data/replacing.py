"""Data sets that may be written anew because the same command wrote them before, with other settings."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .example import DataError
from .journal import NAME as JOURNAL
from .manifest import MANIFEST

MADE_BY = "made_by"
"""The setting that names the command."""


def remove_earlier(out: Path, layout: str, settings: Mapping[str, Any]) -> None:
    """Remove a data set that the same command wrote with other settings or in another layout; anything else stays. Raises DataError."""
    head = next((found for name in (MANIFEST, JOURNAL) if (found := _head(out / name))), None)
    if head is None or head.get("settings", {}).get(MADE_BY) != settings[MADE_BY]:
        return
    if head.get("layout") == layout and head["settings"] == json.loads(json.dumps(settings)):
        return
    try:
        shutil.rmtree(out)
    except OSError as error:
        raise DataError(f"{out} can't be replaced ({error.strerror or error}): choose another folder.") from error


def _head(path: Path) -> dict[str, Any] | None:
    """What the manifest, or the first line of the journal, says of a data set."""
    try:
        with path.open(encoding="utf-8") as file:
            found = json.loads(file.read() if path.name == MANIFEST else file.readline())
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None
