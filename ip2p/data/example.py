"""One thing to edit and all that is known about it; a dataset is a sequence of such examples that opens pictures only when asked."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:  # what only names files and errors of data needn't load torch
    from torch import Tensor

Open = Callable[[], "Tensor"]
"""Opens a picture (H, W, 3), or a mask (H, W), in [0, 1] when called. Raises ValueError with one sentence where it can't."""
Judge = Callable[["Tensor"], Mapping[str, float]]
"""What a result (H, W, 3) is worth where the right answer is known: {"done": 0 or 1, "kept": 0 or 1, "right": 0 or 1} or a part of it."""


class DataError(ValueError):
    """Data that can't be used, in one sentence that names the file, the cause and the cure."""


@dataclass(frozen=True)
class Example:
    """One edit to make. `id` is unique in its dataset and the same in every run; `kind` groups examples in tables."""

    id: str
    instruction: str
    image: Open
    caption: str = ""
    edited_caption: str = ""
    edited: Open | None = None
    """The right answer, (H, W, 3)."""
    mask: Open | None = None
    """(H, W), 1 where the edit may change the picture."""
    kind: str = ""
    judge: Judge | None = None
    before: "tuple[Example, ...]" = ()
    """Edits that are made first, each on the last one's result; `image` is then what the first of them starts from."""
    shape: Callable[[], tuple[int, int]] | None = None
    """(height, width) of `image` without decoding it, where that can be had."""
    ask: Callable[[np.random.Generator], str] | None = None
    """Words the instruction anew by chance, where that can be done."""


@dataclass(frozen=True)
class Dataset:
    """Examples by number. `benchmark` names the published table it belongs to ("" for none); `skipped` says what was left out and why."""

    name: str
    length: int
    make: Callable[[int], Example]
    benchmark: str = ""
    skipped: tuple[str, ...] = ()

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, number: int) -> Example:
        if not 0 <= number < self.length:
            raise IndexError(f"{self.name} has {self.length} examples, none with the number {number}.")
        return self.make(number)

    def __iter__(self) -> Iterator[Example]:
        return (self.make(number) for number in range(self.length))
