"""Training sets: groups of edit pairs (those of one prompt), opened only when they are asked for."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from .example import DataError, Example

log = logging.getLogger(__name__)

SPLITS = ("train", "val", "test", "all")
HUNDREDTHS = {"train": (0, 90), "val": (90, 95), "test": (95, 100), "all": (0, 100)}
"""The authors' split over the sorted names of prompts, in hundredths."""
TRIES = 100
"""Groups that are tried for one usable pair."""


class Group(Protocol):
    """The pairs of one prompt by number; a tuple of examples is one."""

    def __len__(self) -> int: ...

    def __getitem__(self, number: int, /) -> Example: ...


@dataclass(frozen=True)
class Lazily:
    """A group whose pairs are made when they are asked for."""

    length: int
    make: Callable[[int], Example]

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, number: int, /) -> Example:
        if not 0 <= number < self.length:
            raise IndexError(f"There are {self.length} pairs here, none with the number {number}.")
        return self.make(number)


@dataclass(frozen=True)
class PairSet:
    """`length` groups of pairs. `group(n)` opens no picture; it and what it gives raise DataError for what is damaged or missing.

    `key(n, pair)` says, without reading it, which content a pair has (path, size and time of its files; shard and place; seed and
    settings): two pairs of one key have the same pictures. `skipped` says what was left out and why.
    """

    name: str
    length: int
    group: Callable[[int], Group]
    key: Callable[[int, int], str]
    skipped: tuple[str, ...] = ()

    def __len__(self) -> int:
        return self.length

    def part(self, start: int, stop: int) -> "PairSet":
        """The groups from `start` up to `stop`, which is not among them."""
        start, stop = max(0, start), min(stop, self.length)
        return replace(
            self,
            length=max(0, stop - start),
            group=lambda number: self.group(start + number),
            key=lambda number, pair: self.key(start + number, pair),
        )

    def examples(self, count: int) -> list[Example]:
        """Up to `count` pairs, always the same ones, spread over all groups and over the pairs of each, so that they are of many kinds.

        Pairs that can't be used are passed over.
        """
        count = min(count, self.length)
        found = (
            self._usable(number * self.length // count, (number + 1) * self.length // count, number / count) for number in range(count)
        )
        return [example for example in found if example]

    def _usable(self, start: int, stop: int, place: float) -> Example | None:
        """The pair at `place`, a fraction, of the first group that can be opened and whose pictures are there."""
        for number in range(start, min(stop, start + TRIES)):
            try:
                group = self.group(number)
                self.key(number, pair := int(place * len(group)))
                return group[pair]
            except DataError as reason:
                log.warning("%s", reason)
        return None


def open_pairs(spec: str, split: str = "train", size: int = 0, cache: Path | None = None) -> PairSet:
    """The training set of a spec; no picture is opened yet, and of many files no one is touched.

    A folder (the authors' layout with `seeds.json`; webdataset shards; Parquet files as the hub has them; MagicBrush; a plain one with
    `metadata.jsonl` or pictures that belong together by name), a single .tar or .parquet file, "world" or "world:recolour,add"
    (procedural scenes), "photos:FOLDER" (formulas on photos). Several, with weights: "0.6*photos:FOLDER + 0.4*world". `split` is "train",
    "val", "test" or "all". Pictures of files are as they are; `size` is the short side in pixels of those made by program (0: 256).
    `cache` is a folder for indices that can't be written beside the data. Raises DataError.
    """
    if split not in SPLITS:
        raise DataError(f"The split {split!r} is unknown: use {', '.join(SPLITS)}.")
    if size < 0:
        raise DataError(f"A size of {size} pixels can't be had: use 0 (the usual one) or more.")
    if not spec.strip():
        raise DataError("No training data is named: name a folder, world, or photos:FOLDER.")
    if " + " in spec and not Path(spec).expanduser().exists():
        from .mixed import open_mixed

        return open_mixed(spec, split, size, cache)
    found = _opened(spec.strip(), split, size, cache)
    if not found.length:
        left = f" ({found.skipped[0]})" if found.skipped else ""
        raise DataError(f"There is no pair left in the {split} part of {spec}{left}: add pairs, or name another split or folder.")
    if found.skipped:
        log.warning("%s: %d left out; the first: %s", found.name, len(found.skipped), found.skipped[0])
    return found


def _opened(spec: str, split: str, size: int, cache: Path | None) -> PairSet:
    name, _, rest = spec.partition(":")
    if name == "world":
        from .made import open_world_pairs

        return open_world_pairs([kind.strip() for kind in rest.split(",") if kind.strip()], split, size)
    if name == "photos":
        from .made import open_photo_pairs

        return open_photo_pairs(rest, split, size)
    place = Path(spec).expanduser()
    if not place.exists():
        raise DataError(f"There is no data at {place}: name a folder, world, or photos:FOLDER.")
    return _stored(place, split, cache)


def _stored(place: Path, split: str, cache: Path | None) -> PairSet:
    """The set of a folder or file, by its layout."""
    from . import authors, magicbrush, plain, tables, webdataset

    if (place / authors.SEEDS).is_file():
        return divided(authors.opened(place, cache), split)
    if shards := [place] if place.suffix.lower() == ".tar" else sorted(place.glob("*.tar")):
        return divided(webdataset.opened(shards, cache), split)
    if files := tables.files_of(place):
        return tables.opened(files, split, cache)
    if not place.is_dir():
        raise DataError(f"{place} is no folder, .tar or .parquet file: name one that is.")
    if magicbrush.fits(place):
        return divided(magicbrush.pairs(place), split)
    return divided((authors if authors.fits(place) else plain).opened(place), split)


def divided(pairs: PairSet, split: str) -> PairSet:
    """A part of a set: 90, 5 and 5 hundredths of its groups, in their order."""
    low, high = HUNDREDTHS[split]
    return pairs.part(pairs.length * low // 100, pairs.length * high // 100)
