"""Edits that put something into a picture, or take something out of it."""

import numpy as np

from .asking import Edit, asked, one
from .english import Caption, Change, changed, ended
from .lists import columns, values, words
from .nouns import Phrase, closes, named, phrases, verbs
from .things import sites

WORN_AFTER = ("in", "wearing")
CLOSED = ("", "while", "as", ".", "!", "?", ";")
"""What follows where a part of a sentence is over."""
TAILS = ("in hand", "in mouth", "in tow", "in the background", "in the distance", "in the foreground", "nearby", "overhead")
OWN, THEM = ("his", "her", "its", "their"), ("him", "her", "them", "it")
HOLDING_ON = frozenset(["is", "are", "was", "were", "and", "or", ",", "while", "both", "all", "also", "still", "not", "each", "share"])
"""After these, "wearing" or "holding" can't go."""
SHORTEST = 3
"""Words that must be left."""


def add(caption: Caption, rng: np.random.Generator) -> Edit | None:
    """Something new: where the caption has a place for it, on someone, or in the background."""
    ways = (_there, _worn, _behind, _worn, _there, _behind, _anywhere)
    for number in rng.permutation(len(ways)):
        if found := ways[number](caption, rng):
            return found
    return None


def _placed(caption: Caption, rng: np.random.Generator, thing: str, where: str) -> Edit | None:
    last = thing.split(" ")[-1].lower()
    if (
        last in caption.known
        or last.rstrip("s") in caption.known
        or (where.split(" ")[-1] in ("background", "foreground") and "background" in caption.known)
    ):
        return None
    return Edit(
        asked(rng, "add", value=thing, where=where), ended(caption, f"{', ' if 'with' in caption.known else ''}with {thing} {where}")
    )


def _there(caption: Caption, rng: np.random.Generator) -> Edit | None:
    fit = [
        (thing, where) for needed, thing, where in columns("add there") if needed in caption.known and caption.find(f"the {needed}'s") < 0
    ]
    if not fit or caption.has("made"):
        return None
    return _placed(caption, rng, *fit[int(rng.integers(len(fit)))])


def _behind(caption: Caption, rng: np.random.Generator) -> Edit | None:
    if not {"close-up", "closeup", "underwater"}.isdisjoint(caption.known):
        return None
    listed = columns(f"add {'indoors' if caption.has('indoors') else 'outdoors'}")
    return _placed(caption, rng, *listed[int(rng.integers(len(listed)))])


def _anywhere(caption: Caption, rng: np.random.Generator) -> Edit | None:
    listed = columns("add anywhere")
    return _placed(caption, rng, *listed[int(rng.integers(len(listed)))])


def _worn(caption: Caption, rng: np.random.Generator) -> Edit | None:
    """Someone, or an animal, gets something to wear."""
    for phrase, name in sites(caption, rng):
        kind = phrase.group.tags.get("dress")
        if not kind or phrase.plural or (phrase.start == phrase.first and phrase.start > 0):
            continue
        fit = [value for value in values(f"dress {kind}") if value.split(" ")[-1].lower() not in caption.known]
        value = one(rng, fit)
        if place := _wardrobe(caption, phrase):
            at, form = place
            return Edit(asked(rng, "add worn", the=name, value=value), changed(caption, [Change(at, at, form.format(value))]))
    return None


def _wardrobe(caption: Caption, phrase: Phrase) -> tuple[int, str] | None:
    """(where in the caption new clothes are said, in which words): after those that are there, else after the wearer."""
    following = caption.word(phrase.end)
    if following in WORN_AFTER:
        worn = next((other for other in phrases(caption) if other.start == phrase.end + 1 and "worn" in other.group.tags), None)
        if worn and caption.word(worn.end) not in ("and", ",", "with", "of", "or"):
            return worn.end, "and {}"
        return None
    if following in ("and", "or", "of", "dressed", "with", ",", "'s", "who", "that", "has", "wears", "covered", "made") or not following:
        return None
    return phrase.end, "wearing {}"


def remove(caption: Caption, rng: np.random.Generator) -> Edit | None:
    """Something goes that the sentence can do without."""
    there = phrases(caption)
    found = [(phrase, span) for phrase in there if "gone" in phrase.group.tags and (span := _without(caption, phrase, there))]
    for number in rng.permutation(len(found)):
        phrase, (start, end) = found[number]
        name = named(caption, phrase, there)
        left = len(caption.words) - (end - start) >= SHORTEST and caption.word(start - 1) not in ("and", "or", "is", "are", "was", "were")
        if name and left and caption.word(phrase.start) != "one":
            return Edit(asked(rng, "remove", the=name), changed(caption, [Change(start, end, "")]))
    return None


def _without(caption: Caption, phrase: Phrase, there: list[Phrase]) -> tuple[int, int] | None:
    """The span that goes with a thing, where the rest is a sentence still."""
    before, earlier = caption.word(phrase.start - 1), caption.word(phrase.start - 2)
    end = _tail(caption, phrase.end)
    after = caption.word(end)
    over = after in CLOSED
    phrased = over or after in words("prepositions") or end > phrase.end
    if before == "and" and over and any(other.end == phrase.start - 1 for other in there):
        return phrase.start - 1, end
    if before in ("wearing", "holding", "carrying") and earlier not in HOLDING_ON:
        return (phrase.start - 1, end) if after not in ("and", ",", "or", "of") else None
    if earlier.endswith("ed") or after == "of" or earlier in words("participles"):
        return None  # "covered with", "followed by": what is left would mean something else
    if before == "in" and "worn" in phrase.group.tags and after not in ("and", ",", "or"):
        return phrase.start - 1, end
    if before == "with" and phrased and earlier not in ("wrestling", "down", "up", "out", "off", "along", "filled", "is", "are"):
        return phrase.start - 1, end
    if over and before in ("near", "beside", "behind", "under", "alongside") and earlier not in ("from", "is", "are", "and"):
        return phrase.start - 1, end
    if over and before == "to" and earlier == "next":
        return phrase.start - 2, end
    if over and before == "of" and earlier == "front" and caption.word(phrase.start - 3) == "in":
        return phrase.start - 3, end
    return None


def _tail(caption: Caption, at: int) -> int:
    """Where a thing's own place ends: "in its mouth", "behind them", "in the background"; a hat may be "on"."""
    for tail in TAILS:
        wanted = tuple(tail.split(" "))
        if caption.words[at : at + len(wanted)] == wanted:
            return at + len(wanted)
    if caption.word(at) in words("prepositions"):
        owner = caption.word(at + 1)
        if (
            owner in OWN
            and caption.word(at + 2).isalnum()
            and caption.word(at + 2) not in words("prepositions")
            and closes(caption, at + 3)
        ):
            return at + 3
        if owner in THEM and closes(caption, at + 2):
            return at + 2
        if caption.word(at) == "on" and owner not in words("determiners") and (not owner.isalnum() or owner in verbs()):
            return at + 1
    return at
