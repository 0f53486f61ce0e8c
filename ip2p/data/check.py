"""Looks through a training set and names each fault, with what to do about it."""

import hashlib
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from torch import Tensor

from .example import DataError, Example
from .pairs import PairSet

LIMIT = 500
"""Prompts that are looked at where not all are asked for."""
SECONDS = 10.0
"""The time that a sample may take, about."""
EACH = 4
"""Pairs of a prompt that are looked at where not all are asked for."""
NAMED = 5
"""Pairs that a fault names."""
SHAPES = 0.02
SAME = 0.5 / 255
"""Pictures that differ by less in the mean are one picture."""
CURES = {
    "missing": ("lack a half or their text", "add the files, or take the pairs out"),
    "unreadable": ("have a picture that can't be read", "download or save it again, or take the pairs out"),
    "empty": ("have an empty instruction", "write one, or take the pairs out"),
    "shapes": ("have two pictures of different shapes", "cut both to one size"),
    "sizes": ("have two pictures of different sizes but one shape", "nothing need be done: the edited one is resized"),
    "small": ("are smaller than the crop and would be enlarged", "use larger pictures, or lower data.crop and data.sizes"),
    "identical": ("have the same picture twice", "take them out unless the instruction asks for no change"),
    "duplicates": ("repeat another pair's picture and instruction", "take the copies out"),
    "half": ("have one picture of the two", "add the other; repairing sets the half aside"),
    "listed": ("are listed in seeds.json and are not there", "unpack the data again; repairing writes the list anew"),
    "unlisted": ("are there and not listed in seeds.json", "repairing lists them"),
    "prompt": ("are prompts whose prompt.json is missing or broken", "unpack the data again; repairing sets their folders aside"),
    "torn": ("are lists with a torn or broken line", "repairing keeps the whole ones"),
    "pair": ("can't be read", "get the file again; repairing keeps the others"),
    "repeated_id": ("are names that come twice", "give each pair its own; repairing keeps the first"),
    "changed": ("are files that are not as they were written", "get them again; repairing keeps of them what can be read"),
    "gone": ("are files that were written and are not there", "get them again; repairing goes on without them"),
    "unreadable_file": ("are files that can't be read", "check the disk and their permissions"),
    "manifest": ("tell of the set and are broken", "repairing writes them anew"),
    "leftover": ("are files that were never finished", "repairing sets them aside"),
    "unfinished": ("are unfinished", "run the command that makes them again: it goes on"),
    "repeated": ("have the instruction of another prompt", "nothing need be done if it fits; vary the wordings if it is the most"),
}
"""Of each kind of fault what is said of the pairs, and the cure."""
HARMLESS = ("sizes", "repeated")
ALIKE = ("identical", "duplicates")


@dataclass
class Fault:
    """One kind of fault: how many pairs have it, the first of them, and what was told of the first."""

    kind: str
    count: int = 0
    where: list[str] = field(default_factory=list)
    told: str = ""

    @property
    def harmless(self) -> bool:
        """Whether training may go on as it is without loss."""
        return self.kind in HARMLESS

    def add(self, name: str, told: str = "") -> None:
        """One more pair."""
        self.count += 1
        self.told = self.told or told
        if len(self.where) < NAMED:
            self.where.append(name)

    def __str__(self) -> str:
        said, cure = CURES[self.kind]
        shown = ", ".join(self.where) + (", ..." if self.count > len(self.where) else "")
        return f"{self.count} {said} ({shown}): {cure}." + (f" The first: {self.told}" if self.told else "")


@dataclass(frozen=True)
class Checked:
    """What was found. `prompts` of the set's `length` were looked at, with `pairs` pairs."""

    name: str
    length: int
    prompts: int
    pairs: int
    faults: tuple[Fault, ...]
    skipped: tuple[str, ...]
    pairs_each: float = 1.0
    """Pairs that a prompt has in the mean."""
    made: bool = False
    """Are pairs made by program, and so need not be kept?"""

    @property
    def clean(self) -> bool:
        """Whether there is no fault that matters."""
        return not self.skipped and all(fault.harmless for fault in self.faults)

    def fault(self, kind: str) -> Fault:
        """The fault of a kind, with a count of 0 where there is none."""
        return next((fault for fault in self.faults if fault.kind == kind), Fault(kind))

    def __str__(self) -> str:
        share = "all" if self.prompts == self.length else f"{self.prompts:,} of {self.length:,}"
        lines = [f"{self.name}: {share} prompts looked at, {self.pairs:,} pairs"]
        lines += [f"  left out: {reason}" for reason in self.skipped]
        lines += [f"  {fault}" for fault in self.faults]
        return "\n".join(lines if len(lines) > 1 else [f"{lines[0]}, no fault found"])


