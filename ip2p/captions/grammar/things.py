"""Edits of one thing: replace it, recolour it, make it of another material."""

import numpy as np

from .asking import Edit, asked, one
from .english import Caption, Change, article, changed, plural
from .lists import columns, values, words
from .nouns import Phrase, is_colour, named, phrases

LOOKING = frozenset(["for", "at", "to", "toward", "towards", "from", "into", "facing", "of"])
PEOPLE_KEEP = frozenset(["big", "small", "little", "large", "huge", "tiny", "tall", "short", "giant"])
LOOKS = frozenset(
    [
        "striped",
        "spotted",
        "plaid",
        "checkered",
        "patterned",
        "colorful",
        "colourful",
        "multicolored",
        "multi-colored",
        "dark",
        "light",
        "bright",
    ]
)
LOOKS_TOO = frozenset(
    [
        "tri-colored",
        "tricolor",
        "light-colored",
        "dark-colored",
        "tan-colored",
        "cream-colored",
        "flowered",
        "floral",
        "pale",
        "tabby",
        "ginger",
    ]
)
OF_A_LOOK = ("golden", "glass", "chrome", "ice", "crystal", "paper", "chocolate", "marble", "silver")
"""Materials whose name is also their colour."""


def sites(caption: Caption, rng: np.random.Generator) -> list[tuple[Phrase, str]]:
    """The things that can be named without doubt, with their names, in any order."""
    there = phrases(caption)
    found = [(phrase, name) for phrase in there if not _ours(caption, phrase) and (name := named(caption, phrase, there))]
    return [found[number] for number in rng.permutation(len(found))]


def _ours(caption: Caption, phrase: Phrase) -> bool:
    """Whether it is the camera that took the picture: "smiling at the camera"."""
    return phrase.noun.endswith("camera") and caption.word(phrase.start) == "the" and caption.word(phrase.start - 1) in LOOKING


def replace(caption: Caption, rng: np.random.Generator) -> Edit | None:
    """One thing becomes another of its kind."""
    for phrase, name in sites(caption, rng):
        known = [new for new in phrase.group.others if _fresh(caption, new) and not (phrase.plural and new[:1].isupper())]
        if (
            not known
            or caption.word(phrase.end) in ("of", "made")
            or (phrase.group.name == "tree" and caption.word(phrase.start - 1) == "of")
        ):
            continue
        new = one(rng, known)
        noun = plural(new.rstrip("!")) if phrase.plural else new.rstrip("!")
        keep = PEOPLE_KEEP if "person" in phrase.group.tags else words("sizes") if new.endswith("!") else None
        kept = _kept(caption, phrase, keep)
        edited = changed(caption, [Change(phrase.first, phrase.end, " ".join([*kept, noun]))])
        said = noun if phrase.plural or noun[:1].isupper() else article(noun)
        return Edit(asked(rng, "replace many" if phrase.plural else "replace", the=name, new=said), edited)
    return None


def _fresh(caption: Caption, new: str) -> bool:
    """Whether a caption doesn't name a thing already."""
    last = new.rstrip("!").split(" ")[-1].lower()
    return last not in caption.known and plural(last) not in caption.known


def _kept(caption: Caption, phrase: Phrase, keep: frozenset[str] | None) -> list[str]:
    """The adjectives that stay: all, or those in a set."""
    if keep is None:
        text = caption.said(phrase.first, phrase.head)
        return [text] if text else []
    return [caption.said(i, i + 1) for i in range(phrase.first, phrase.head) if caption.word(i) in keep]


def recolour(caption: Caption, rng: np.random.Generator) -> Edit | None:
    """A thing gets another colour, or one that is said for the first time."""
    for phrase, name in sites(caption, rng):
        colours = phrase.group.tags.get("recolour")
        if not colours or any(is_colour(word) or word in words("materials") for word in caption.words[phrase.head : phrase.end]):
            continue
        if "person" in phrase.group.tags or caption.word(phrase.end) == "of":
            continue
        start, end = _coloured(caption, phrase)
        old = caption.said(start, end).lower()
        new = one(rng, [value for value in values(f"recolour {colours}") if value not in old and value not in caption.known])
        edited = changed(caption, [Change(start, end, new)])
        alive = "animal" in phrase.group.tags or "plant" in phrase.group.tags
        return Edit(asked(rng, "recolour alive" if alive else "recolour", the=name, value=new), edited)
    return None


def _coloured(caption: Caption, phrase: Phrase) -> tuple[int, int]:
    """The span of a thing's colours and patterns; an empty one where they would stand."""
    looks = [i for i in range(phrase.first, phrase.head) if is_colour(caption.word(i)) or caption.word(i) in LOOKS | LOOKS_TOO]
    if looks:
        return looks[0], looks[-1] + 1
    at = next((i for i in range(phrase.first, phrase.head) if caption.word(i) in words("materials")), phrase.head)
    return at, at


def material(caption: Caption, rng: np.random.Generator) -> Edit | None:
    """A thing is made of something else."""
    for phrase, name in sites(caption, rng):
        kind = phrase.group.tags.get("material")
        if not kind or words("materials").intersection(caption.words[phrase.head : phrase.end]):
            continue
        if caption.word(phrase.end) in ("made", "of", "that", "who", "which"):
            continue
        if kind in ("creature", "figure"):
            value = one(rng, [value for value in values(f"material {kind}") if value.split(" ")[-1] not in caption.known])
            edited = changed(caption, [Change(phrase.end, phrase.end, f"made of {value}")])
        else:
            known = [(adjective, noun) for adjective, noun in columns(f"material {kind}") if not caption.known & {adjective, noun}]
            adjective, value = known[int(rng.integers(len(known)))]
            edited = _of(caption, phrase, adjective, kind)
        return Edit(asked(rng, "material", the=name, value=value), edited)
    return None


def _of(caption: Caption, phrase: Phrase, adjective: str, kind: str) -> str:
    """The caption with the thing of that material; the old one goes, and colours too where the new one has its own."""
    gone = [i for i in range(phrase.first, phrase.head) if caption.word(i) in words("materials")]
    if adjective in OF_A_LOOK or kind == "building":
        start, end = _coloured(caption, phrase)
        gone += range(start, end)
    kept = [caption.said(i, i + 1) for i in range(phrase.first, phrase.head) if i not in gone and caption.word(i) not in ("and", ",")]
    return changed(caption, [Change(phrase.first, phrase.end, " ".join([*kept, adjective, caption.said(phrase.head, phrase.end)]))])
