"""A data set that grows pair by pair, by hand: prompts and seeds are named by their content, so that the same pair is stored once."""

import hashlib
from dataclasses import replace
from pathlib import Path

from ..ids import id_of, seed_of
from .disk import append, make_folder, mend_end
from .example import DataError
from .prompt_folder import METADATA, PROMPT, Prompt, line_of, lines_of, picture_path, write_pictures, write_prompt
from .record import Record


def named(record: Record) -> Record:
    """The record with the names that its content gives it."""
    pictures = [hashlib.sha256(data).hexdigest() for data in (record.image, record.edited, record.mask or b"")]
    prompt = id_of(record.caption, record.instruction, record.edited_caption)
    seed = seed_of(prompt, *pictures)
    return replace(record, prompt=prompt, sample=str(seed), facts={"seed": seed, **record.facts})


def collect(folder: Path, record: Record) -> bool:
    """Add a pair (its names don't matter) to a folder in the authors' layout, which needs no list; False where it is there already.

    A kill at any moment loses at most this pair. Raises DataError for a folder that holds something else, and where the disk refuses.
    """
    _check(folder)
    record = named(record)
    place, seed = folder / record.prompt, int(record.sample)
    if not (place / PROMPT).is_file():
        make_folder(place)
        write_prompt(place, Prompt.of(record))
    mend_end(place / METADATA)
    if any(known == seed for known, _, _ in lines_of(place / METADATA)) and all(picture_path(place, seed, half) for half in "01"):
        return False
    line = line_of(seed, record.facts)
    write_pictures(place, seed, {"0": record.image, "1": record.edited, **({"mask": record.mask} if record.mask else {})})
    append(place / METADATA, line)
    return True


def _check(folder: Path) -> None:
    """Raise DataError for a folder with anything but prompts in it."""
    if folder.is_dir():
        other = next((path.name for path in sorted(folder.iterdir()) if path.is_file() and not path.name.startswith(".")), "")
        if other:
            raise DataError(f"{folder.name} holds a finished data set or other files ({other}): give another name.")
