"""Records from folders of picture files: the authors' layout, plain folders, and MagicBrush as it is unpacked."""

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from .authors import SEEDS, found_seeds
from .disk import PART, read_file
from .example import DataError
from .folder import METADATA as LINES
from .folder import NAMES, value_of
from .magicbrush import TURNS, home_of, load_json
from .plain import pairs_by_name
from .prompt_folder import METADATA, lines_of, read_prompt, read_record
from .read_shards import Make, failing, record_of
from .record import Record
from .write_shards import is_ours

CHUNK = 1 << 16
"""Characters of a list that are read at once."""


def pairs_of_authors(folder: Path) -> Iterator[Make]:
    """The pairs that seeds.json lists, in its order; without it those of all folders that have both pictures."""
    try:
        for name, seeds in entries(folder / SEEDS) if (folder / SEEDS).is_file() else _all_folders(folder):
            try:
                yield from _of_prompt(folder / name, seeds)
            except DataError as reason:
                yield failing(reason)
    except DataError as reason:
        yield failing(reason)


def entries(path: Path) -> Iterator[tuple[str, list[int]]]:
    """(folder, seeds) of each entry of a seeds.json, however long it is, in little memory. Raises DataError."""
    decoder, buffer, number = json.JSONDecoder(), "", 0
    try:
        with path.open(encoding="utf-8-sig") as file:
            buffer = file.read(CHUNK).lstrip()
            if not buffer.startswith("["):
                raise ValueError("it is no list")
            buffer = buffer[1:]
            while True:
                buffer = buffer.lstrip(" \r\n\t,")
                if buffer.startswith("]"):
                    return
                try:
                    entry, end = decoder.raw_decode(buffer)
                except ValueError:
                    if not (more := file.read(CHUNK)):
                        raise
                    buffer += more
                    continue
                yield str(entry[0]), [int(seed) for seed in entry[1]]
                buffer, number = buffer[end:], number + 1
    except (OSError, ValueError, TypeError, LookupError) as error:
        raise DataError(f"{path.name} is missing or broken after {number} entries ({error}): mend it with `lint --repair`.") from error


def _all_folders(folder: Path) -> Iterator[tuple[str, list[int]]]:
    with os.scandir(folder) as found:
        names = sorted(entry.name for entry in found if entry.is_dir() and not entry.name.startswith("."))
    return ((name, []) for name in names)


def _of_prompt(place: Path, seeds: list[int]) -> Iterator[Make]:
    """The pairs of one prompt; of all its seeds with both pictures where none are named, in the order of their lines. Raises DataError."""
    prompt = read_prompt(place)
    lines = place / METADATA if (place / METADATA).is_file() else place / f"{METADATA}{PART}"
    known: Mapping[int, tuple[str, dict[str, Any]]] = {seed: (sample, facts) for seed, sample, facts in lines_of(lines)}
    if not seeds:
        there = found_seeds(place)
        seeds = [*(seed for seed in known if seed in set(there)), *(seed for seed in there if seed not in known)]
    for seed in seeds:
        sample, facts = known.get(seed, (str(seed), {}))
        yield lambda seed=seed, sample=sample, facts=facts: read_record(  # type: ignore[misc]
            place, prompt.group or place.name, seed, prompt, facts, sample
        )


def pairs_of_plain(folder: Path) -> Iterator[Make]:
    """The lines of metadata.jsonl, or pictures that belong together by their names."""
    if not (folder / LINES).is_file():
        records = pairs_by_name(folder)
        for number in range(len(records)):
            yield lambda number=number: _named(folder, records.record(number))  # type: ignore[misc]
        return
    with (folder / LINES).open("rb") as file:
        for number, line in enumerate(file, start=1):
            if line.strip():
                yield lambda line=line, number=number: _lined(folder, line, number)  # type: ignore[misc]


def _lined(folder: Path, line: bytes, number: int) -> Record:
    where = f"{LINES}, line {number},"
    try:
        found: Any = json.loads(line.decode("utf-8-sig"))
        if not isinstance(found, dict):
            raise ValueError("it is no object")
    except ValueError as error:
        raise DataError(f"{where} is not a JSON object ({error}): mend the line, or take it out.") from error
    if is_ours(found):
        return record_of(found, **_pictures(folder, {name: str(found.get(name) or "") for name in ("image", "edited", "mask")}, where))
    texts = {name: value_of(found, name) for name in NAMES}
    texts["id"] = texts["id"] or f"{number:06d}"
    used = {name for part in ("image", "edited", "mask", "instruction", "caption", "edited_caption", "id") for name in NAMES[part]}
    return _plain(folder, texts, {name: value for name, value in found.items() if name not in used}, where)


def _named(folder: Path, texts: Mapping[str, str]) -> Record:
    return _plain(folder, texts, {}, f"{texts['id']}.txt")


def _plain(folder: Path, texts: Mapping[str, str], facts: Mapping[str, Any], where: str) -> Record:
    pictures = _pictures(folder, texts, where)
    words: dict[str, Any] = {name: texts[name] for name in ("caption", "instruction", "edited_caption")}
    return Record(prompt=texts["id"], sample="0", facts=facts, **words, **pictures)


def _pictures(folder: Path, files: Mapping[str, str], where: str) -> dict[str, Any]:
    """The bytes of the pictures that are named. Raises DataError where a half is not."""
    for name in ("image", "edited"):
        if not files[name]:
            raise DataError(f"{where} has no {name}: give every pair an image, an instruction and an edited picture.")
    found = {name: read_file(folder / files[name]) for name in ("image", "edited")}
    return {**found, "mask": read_file(folder / files["mask"]) if files.get("mask") else None}


def pairs_of_magicbrush(folder: Path) -> Iterator[Make]:
    """The turns of MagicBrush's unpacked set; all turns of a picture are of one prompt."""
    home = home_of(folder) or folder
    captions, local = (
        load_json(home / name) if (home / name).is_file() else {} for name in ("global_descriptions.json", "local_descriptions.json")
    )
    for number, turn in enumerate(load_json(home / TURNS, list)):
        yield lambda turn=turn, number=number: _turn(home, turn, f"{TURNS}, entry {number},", captions, local)  # type: ignore[misc]


def _turn(home: Path, turn: Mapping[str, Any], where: str, captions: Mapping[str, Any], local: Mapping[str, Any]) -> Record:
    files = {"image": str(turn.get("input") or ""), "edited": str(turn.get("output") or ""), "mask": str(turn.get("mask") or "")}
    image = files["image"].split("-")[0]
    said, shown = captions.get(image, {}), local.get(image, {})
    return Record(
        prompt=image,
        sample=files["edited"].rsplit(".", 1)[0],
        caption=str(said.get(files["image"]) or ""),
        instruction=str(turn.get("instruction") or ""),
        edited_caption=str(shown.get(files["edited"]) or said.get(files["edited"]) or ""),
        **_pictures(home / "images" / image, files, where),
    )
