"""What is done of a run: a mark for each stage that has begun, which says what decided its result.

A run goes on only where the marks agree with its config, so that a result is never made of two.
"""

import json
import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..configs import read, to_table
from . import places
from .config import Config
from .stages import Stage, digests, stages

BEGUN, DONE, AGAIN = "begun", "done", "again"


@dataclass(frozen=True)
class Mark:
    """A stage that has begun, is done, or whose results are to be removed (``state``), and the digest of what decides them."""

    state: str
    digest: str


class Marks:
    """The marks of a run's folder under a config."""

    def __init__(self, out: Path, config: Config) -> None:
        self.out, self.config = out, config
        self.stages = stages(config)
        self.digests = digests(self.stages)

    def begin(self, again: Iterable[str] = ()) -> None:
        """Make the folder ready: remove what is to be made ``again`` (stages, or the first part of their names) with all that follows, and
        keep the config. Raises ValueError where the run began with another config, or there is no such stage."""
        anew = self.following(again)
        self.check(anew)
        for name in anew:
            self.write(name, AGAIN)
        self.clear()
        _written(self.out / places.CONFIG, to_table(self.config))

    def check(self, besides: Iterable[str] = ()) -> None:
        """Raise ValueError where a stage has begun with other settings, unless it is among ``besides``."""
        kept = [name for name in self.stages if name not in besides and (mark := self.mark(name)) and mark.state != AGAIN]
        other = [name for name in kept if (mark := self.mark(name)) and mark.digest != self.digests[name]]
        if other:
            raise ValueError(
                f"The run in {self.out} began with {self._difference()}: name another folder with --out, or give "
                f"{' '.join(f'--again {name}' for name in self._firsts(other))}, which makes these stages and all that follow anew."
            )

    def _firsts(self, names: list[str]) -> list[str]:
        """The first parts of names, so few that all of them follow."""
        firsts: list[str] = []
        while left := [name for name in names if name not in self.following(firsts)]:
            firsts.append(left[0].split("/")[0])
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
                    shutil.rmtree(place) if place.is_dir() else place.unlink()
        for name in doomed:
            self._place(name).unlink()

    def mark(self, name: str) -> Mark | None:
        """A stage's mark; None where it has not begun."""
        try:
            return Mark(**json.loads(self._place(name).read_text(encoding="utf-8")))
        except FileNotFoundError:
            return None

    def is_done(self, name: str) -> bool:
        """Whether a stage's results are there."""
        mark = self.mark(name)
        return mark is not None and mark == Mark(DONE, self.digests[name])

    def state(self, name: str) -> str:
        """How far a stage is: `DONE`, `BEGUN` or "to do"."""
        mark = self.mark(name)
        return mark.state if mark and mark.state != AGAIN else "to do"

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
    """Write JSON beside its place and rename it in."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    part.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")
    part.replace(path)
