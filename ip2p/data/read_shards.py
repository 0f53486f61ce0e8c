"""Records from webdataset shards: those that our writer wrote, and those of others, as far as their names tell what is what."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from .example import DataError
from .folder import NAMES, value_of
from .opening import PICTURES, printable
from .prompt_folder import GROUP
from .record import Record
from .shards import Member, members, read_at
from .webdataset import part_of
from .write_shards import is_ours, told

Make = Callable[[], Record]
"""Reads one record. Raises DataError where it can't."""
TEXTS = ("caption", "edited_caption")


def pairs_of_shards(shards: Sequence[Path]) -> Iterator[Make]:
    """All pairs of some shards, shard by shard."""
    for shard in shards:
        yield from _pairs(shard)


def pairs_of_tar(path: Path) -> Iterator[Record]:
    """The pairs of a tar of ours that may lack its end. Raises DataError."""
    return (record_in(path, key, parts) for key, parts in grouped(members(path)[0]).items())


def _pairs(shard: Path) -> Iterator[Make]:
    try:
        inside, why = members(shard)
    except DataError as reason:
        yield failing(reason)
        return
    for key, parts in grouped(inside).items():
        yield lambda key=key, parts=parts: record_in(shard, key, parts)  # type: ignore[misc]
    if why:
        yield failing(DataError(why))


def failing(reason: DataError) -> Make:
    """A record that can't be read."""

    def make() -> Record:
        raise reason

    return make


def grouped(inside: Sequence[Member]) -> dict[str, dict[str, Member]]:
    """The members of each pair by what they are."""
    pairs: dict[str, dict[str, Member]] = {}
    for member in inside:
        if known := part_of(member.name) or _other(member.name):
            pairs.setdefault(known[0], {}).setdefault(known[1], member)
    return pairs


def _other(name: str) -> tuple[str, str] | None:
    """(key, what it is) of a mask or a caption; None for anything else."""
    folder, slash, base = name.rpartition("/")
    stem, _, rest = base.partition(".")
    what, _, kind = rest.lower().rpartition(".")
    if f".{kind}" in PICTURES and (what == "mask" or (not what and stem.lower().endswith("_mask"))):
        return f"{folder}{slash}{stem if what else stem[: -len('_mask')]}", "mask"
    if kind == "txt":
        return next(((f"{folder}{slash}{stem}", text) for text in TEXTS if what in NAMES[text]), None)
    return None


def record_in(shard: Path, key: str, parts: dict[str, Member]) -> Record:
    """The pair of a key. Raises DataError where it lacks a part."""
    where = f"{shard.stem}/{printable(key)}"

    def data(part: str) -> bytes:
        member = parts.get(part)
        return read_at(shard, member.start, member.size, where) if member else b""

    found = told(data("json"))
    lacks = next((part for part in ("image", "edited") if part not in parts), "")
    if lacks or not {"text", "json"} & set(parts):
        raise DataError(f"{where} lacks its {lacks or 'instruction'}: add it, or leave the pair out.")
    pictures: dict[str, Any] = {"image": data("image"), "edited": data("edited"), "mask": data("mask") or None}
    if is_ours(found):
        return record_of(found, **pictures)
    texts: dict[str, Any] = {part: data(part).decode("utf-8-sig", "replace").strip() or value_of(found, part) for part in TEXTS}
    instruction = data("text").decode("utf-8-sig", "replace").strip() or value_of(found, "instruction")
    used = {name for part in ("instruction", *TEXTS) for name in NAMES[part]}
    facts = {name: value for name, value in found.items() if name not in used}
    return Record(prompt=where, sample="0", instruction=instruction, facts=facts, **texts, **pictures)


def record_of(found: dict[str, Any], image: bytes, edited: bytes, mask: bytes | None) -> Record:
    """The record whose JSON was written by `told_of`."""
    texts = {name: str(found.get(name) or "") for name in ("caption", "instruction", "edited_caption")}
    return Record(prompt=found[GROUP], sample=found["sample"], image=image, edited=edited, mask=mask, facts=found["facts"], **texts)
