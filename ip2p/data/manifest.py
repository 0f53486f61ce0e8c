"""What a finished store says of itself: `manifest.json`, and `SHA256SUMS` in the format of the `sha256sum` tool.

Nothing in them tells of the time or the machine, so that the same pairs give the same files.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .disk import beside, read_file, sha256_of, unreadable, write_file, writing
from .example import DataError

MANIFEST, SUMS = "manifest.json", "SHA256SUMS"
SEEDS_RULE = (
    "What this pack draws for a pair comes from a hash of its triplet or photo and its number (ip2p/ids.py), never from order or time."
)


@dataclass
class Counts:
    """What is in a store, counted as it is written."""

    pairs: int = 0
    prompts: int = 0
    masks: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    _prompt: str | None = field(default=None, compare=False)

    @classmethod
    def of(cls, manifest: Mapping[str, Any]) -> "Counts":
        """What a manifest says."""
        numbers: dict[str, Any] = {name: int(manifest.get(name) or 0) for name in ("pairs", "prompts", "masks")}
        return cls(**numbers, rejected=Counter(manifest.get("rejected") or {}))

    def add(self, entry: Mapping[str, Any]) -> None:
        """One more pair or rejection, as the journal notes it."""
        if "rejected" in entry:
            self.rejected[entry["rejected"]] += entry["count"]
            return
        self.pairs += 1
        self.masks += bool(entry["mask"])
        self.prompts += entry["prompt"] != self._prompt
        self._prompt = entry["prompt"]


def finish_store(folder: Path, head: Mapping[str, Any], counts: Counts, sums: Iterable[tuple[str, str]]) -> None:
    """Write SHA256SUMS from (name, SHA-256), and the manifest last. Raises DataError."""
    path, digest, files = folder / SUMS, hashlib.sha256(), 0
    with writing(path):
        with beside(path).open("wb") as file:
            for name, found in sums:
                line = f"{found}  {name}\n".encode()
                file.write(line)
                digest.update(line)
                files += 1
        beside(path).replace(path)
    manifest = {
        **head,
        "pairs": counts.pairs,
        "prompts": counts.prompts,
        "masks": counts.masks,
        "rejected": dict(sorted(counts.rejected.items())),
        "seeds": SEEDS_RULE,
        "files": files,
        SUMS: digest.hexdigest(),
    }
    write_file(folder / MANIFEST, json.dumps(manifest, indent=1).encode() + b"\n")


def read_manifest(folder: Path) -> dict[str, Any] | None:
    """The manifest of a store; None where there is none. Raises DataError for a broken one."""
    path = folder / MANIFEST
    if not path.is_file():
        return None
    try:
        found = json.loads(read_file(path))
        if not isinstance(found, dict):
            raise ValueError("it is no object")
    except ValueError as error:
        raise DataError(f"{path} is broken ({error}): delete it, or get it again from where the data came from.") from error
    return found


def sums_of(folder: Path) -> Iterator[tuple[str, str]]:
    """(name, SHA-256) of each file that SHA256SUMS lists; nothing where there is none. Raises DataError for a broken line."""
    path = folder / SUMS
    if not path.is_file():
        return
    try:
        with path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, start=1):
                found, gap, name = line.rstrip("\n").partition("  ")
                if len(found) != 64 or not gap or not line.endswith("\n"):
                    raise DataError(f"{SUMS}, line {number}, is broken: get the file again, or delete it.")
                yield name, found
    except OSError as error:
        raise unreadable(path, error) from error


def verify(folder: Path, on_file: Callable[[int], None] | None = None) -> Iterator[tuple[str, str]]:
    """(name, "gone", "changed" or "unreadable_file") of each listed file that is not as it was. `on_file` is told how many were seen."""
    for number, (name, found) in enumerate(sums_of(folder), start=1):
        path = folder / name
        if not path.is_file():
            yield name, "gone"
        else:
            try:
                if sha256_of(path) != found:
                    yield name, "changed"
            except DataError:
                yield name, "unreadable_file"
        if on_file:
            on_file(number)
