"""Edits of the whole picture: its season, weather and time of day, its style and medium."""

import re

import numpy as np

from .asking import Edit, asked, one
from .english import Caption, Change, changed, ended
from .lists import columns, values, words
from .nouns import describes, nouns, verbs

SEASONS = ("spring", "summer", "autumn", "winter")
ABOUT_SEASON = frozenset(["in", "of", "during", "early", "late", "a", "the", "this", "cold", "hot", "warm", "sunny", "crisp", "mid"])
AFTER_SEASON = frozenset(
    ["day", "morning", "afternoon", "evening", "night", "landscape", "forest", "meadow", "garden", "light", "scene", "sun"]
)
DAYS = frozenset(["day", "morning", "afternoon", "evening", "sky", "weather"])
BEING = frozenset(["is", "are", "was", "were"])
HELPING = BEING | {"has", "have", "there"}
ENOUGH = 4
"""Words that a caption must have for a phrase at its end to sit well."""


def season(caption: Caption, rng: np.random.Generator) -> Edit | None:
    """Another season, with the snow that comes or goes."""
    said = [i for i, word in enumerate(caption.words) if _season(caption, i, word)]
    if said:
        old = "autumn" if caption.word(said[0]) == "fall" else caption.word(said[0])
        if len(said) > 1 or (caption.has("snowing") and _snow(caption)):
            return None
        new = one(rng, [name for name in SEASONS if name != old and not (name == "winter" and caption.has("bathing"))])
        return Edit(asked(rng, "season", value=new), changed(caption, [Change(said[0], said[0] + 1, new)]))
    if caption.has("indoors") or caption.has("seasonal") or (caption.has("made") and len(caption.words) < ENOUGH):
        return None
    return _comes(caption, rng)


def _season(caption: Caption, at: int, word: str) -> bool:
    if word == "fall":
        return (
            caption.word(at - 1) in ("the", "in") and caption.word(at - 2) in ("in", "during", "of") and caption.word(at + 1) in (".", "")
        )
    if word not in SEASONS:
        return False
    after = caption.word(at + 1)
    alone = not after or not after[0].isalnum() or after in AFTER_SEASON or after in words("prepositions") or after in words("joints")
    return alone and (caption.word(at - 1) in ABOUT_SEASON or describes(caption.word(at - 1)) or at == 0 or len(caption.words) < 6)


def _snow(caption: Caption) -> bool:
    return bool(caption.known & words("snowing") - {"winter"})


def _comes(caption: Caption, rng: np.random.Generator) -> Edit | None:
    snowing, lit = caption.has("snowing"), caption.has("lit")
    fit = [
        (name, phrase, value)
        for name, phrase, value in columns("season")
        if not (name == "winter" and (snowing or caption.has("bathing"))) and not (lit and "day" in phrase)
    ]
    name, phrase, value = fit[int(rng.integers(len(fit)))]
    text = caption
    if snowing or (name == "winter" and rng.random() < 0.7):
        text = Caption(_swapped(caption, "thaw" if snowing else "freeze"))
        if snowing and (text.has("snowing") or text.text == caption.text):
            return None
        if not snowing and text.text != caption.text:
            return Edit(asked(rng, "season day" if " day" in value else "season", value=value), text.text)
    return Edit(asked(rng, "season day" if " day" in value else "season", value=value), ended(text, phrase))


def _swapped(caption: Caption, section: str) -> str:
    """The caption with snow instead of grass, or grass instead of snow, wherever it is said."""
    for old, new in columns(section):
        if (at := caption.find(old)) >= 0:
            caption = Caption(changed(caption, [Change(at, at + len(old.split(" ")), new)]))
    return caption.text


def weather(caption: Caption, rng: np.random.Generator) -> Edit | None:
    """Other weather, in the place of what is said or at the end."""
    if caption.has("indoors"):
        return None
    for at, word in enumerate(caption.words):
        if word in values("weather words") and caption.word(at + 1) in DAYS and not (caption.known - {word}) & words("snowing"):
            new = one(rng, [name for name in ("sunny", "rainy", "foggy", "snowy", "stormy", "cloudy") if _suits(caption, name, word)])
            return Edit(asked(rng, f"weather {new}"), changed(caption, [Change(at, at + 1, new)]))
    known = caption.known & words("weathers")
    if known - {"snow", "snowy", "sky", "clouds"} or caption.has("made"):
        return None
    fit = [
        (name, phrase)
        for name, phrase in columns("weather")
        if not (known and name not in ("foggy", "sunny", "stormy"))
        and not (name == "sunny" and caption.known & {"night", "dusk", "dark", "rain"})
        and not (caption.has("lit") and re.search("day|morning", phrase))
        and not (name in ("snowy", "windy") and caption.has("bathing"))
        and not ("sky" in phrase and "sky" in caption.known)
    ]
    name, phrase = fit[int(rng.integers(len(fit)))]
    return Edit(asked(rng, f"weather {name}"), ended(caption, phrase))


