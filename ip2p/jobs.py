"""What one edit on the command line asks for, and files with one such job a line (JSON Lines)."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

REQUIRED = ("image", "instruction", "out")
KINDS: dict[str, tuple[type, ...]] = {  # a whole number will do for a scale; true and false are numbers nowhere
    "image": (str,),
    "instruction": (str,),
    "out": (str,),
    "negative": (str,),
    "steps": (int,),
    "seed": (int,),
    "text_scale": (int, float),
    "image_scale": (int, float),
    "speed": (str,),
    "isolate": (int, float),
    "mask": (str,),
    "size": (int,),
    "sampler": (str,),
}
SAID = {str: "a text", int: "a whole number", float: "a number"}


@dataclass(frozen=True)
class Job:
    """One edit: files and settings, None where the model decides. `where` begins its messages ("jobs.jsonl, line 3: ")."""

    image: Path
    instruction: str
    out: Path
    negative: str = ""
    steps: int | None = None
    seed: int = 0
    text_scale: float | None = None
    image_scale: float | None = None
    speed: str = "exact"
    isolate: float = 0.0
    mask: str = ""
    size: int = 0
    sampler: str = "euler_ancestral"
    auto_scales: bool = False
    where: str = ""

    def settings(self) -> dict[str, Any]:
        """The keyword arguments of `Editor.edit` besides picture, instruction and mask."""
        others = (*REQUIRED, "mask", "auto_scales", "where")
        return {field.name: getattr(self, field.name) for field in fields(self) if field.name not in others}

    def prepare(self) -> None:
        """Fail early, before a model is loaded: the picture exists, and the output has a known ending and a folder, made if need be."""
        from .pictures import picture_format

        picture_format(self.out)
        if not self.image.is_file():
            raise ValueError(f"There is no picture at {self.image}: check the name.")
        if self.mask and not Path(self.mask).is_file():
            raise ValueError(f"There is no mask at {self.mask}: check the name.")
        try:
            self.out.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ValueError(f"The folder {self.out.parent} can't be made ({error.strerror or error}): choose another place.") from error
        if not os.access(self.out.parent, os.W_OK):
            raise ValueError(f"The folder {self.out.parent} can't be written to: choose another place.")


def read_jobs(path: Path, defaults: Mapping[str, Any]) -> tuple[list[Job], list[str]]:
    """(jobs, one sentence for each bad line, which names it). Empty lines are passed over. Raises ValueError for an unusable file."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"The jobs in {path} can't be read ({getattr(error, 'strerror', None) or error}): give a text file.") from error
    jobs: list[Job] = []
    bad: list[str] = []
    taken: dict[Path, int] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        where = f"{path.name}, line {number}: "
        try:
            job = parse(line, defaults, where)
            first = taken.setdefault(job.out.resolve(), number)
            if first != number:
                raise ValueError(f"writes to {job.out} like line {first}; give each its own output.")
            jobs.append(job)
        except ValueError as error:
            bad.append(f"{where}{error}")
    if not jobs and not bad:
        raise ValueError(f"{path.name} has no jobs: write one JSON object a line with image, instruction and out.")
    return jobs, bad


def parse(line: str, defaults: Mapping[str, Any], where: str = "") -> Job:
    """One line's job. Names may be spelled with - or _. Raises ValueError for what is not a job, naming the cause."""
    try:
        given = json.loads(line)
    except json.JSONDecodeError as error:
        raise ValueError(f"is not JSON ({error.msg} at column {error.colno}); write one object a line.") from error
    if not isinstance(given, dict):
        raise ValueError("is not a JSON object; write one with image, instruction and out.")
    values = {name.replace("-", "_"): value for name, value in given.items()}
    if unknown := sorted(set(values) - set(KINDS)):
        raise ValueError(f"has the unknown name {unknown[0]!r}; use {', '.join(KINDS)}.")
    if missing := [name for name in REQUIRED if name not in values]:
        raise ValueError(f"lacks {', '.join(missing)}; every job names image, instruction and out.")
    for name, value in values.items():
        if isinstance(value, bool) or not isinstance(value, KINDS[name]):
            raise ValueError(f"has {value!r} for {name}; give {SAID[KINDS[name][-1]]}.")
    merged = {**defaults, **values}
    return Job(**{**merged, "image": Path(values["image"]), "out": Path(values["out"]), "where": where})
