"""Instructions: sentences of `forms.txt` with their gaps filled, said the way different people say them."""

from dataclasses import dataclass

import numpy as np

from .english import capital
from .lists import sections, words_of

POLITE, CAPITAL, STOPPED = 0.08, 0.15, 0.5
"""How often an opening is put before; how often it begins with a capital, and then ends with a full stop."""


@dataclass(frozen=True)
class Edit:
    """What is asked, and the caption of the picture that answers it."""

    instruction: str
    edited: str


def asked(rng: np.random.Generator, section: str, **gaps: str) -> str:
    """An instruction in one of the section's forms."""
    text = one(rng, sections("forms.txt")[section]).format(**gaps)
    return text[:1].lower() + text[1:] if text[:2] in ("A ", "The") else text


def spoken(rng: np.random.Generator, text: str) -> str:
    """The same instruction as someone says it: now and then with an opening, with a capital, with a full stop."""
    if text.split(" ")[0] in words_of("verbs", "forms.txt") and rng.random() < POLITE:
        opening = one(rng, sections("forms.txt")["openings"])
        text = f"{opening} {text}{'?' if opening.endswith('you') else ''}"
    if rng.random() < CAPITAL:
        text = capital(text)
        if rng.random() < STOPPED and not text.endswith("?"):
            text += "."
    return text


def one(rng: np.random.Generator, options: "tuple[str, ...] | list[str]") -> str:
    """One of some texts."""
    return options[int(rng.integers(len(options)))]
