"""What is done of a run: a mark for each stage that has begun, which says what decided its result.

A run goes on only where the marks agree with its config, so that a result is never made of two.
"""

import errno
import json
import logging
import os
import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

from ..configs import read, to_table
from ..data.disk import unreadable, writing
from . import places
from .config import Config
from .stages import Stage, digests, stages

log = logging.getLogger(__name__)

BEGUN, DONE, AGAIN = "begun", "done", "again"
OTHER, TO_DO = "other", "to do"
"""What is said of a stage that was made with other settings, and of one that has not begun."""
TAKEN = (errno.EACCES, errno.EAGAIN, errno.EDEADLK)
"""How a system says that another process has the lock."""


@dataclass(frozen=True)
class Mark:
    """A stage that has begun, is done, or whose results are to be removed (``state``), and the digest of what decides them."""

    state: str
    digest: str


BROKEN = Mark(BEGUN, "")
"""What a file that can't be understood says: that something has begun, nobody knows with which settings."""


class Marks:
    """The marks of a run's folder under a config."""

    def __init__(self, out: Path, config: Config) -> None:
        self.out, self.config = out, config
        self.stages = stages(config)
        self.digests = digests(self.stages)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep other commands from the folder; the lock goes with this process, however it ends. Raises ValueError where one has it."""
        self._own()
        with writing(self.out):
            self.out.mkdir(parents=True, exist_ok=True)
            file = (self.out / places.LOCK).open("ab")
        with file:
            try:
                _lock(file)
            except OSError as error:
                if error.errno in TAKEN:
                    raise ValueError(f"Another command works on {self.out}: wait until it has ended, or stop it.") from error
                log.warning("%s can't be locked: let no other command work on it.", self.out)
            yield

    def begin(self, again: Iterable[str] = ()) -> None:
        """Make the folder ready: remove what is to be made ``again`` (stages, or the first part of their names) with all that follows, and
        keep the config. Raises ValueError where the folder is no run's, the run began with another config, or there is no such stage."""
        self._own()
        anew = self.following(again)
        self.check(anew)
        with writing(self.out):
            (self.out / places.STAGES).mkdir(parents=True, exist_ok=True)
        for name in anew:
            if self.mark(name):  # nothing is removed that no mark claims
                self.write(name, AGAIN)
        self.clear()
        _written(self.out / places.CONFIG, to_table(self.config))

    def _own(self) -> None:
        """Raise ValueError where the folder has other files than those of a run."""
        with writing(self.out):
            there = {path.name for path in self.out.iterdir()} if self.out.is_dir() else set()
        other = there - {places.LOCK}
        if other and places.STAGES not in there:
            raise ValueError(f"The folder {self.out} is no run's, for it has {min(other)}: name an empty or a new one with --out.")

    def check(self, besides: Iterable[str] = ()) -> None:
        """Raise ValueError where a stage has begun with other settings, unless it is among ``besides``, or where its mark is broken."""
        other = [name for name in self.stages if name not in besides and self.state(name) == OTHER]
        if other:
            again = " ".join(f"--again {name}" for name in self._firsts(other))
            broken = next((name for name in other if self.mark(name) == BROKEN), "")
            if broken:
                raise ValueError(f"The mark {self._place(broken)} is broken: give {again}, which makes the stage and all that follow anew.")
            raise ValueError(
                f"The run in {self.out} began with {self._difference()}: name another folder with --out, or give "
                f"{again}, which makes these stages and all that follow anew."
            )

    def _firsts(self, names: list[str]) -> list[str]:
        """So few of the names that all of them follow; the first part of one where no stage with the same has these settings."""
        firsts: list[str] = []
        while left := [name for name in names if name not in self.following(firsts)]:
            first = left[0].split("/")[0]
            family = {self.state(name) for name in self.stages if name.split("/")[0] == first}
            firsts.append(first if family <= {OTHER, TO_DO} else left[0])
        return firsts

    def _difference(self) -> str:
        """The first key of the config that is other than when the run began."""
        try:
            before = read(self.out / places.CONFIG)
        except ValueError:
            before = {}
        key, old, new = next(_differences(before, to_table(self.config)), ("", None, None))
        return f"{key} = {json.dumps(old)}, and now it is {json.dumps(new)}" if key else "an earlier version of the pack"

    def following(self, names: Iterable[str]) -> list[str]:
        """Those stages, all that need them, and all that leave their results in the same place. Raises ValueError."""
        found: set[str] = set()
        for name in names:
            family = [known for known in self.stages if known == name or known.startswith(f"{name}/")]
            if not family:
                firsts = ", ".join(dict.fromkeys(known.split("/")[0] for known in self.stages))
                raise ValueError(f"There is no stage {name!r}: use {firsts}, or the whole name of one, which --list tells.")
            found.update(family)
        while True:
            places_ = {place for name in found for place in self.stages[name].leaves}
            more = {
                name
                for name, stage in self.stages.items()
                if name not in found and (found & set(stage.needs) or places_ & set(stage.leaves))
            }
            if not more:
                return [name for name in self.stages if name in found]
            found |= more

    def clear(self) -> None:
        """Remove the results of stages that are to be made again, then their marks; killed midway it is done by the next run."""
        doomed = [name for name in self.stages if (mark := self.mark(name)) and mark.state == AGAIN]
        for name in doomed:
            for pattern in self.stages[name].leaves:
                for place in self.out.glob(pattern):
                    with writing(place):
                        shutil.rmtree(place) if place.is_dir() else place.unlink()
        for name in doomed:
            with writing(self._place(name)):
                self._place(name).unlink()

    def mark(self, name: str) -> Mark | None:
        """A stage's mark, or `BROKEN`; None where it has not begun. Raises DataError."""
        try:
            return Mark(**json.loads(self._place(name).read_text(encoding="utf-8")))
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise unreadable(self._place(name), error) from error
        except (ValueError, TypeError):
            return BROKEN

    def is_done(self, name: str) -> bool:
        """Whether a stage's results are there."""
        mark = self.mark(name)
        return mark is not None and mark == Mark(DONE, self.digests[name])

    def state(self, name: str) -> str:
        """How far a stage is: `DONE`, `BEGUN`, `OTHER` or `TO_DO`."""
        mark = self.mark(name)
        if mark is None or mark.state == AGAIN:
            return TO_DO
        return mark.state if mark.digest == self.digests[name] else OTHER

    def write(self, name: str, state: str) -> None:
        """Mark a stage."""
        digest = self.digests[name]
        _written(self._place(name), asdict(Mark(state, digest)))

    def waiting(self) -> list[str]:
        """The stages that are not done, each after those that it needs."""
        return [name for name in self.stages if not self.is_done(name)]

    def lacks(self, name: str) -> list[str]:
        """What a stage needs that is not done."""
        return [need for need in self.stages[name].needs if not self.is_done(need)]

    def stage(self, name: str) -> Stage:
        """A stage by its name. Raises ValueError."""
        if name not in self.stages:
            raise ValueError(f"There is no stage {name!r} in the run in {self.out}; --list tells their names.")
        return self.stages[name]

    def _place(self, name: str) -> Path:
        return self.out / places.STAGES / f"{places.file_name(name)}.json"


def _differences(old: Mapping[str, Any], new: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any, Any]]:
    for name, value in new.items():
        before = old.get(name)
        if isinstance(value, Mapping) and isinstance(before, Mapping):
            yield from _differences(before, value, f"{above}{name}.")
        elif value != before:
            yield f"{above}{name}", before, value


def _written(path: Path, value: Any) -> None:
    """Write JSON beside its place and rename it in when it is on the disk. Raises DataError."""
    part = path.with_name(f".{path.name}.part")
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with part.open("w", encoding="utf-8") as file:
            file.write(json.dumps(value, indent=1) + "\n")
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)


def _lock(file: IO[bytes]) -> None:
    """Lock a file for this process alone, at once or not at all. Raises OSError."""
    if sys.platform == "win32":
        import msvcrt

        file.seek(0)
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
