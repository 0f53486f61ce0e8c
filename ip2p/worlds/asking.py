"""Instructions as people type them: a wording in a form, with fillers, scene descriptions, typing errors and punctuation."""

import re
from collections.abc import Mapping, Sequence
from functools import cache

import numpy as np

from .phrasings import (
    HELD_OUT_FORMS,
    OBJECTS,
    WHOLE_FORMS,
    Wordings,
    by_chance_held_out,
    form_lists,
    phrasings,
    read_wordings,
    with_article,
)

OPENINGS = (
    "please", "can you", "could you", "could you please", "hey,", "I'd like you to", "I would like you to", "now", "just", "let's",
    "try to", "go ahead and", "kindly", "maybe", "ok,", "would you", "I need you to", "we should", "you should", "then", "also", "first,",
)  # fmt: skip
CLOSINGS = (
    "please", "thanks", "thank you", "for me", "a bit", "a lot", "slightly", "completely", "if possible", "as much as you can", "now",
    "and nothing else", "but keep everything else the same", "without changing the composition", "very much", "strongly", "overall",
    "everywhere", "a little", "quite a bit", "entirely", "and keep the people as they are", "but leave the rest alone", "ok", "today",
)  # fmt: skip
DESCRIBED = ("the photo of", "this picture of", "the image of", "this image of", "my photo of", "the photograph of", "that shot of")
ALL_OF_IT = (
    "everything",
    "the whole thing",
    "my photo",
    "my picture",
    "that",
    "the entire image",
    "the entire picture",
    "these",
    "the shot",
    "all of it",
)
ENDINGS = ("", "", "", "", ".", ".", "!", "?", "...", " .", "!!")
SENTENCES = (
    "{a} and {b}", "{a}, then {b}", "{a} and then {b}", "{a} and also {b}", "{a}, {b}", "{a}; {b}", "{a}. {b}", "{a} & {b}", "{a} + {b}",
    "first {a}, then {b}", "first {a} and then {b}", "{a}, and {b}", "{a}, and {b} too", "{a}. then {b}", "{a} plus {b}", "{a}, also {b}",
    "both {a} and {b}", "{a}, after that {b}", "{b} after you {a}", "{a} as well as {b}", "{a}. also, {b}", "{a} / {b}", "{a} while {b}",
    "two things: {a}, {b}", "{a} and in addition {b}", "{a} and finally {b}", "{a}, next {b}", "1. {a} 2. {b}", "{a} AND {b}",
)  # fmt: skip
"""How two whole wordings are joined."""
WORDS = {
    ("adjectives", "adjectives"): (
        "make {it} {a} and {b}", "{a} and {b}", "make {it} look {a} and {b}", "{it}, but {a} and {b}", "make it both {a} and {b}",
        "a {a} and {b} version of {it}", "{a}, {b}", "turn {it} {a} and {b}", "it should be {a} and also {b}", "make it {a} as well as {b}",
        "make it {a} but also {b}", "a {a}, {b} picture", "make everything {a} and {b}", "can you make {it} {a} and {b}?",
    ),
    ("adjectives", "nouns"): (
        "a {a} {b}", "make it a {a} {b}", "turn {it} into a {a} {b}", "as a {a} {b}", "convert {it} to a {a} {b}", "{it} as a {a} {b}",
        "make it look like a {a} {b}", "change {it} into a {a} {b}", "I want a {a} {b}", "a {b}, {a}", "a {b}, but {a}",
        "a {b} that is {a}", "make it a {b}, {a}", "render it as a {a} {b}", "make {it} {a} and turn it into a {b}",
    ),
    ("keywords", "nouns"): (
        "a {b} with {a}", "a {b}, {a}", "turn {it} into a {b} with {a}", "a {b} in {a} style", "{a}, as a {b}", "a {a} {b}",
        "make it a {b} and add {a}", "a {b} plus {a}", "change {it} to a {b}, {a}", "add {a} and make it a {b}",
    ),
    ("keywords", "keywords"): (
        "{a} and {b}", "{a} {b}", "{a}, {b}", "{a} + {b}", "{a} & {b}", "{it}, {a}, {b}", "with {a} and {b}", "{a} with {b}",
        "add {a} and {b}", "{a} style, {b}", "a {a} {b} look", "make it {a} and {b}",
    ),
}  # fmt: skip
"""How two single words or names are joined, by their lists in Wordings; a name loses its article."""
HELD_OUT_SENTENCES = (
    "{a}, followed by this: {b}",
    "not only {a} but also {b}",
    "start like this: {a}; end like this: {b}",
    "{a}, later {b}",
)
HELD_OUT_WORDS = {
    ("adjectives", "adjectives"): ("could we have {it} {a} and at the same time {b}?", "something {a} yet {b}"),
    ("adjectives", "nouns"): ("redo {it} as a {a} {b}", "I'd love to see a {a} {b}", "imagine a {b} which looks {a}"),
    ("keywords", "nouns"): ("produce a {b} combined with {a}", "a mix of {a} and a {b}"),
    ("keywords", "keywords"): ("combine {a} with {b}", "{a} mixed with {b}"),
}
SMALL_WORDS = {
    "a", "an", "the", "it", "its", "of", "in", "on", "with", "and", "to", "is", "at", "are", "as", "by", "for", "from", "off",
    "out", "up", "down", "over", "under", "through", "into", "around", "some", "each", "them", "their", "has", "have", "this",
    "that", "all", "little", "big", "large", "small", "boy", "child", "camera", "hand", "back", "run", "look", "picture", "air",
    "wall", "grass", "rock", "outside", "ramp", "game", "if", "was", "would", "were", "what", "like", "one", "two", "t", "s",
}  # fmt: skip
"""Words of captions that ask for nothing, though wordings have them too."""
LETTERS = "abcdefghijklmnopqrstuvwxyz"


