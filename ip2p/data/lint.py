"""What is wrong with a data set: as a store, and in its pictures and texts."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .check import LIMIT, SECONDS, Checked, Fault, check_pairs
from .example import DataError
from .manifest import read_manifest
from .pairs import open_pairs
from .records import parts_of, place_of
from .repair import Repaired, repair
from .store_check import faults_of, look


@dataclass(frozen=True)
class Linted:
    """What was found. `repaired` is what was found, and mended, before; None where nothing was to be repaired."""

    spec: str
    store: tuple[Fault, ...]
    checked: Checked | None
    repaired: Repaired | None = None
    unusable: str = ""
    """Why the pairs could not be opened at all."""

    @property
    def clean(self) -> bool:
        """Whether there is no fault that matters."""
        return not self.store and not self.unusable and (self.checked is None or self.checked.clean)

    def told(self) -> dict[str, Any]:
        """As JSON values."""
        found: dict[str, Any] = {"data": self.spec, "clean": self.clean, "store": _told(self.store)}
        if self.checked:
            found |= {"prompts": self.checked.length, "looked_at": self.checked.prompts, "pairs": self.checked.pairs}
            found |= {"pictures": _told(self.checked.faults), "left_out": list(self.checked.skipped)}
        if self.unusable:
            found["unusable"] = self.unusable
        if self.repaired:
            found["repaired"] = {"faults": _told(self.repaired.faults), "set_aside": self.repaired.aside}
        return found

    def __str__(self) -> str:
        lines = []
        if self.repaired and self.repaired.faults:
            lines += [f"mended: {fault}" for fault in self.repaired.faults]
            lines += [f"{self.repaired.aside} files were set aside in .set-aside"] if self.repaired.aside else []
        lines += [str(self.checked)] if self.checked else [f"{self.spec}: {self.unusable or 'looked at as a store'}"]
        return "\n".join(lines + [f"  {fault}" for fault in self.store])


def _told(faults: tuple[Fault, ...]) -> dict[str, Any]:
    return {fault.kind: {"count": fault.count, "where": fault.where, "told": str(fault)} for fault in faults}


def lint(
    spec: str,
    mend: bool = False,
    hashes: bool = True,
    limit: int = LIMIT,
    crop: int = 0,
    on_step: Callable[[int], None] | None = None,
) -> Linted:
    """Look through the data of a spec; with `mend` repair its folders first.

    `hashes`: read every file that SHA256SUMS lists. `limit` prompts are opened and looked at (0: all). `crop`: the side in pixels that
    pictures should reach (0: any). `on_step` is told how far it is; what it raises ends it. Raises DataError where there is no data.
    """
    places = [place for place in map(place_of, parts_of(spec)) if place is not None]
    repaired = _repaired(places, hashes, on_step) if mend else None
    store = tuple(fault for place in places for fault in faults_of(look(place, hashes, on_step)))
    try:
        pairs = open_pairs(spec, "all")
    except DataError as reason:
        empty = [place for place in places if place.is_dir() and (read_manifest_quietly(place) or {}).get("pairs") == 0]
        return Linted(spec, store, None, repaired, "" if empty == places and empty else str(reason))
    return Linted(spec, store, check_pairs(pairs, crop, limit, SECONDS, on_step), repaired)


def read_manifest_quietly(place: Path) -> dict[str, Any] | None:
    """The manifest of a store; None where there is none that can be read."""
    try:
        return read_manifest(place)
    except DataError:
        return None


def _repaired(places: list[Path], hashes: bool, on_step: Callable[[int], None] | None) -> Repaired:
    if not places:
        raise DataError("What is made as it is needed can't be repaired: name a folder.")
    done = [repair(place, hashes, on_step) for place in places]
    return Repaired(tuple(fault for one in done for fault in one.faults), sum(one.aside for one in done))
