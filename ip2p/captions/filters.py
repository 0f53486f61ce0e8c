"""Which triplets are kept: each that is thrown away has one reason, and reasons are counted."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from .files import lines_of
from .seen import Keys, Near, key_of
from .source import Refused
from .triplet import Triplet

EMPTY, BROKEN, UNCHANGED, REPEATED = "empty", "broken format", "unchanged", "repeats the caption"
UNSAFE, LONG, TWICE, NEARLY = "unsafe", "too long", "duplicate", "near duplicate"
REASONS = (EMPTY, BROKEN, UNCHANGED, REPEATED, UNSAFE, LONG, TWICE, NEARLY)
"""In the order in which they are looked for."""
UNSAFE_WORDS = Path(__file__).resolve().parent / "unsafe.txt"
TOKENS = 77
"""What CLIP reads: begin, at most 75 tokens of the text, end."""
LEFTOVER = re.compile(r"##|%%|\n|\r|\x00|�|\bEND$|^\s*[{\[]|^%|%$")
"""Signs that a language model's reply was cut in the wrong places."""
FEWEST = 4
"""Words that a caption must have to be looked for inside an instruction."""


@cache
def unsafe_words(path: Path = UNSAFE_WORDS) -> tuple[str, ...]:
    """The words of a list, one a line; lines that begin with # are remarks."""
    return words_in("\n".join(text for _, text in lines_of(path)))


def words_in(text: str) -> tuple[str, ...]:
    """The words of a text with one word or phrase a line."""
    return tuple(line.strip().lower() for line in text.splitlines() if line.strip() and not line.strip().startswith("#"))


@dataclass(frozen=True)
class Filters:
    """`off` are reasons that don't count; `likeness` (0..1) is how alike captions of near duplicates are, `tokens` how long each of the
    three texts may be for CLIP, begin and end included; `unsafe` are words or phrases, in any case, that none of them may have."""

    off: frozenset[str] = field(default_factory=frozenset)
    likeness: float = 0.8
    tokens: int = TOKENS
    unsafe: tuple[str, ...] = field(default_factory=unsafe_words)

    def __post_init__(self) -> None:
        if unknown := sorted(self.off - set(REASONS)):
            raise ValueError(f"There is no reason {unknown[0]!r} to reject a triplet; the reasons are {', '.join(REASONS)}.")
        if not 0 < self.likeness <= 1:
            raise ValueError(f"The likeness of near duplicates is {self.likeness}; use a number above 0, at most 1.")
        if not 3 <= self.tokens <= TOKENS:
            raise ValueError(f"The longest text is {self.tokens} tokens; use 3 to {TOKENS}, which is what CLIP reads.")


def filtered(proposals: Iterable[Triplet | Refused], filters: Filters, counts: "Counter[str]") -> Iterator[Triplet]:
    """The triplets that pass. `counts` gets the reason of each that doesn't; ValueError is never raised for a triplet."""
    check = Check(filters)
    for proposal in proposals:
        reason = proposal.reason if isinstance(proposal, Refused) else check.reason(proposal)
        if reason:
            counts[reason] += 1
        elif isinstance(proposal, Triplet):
            yield proposal


class Check:
    """Looks at one triplet after the other and remembers them, so that repeated ones are told."""

    def __init__(self, filters: Filters) -> None:
        self.filters = filters
        self._seen, self._near = Keys(), Near(filters.likeness)
        said = "|".join(re.escape(word) for word in sorted(filters.unsafe, key=len, reverse=True))
        self._unsafe = re.compile(rf"(?<!\w)(?:{said})(?!\w)", re.IGNORECASE) if said else None
        looks = {EMPTY: self._empty, BROKEN: self._broken, UNCHANGED: self._unchanged, REPEATED: self._repeated, UNSAFE: self._is_unsafe}
        looks |= {LONG: self._long, TWICE: self._twice, NEARLY: self._near.again}
        self._looks = [(reason, look) for reason, look in looks.items() if reason not in filters.off]

    def reason(self, triplet: Triplet) -> str:
        """Why a triplet is thrown away; "" where it is kept."""
        return next((reason for reason, look in self._looks if look(triplet)), "")

    def _empty(self, triplet: Triplet) -> bool:
        return not all(normal(text) for text in triplet.texts)

    def _broken(self, triplet: Triplet) -> bool:
        return any(LEFTOVER.search(text.strip()) for text in triplet.texts)

    def _unchanged(self, triplet: Triplet) -> bool:
        return normal(triplet.caption) == normal(triplet.edited_caption)

    def _repeated(self, triplet: Triplet) -> bool:
        said = normal(triplet.instruction)
        others = [normal(triplet.caption), normal(triplet.edited_caption)]
        return said in others or any(other in said for other in others if len(other.split()) >= FEWEST)

    def _is_unsafe(self, triplet: Triplet) -> bool:
        return self._unsafe is not None and any(self._unsafe.search(text) for text in triplet.texts)

    def _long(self, triplet: Triplet) -> bool:
        return any(tokens_of(text, self.filters.tokens) > self.filters.tokens for text in triplet.texts)

    def _twice(self, triplet: Triplet) -> bool:
        return self._seen.first(key_of(*map(normal, triplet.texts)), 0) is not None


def normal(text: str) -> str:
    """A text as the authors compare captions: without space around it, without .!? at its end, in lower case."""
    return text.strip().rstrip(".!?").strip().lower()


def tokens_of(text: str, enough: int = 0) -> int:
    """How many tokens CLIP reads of a text, begin and end included. One of few bytes is surely short, and not counted."""
    if len(text.encode("utf-8", "replace")) + 2 <= enough:
        return 2
    from ..text import tokenizer

    return len(tokenizer()(text)["input_ids"])
