"""How people ask for each kind of edit: hand-written wordings, put into sentences by forms."""

import itertools
import zlib
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

FILE = Path(__file__).with_name("phrasings.txt")

OBJECTS = (
    "it",
    "this",
    "the image",
    "the picture",
    "the photo",
    "this photo",
    "this picture",
    "the whole image",
    "the scene",
    "the photograph",
)
ADJECTIVE_FORMS = (
    "make {it} {x}",
    "make it {x}",
    "{x}",
    "turn {it} {x}",
    "it should be {x}",
    "I want {it} to be {x}",
    "can you make {it} {x}",
    "could you make {it} {x}?",
    "make everything {x}",
    "make {it} look {x}",
    "give me a {x} version",
    "a {x} version of {it}",
    "let {it} be {x}",
    "have {it} look {x}",
)
NOUN_FORMS = (
    "turn {it} into {x}",
    "make {it} {x}",
    "{x}",
    "as {x}",
    "{it} as {x}",
    "convert {it} to {x}",
    "convert {it} into {x}",
    "change {it} to {x}",
    "change {it} into {x}",
    "make {it} look like {x}",
    "transform {it} into {x}",
    "I want {x}",
    "render {it} as {x}",
    "could you turn {it} into {x}?",
    "what would {it} look like as {x}?",
)
KEYWORD_FORMS = (
    "{x}",
    "make {it} {x}",
    "{x} style",
    "{x} effect",
    "a {x} look",
    "give {it} a {x} look",
    "more {x}",
    "with {x}",
    "add {x}",
    "{it}, {x}",
)
WHOLE_FORMS = ("{x}", "{x}", "please {x}", "can you {x}?", "{x}, please")
HELD_OUT_FORMS = {"I want {it} to be {x}", "have {it} look {x}", "transform {it} into {x}", "could you turn {it} into {x}?"}
HELD_OUT = 0.10


class PhrasingError(ValueError):
    """The file of wordings is malformed; the message names the line."""


@dataclass
class Wordings:
    """The wordings of one kind: whole instructions, adjectives, nouns, single words, and whole instructions kept out of training."""

    whole: list[str] = field(default_factory=list)
    adjectives: list[str] = field(default_factory=list)
    nouns: list[str] = field(default_factory=list)
    keywords: list[str] = field(default_factory=list)
    held_out: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Phrasings:
    """All instructions for one kind; ``training`` and ``held_out`` have no instruction in common."""

    training: tuple[str, ...]
    held_out: tuple[str, ...]


def read_wordings(path: Path = FILE) -> dict[str, Wordings]:
    """The wordings of every kind, in the file's order. Raises PhrasingError."""
    out: dict[str, Wordings] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        if text.startswith("["):
            current = out.setdefault(text.strip("[]"), Wordings())
            continue
        lists = {"=": "whole", "~": "adjectives", "@": "nouns", "+": "keywords", "!": "held_out"}
        if not out or text[:2] not in {mark + " " for mark in lists}:
            raise PhrasingError(f"Line {number} of {path.name} begins with none of '=', '~', '@', '+', '!'; mend that line.")
        getattr(current, lists[text[0]]).extend(text[2:].split(", ") if text[0] == "+" else [text[2:]])
    return out


@cache
def phrasings() -> dict[str, Phrasings]:
    """Every kind's instructions, whole sentences in plain lower-case spelling.

    Held out are: the wordings so marked, all sentences of some forms, and a tenth of the rest, chosen by a checksum of the text.
    An instruction that would stand for two kinds belongs to the first.
    """
    seen: set[str] = set()
    out = {}
    for kind, wordings in read_wordings().items():
        held = {text for wording in wordings.held_out for text in _fill(wording)}
        train: set[str] = set()
        for text, held_form in _sentences(wordings):
            (held if held_form or by_chance_held_out(text) else train).add(text)
        held -= seen
        train -= seen | held
        seen |= held | train
        out[kind] = Phrasings(tuple(sorted(train)), tuple(sorted(held)))
    return out


def by_chance_held_out(text: str) -> bool:
    """Whether an instruction belongs to the tenth that a checksum keeps out of training."""
    return zlib.crc32(text.encode()) % 1000 < HELD_OUT * 1000


def _sentences(wordings: Wordings) -> list[tuple[str, bool]]:
    """Every sentence of the training wordings, with whether its form is kept out of training."""
    out = [(text, False) for x, form in itertools.product(wordings.whole, WHOLE_FORMS) for text in _fill(form.format(x=x, it="{it}"))]
    for words, forms in form_lists(wordings):
        for x, form in itertools.product(words, forms):
            out += [(text, form in HELD_OUT_FORMS) for text in _fill(with_article(form.format(x=x, it="{it}")))]
    return out


def form_lists(wordings: Wordings) -> tuple[tuple[list[str], tuple[str, ...]], ...]:
    """Lists of words with the forms that they go into."""
    return (wordings.adjectives, ADJECTIVE_FORMS), (wordings.nouns, NOUN_FORMS), (wordings.keywords, KEYWORD_FORMS)


def _fill(text: str) -> list[str]:
    return [text.replace("{it}", word) for word in OBJECTS] if "{it}" in text else [text]


def with_article(text: str) -> str:
    """``a`` before a vowel becomes ``an``."""
    words = text.split(" ")
    vowels = [word == "a" and following[:1] in "aeiou8" for word, following in zip(words, [*words[1:], ""], strict=True)]
    return " ".join("an" if vowel else word for word, vowel in zip(words, vowels, strict=True))
