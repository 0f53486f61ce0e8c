"""The working folder of a run that makes pairs, in the authors' layout: one folder a prompt, safe on the disk sample by sample.

    FOLDER/settings.json             what the run was asked for; another run can't mix its samples in
    FOLDER/0000012/prompt.json       the triplet
    FOLDER/0000012/metadata.jsonl    a line for each sample; it ends in .part until the prompt is finished
    FOLDER/0000012/SEED_0.png, _1.png

A sample's pictures are written first and its line last, each whole or not at all: what has a line is there, and a kill at any moment
loses only the sample in work. Several processes may share a folder as long as each works on prompts of its own.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ..captions.triplet import Triplet
from .disk import PART, append, beside, make_folder, mend_end, same_settings, writing
from .example import DataError
from .prompt_folder import METADATA, PROMPT, Prompt, line_of, lines_of, picture_path, read_prompt, read_record, write_pictures, write_prompt
from .record import Record

SETTINGS = "settings.json"
OPEN = METADATA + PART
"""The lines of a prompt in work."""


class Samples:
    """Samples by prompt and seed. `settings` (JSON values) are the run's; None opens what is there, whatever its settings.

    Raises DataError for a folder that was begun with other settings, and where the disk refuses.
    """

    def __init__(self, folder: Path, settings: Mapping[str, Any] | None = None) -> None:
        self.folder = folder
        if settings is not None:
            same_settings(folder / SETTINGS, settings)
        elif not folder.is_dir():
            raise DataError(f"There are no samples in {folder}: check the name.")

    def names(self) -> list[str]:
        """The prompts that were begun, sorted."""
        return sorted(path.name for path in self.folder.iterdir() if (path / PROMPT).is_file())

    def prompt(self, name: str, triplet: Triplet) -> None:
        """Begin a prompt, or go on with it. Raises DataError where one of that name has another triplet."""
        place = self._place(name)
        if not (place / PROMPT).is_file():
            make_folder(place)
            about = {"id": triplet.id, **{key: value for key in ("source", "kind") if (value := getattr(triplet, key))}}
            write_prompt(place, Prompt(triplet.caption, triplet.instruction, triplet.edited_caption, about))
        elif self.triplet(name).texts != triplet.texts:
            raise DataError(f"{self.folder.name}/{name} was begun with another triplet: give each its own id, or use another folder.")
        mend_end(place / OPEN)

    def triplet(self, name: str) -> Triplet:
        """The words of a prompt. Raises DataError."""
        prompt = read_prompt(self._place(name))
        about = {key: str(prompt.about.get(key, "")) for key in ("id", "source", "kind")}
        return Triplet(prompt.caption, prompt.instruction, prompt.edited_caption, **about)

    def add(self, name: str, seed: int, facts: Mapping[str, Any], image: bytes | None = None, edited: bytes | None = None) -> None:
        """Keep a sample of a prompt that was begun: its facts, and its two encoded pictures if they are wanted. Raises DataError."""
        if (image is None) != (edited is None):
            raise DataError(f"Sample {seed} of {name} has one picture without the other: give both or none.")
        place = self._place(name)
        if self.finished(name) or not (place / PROMPT).is_file():
            raise DataError(
                f"{self.folder.name}/{name} is {'finished' if self.finished(name) else 'not begun'}: no sample can be added to it."
            )
        line = line_of(seed, {"seed": seed, **facts})
        if image is not None and edited is not None:
            write_pictures(place, seed, {"0": image, "1": edited})
        append(place / OPEN, line)

    def known(self, name: str) -> dict[int, dict[str, Any]]:
        """The facts of each sample by its seed, in the order in which they were added; the last word counts. Empty for no such prompt."""
        return {seed: facts for seed, _, facts in lines_of(self._lines(name))}

    def has_pictures(self, name: str, seed: int) -> bool:
        """Whether both pictures of a sample are there."""
        return all(picture_path(self._place(name), seed, half) for half in ("0", "1"))

    def finish(self, name: str) -> None:
        """Nothing more comes to a prompt. Raises DataError."""
        place = self._place(name)
        if self.finished(name):
            return
        mend_end(place / OPEN)
        with writing(place / METADATA):
            (place / OPEN).touch()
            (place / OPEN).replace(place / METADATA)
            beside(place / PROMPT).unlink(missing_ok=True)

    def finished(self, name: str) -> bool:
        """Whether a prompt was finished."""
        return (self._place(name) / METADATA).is_file()

    def records(self, name: str) -> Iterator[Record]:
        """The pairs of a prompt that have pictures, in the order in which they were added. Raises DataError."""
        for seed in self.known(name):
            if self.has_pictures(name, seed):
                yield self.record(name, seed)

    def record(self, name: str, seed: int) -> Record:
        """One pair. Raises DataError where a picture is missing."""
        place = self._place(name)
        return read_record(place, name, seed, read_prompt(place), self.known(name).get(seed, {}))

    def _place(self, name: str) -> Path:
        if not name or name != Path(name).name or name.startswith("."):
            raise DataError(f"{name!r} can't be the name of a prompt's folder: use letters and digits, such as 0000012.")
        return self.folder / name

    def _lines(self, name: str) -> Path:
        place = self._place(name)
        return place / METADATA if (place / METADATA).is_file() else place / OPEN
