"""What was found in many large files, kept in one small one, so that the next run opens 300,000 pairs in a moment."""

import hashlib
import json
import logging
import uuid
import zipfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from .example import DataError

log = logging.getLogger(__name__)

Arrays = dict[str, np.ndarray]
Found = tuple[Arrays, list[str]]
"""Named arrays, and what was left out and why."""
FORMAT = 1


def indexed(name: str, files: Sequence[Path], cache: Path | None, build: Callable[[], Found]) -> Found:
    """What `build` finds in files, or what it found before while they are the same in name, size and time.

    The index `name` is kept beside the first file, or, where that folder can't be written, in `cache`. One that is damaged or of other
    files is made again. Raises what `build` raises, and DataError for a file that is not there.
    """
    state = _state(files)
    beside = files[0].parent / f".{name}.npz"
    digest = hashlib.blake2b(str(files[0].parent.absolute()).encode("utf-8", "replace"), digest_size=8).hexdigest()
    places = [beside, *([cache / f"{name}-{digest}.npz"] if cache else [])]
    for place in places:
        if (kept := _read(place, state)) is not None:
            return kept
    log.info("Looking through %d files of %s; the next run needs not.", len(files), files[0].parent.name)
    found = build()
    if not any(_write(place, state, found) for place in places):
        log.info("The index of %s can't be kept: each run looks through its files again.", files[0].parent.name)
    return found


def _state(files: Sequence[Path]) -> str:
    try:
        stats = [(path.name, path.stat()) for path in files]
    except OSError as error:
        raise DataError(f"{error.filename} can't be read ({error.strerror or error}): check the file and its permissions.") from error
    return json.dumps([FORMAT, *([name, stat.st_size, stat.st_mtime_ns] for name, stat in stats)])


def _read(place: Path, state: str) -> Found | None:
    try:
        with np.load(place, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        if _text(arrays.pop("state")) == state:
            return arrays, json.loads(_text(arrays.pop("skipped")))
    except FileNotFoundError:
        pass
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        log.warning("%s is damaged and is made again.", place.name)
        log.debug("%s: %s", place, error)
    return None


def _write(place: Path, state: str, found: Found) -> bool:
    part = place.with_name(f"{place.name}.{uuid.uuid4().hex[:8]}.part")
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        with part.open("wb") as file:
            kept: dict[str, Any] = {"state": _bytes(state), "skipped": _bytes(json.dumps(found[1])), **found[0]}
            np.savez(file, **kept)
        part.replace(place)
    except OSError as error:
        log.debug("%s: %s", place, error)
        return False
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)
    return True


def _bytes(text: str) -> np.ndarray:
    return np.frombuffer(text.encode("utf-8", "surrogateescape"), dtype=np.uint8)


def _text(array: np.ndarray) -> str:
    return array.tobytes().decode("utf-8", "surrogateescape")