@cache
def _wordings() -> dict[str, Wordings]:
    return read_wordings()


@cache
def _telling_words() -> frozenset[str]:
    """Every word that occurs in a wording of some edit, so that captions with such words are not taken for neutral."""
    texts = [
        text for words in _wordings().values() for part in (words.whole, words.adjectives, words.nouns, words.keywords) for text in part
    ]
    return frozenset(re.findall(r"[a-z]+", " ".join(texts).lower())) - SMALL_WORDS


def neutral(captions: list[str]) -> list[str]:
    """Captions, lower-cased and without end marks, that contain no word which asks for an edit."""
    plain = [caption.lower().strip(" .!?") for caption in captions]
    return [text for text in plain if text and not _telling_words() & set(re.findall(r"[a-z]+", text))]


def ask(kind: str, rng: np.random.Generator, captions: list[str]) -> str:
    """A random training instruction for ``kind``. ``captions`` (neutral ones; may be empty) describe scenes in passing."""
    text = _dressed(_plain(kind, rng, captions), rng, captions)
    while text in _held_out(kind):
        text = _dressed(_plain(kind, rng, captions), rng, captions)
    return text + _pick(ENDINGS, rng)


def ask_two(first: str, second: str, rng: np.random.Generator, captions: list[str]) -> str:
    """A random training instruction for two kinds at once, in either order; otherwise as ``ask``."""
    kinds = (first, second) if rng.random() < 0.5 else (second, first)
    if rng.random() < 0.5:
        parts = [_part(_plain(kind, rng, here)) for kind, here in zip(kinds, (captions, []), strict=True)]
        text = _pick(SENTENCES, rng).format(a=parts[0], b=parts[1])
    else:
        text = _of_words(kinds, WORDS, rng).replace("{it}", _named(rng, captions) if rng.random() < 0.3 else _pick(OBJECTS, rng))
    return _dressed(text, rng, captions) + _pick(ENDINGS, rng)