def _suits(caption: Caption, new: str, old: str) -> bool:
    return new != old and not (new == "snowy" and caption.has("bathing")) and not (old == "snowy" and new == "rainy")


def time(caption: Caption, rng: np.random.Generator) -> Edit | None:
    """Another time of day, in the place of what is said or at the end."""
    for at, word in enumerate(caption.words):
        if found := _other_time(caption, at, word, rng):
            new, edited = found
            return Edit(asked(rng, f"time {new}"), edited)
    if caption.has("indoors") or caption.has("lit") or caption.has("made"):
        return None
    listed = [(name, phrase) for name, phrase in columns("time") if "street" not in phrase or caption.has("in town")]
    name, phrase = listed[int(rng.integers(len(listed)))]
    return Edit(asked(rng, f"time {name}"), ended(caption, phrase))


def _other_time(caption: Caption, at: int, word: str, rng: np.random.Generator) -> tuple[str, str] | None:
    """(the new time, the edited caption) where a word of the caption says the time."""
    before, sunny = caption.word(at - 1), frozenset(["sunny", "cloudy", "bright", "clear", "hot", "warm", "beautiful", "nice"])
    if word == "day" and before in sunny and caption.word(at - 2) == "a" and caption.word(at - 3) == "on":
        return "night", changed(caption, [Change(at - 1, at + 1, one(rng, ["moonlit night", "clear night", "starry night"]))])
    if word in ("sunset", "sunrise") and before != "at":
        new = "sunrise" if word == "sunset" else "sunset"
    elif word in values("time at") and before == "at":
        new = one(rng, [name for name in values("time at") if name != word])
    elif word in values("time in") and not caption.word(at + 1).startswith(("gown", "dress", "glory", "star", "coat")):
        new = one(rng, [name for name in values("time in") if name != word])
    else:
        return None
    return new, changed(caption, [Change(at, at + 1, new)])


def style(caption: Caption, rng: np.random.Generator) -> Edit | None:
    """The look of an artist, of a school, or of a kind of film."""
    if {"style", "styled", "black-and-white", "monochrome"} & caption.known or caption.find("in the style of") >= 0:
        return None
    listed = columns("style")
    said, phrase = listed[int(rng.integers(len(listed)))]
    photo = bool(re.search("film|movie|black and white|sepia|video game|low poly", said))
    return Edit(asked(rng, "style photo" if photo else "style", value=said), ended(caption, f", {phrase}"))


def medium(caption: Caption, rng: np.random.Generator) -> Edit | None:
    """A painting, a drawing, a mosaic: in the place of the medium that is said, before the caption, or after it."""
    listed = columns("medium")
    new, phrase = listed[int(rng.integers(len(listed)))]
    for old in values("medium words"):
        at, length = caption.find(old), len(old.split(" "))
        if at >= 0 and caption.word(at + length) == "of" and not new.endswith(old):
            return Edit(asked(rng, "medium", value=new), changed(caption, [Change(at, at + length, new.split(" ", 1)[1])]))
    if caption.has("made") or caption.find("on canvas") >= 0:
        return None
    begun = _fragment(caption)
    if begun and rng.random() < 0.6:
        return Edit(asked(rng, "medium", value=new), f"{_cased(new, caption)} of {begun}")
    return Edit(asked(rng, "medium", value=new), ended(caption, f", {phrase}"))


def _cased(text: str, caption: Caption) -> str:
    return text[0].upper() + text[1:] if caption.text[:1].isupper() else text


def _fragment(caption: Caption) -> str:
    """The caption as it stands after "a painting of", without the "is" of "is running"; "" where it is a whole sentence."""
    text, finite = caption, _finite(caption)
    helping = [i for i, word in enumerate(caption.words) if word in HELPING]
    if helping:
        at = helping[0]
        if caption.word(at) not in BEING or not caption.word(at + 1).endswith("ing") or any(i < at for i in finite) or len(helping) > 1:
            return ""
        text = Caption(changed(caption, [Change(at, at + 1, "")]))
    elif finite:
        return ""
    first = text.word(0)
    common = first in words("determiners") or describes(first) or (first,) in nouns() or first in words("prepositions")
    return text.text[:1].lower() + text.text[1:] if common else text.text


def _finite(caption: Caption) -> list[int]:
    """Which words are verbs that make a sentence; too many rather than too few."""
    found = [i for i, word in enumerate(caption.words) if i and word in verbs() and ((word,) not in nouns() or word.endswith("s"))]
    found = [i for i in found if caption.word(i - 1) not in words("determiners")]
    return [i for i in found if caption.word(i).endswith("s") or not describes(caption.word(i - 1))]


EDITS = {"season": season, "weather": weather, "time": time, "style": style, "medium": medium}
"""What each kind does."""
