"""Things in a caption: which nouns it names, with their articles and adjectives, where that can be told for sure."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from .english import Caption, irregular, plural
from .lists import sections, words

LONGEST = 3
"""Words of the longest noun."""


@dataclass(frozen=True)
class Group:
    """Nouns of one kind: `tags` say what they are and which lists of `values.txt` fit, `others` what may take their place."""

    name: str
    tags: dict[str, str]
    others: tuple[str, ...]


@dataclass(frozen=True)
class Phrase:
    """A thing that a caption names: the words from `start` (its article, if it has one) to `end`, of which the noun begins at `head`.

    `first` is where its adjectives begin.
    """

    start: int
    first: int
    head: int
    end: int
    noun: str
    plural: bool
    group: Group


@cache
def nouns() -> dict[tuple[str, ...], tuple[str, bool, Group]]:
    """Every noun, as words -> (the singular, whether this is the plural, its group)."""
    out: dict[tuple[str, ...], tuple[str, bool, Group]] = {}
    for name, (tags, *lines) in sections("things.txt").items():
        split = next(number for number, line in enumerate(lines) if line.startswith(">"))
        names, others = (_listed(" , ".join(part)) for part in (lines[:split], lines[split:]))
        group = Group(name, dict(tag.split("=") if "=" in tag else (tag, "") for tag in tags.split()), others)  # type: ignore[misc]
        for noun in names:
            out.setdefault(tuple(plural(noun).split(" ")), (noun, True, group))
            out.setdefault(tuple(noun.split(" ")), (noun, noun.endswith("s") and "bare" in group.tags, group))
    return out


def _listed(text: str) -> tuple[str, ...]:
    return tuple(part.strip(" >") for part in text.split(",") if part.strip(" >"))


@cache
def verbs() -> frozenset[str]:
    """Verbs as they stand after a noun: "run", "runs"."""
    base = words("verbs")
    return base | {plural(verb) if verb != "do" else "does" for verb in base}


@cache
def heads() -> frozenset[str]:
    """Words that are nouns by themselves."""
    return frozenset(word for key in nouns() for word in key if len(key) == 1)


def is_colour(word: str) -> bool:
    """Whether a word names a colour, or several joined by hyphens."""
    return all(part in words("colours") or part in ("and", "dark", "light", "bright") for part in word.split("-")) and word != "and"


def describes(word: str) -> bool:
    """Whether a word may stand between an article and its noun."""
    return (
        word in words("adjectives")
        or word in words("materials")
        or is_colour(word)
        or (word.endswith("ed") and len(word) > 4 and word not in verbs() and word not in heads())
    )


def closes(caption: Caption, at: int) -> bool:
    """Whether no noun's phrase goes on at a word: it is the end, a mark, a preposition, a verb or the like."""
    word = caption.word(at)
    if not word or not word[0].isalnum() or word in words("prepositions") or word in words("joints") or word in words("participles"):
        return True
    if word in verbs():
        return not (word in heads() and closes(caption, at + 1) and word not in ("walks", "stands", "waves", "plays"))
    return (word.endswith("ing") or (word.endswith("ed") and len(word) > 4)) and word not in heads() and word not in words("nouns in ing")


def phrases(caption: Caption) -> list[Phrase]:
    """Every thing of the caption whose phrase is sure from its first to its last word."""
    return list(_phrases(caption))


def _phrases(caption: Caption) -> Iterator[Phrase]:
    at = 0
    while at < len(caption.words):
        length = next((n for n in range(LONGEST, 0, -1) if caption.words[at : at + n] in nouns() and at + n <= len(caption.words)), 0)
        if length and closes(caption, at + length) and (found := _phrase(caption, at, at + length)):
            yield found
        at += length or 1


def _phrase(caption: Caption, head: int, end: int) -> Phrase | None:
    noun, many, group = nouns()[caption.words[head:end]]
    first = _described_from(caption, head)
    before = caption.word(first - 1)
    determined = before in words("determiners") or before.endswith(("'s", "’s"))
    if irregular().get(noun) == noun:  # "a sheep", "two sheep"
        many = before in words("counted") or not determined
    if before in ("a", "an", "another", "each", "every", "one") and many:
        return None  # "a glasses"
    if not many and caption.word(end) in words("verbs"):
        return None  # "a boat ride": after one boat it would be "rides"
    if before in words("counted") and not many and irregular().get(noun) != noun:
        return None
    if not determined:
        alone = many or "bare" in group.tags or (first == 0 and "animal" in group.tags)
        if not alone or not (before == "" or not before[0].isalnum() or _leads(before)):
            return None
    return Phrase(first - determined, first, head, end, noun, many, group)


def _described_from(caption: Caption, head: int) -> int:
    """Where the adjectives before a noun begin; "and" and commas between two of them belong to them."""
    first = head
    while first > 0:
        word = caption.word(first - 1)
        if describes(word) or (word in ("and", ",") and describes(caption.word(first - 2)) and describes(caption.word(first))):
            first -= 1
        else:
            break
    return first


def _leads(word: str) -> bool:
    """Whether a word may stand right before a noun without an article."""
    return word in words("prepositions") or word in words("joints") or word in verbs() or word.endswith("ing")


def named(caption: Caption, phrase: Phrase, there: list[Phrase]) -> str | None:
    """The thing with "the", so that no other thing of the caption is meant; None where that can't be said."""
    noun = caption.said(phrase.head, phrase.end)
    alike = [other for other in there if other.noun == phrase.noun and other is not phrase]
    said = sum(
        caption.words[i : i + phrase.end - phrase.head] == caption.words[phrase.head : phrase.end] for i in range(len(caption.words))
    )
    if not alike and said == 1:
        return f"the {_lower(noun)}"
    full = caption.said(phrase.first, phrase.end)
    if phrase.first == phrase.head or any(caption.said(other.first, other.end).lower() == full.lower() for other in alike):
        return None
    return f"the {_lower(full)}"


def _lower(text: str) -> str:
    """A common noun as it stands within a sentence."""
    return text if text.isupper() else text[:1].lower() + text[1:]
