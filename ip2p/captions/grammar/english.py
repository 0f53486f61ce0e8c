"""The little English that editing needs: words of a caption, articles, plurals, and changes that keep the rest as it was."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache, cached_property

from .lists import values, words

WORD = re.compile(r"[A-Za-z0-9À-ÿ]+(?:[-'’][A-Za-z0-9À-ÿ]+)*|[^\w\s]")
SILENT = ("hour", "honest", "heir", "honour", "honor", "herb")
SPOKEN_Y = ("uni", "use", "usu", "euro", "ukulele", "one", "once", "ute", "ufo")
UNINVERTED = ("unin", "unim", "unidentified")


@dataclass(frozen=True)
class Caption:
    """A caption and its words. A span (i, j) means the words from i up to, without, j."""

    text: str

    @cached_property
    def places(self) -> tuple[tuple[int, int], ...]:
        """Where each word begins and ends in the text."""
        return tuple(found.span() for found in WORD.finditer(self.text))

    @cached_property
    def words(self) -> tuple[str, ...]:
        """The words and marks, in lower case."""
        return tuple(self.text[start:end].lower() for start, end in self.places)

    @cached_property
    def known(self) -> frozenset[str]:
        """The set of its words."""
        return frozenset(self.words)

    def word(self, number: int) -> str:
        """A word in lower case; "" beyond the ends."""
        return self.words[number] if 0 <= number < len(self.words) else ""

    def has(self, section: str) -> bool:
        """Whether any of its words is of a list of `words.txt`."""
        return not self.known.isdisjoint(words(section))

    def said(self, start: int, end: int) -> str:
        """The text of a span."""
        return self.text[self.places[start][0] : self.places[end - 1][1]] if start < end else ""

    def find(self, phrase: str) -> int:
        """The number of the word at which a phrase begins; -1 where it isn't said."""
        wanted = tuple(phrase.split(" "))
        return next((i for i in range(len(self.words) - len(wanted) + 1) if self.words[i : i + len(wanted)] == wanted), -1)


@dataclass(frozen=True)
class Change:
    """The words of a span become others; an empty span is where they go in."""

    start: int
    end: int
    text: str


def tidy(text: str) -> str:
    """A caption in one line, with no space before a mark and none doubled."""
    text = " ".join(text.split())
    text = re.sub(r"\s+([.,!?;:])(?=\s|$|[.,])", r"\1", text)
    return re.sub(r"\s+(['’](?:s|re|t|ll)\b)", r"\1", text)


def changed(caption: Caption, changes: Iterable[Change]) -> str:
    """The caption with some spans changed; a/an before them agrees, and so does the capital of the first word."""
    text = caption.text
    for change in sorted(changes, key=lambda change: (change.start, change.end), reverse=True):
        start, end, new = change.start, change.end, change.text
        if start:
            new = _cased(caption.said(start, end), new)
        if new and caption.word(start - 1) in ("a", "an"):
            start, new = start - 1, article(new)
        if start == end:
            first, new = _between(caption, start, new)
            last = first
        else:
            first, last = caption.places[start][0], caption.places[end - 1][1]
        was, rest = caption.text[first : first + 1], text[last:]
        if start == end == 0 and len(caption.words) > 1 and caption.said(1, 2)[:1].islower():  # the word that was the first is so no more
            rest = rest[:1].lower() + rest[1:]
        text = text[:first] + (capital(new) if was.isupper() and start == 0 else new) + rest
    return _joined(text, caption.text)


def _between(caption: Caption, at: int, new: str) -> tuple[int, str]:
    """(where in the text new words go in before a word, the words with their space): marks stay with the word they follow."""
    if at and (at == len(caption.places) or not caption.word(at)[0].isalnum() or caption.places[at - 1][1] < caption.places[at][0]):
        return caption.places[at - 1][1], f" {new}"
    return caption.places[at][0], f"{new} "


def _cased(old: str, new: str) -> str:
    """New words as the old ones were spelt: a name's capital, or capitals throughout."""
    if len(old) > 1 and old.isupper():
        return new.upper()
    return capital(new) if old[:1].isupper() else new


def _joined(text: str, before: str) -> str:
    text = re.sub(r"\s+", " ", text).strip().removeprefix(", ")
    text = re.sub(r"\s+([.,!?;:])(?=\s|$)", r"\1", text)
    text = re.sub(r",+(?=[.,])", "", text)
    return capital(text) if before[:1].isupper() else text


def ended(caption: Caption, phrase: str) -> str:
    """The caption with a phrase at its end, before its full stop."""
    body = caption.text.rstrip(" .!?")
    again = body.rsplit(" ", 1)[-1].lower() == phrase.split(" ", 1)[0]  # "a crowd looks on, on a sunny day"
    joint = "" if phrase.startswith(",") else ", " if again else " "
    return f"{body}{joint}{phrase}{caption.text[len(body) :].strip()}"


def capital(text: str) -> str:
    """The text with its first letter as a capital."""
    return text[:1].upper() + text[1:]


def article(text: str) -> str:
    """The text with "a" or "an" before it, as it is spoken."""
    word = text.lower().split(" ")[0]
    vowel = word[:1] in "aeio" or (word[:1] == "u" and not word.startswith("u-")) or word.startswith(("8", "11", "18"))
    if word.startswith(SPOKEN_Y) and not word.startswith(UNINVERTED):
        vowel = False
    return f"{'an' if vowel or word.startswith(SILENT) else 'a'} {text}"


@cache
def irregular() -> dict[str, str]:
    """Plurals that no rule makes."""
    return dict(pair.split("/") for pair in values("irregular", "words.txt"))


@cache
def plural(noun: str) -> str:
    """The plural of a noun, of the first part where it has "of" or "in" ("slices of pizza")."""
    for joint in (" of ", " in "):
        if joint in noun:
            head, rest = noun.split(joint, 1)
            return f"{plural(head)}{joint}{rest}"
    before, _, last = noun.rpartition(" ")
    if last in irregular():
        last = irregular()[last]
    elif last.endswith(("s", "x", "z", "ch", "sh")):
        last += "es"
    elif last.endswith("y") and last[-2:-1] not in "aeiou":
        last = f"{last[:-1]}ies"
    else:
        last += "s"
    return f"{before} {last}".strip()
