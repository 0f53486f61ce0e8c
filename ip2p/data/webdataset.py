"""Webdataset shards as a training set: tar files whose members belong together by the name before the first dot.

Known names: KEY.original_image.jpg, .input.jpg, .0.jpg and so on, KEY.edited_image.jpg, .edited.jpg, .1.jpg and so on, or KEY_0.jpg and
KEY_1.jpg; the instruction in KEY.txt, KEY.edit_prompt.txt and so on, or under one of its names in KEY.json.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .example import DataError, Example, Open
from .folder import ENDS, NAMES, value_of
from .index_files import Arrays, Found, indexed
from .opening import PICTURES, file_key, picture_of, printable, shape_of
from .pairs import PairSet
from .shards import Member, members, read_at

PARTS = ("image", "edited", "text", "json")
TEXT = ("", *NAMES["instruction"])
JSON = ("", "json", "prompt", "metadata", "meta")
INDEX = "ip2p-shards"


def opened(shards: Sequence[Path], cache: Path | None = None) -> PairSet:
    """All samples of some shards, in the order of their names. Raises DataError where there is none."""
    shards = sorted(shards)
    arrays, skipped = indexed(INDEX, shards, cache, lambda: _found(shards))
    if not len(arrays["shard"]):
        told = f" ({skipped[0]})" if skipped else ""
        raise DataError(
            f"{shards[0].parent} has no pairs in its tar files{told}: name the members KEY.input.jpg, KEY.edited.jpg and KEY.txt."
        )
    index = _Index(shards, arrays)
    name = shards[0].name if len(shards) == 1 else shards[0].parent.name
    return PairSet(name, len(arrays["shard"]), lambda number: (index.example(number),), index.key, tuple(skipped))


def part_of(name: str) -> tuple[str, str] | None:
    """(key, one of PARTS) of a member's name; None for one of no use."""
    folder, slash, base = name.rpartition("/")
    stem, _, rest = base.partition(".")
    if not stem:
        return None
    *middle, kind = rest.lower().split(".")
    what = ".".join(middle)
    if f".{kind}" in PICTURES:
        for part in ("image", "edited"):
            end = next((end for end in ENDS[part] if stem.lower().endswith(end)), "") if not what else ""
            if what in NAMES[part] or what == ENDS[part][-1][1:] or end:
                return f"{folder}{slash}{stem[: len(stem) - len(end)]}", part
        return (f"{folder}{slash}{stem}", "image") if not what else None
    texts = {"txt": ("text", TEXT), "json": ("json", JSON)}
    if kind in texts and what in texts[kind][1]:
        return f"{folder}{slash}{stem}", texts[kind][0]
    return None


def _found(shards: Sequence[Path]) -> Found:
    """The places of all whole samples: `shard` (N,), `start` and `size` (N, 4) by PARTS, and their keys' bytes with each one's end."""
    rows: list[tuple[int, list[Member | None]]] = []
    keys: list[bytes] = []
    skipped: list[str] = []
    for number, path in enumerate(shards):
        try:
            inside, why = members(path)
        except DataError as reason:
            skipped.append(str(reason))
            continue
        whole, lacking = _samples(inside)
        skipped += [why] if why else []
        if lacking:
            shown = printable(lacking[0])
            skipped.append(f"{path.name}: {len(lacking)} samples lack a picture or an instruction, the first {shown}: add what is missing.")
        rows += [(number, [parts.get(part) for part in PARTS]) for parts in whole.values()]
        keys += [key.encode("utf-8", "surrogateescape") for key in whole]
    places = np.array([[(m.start, m.size) if m else (0, 0) for m in row] for _, row in rows], dtype=np.int64).reshape(-1, len(PARTS), 2)
    arrays: Arrays = {
        "shard": np.array([number for number, _ in rows], dtype=np.int32),
        "start": places[..., 0].copy(),
        "size": places[..., 1].copy(),
        "keys": np.frombuffer(b"".join(keys), dtype=np.uint8),
        "ends": np.cumsum([len(key) for key in keys], dtype=np.int64),
    }
    return arrays, skipped


def _samples(inside: Sequence[Member]) -> tuple[dict[str, dict[str, Member]], list[str]]:
    """(the parts of each key that has all, the keys that lack some)."""
    samples: dict[str, dict[str, Member]] = {}
    for member in inside:
        if (known := part_of(member.name)) and member.size:
            samples.setdefault(known[0], {}).setdefault(known[1], member)
    lacking = [key for key, parts in samples.items() if not {"image", "edited"} <= set(parts) or not {"text", "json"} & set(parts)]
    return {key: parts for key, parts in samples.items() if key not in set(lacking)}, lacking


class _Index:
    """Reads samples by number."""

    def __init__(self, shards: Sequence[Path], arrays: Arrays) -> None:
        self.shards, self.arrays = shards, arrays

    def key(self, number: int, pair: int) -> str:
        """The shard and the places of both pictures in it."""
        start, size = self.arrays["start"][number], self.arrays["size"][number]
        path = self._path(number)
        return f"{path}|{file_key(path)}|{start[0]}+{size[0]}|{start[1]}+{size[1]}"

    def example(self, number: int) -> Example:
        """The sample of a number. Raises DataError where its text can't be read."""
        name = f"{self._path(number).stem}/{self._name(number)}"
        told = self._json(number, name)
        text = self._read(number, "text", name).decode("utf-8-sig", "replace").strip()
        return Example(
            id=name,
            instruction=text or value_of(told, "instruction"),
            image=self._picture(number, "image", name),
            caption=value_of(told, "caption"),
            edited_caption=value_of(told, "edited_caption"),
            edited=self._picture(number, "edited", name),
            kind=value_of(told, "kind"),
            shape=lambda: shape_of(self._read(number, "image", name), name),
        )

    def _path(self, number: int) -> Path:
        return self.shards[int(self.arrays["shard"][number])]

    def _name(self, number: int) -> str:
        ends = self.arrays["ends"]
        start = int(ends[number - 1]) if number else 0
        return self.arrays["keys"][start : int(ends[number])].tobytes().decode("utf-8", "replace")

    def _read(self, number: int, part: str, name: str) -> bytes:
        column = PARTS.index(part)
        start, size = int(self.arrays["start"][number, column]), int(self.arrays["size"][number, column])
        return read_at(self._path(number), start, size, name) if size else b""

    def _json(self, number: int, name: str) -> dict[str, Any]:
        data = self._read(number, "json", name)
        try:
            told = json.loads(data.decode("utf-8-sig")) if data else {}
        except ValueError as error:
            raise DataError(f"The JSON of {name} is broken ({error}): mend it, or leave the sample out.") from error
        return told if isinstance(told, dict) else {}

    def _picture(self, number: int, part: str, name: str) -> Open:
        return lambda: picture_of(self._read(number, part, name), f"{name} ({part})")
