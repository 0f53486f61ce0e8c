"""The authors' layout: `seeds.json` and a folder per prompt with `prompt.json`, `{seed}_0.jpg` and `{seed}_1.jpg`.

`seeds.json` is a list of [folder name, [seed, ...]]. Without it the folders are listed, and each one's pairs when it is asked for.
"""

import itertools
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .example import DataError, Example
from .folder import value_of
from .index_files import Found, indexed
from .opening import PICTURES, file_key, file_shape, picture_file, printable
from .pairs import Lazily, PairSet

SEEDS, PROMPT = "seeds.json", "prompt.json"
INDEX = "ip2p-seeds"
NAMED = 5
"""Missing folders that are told by name."""


def fits(folder: Path) -> bool:
    """Whether a folder has the list, or its first folder a prompt."""
    if (folder / SEEDS).is_file():
        return True
    if not folder.is_dir():
        return False
    with os.scandir(folder) as entries:
        first = next((entry for entry in entries if entry.is_dir() and not entry.name.startswith(".")), None)
    return first is not None and (Path(first.path) / PROMPT).is_file()


def opened(folder: Path, cache: Path | None = None) -> PairSet:
    """All prompts, sorted by name. What the list says is kept in an index (see `index_files`). Raises DataError."""
    there, listed = _folders(folder), folder / SEEDS
    if listed.is_file():
        arrays, skipped = indexed(INDEX, [listed], cache, lambda: _listed(listed))
        index, missing = _Index(**arrays).present(there)
        skipped = [*_told(missing), *skipped]
    else:
        index, skipped = _Index.of({name: [] for name in there}), []
    if not len(index):
        told = f" ({skipped[0]})" if skipped else ""
        raise DataError(f"{folder} has no prompts of which the folders are there{told}: download the data again, or name its folder.")

    def group(number: int) -> Lazily:
        return _group(folder / index.name(number), index.seeds(number))

    def key(number: int, pair: int) -> str:
        place = folder / index.name(number)
        first, second = _halves(place, (index.seeds(number) or found_seeds(place))[pair])
        return f"{place}|{file_key(first, second)}"

    return PairSet(folder.name, len(index), group, key, tuple(skipped))


def _folders(folder: Path) -> list[str]:
    """The names of the folders, sorted: one listing, nothing is opened."""
    try:
        with os.scandir(folder) as entries:
            return sorted(entry.name for entry in entries if entry.is_dir() and not entry.name.startswith("."))
    except OSError as error:
        raise DataError(f"{folder} can't be read ({error.strerror or error}): check the folder and its permissions.") from error


@dataclass(frozen=True)
class _Index:
    """Names (sorted) and seeds of many prompts in little memory: arrays instead of objects. Prompt n has the seeds from `start` n to
    `end` n."""

    names: np.ndarray
    start: np.ndarray
    end: np.ndarray
    numbers: np.ndarray

    @classmethod
    def of(cls, seeds: dict[str, list[int]]) -> "_Index":
        names = sorted(seeds)
        ends = np.cumsum([0, *map(len, map(seeds.__getitem__, names))])
        numbers = np.fromiter(itertools.chain.from_iterable(map(seeds.__getitem__, names)), dtype=np.uint64)
        return cls(_coded(names), ends[:-1], ends[1:], numbers)

    def present(self, there: Sequence[str]) -> "tuple[_Index, list[str]]":
        """(the prompts whose folders are there, the names of the others)."""
        found = np.isin(self.names, _coded(there))
        missing = [os.fsdecode(bytes(name)) for name in self.names[~found]]
        return _Index(self.names[found], self.start[found], self.end[found], self.numbers), missing

    def __len__(self) -> int:
        return len(self.names)

    def name(self, number: int) -> str:
        return os.fsdecode(bytes(self.names[number]))

    def seeds(self, number: int) -> list[int]:
        return [int(seed) for seed in self.numbers[self.start[number] : self.end[number]]]


def _coded(names: Sequence[str]) -> np.ndarray:
    return np.array([os.fsencode(name) for name in names], dtype=np.bytes_)


def _listed(path: Path) -> Found:
    """What the list names, as the arrays of an index, and what can't be read of it."""
    try:
        rows: Any = json.loads(path.read_text(encoding="utf-8-sig"))
        if not isinstance(rows, list):
            raise ValueError("it is no list")
    except (OSError, ValueError) as error:
        raise DataError(f"{path.name} is missing or broken ({error}): download it again.") from error
    skipped: list[str] = []
    seeds: dict[str, list[int]] = {}
    for number, row in enumerate(rows):
        try:
            name, numbers = str(row[0]), list(map(int, row[1]))
        except (TypeError, ValueError, IndexError, KeyError):
            skipped.append(f"{path.name}, entry {number}, is no [folder, [seeds]]: mend it.")
            continue
        if not numbers:
            skipped.append(f"{path.name}, entry {number}, lists no seeds for {name}: make its pictures, or take it out.")
        else:
            seeds[name] = numbers if name not in seeds else sorted({*seeds[name], *numbers})
    try:
        return vars(_Index.of(seeds)), skipped
    except OverflowError as error:
        raise DataError(f"{path.name} has a seed below 0 or above {2**64 - 1}: mend it.") from error


def _told(missing: Sequence[str]) -> list[str]:
    if not missing:
        return []
    named = ", ".join(missing[:NAMED]) + (", ..." if len(missing) > NAMED else "")
    return [f"{SEEDS} lists {len(missing)} folders that are not there ({named}): unpack the data again."]


def found_seeds(place: Path) -> list[int]:
    """The seeds whose two pictures are in a folder."""
    try:
        stems = {name.rsplit(".", 1)[0] for name in os.listdir(place) if name.lower().endswith(PICTURES)}  # noqa: PTH208
    except OSError as error:
        raise DataError(f"{place} can't be read ({error.strerror or error}): unpack the data again.") from error
    return sorted(int(stem[:-2]) for stem in stems if stem.endswith("_0") and stem[:-2].isdecimal() and f"{stem[:-2]}_1" in stems)


def _halves(place: Path, seed: int) -> tuple[Path, Path]:
    """The two pictures of a seed, whatever picture format they have. A missing .jpg is named as such."""
    found = []
    for half in (0, 1):
        first = place / f"{seed}_{half}.jpg"
        found.append(first if first.is_file() else next((p for end in PICTURES if (p := first.with_suffix(end)).is_file()), first))
    return found[0], found[1]


def _group(place: Path, seeds: list[int]) -> Lazily:
    """The pairs of one prompt. Raises DataError where its prompt.json or all pictures are missing."""
    try:
        prompt: Any = json.loads((place / PROMPT).read_text(encoding="utf-8-sig"))
        if not isinstance(prompt, dict):
            raise ValueError("it is no object")
    except (OSError, ValueError) as error:
        raise DataError(f"{place.name}/{PROMPT} is missing or broken ({error}): unpack the data again.") from error
    seeds = seeds or found_seeds(place)
    if not seeds:
        raise DataError(f"{place.name} has no pair of pictures (SEED_0.jpg and SEED_1.jpg): make them, or take the folder away.")

    def make(number: int) -> Example:
        first, second = _halves(place, seeds[number])
        return Example(
            id=f"{printable(place.name)}/{seeds[number]}",
            instruction=value_of(prompt, "instruction"),
            image=picture_file(first),
            caption=str(prompt.get("input") or prompt.get("caption") or ""),
            edited_caption=str(prompt.get("output") or ""),
            edited=picture_file(second),
            shape=lambda: file_shape(first),
        )

    return Lazily(len(seeds), make)
