"""A dataset from a few words: "world", "photos", "probes", or a folder, whose layout is recognised."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from .example import DataError, Dataset

Recognised = tuple[Callable[[Path], bool], Callable[[Path, int, bool], Dataset]]


def open_dataset(spec: str, count: int = 0, size: int = 0, skip: bool = False) -> Dataset:
    """The dataset of a spec; no picture is opened yet.

    "world" (or "world:recolour,add"): procedural scenes. "photos" (or "photos:FOLDER_OR_TAR"): formulas on photos, asked for in held-out
    words. "probes": the known limits on the world. Anything else is a folder: MagicBrush, the Emu Edit test set or PIE-Bench as they are
    published, or a plain one; "sessions:FOLDER" is MagicBrush's multi-turn setting. `count` takes the first so many (0: all; 200 of the
    world), `size` limits the long side in pixels (0: as they are; 256 for the world and photos), `skip` leaves out bad lines, told in
    `Dataset.skipped`. Raises DataError.
    """
    if count < 0 or size < 0:
        raise DataError(f"A count of {count} and a size of {size} can't be had: use 0 (all, as they are) or more.")
    name, _, rest = spec.strip().partition(":")
    if name == "world":
        from .world import open_world

        return open_world([kind.strip() for kind in rest.split(",") if kind.strip()], count, size)
    if name == "photos":
        from .photos import open_photos

        return open_photos(Path(rest).expanduser() if rest else None, (), count, size)
    if spec == "probes":
        from ..worlds.edits import LIMITS
        from .world import open_world

        return open_world(LIMITS, count, size, "probes")
    found = _sessions(rest, size, skip) if name == "sessions" and rest else _folder(Path(spec).expanduser(), size, skip)
    if not len(found):
        left = f" ({found.skipped[0]})" if found.skipped else ""
        raise DataError(f"There is no edit left in {rest or spec}{left}: unpack the data again, or name another folder.")
    return replace(found, length=min(count, len(found))) if count else found


def _sessions(folder: str, size: int, skip: bool) -> Dataset:
    from .magicbrush import sessions

    return sessions(Path(folder).expanduser(), size, skip)


def _folder(folder: Path, size: int, skip: bool) -> Dataset:
    if not folder.exists():
        raise DataError(f"There is no data at {folder}: name a folder, or world, photos or probes.")
    if not folder.is_dir():
        raise DataError(f"{folder} is no folder: unpack it, and name the folder.")
    for fits, opened in layouts():
        if fits(folder):
            return opened(folder, size, skip)
    from .folder import open_folder

    return open_folder(folder, size, skip)


def layouts() -> list[Recognised]:
    """(whether a folder has it, the reader) of each published layout."""
    from . import emu_edit, magicbrush, pie_bench

    return [(reader.fits, reader.opened) for reader in (pie_bench, magicbrush, emu_edit)]
