"""How a language model is asked for an edit of a caption, and how its reply is read: one format for every model.

The format is the paper's (section 3.1.1 and the authors' code): the prompt is ``caption\\n##\\n``, the completion
``instruction\\n%\\nedited caption\\nEND``; the authors' code writes ``%%``, so both are read.
"""

import json
import re
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

from ..ids import chance_of
from .triplet import Triplet

AFTER_CAPTION, SEPARATOR, END = "\n##\n", "\n%\n", "\nEND"
FORMATS = ("paper", "few-shot", "chat")
"""paper: a fine-tuned model, the caption alone. few-shot: a model that only continues text. chat: one that was taught to answer."""
Messages = list[dict[str, str]]

TASK = (
    "You edit pictures in words. I give the caption of a picture. Think of an edit that changes how the picture looks, and answer with "
    "the instruction for it, a line with %, the caption of the edited picture, and a line with END. Nothing else."
)
HEADING = "Captions of pictures, each with the instruction of an edit and the caption of the edited picture.\n\n"

_SEPARATOR = re.compile(r"^\s*%{1,2}\s*$", re.MULTILINE)
_END = re.compile(r"^\s*END\b.*|\s+END\s*\Z", re.MULTILINE | re.DOTALL)
_WORD, _MARKS = re.compile(r"\w+"), re.compile(r"##|%%")
_THOUGHTS = re.compile(r"<think>.*?(</think>|\Z)", re.DOTALL)
_LABEL = re.compile(r"^(?:[-*•]\s+)?\**(?:edit(?:ed caption)?|instruction|output|new caption|caption)\**\s*:\s*\**\s*", re.IGNORECASE)
_LABELLED = re.compile(
    r"^\W*(?:edit|instruction)\W*:\**(?P<instruction>[^\n]+)\n+\W*(?:edited caption|output|new caption)\W*:\**(?P<edited>[^\n]+)",
    re.IGNORECASE | re.MULTILINE,
)
_QUOTED = re.compile(r"([\"'`*“‘]+)([^\"'`*“”‘’]*)[\"'`*”’]+")
_INSTRUCTION, _EDITED = ("instruction", "edit"), ("edited_caption", "edited caption", "output")


class Edit(NamedTuple):
    """What a reply says."""

    instruction: str
    edited_caption: str


def prompt(caption: str) -> str:
    """What a fine-tuned model continues."""
    return one_line(caption) + AFTER_CAPTION


def completion(triplet: Triplet) -> str:
    """What a fine-tuned model is taught to continue with."""
    return one_line(triplet.instruction) + SEPARATOR + one_line(triplet.edited_caption) + END


def few_shot(caption: str, examples: Sequence[Triplet]) -> str:
    """What a model that only continues text is given: examples in the same format, then the caption."""
    shown = (prompt(example.caption) + completion(example) + "\n\n" for example in examples)
    return HEADING + "".join(shown) + prompt(caption)


def messages(caption: str, examples: Sequence[Triplet]) -> Messages:
    """The same as a talk. The task stands in the first question, because some templates have no place for a system's message."""
    asked = [one_line(example.caption) for example in examples] + [one_line(caption)]
    asked[0] = f"{TASK}\n\n{asked[0]}"
    talk = [{"role": "user", "content": text} for text in asked]
    answers = [{"role": "assistant", "content": completion(example)} for example in examples]
    return [message for pair in zip(talk, answers, strict=False) for message in pair] + talk[len(examples) :]


def chosen(examples: Sequence[Triplet], count: int, *seed: str | int) -> list[Triplet]:
    """`count` examples for one reply, of kinds as different as there are, in an order drawn from the seed."""
    chance = chance_of("examples", *seed)
    mixed = [examples[position] for position in chance.permutation(len(examples))]
    fresh: list[Triplet] = []
    others: list[Triplet] = []
    for example in mixed:
        (others if example.kind and example.kind in {other.kind for other in fresh} else fresh).append(example)
        if len(fresh) == count:
            break
    return (fresh + others)[:count]


def one_line(text: str) -> str:
    """The text in one line: line breaks are the format's own."""
    return " ".join(text.split())


def read(reply: str, caption: str = "") -> Edit | None:
    """The edit that a reply means, None where it means none.

    Read are the paper's separators, single or doubled, and what chat models write instead: two labelled lines, a JSON object, or two plain
    lines of which the second has at least half of the words of ``caption``.
    """
    text = _END.sub("", _THOUGHTS.sub("", reply)).strip()
    for reader in (_separated, _labelled, _object, partial(_two_lines, caption=caption)):
        found = reader(text)
        if found is not None:
            edit = Edit(*(_plain(part) for part in found))
            return edit if all(_WORD.search(part) and not _MARKS.search(part) for part in edit) else None
    return None


def _separated(text: str) -> tuple[str, str] | None:
    """The line before a separator, and the line after it."""
    parts = _SEPARATOR.split(text)
    if len(parts) != 2:
        return None
    before, after = ([line for line in part.splitlines() if line.strip(" \t#")] for part in parts)
    return (before[-1], after[0]) if before and after else None


def _labelled(text: str) -> tuple[str, str] | None:
    found = _LABELLED.search(text)
    return (found["instruction"], found["edited"]) if found else None


def _object(text: str) -> tuple[str, str] | None:
    begin, end = text.find("{"), text.rfind("}")
    if begin < 0 or end < begin:
        return None
    try:
        table = json.loads(text[begin : end + 1])
    except ValueError:
        return None
    values = [next((table[name] for name in names if isinstance(table.get(name), str)), "") for names in (_INSTRUCTION, _EDITED)]
    return (values[0], values[1])


def _two_lines(text: str, caption: str) -> tuple[str, str] | None:
    lines = [line for line in text.splitlines() if line.strip()]
    known = set(_WORD.findall(caption.lower()))
    if len(lines) != 2 or not known or 2 * len(known.intersection(_WORD.findall(lines[1].lower()))) < len(known):
        return None
    return lines[0], lines[1]


def _plain(text: str) -> str:
    """Without a label, quotation marks around it and marks of emphasis."""
    plain = one_line(_LABEL.sub("", text.strip()))
    quoted = _QUOTED.fullmatch(plain)
    return quoted[2].strip() if quoted else plain
