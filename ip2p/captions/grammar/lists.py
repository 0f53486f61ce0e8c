"""The grammar's words and sentences, from the text files beside this module."""

from functools import cache
from pathlib import Path

FOLDER = Path(__file__).resolve().parent


@cache
def sections(name: str) -> dict[str, tuple[str, ...]]:
    """The lines of each "[section]" of a file, without comments and empty lines."""
    out: dict[str, list[str]] = {}
    for line in (FOLDER / name).read_text(encoding="utf-8").splitlines():
        text = line.strip()
        if text.startswith("["):
            current = out.setdefault(text[1:].split("]")[0], [])
            current.extend([text.split("]", 1)[1].strip()] if name == "things.txt" else [])
        elif text and not text.startswith("#"):
            current.append(text)
    return {section: tuple(lines) for section, lines in out.items()}


@cache
def values(section: str, name: str = "values.txt") -> tuple[str, ...]:
    """The values of a section, which stand between commas."""
    return tuple(value.strip() for line in sections(name)[section] for value in line.split(",") if value.strip())


@cache
def words_of(section: str, name: str) -> frozenset[str]:
    """The values of a section as a set."""
    return frozenset(values(section, name))


def words(section: str) -> frozenset[str]:
    """The words of a section of `words.txt`."""
    return words_of(section, "words.txt")


@cache
def columns(section: str) -> tuple[tuple[str, ...], ...]:
    """The values of a section whose parts stand between bars, as tuples."""
    return tuple(tuple(value.split("|")) for value in values(section))