def ask_two_held_out(first: str, second: str, rng: np.random.Generator) -> str:
    """An instruction for two kinds that training never reads: of wordings kept out of it, or joined in a way kept out of it."""
    kinds = (first, second) if rng.random() < 0.5 else (second, first)
    if rng.random() < 0.5:
        return _of_words(kinds, HELD_OUT_WORDS, rng).replace("{it}", _pick(OBJECTS, rng))
    parts = [
        _pick(_wordings()[kind].held_out, rng).replace("{it}", named)
        for kind, named in zip(kinds, (_pick(OBJECTS, rng), "it"), strict=True)
    ]
    return _pick(SENTENCES + HELD_OUT_SENTENCES, rng).format(a=_part(parts[0]), b=_part(parts[1]))


def _part(text: str) -> str:
    """A whole wording as a part of a longer one."""
    return text.removesuffix("?").removesuffix(", please")


def _of_words(kinds: tuple[str, str], forms: Mapping[tuple[str, str], Sequence[str]], rng: np.random.Generator) -> str:
    """A form filled with a word for each of two kinds; {it} is left in it."""
    lists = list(forms)[int(rng.integers(len(forms)))]
    a, b = (_pick(getattr(_wordings()[kind], name), rng) for kind, name in zip(kinds, lists, strict=True))
    return with_article(_pick(forms[lists], rng).replace("{a}", a).replace("{b}", re.sub(r"^(an?|the|its) ", "", b)))


def _dressed(text: str, rng: np.random.Generator, captions: list[str]) -> str:
    """The text with, by chance, words before and behind it, a scene's description or a typing error."""
    if rng.random() < 0.25:
        text = f"{_pick(OPENINGS, rng)} {text}"
    if rng.random() < 0.25:
        text = f"{text} {_pick(CLOSINGS, rng)}"
    if captions and rng.random() < 0.08:
        text = f"{text}, {_pick(captions, rng)}"
    elif captions and rng.random() < 0.04:
        text = f"{_pick(captions, rng)}, {text}"
    return _mistype(text, rng) if rng.random() < 0.06 else text


def _pick(options: Sequence[str], rng: np.random.Generator) -> str:
    return options[int(rng.integers(len(options)))]


def _plain(kind: str, rng: np.random.Generator, captions: list[str]) -> str:
    """A wording in a form, with the picture named somehow; never an instruction that is kept out of training."""
    held_out = _held_out(kind)
    while True:
        wording, form = _choose(_wordings()[kind], rng)
        text = with_article(form.replace("{x}", wording)) if form not in WHOLE_FORMS else form.replace("{x}", wording)
        full = text.replace("{it}", _pick(OBJECTS, rng))
        if form in HELD_OUT_FORMS or by_chance_held_out(full) or full in held_out:
            continue
        return text.replace("{it}", _named(rng, captions)) if rng.random() < 0.3 else full


@cache
def _held_out(kind: str) -> frozenset[str]:
    return frozenset(phrasings()[kind].held_out)


def _choose(wordings: Wordings, rng: np.random.Generator) -> tuple[str, str]:
    """A wording and a form for it, every wording as likely as any other."""
    lists = [*form_lists(wordings), (wordings.whole, WHOLE_FORMS)]
    counts = np.array([len(words) for words, _ in lists], dtype=float)
    words, forms = lists[int(rng.choice(len(lists), p=counts / counts.sum()))]
    return _pick(words, rng), _pick(forms, rng)


def _named(rng: np.random.Generator, captions: list[str]) -> str:
    """What the picture is called: a word for it, or what it shows."""
    if not captions or rng.random() < 0.4:
        return _pick(ALL_OF_IT, rng)
    words = _pick(captions, rng).split()
    start = int(rng.integers(max(1, len(words) - 2)))
    shown = " ".join(words[start : start + int(rng.integers(1, 6))])
    return f"{_pick(DESCRIBED, rng)} {shown}" if rng.random() < 0.6 else shown


def _mistype(text: str, rng: np.random.Generator) -> str:
    """One letter dropped, doubled, swapped with the next or replaced."""
    at = int(rng.integers(len(text)))
    before, letter, after = text[:at], text[at], text[at + 1 :]
    options = (
        before + after,
        before + letter + letter + after,
        before + after[:1] + letter + after[1:],
        before + _pick(tuple(LETTERS), rng) + after,
    )
    return _pick(options, rng)
