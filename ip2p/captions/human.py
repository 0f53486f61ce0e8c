"""The triplets written by hand for this project: every kind of edit, many subjects. They teach language models."""

from functools import cache
from pathlib import Path

from . import files
from .triplet import Triplet

FILE = Path(__file__).resolve().parent / "human.jsonl"


@cache
def triplets() -> tuple[Triplet, ...]:
    """All of them, in the file's order; their source is "human"."""
    return tuple(files.read(FILE))
