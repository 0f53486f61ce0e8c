"""What every language model is asked in the same way: the settings, the words, and what becomes of a reply."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

from ..ids import id_of, seed_of
from . import prompts
from .filters import BROKEN, normal
from .source import Refused
from .triplet import Triplet

PAPER_TEMPERATURE, PAPER_FREQUENCY_PENALTY = 0.7, 0.1
LONGEST = 160
"""Tokens of a reply. The authors allow 256; two captions that CLIP can read whole, of 77 tokens each, take fewer than this."""


@dataclass(frozen=True)
class Asking:
    """How a language model is asked for edits.

    ``format``: one of `prompts.FORMATS`. ``examples``: triplets from which ``shown`` are drawn for each reply (not in the paper's format).
    ``temperature``: 0 (always the likeliest word) to 2. ``frequency_penalty``: -2 to 2, as OpenAI defines it. ``max_tokens``: of a reply.
    ``tries``: replies asked for until one is an edit that changes the caption. Raises ValueError for values out of range.
    """

    format: str = "chat"
    examples: tuple[Triplet, ...] = ()
    shown: int = 6
    temperature: float = PAPER_TEMPERATURE
    frequency_penalty: float = PAPER_FREQUENCY_PENALTY
    max_tokens: int = LONGEST
    tries: int = 3

    def __post_init__(self) -> None:
        if self.format not in prompts.FORMATS:
            raise ValueError(f"The format {self.format!r} is not known: use {', '.join(prompts.FORMATS)}.")
        limits = {"shown": (0, 64), "temperature": (0, 2), "frequency_penalty": (-2, 2), "max_tokens": (8, 4096), "tries": (1, 100)}
        for name, (low, high) in limits.items():
            if not low <= getattr(self, name) <= high:
                raise ValueError(f"The {name.replace('_', ' ')} {getattr(self, name)} is out of range: use {low} to {high}.")
        if self.format != "paper" and self.shown and not self.examples:
            raise ValueError("There are no examples to show the model: give some triplets, or show 0.")

    def settings(self) -> dict[str, Any]:
        """JSON values of all that decides a reply; the examples by what they say."""
        plain = {field.name: getattr(self, field.name) for field in fields(self) if field.name != "examples"}
        shown = () if self.format == "paper" or not self.shown else self.examples
        return plain | {"examples": id_of(*(example.id for example in shown)) if shown else ""}

    def text(self, caption: str, seed: int, number: int) -> str:
        """What a model continues, for formats other than chat."""
        return prompts.prompt(caption) if self.format == "paper" else prompts.few_shot(caption, self._shown(caption, seed, number))

    def messages(self, caption: str, seed: int, number: int) -> prompts.Messages:
        """What a model answers, for chat."""
        return prompts.messages(caption, self._shown(caption, seed, number))

    def _shown(self, caption: str, seed: int, number: int) -> Sequence[Triplet]:
        others = [example for example in self.examples if example.caption != caption]
        return prompts.chosen(others, self.shown, caption, seed, number)


def reply_seed(caption: str, seed: int, number: int, attempt: int) -> int:
    """The seed of a reply, below 2^53: that of the proposal, and another for each further attempt at it."""
    return seed_of(caption, seed, number) if attempt == 0 else seed_of(caption, seed, number, attempt)


def proposal(caption: str, reply: str, ended: bool, source: str) -> Triplet | Refused:
    """What a reply is: a triplet, or the refusal of one that can't be read or that was cut off at its longest."""
    edit = prompts.read(reply, caption) if ended else None
    if edit is None:
        return Refused(caption, BROKEN, reply)
    return Triplet(caption, edit.instruction, edit.edited_caption, source=source)


def worth_another(made: Triplet | Refused) -> bool:
    """Whether to ask again: nothing could be read, the caption stays as it is (as the authors do), or it stands for the instruction."""
    if isinstance(made, Refused):
        return True
    caption, instruction, edited = map(normal, (made.caption, made.instruction, made.edited_caption))
    return edited == caption or instruction in (caption, edited)
