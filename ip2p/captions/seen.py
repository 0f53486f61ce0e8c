"""What has been seen before, in flat memory: exact texts by their hash, and captions that are nearly the same."""

import re
import zlib
from array import array
from hashlib import blake2b

import numpy as np

from .triplet import Triplet

FILLED = 0.6
"""How full a table gets before it is enlarged."""
BANDS, ROWS = 6, 3
"""Two captions are compared when, in one band of minimal hashes, all rows agree: at a likeness of 0.8 in 98 of 100 cases."""
STOP = frozenset(["a", "an", "the", "is", "are", "of", "and", "to", "it", "his", "her", "its", "their"])
WORD = re.compile(r"\w+")


class Keys:
    """Numbers by 64-bit keys, 12 bytes each (a dict takes about 100)."""

    def __init__(self) -> None:
        self._size, self._count = 1024, 0
        self._keys, self._numbers = array("Q", bytes(8 * self._size)), array("I", bytes(4 * self._size))

    def first(self, key: int, number: int) -> int | None:
        """The number that a key was first given with; None where it is new, and then it keeps this one."""
        known = self.get(key)
        if known is None:
            at = self._place(key | 1)
            self._keys[at], self._numbers[at] = key | 1, number
            self._count += 1
            if self._count > FILLED * self._size:
                self._enlarge()
        return known

    def get(self, key: int) -> int | None:
        """The number that a key was first given with; None where it is new."""
        at = self._place(key | 1)
        return self._numbers[at] if self._keys[at] else None

    def _place(self, key: int) -> int:
        at = (key >> 1) % self._size
        while self._keys[at] and self._keys[at] != key:
            at = (at + 1) % self._size
        return at

    def _enlarge(self) -> None:
        keys, numbers = self._keys, self._numbers
        self._size *= 2
        self._keys, self._numbers = array("Q", bytes(8 * self._size)), array("I", bytes(4 * self._size))
        for key, number in zip(keys, numbers, strict=True):
            if key:
                at = self._place(key)
                self._keys[at], self._numbers[at] = key, number


class Near:
    """Triplets that make the same change to nearly the same caption.

    The change is which words go and which come; captions are alike when so much of their words (articles and the like aside) is in both
    as `likeness` says (Jaccard, 0..1). Candidates are found by minimal hashes, and then compared word by word.
    """

    def __init__(self, likeness: float) -> None:
        self.likeness = likeness
        self._bands = Keys()
        self._words, self._ends = array("I"), array("Q", [0])
        draw = np.random.default_rng(0)
        self._factors = draw.integers(1, 2**32, (BANDS * ROWS, 1), dtype=np.uint64) | np.uint64(1)
        self._terms = draw.integers(0, 2**32, (BANDS * ROWS, 1), dtype=np.uint64)

    def again(self, triplet: Triplet) -> bool:
        """Whether such a triplet came before; remembers it where not."""
        caption, edited = _words(triplet.caption), _words(triplet.edited_caption)
        change = key_of(*sorted(f"-{word}" for word in caption - edited), *sorted(f"+{word}" for word in edited - caption))
        words = np.array(sorted({zlib.crc32(word.encode()) for word in caption - STOP or caption}), dtype=np.uint64)
        if not len(words):
            return False
        keys = self._keys(words, change)
        if any(number is not None and self._alike(words, number) for number in map(self._bands.get, keys)):
            return True
        for key in keys:
            self._bands.first(key, len(self._ends) - 1)
        self._words.extend(int(word) for word in words)
        self._ends.append(len(self._words))
        return False

    def _keys(self, words: np.ndarray, change: int) -> list[int]:
        hashes = ((words * self._factors + self._terms) & np.uint64(0xFFFFFFFF)).min(1).reshape(BANDS, ROWS)
        return [key_of(str(change), str(band), *map(str, rows)) for band, rows in enumerate(hashes.tolist())]

    def _alike(self, words: np.ndarray, other: int) -> bool:
        known = set(self._words[self._ends[other] : self._ends[other + 1]])
        mine = set(words.tolist())
        return len(mine & known) >= self.likeness * len(mine | known)


def _words(text: str) -> set[str]:
    return set(WORD.findall(text.lower()))


def key_of(*texts: str) -> int:
    """A 64-bit number that stands for some texts."""
    return int.from_bytes(blake2b("\0".join(texts).encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big")
