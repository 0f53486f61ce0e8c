"""Who turns captions into triplets: the grammar, a language model, a server; all answer in the same way."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from .triplet import Triplet


@dataclass(frozen=True)
class Refused:
    """A proposal that is no triplet. `reason` is a few words that are counted ("broken format"), `text` what was said instead."""

    caption: str
    reason: str
    text: str = ""


Answer = list[Triplet | Refused]
"""What a source says of one caption: at most as many proposals as were asked for."""


class Source(Protocol):
    """`name` is what its triplets carry as source; `batch` how many captions it likes to be asked about together; `settings` are JSON
    values that decide what it says: a run goes on only under the same."""

    name: str
    batch: int
    settings: dict[str, Any]

    def ask(self, captions: Sequence[str], count: int, seed: int) -> Iterator[Answer]:
        """`count` proposals for each caption, an answer each, in the captions' order.

        What a caption gets depends on the caption, the seed and the proposal's number alone (`ids.seed_of(caption, seed, number)`),
        so that nothing changes with the other captions, or when a run is stopped and goes on. Raises ValueError where the source
        itself fails (no such model, no such server); what is answered until then is kept.
        """
        ...
