"""Edits of the place: another one instead of that which is said, or one where none is."""

import re

import numpy as np

from .asking import Edit, asked, one
from .english import Caption, Change, changed, ended
from .lists import columns, values, words
from .nouns import closes, describes

STILL, THROUGH, ALONG, INTO = ("in", "on", "at"), ("through", "across"), ("along", "down"), ("into", "in", "through")
NAMED = re.compile(r"\b(?:in|at|of|near|from) (?:the )?[A-Z]")
"""A place with a name of its own: "in Paris", "of the Alps"."""
WATER = frozenset(["ocean", "lake", "river", "pool", "pond", "sea", "water", "swimming pool", "stream", "creek"])


def place(caption: Caption, rng: np.random.Generator) -> Edit | None:
    """Somewhere else."""
    if caption.has("bathing") and (found := _bathed(caption, rng)):
        return found
    there = _sites(caption, frozenset(values("places")))
    if len(there) == 1:
        return _moved(caption, *there[0], rng)
    if there or any(caption.has(section) for section in ("indoors", "snowing", "bathing", "made")):
        return None
    if caption.has("tied") or set(values("places")) & caption.known or NAMED.search(caption.text):
        return None
    into, new = _still(rng)
    return Edit(asked(rng, "place whole", **{"in": into, "new": new}), ended(caption, f"{into} {new}"))


def _still(rng: np.random.Generator) -> tuple[str, str]:
    listed = columns("place still")
    into, new = listed[int(rng.integers(len(listed)))]
    return into, new


def _sites(caption: Caption, names: frozenset[str]) -> list[tuple[int, int, int]]:
    """(preposition, the place's first word, its end) of each place after a preposition."""
    out, at = [], 0
    while at < len(caption.words):
        length = next((n for n in (2, 1) if at + n <= len(caption.words) and " ".join(caption.words[at : at + n]) in names), 0)
        after = caption.word(at + length)
        if length and closes(caption, at + length) and after != "of":
            first = at
            while first > 0 and describes(caption.word(first - 1)):
                first -= 1
            first -= caption.word(first - 1) in words("determiners")
            if caption.word(first - 1) in words("prepositions"):
                out.append((first - 1, at, at + length))
        at += length or 1
    return out


def _moved(caption: Caption, into: int, head: int, end: int, rng: np.random.Generator) -> Edit | None:
    before = caption.word(into)
    tied = caption.has("snowing") or (caption.has("bathing") and caption.known & {"water", "ocean", "sea", "waves", "wave", "pool"})
    if before in STILL and not tied:
        preposition, new = _still(rng)
    elif before in (*THROUGH, *ALONG):
        preposition, new = before, one(rng, values("place through" if before in THROUGH else "place along"))
    else:
        return None
    if caption.known & set(new.split(" ")[-1:]):
        return None
    edited = changed(caption, [Change(into, end, f"{preposition} {new}")])
    gaps = {"the": f"the {caption.said(head, end).lower()}", "in": preposition if preposition in STILL else "in", "new": new}
    whole = preposition in STILL and rng.random() < 0.5
    return Edit(asked(rng, "place whole" if whole else "place", **gaps), edited)


def _bathed(caption: Caption, rng: np.random.Generator) -> Edit | None:
    """Another water to swim in."""
    there = _sites(caption, WATER)
    if len(there) != 1 or caption.word(there[0][0]) not in INTO or len(caption.known & WATER) > 1:
        return None
    into, head, end = there[0]
    new = one(rng, [name for name in values("place water") if not caption.known & set(name.split(" ")[-1:])])
    edited = changed(caption, [Change(into, end, f"{caption.word(into)} {new}")])
    return Edit(asked(rng, "place", **{"the": f"the {caption.said(head, end).lower()}", "in": "in", "new": new}), edited)
