"""Data sets that may be written anew because the same command wrote them before, with other settings or from other data."""

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from .disk import read_file
from .example import DataError
from .journal import NAME as JOURNAL
from .manifest import MANIFEST
from .records import parts_of, place_of

MADE_BY = "made_by"
"""The setting that names the command."""


def remove_earlier(out: Path, layout: str, settings: Mapping[str, Any]) -> None:
    """Remove a data set that the same command wrote with other settings or in another layout; anything else stays. Raises DataError."""
    head = next((found for name in (MANIFEST, JOURNAL) if (found := _head(out / name))), None)
    if head is None or not isinstance(head.get("settings"), dict) or head["settings"].get(MADE_BY) != settings[MADE_BY]:
        return
    if head.get("layout") == layout and head["settings"] == json.loads(json.dumps(settings)):
        return
    try:
        shutil.rmtree(out)
    except OSError as error:
        raise DataError(f"{out} can't be replaced ({error.strerror or error}): choose another folder.") from error


def check_apart(spec: str, out: Path) -> None:
    """Raise DataError where the output lies in the data that a spec names, or the other way round."""
    target = out.expanduser().resolve()
    for place in filter(None, map(place_of, parts_of(spec))):
        source = place.resolve()
        if target == source or target in source.parents or source in target.parents:
            raise DataError(f"{out} and {place} lie in each other: write into a folder of its own.")


def state_of(spec: str) -> str:
    """Another text when the files of a spec are others, by their names and sizes. Hidden ones don't count."""
    digest = hashlib.blake2b(digest_size=8)
    for part in parts_of(spec):
        name, _, rest = part.partition(":")
        place = Path(rest.partition("|")[0]).expanduser() if name == "photos" else place_of(part)
        for path in [] if place is None else [place] if place.is_file() else _files(place):
            size = path.stat().st_size if path.exists() else 0
            digest.update(f"{path.relative_to(place or path).as_posix()} {size}\n".encode("utf-8", "surrogateescape"))
            digest.update(read_file(path) if path.name == MANIFEST else b"")  # it has the hashes of all
    return digest.hexdigest()


def _files(folder: Path) -> Iterator[Path]:
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(place) / name for name in sorted(names) if not name.startswith("."))


def _head(path: Path) -> dict[str, Any] | None:
    """What the manifest, or the first line of the journal, says of a data set."""
    try:
        with path.open(encoding="utf-8") as file:
            found = json.loads(file.read() if path.name == MANIFEST else file.readline())
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None
