"""One prompt's folder in the authors' layout: `prompt.json`, `metadata.jsonl` with a line for each seed, `{seed}_0.jpg`, `{seed}_1.jpg`.

Beyond the authors' own, a `{seed}_mask.png` may stand beside a pair, prompt.json may have any further keys, and the pictures any format.
"""

import json
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .disk import read_file, whole_lines, write_file
from .encoded import ending_of
from .example import DataError
from .folder import value_of
from .opening import PICTURES
from .record import PairError, Record

log = logging.getLogger(__name__)

PROMPT, METADATA = "prompt.json", "metadata.jsonl"
HALVES = ("0", "1", "mask")
WORDS = ("caption", "input", "instruction", "edit", "output", "edited_caption")
"""Keys of prompt.json that are its three texts."""
ABOUT = "prompt"
"""The fact of a record that holds what else its prompt.json says."""
GROUP = "group"
"""The key that names a record's prompt where the folder can't."""


@dataclass(frozen=True)
class Prompt:
    """The three texts of a prompt, and what else is known about it. `group` is its name where the folder has another."""

    caption: str
    instruction: str
    edited_caption: str
    about: Mapping[str, Any] = field(default_factory=dict)
    group: str = ""

    @classmethod
    def of(cls, record: Record) -> "Prompt":
        """The part of a record that all pairs of its prompt share."""
        return cls(record.caption, record.instruction, record.edited_caption, _about(record.facts))


def _about(facts: Mapping[str, Any]) -> Mapping[str, Any]:
    """What of a record's facts belongs into prompt.json."""
    about = facts.get(ABOUT)
    return about if isinstance(about, Mapping) and not {*WORDS, GROUP} & set(about) else {}


def write_prompt(folder: Path, prompt: Prompt) -> None:
    """Write prompt.json. Raises DataError."""
    texts = {"caption": prompt.caption, "edit": prompt.instruction, "output": prompt.edited_caption}
    write_file(folder / PROMPT, dumped({**texts, **({GROUP: prompt.group} if prompt.group else {}), **prompt.about}) + b"\n")


def read_prompt(folder: Path) -> Prompt:
    """What prompt.json says, with either spelling of its keys. Raises DataError where it is missing or broken."""
    data = read_file(folder / PROMPT)
    try:
        found: Any = json.loads(data.decode("utf-8-sig"))
        if not isinstance(found, dict):
            raise ValueError("it is no object")
    except ValueError as error:
        raise DataError(f"{folder.name}/{PROMPT} is broken ({error}): unpack or make the data again.") from error
    caption, output = str(found.get("caption") or found.get("input") or ""), str(found.get("output") or found.get("edited_caption") or "")
    about = {name: value for name, value in found.items() if name not in (*WORDS, GROUP)}
    return Prompt(caption, value_of(found, "instruction"), output, about, str(found.get(GROUP) or ""))


def dumped(value: Any) -> bytes:
    """A JSON value in one line. Raises PairError for what JSON can't hold."""
    try:
        return json.dumps(value, allow_nan=False).encode()
    except (TypeError, ValueError) as error:
        raise PairError(f"What is known about a pair can't be stored ({error}): use texts, finite numbers, lists and objects.") from error


def line_of(seed: int, facts: Mapping[str, Any], sample: str = "") -> bytes:
    """The line of metadata.jsonl: flat as the authors' where the facts name the seed themselves, else the facts apart."""
    named = {"sample": sample} if sample not in ("", str(seed)) else {}
    kept = {name: value for name, value in facts.items() if name != ABOUT or not _about(facts)}
    flat = not named and kept.get("seed") == seed and not {"facts", "sample"} & set(kept)
    return dumped(kept if flat else {"seed": seed, **named, "facts": kept}) + b"\n"


def lines_of(path: Path) -> Iterator[tuple[int, str, dict[str, Any]]]:
    """(seed, sample, facts) of each whole line of a metadata.jsonl. A torn or broken line is passed over and told to the log."""
    for number, line in enumerate(whole_lines(path).splitlines(), start=1):
        try:
            found = json.loads(line)
            seed = int(found["seed"])
        except (ValueError, KeyError, TypeError) as error:
            log.warning("%s/%s, line %d, is broken and is not used (%s).", path.parent.name, path.name, number, error)
            continue
        apart = isinstance(found.get("facts"), dict) and set(found) <= {"seed", "sample", "facts"}
        yield seed, str(found.get("sample", seed)) if apart else str(seed), found["facts"] if apart else found


def picture_path(folder: Path, seed: int | str, half: str) -> Path | None:
    """The file of a picture of a seed (`half` is one of HALVES), whatever its format; None where there is none."""
    return next((path for end in (".jpg", *PICTURES) if (path := folder / f"{seed}_{half}{end}").is_file()), None)


def write_pictures(folder: Path, seed: int, pictures: Mapping[str, bytes]) -> list[Path]:
    """Write encoded pictures by their half, each with the ending of its own bytes. Raises DataError."""
    paths = {half: folder / f"{seed}_{half}.{ending_of(data, f'{folder.name}/{seed}_{half}')}" for half, data in pictures.items()}
    for half, path in paths.items():
        write_file(path, pictures[half])
    return list(paths.values())


def read_record(folder: Path, name: str, seed: int, prompt: Prompt, facts: Mapping[str, Any], sample: str = "") -> Record:
    """The pair of a seed. Raises DataError where a half is missing."""
    data: dict[str, bytes | None] = {}
    for half in HALVES:
        path = picture_path(folder, seed, half)
        if path is None and half != "mask":
            raise DataError(f"{folder.name} lacks {seed}_{half}.jpg (or .png, .webp): add it, or take the pair out.")
        data[half] = read_file(path) if path else None
    about = {ABOUT: dict(prompt.about)} if prompt.about else {}
    return Record(
        prompt=name,
        sample=sample or str(seed),
        caption=prompt.caption,
        instruction=prompt.instruction,
        edited_caption=prompt.edited_caption,
        image=data["0"] or b"",
        edited=data["1"] or b"",
        mask=data["mask"],
        facts={**facts, **about},
    )