def check_pairs(
    pairs: PairSet, crop: int = 0, limit: int = LIMIT, seconds: float = SECONDS, on_pair: Callable[[int], None] | None = None
) -> Checked:
    """Open prompts of a set and their pairs, and say what is wrong with them.

    Up to `limit` prompts from anywhere in the set and four pairs of each, as many as take about so many `seconds`; with a limit of 0 all
    of all. `crop` is the side in pixels that pictures should reach (0: any). `on_pair` is told the number of pairs done; what it raises
    ends it.
    """
    looker = _Looker(crop)
    sizes: list[int] = []
    count, began = 0, time.monotonic()
    for number in _numbers(pairs.length, limit):
        if limit and time.monotonic() - began > seconds:
            break
        count += 1
        try:
            group = pairs.group(number)
        except DataError as reason:
            looker.note("missing", f"prompt {number}", str(reason))
            continue
        sizes.append(len(group))
        chosen = range(len(group)) if not limit else _spread(len(group), number)
        for pair in chosen:
            looker.look(pairs, number, group[pair], pair)
            if on_pair:
                on_pair(looker.done)
    faults = tuple(looker.faults[kind] for kind in CURES if kind in looker.faults)
    return Checked(pairs.name, pairs.length, count, looker.done, faults, pairs.skipped, float(np.mean(sizes or [1])), looker.made)


def _numbers(length: int, limit: int) -> Sequence[int]:
    """Which prompts are looked at, in what order: all as they stand, or `limit` anywhere."""
    if not limit or limit >= length:
        return range(length)
    return [int(number) for number in np.random.default_rng(0).permutation(length)[:limit]]


def _spread(length: int, number: int) -> list[int]:
    """Up to `EACH` pairs of a group of `length`, other ones in each group."""
    return sorted({(length * place // EACH + number) % length for place in range(EACH)})


class _Looker:
    """Looks at one pair after another."""

    def __init__(self, crop: int) -> None:
        self.crop, self.done, self.made = crop, 0, False
        self.faults: dict[str, Fault] = {}
        self.met: dict[str, int] = {}
        """The prompt of each instruction."""
        self.seen: Counter[bytes] = Counter()

    def note(self, kind: str, name: str, told: str = "") -> None:
        """A pair has a fault."""
        self.faults.setdefault(kind, Fault(kind)).add(name, told)

    def look(self, pairs: PairSet, number: int, example: Example, pair: int) -> None:
        """All faults of a pair."""
        self.done += 1
        self.made |= example.ask is not None
        self._words(number, example)
        try:
            pairs.key(number, pair)
        except DataError as reason:
            self.note("missing", example.id, str(reason))
            return
        if example.edited is None:
            self.note("missing", example.id)
            return
        try:
            image, edited = example.image(), example.edited()
        except ValueError as reason:
            self.note("unreadable", example.id, str(reason))
            return
        for kind in self._pictures(image, edited, example.instruction):
            if example.ask is None or kind not in ALIKE:  # made pairs may be meant to show no change
                self.note(kind, example.id)

    def _words(self, number: int, example: Example) -> None:
        words = " ".join(example.instruction.lower().split())
        if not words:
            self.note("empty", example.id)
        elif example.ask is None and self.met.setdefault(words, number) != number:
            self.note("repeated", example.id)

    def _pictures(self, image: Tensor, edited: Tensor, words: str) -> Iterator[str]:
        (high, wide), (other_high, other_wide) = image.shape[:2], edited.shape[:2]
        if (high, wide) != (other_high, other_wide):
            yield "shapes" if abs(wide / high * other_high / other_wide - 1) > SHAPES else "sizes"
        elif float((image - edited).abs().mean()) < SAME:
            yield "identical"
        if min(high, wide, other_high, other_wide) < self.crop:
            yield "small"
        digest = hashlib.blake2b(words.encode("utf-8", "replace"), digest_size=16)
        for picture in (image, edited):
            digest.update(picture.contiguous().numpy().tobytes())
        self.seen[digest.digest()] += 1
        if self.seen[digest.digest()] > 1:
            yield "duplicates"
