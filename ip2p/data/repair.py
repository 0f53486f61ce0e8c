"""Mends a store in place. Nothing is deleted: what is taken out, and every list before it was changed, goes to `.set-aside` in it."""

import json
import os
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .authors import SEEDS, found_seeds
from .check import Fault
from .disk import beside, make_folder, read_file, sha256_of, write_file, writing
from .example import DataError
from .folder import METADATA as LINES
from .manifest import MANIFEST, SUMS, Counts, finish_store, read_manifest, sums_of
from .opening import PICTURES
from .prompt_folder import dumped
from .records import layout_of, makes
from .store_check import ASIDE, Finding, faults_of, is_whole, look, prompt_folders

SET_ASIDE = "set aside by lint"


@dataclass(frozen=True)
class Repaired:
    """What was found before, and how many files were set aside (copies of changed lists among them)."""

    faults: tuple[Fault, ...]
    aside: int


def repair(folder: Path, hashes: bool = True, on_step: Callable[[int], None] | None = None) -> Repaired:
    """Mend what `store_check.look` finds. Run again it finds nothing more to do. Raises DataError, also for an unfinished store."""
    if not folder.is_dir():
        raise DataError(f"{folder} is a single file: name its folder to repair it.")
    findings = list(look(folder, hashes, on_step))
    if any(finding.kind == "unfinished" and finding.where == folder.name for finding in findings):
        raise DataError(f"{folder.name} is unfinished, not broken: run the command that writes it again, and it goes on.")
    mender = _Mender(folder, findings)
    if any(finding.kind != "unfinished" for finding in findings):
        mender.mend(layout_of(folder))
    return Repaired(tuple(faults_of(iter(findings))), mender.aside)


class _Mender:
    def __init__(self, folder: Path, findings: Iterable[Finding]) -> None:
        self.folder, self.aside = folder, 0
        self.found: dict[str, list[str]] = defaultdict(list)
        for finding in findings:
            self.found[finding.kind].append(finding.where)

    def mend(self, layout: str) -> None:
        """Everything, the manifest last. Raises DataError."""
        for name in self.found["leftover"]:
            self.set_aside(self.folder / name)
        before = self._sums()
        if layout == "authors":
            self._authors()
        elif layout in ("webdataset", "parquet"):
            from .repair_shards import mend_files

            mend_files(self.folder, layout, set(self.found["changed"]), self.set_aside)
        elif layout == "plain" and (self.folder / LINES).is_file():
            self._lines()
        self._finish(before)

    def set_aside(self, path: Path) -> None:
        """Move a file or folder out of the store. Raises DataError."""
        target = self._target(path)
        with writing(target):
            path.replace(target)
        self.aside += 1

    def keep_copy(self, path: Path) -> None:
        """A copy of a list that is about to be changed. Raises DataError."""
        write_file(self._target(path), read_file(path))
        self.aside += 1

    def _target(self, path: Path) -> Path:
        target = self.folder / ASIDE / path.relative_to(self.folder)
        make_folder(target.parent)
        again = 1
        while target.exists():
            target, again = target.with_name(f"{path.name}.{again}"), again + 1
        return target

    def _authors(self) -> None:
        for name in self.found["prompt"]:
            if (self.folder / name).is_dir():
                self.set_aside(self.folder / name)
        spoilt = {name.rsplit("_", 1)[0] for name in self.found["changed"] if name.lower().endswith(PICTURES)}
        for pair in sorted({*self.found["half"], *spoilt}):
            name, _, seed = pair.partition("/")
            for path in sorted((self.folder / name).glob(f"{seed}_*")):
                self.set_aside(path)
        for torn in self.found["torn"]:
            if torn != SEEDS:
                self.keep_copy(self.folder / torn)
                _keep_lines(self.folder / torn, is_whole)
        if (self.folder / SEEDS).is_file() and any(
            self.found[kind] for kind in ("prompt", "half", "changed", "listed", "unlisted", "torn", "repeated_id", "gone")
        ):
            self._list_anew()

    def _list_anew(self) -> None:
        """Write seeds.json from what is there."""
        path, pairs = self.folder / SEEDS, 0
        self.keep_copy(path)
        with writing(path):
            with beside(path).open("wb") as file:
                for name in prompt_folders(self.folder):
                    if seeds := found_seeds(self.folder / name):
                        file.write((b",\n" if pairs else b"[\n") + dumped([name, seeds]))
                        pairs += len(seeds)
                file.write(b"\n]\n" if pairs else b"[]\n")
            beside(path).replace(path)

    def _lines(self) -> None:
        """Keep the lines of metadata.jsonl whose pairs are whole, unchanged and no repetition."""
        path, changed = self.folder / LINES, set(self.found["changed"])
        records, seen = makes(str(self.folder)), set()  # type: Iterator[Callable[[], object]], set[tuple[str, str]]

        def good(line: bytes) -> bool:
            if not line.strip():
                return False
            try:
                record = next(records)()
            except DataError:
                return False
            name = (record.prompt, record.sample)  # type: ignore[attr-defined]
            files = {value for value in json.loads(line.decode("utf-8-sig")).values() if isinstance(value, str)}
            fresh = name not in seen and not files & changed
            seen.add(name)
            return fresh

        self.keep_copy(path)
        _keep_lines(path, good)

    def _sums(self) -> dict[str, str]:
        """The hashes that were known; none where their list is broken."""
        try:
            return dict(sums_of(self.folder))
        except DataError:
            return {}

    def _finish(self, before: Mapping[str, str]) -> None:
        """Write the hashes and the manifest anew where the store had them."""
        there = [self.folder / name for name in (MANIFEST, SUMS) if (self.folder / name).is_file()]
        if not there:
            return
        try:
            manifest = read_manifest(self.folder) or {}
        except DataError:
            manifest = {}
        for path in there:
            self.keep_copy(path)
        counts = Counts(rejected=Counter(manifest.get("rejected") or {}))
        for make in makes(str(self.folder)):
            record = make()
            counts.add({"prompt": record.prompt, "mask": record.mask})
        if (lost := int(manifest.get("pairs") or counts.pairs) - counts.pairs) > 0:
            counts.rejected[SET_ASIDE] += lost
        head: dict[str, Any] = {name: manifest[name] for name in ("format", "layout", "settings", "shards") if name in manifest}
        known = {name: found for name, found in before.items() if name not in self.found["changed"] and name.lower().endswith(PICTURES)}
        finish_store(self.folder, head, counts, ((name, known.get(name) or sha256_of(self.folder / name)) for name in self._files()))

    def _files(self) -> Iterator[str]:
        """The names of all files of the store, sorted within each folder."""
        for place, folders, names in os.walk(self.folder):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            inner = Path(place).relative_to(self.folder)
            yield from ((inner / name).as_posix() for name in sorted(names) if not name.startswith(".") and name not in (MANIFEST, SUMS))


def _keep_lines(path: Path, good: Callable[[bytes], bool]) -> None:
    """Write a file of lines anew with those that are good. Raises DataError."""
    with writing(path):
        with path.open("rb") as file, beside(path).open("wb") as out:
            for line in file:
                if good(line):
                    out.write(line if line.endswith(b"\n") else line + b"\n")
        beside(path).replace(path)
