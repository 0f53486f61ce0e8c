"""A pair of pictures as it is stored, whatever the layout: encoded bytes that are never decoded on the way, so that nothing is lost."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .example import DataError


class PairError(DataError):
    """A pair that can't be stored as it is, wherever; others can."""


@dataclass(frozen=True)
class Record:
    """One pair. `prompt` names its group (all pairs of one triplet; "0000012" in the authors' layout), `sample` the pair within it (the
    seed in the authors' layout). `image`, `edited` and `mask` are the bytes of encoded pictures (PNG, JPEG or WebP), which say
    themselves what they are. `facts` are JSON values: seed, p, guidance, scores, kind, source, whatever is known."""

    prompt: str
    sample: str
    caption: str
    instruction: str
    edited_caption: str
    image: bytes
    edited: bytes
    mask: bytes | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
