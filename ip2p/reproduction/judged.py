"""The judge's verdicts on all pictures of a reproduction: lines of JSON, a file for each task, with what CLIP said of the same pictures."""

import json
import logging
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from . import places
from .config import Config
from .edits import COLUMNS, SECOND, At, asked_of, jobs, read, settings_of

if TYPE_CHECKING:
    from .tasks import Chain, Task

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Row:
    """One picture: whose it is (`edits.Job`), which task and setting, and what was measured (cosines; mean difference 0 to 1; 0 or 1).

    Chains have a row for each edit that a stage's picture should show, at (stage, number of the edit from 1); ``done`` is of that edit
    alone, and ``kept`` says whether all else is as in the scene with those of the other edits that the picture seems to have.
    """

    name: str
    seed: int
    task: str
    kind: str
    at: At
    direction: float
    similarity: float
    distance: float
    second_direction: float
    second_similarity: float
    done: int
    kept: int

    @property
    def right(self) -> int:
        """Edited as asked, and all else kept."""
        return self.done * self.kept


def judged(out: Path, config: Config, shard: int) -> None:
    """Judge every ``shards``-th task's pictures, from number ``shard`` on; the files that are there are kept. Raises ValueError."""
    from .tasks import every

    mine = every(config)[shard :: config.evaluation.shards]
    folder = places.judged(out) / str(shard)
    folder.mkdir(parents=True, exist_ok=True)
    for number, task in enumerate(mine, start=1):
        path = folder / f"{task.id}.jsonl"
        if not path.is_file():
            part = path.with_name(f".{path.name}.part")
            part.write_text("".join(json.dumps(asdict(row)) + "\n" for row in _verdicts(out, config, task)), encoding="utf-8")
            part.replace(path)
        log.info("judged/%d: task %d of %d", shard, number, len(mine))


def rows(out: Path, config: Config) -> list[Row]:
    """All rows, in the order of their files' names. Raises ValueError where there are none, or one is broken."""
    shards = range(config.evaluation.shards)
    files = sorted(path for shard in shards for path in (places.judged(out) / str(shard)).glob("*.jsonl"))
    if not files:
        raise ValueError(f"There are no verdicts in {places.judged(out)}: run `python -m ip2p reproduce --out {out} --again judged`.")
    try:
        return [_row(line) for path in files for line in path.read_text(encoding="utf-8").splitlines()]
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError(
            f"A file of {places.judged(out)} is broken ({error}): run `python -m ip2p reproduce --out {out} --again judged`."
        ) from error


def _row(line: str) -> Row:
    found = json.loads(line)
    return Row(**{**found, "at": tuple(found["at"])})


def _verdicts(out: Path, config: Config, task: "Task | Chain") -> Iterator[Row]:
    """All rows of a task, job by job."""
    from .tasks import Chain

    for job in jobs(config):
        if any(task.id == other.id for other in asked_of(job.name, config)):
            found, settings = read(out, job.name, job.seed, task.id), settings_of(job.name, config)
            for at, picture, numbers in zip(settings, found.pictures / np.float32(255), found.numbers.tolist(), strict=True):
                of_clip = dict(zip((*COLUMNS, *SECOND), numbers, strict=True))
                for where, done, kept in of_chain(task, picture, at) if isinstance(task, Chain) else of_task(task, picture, at):
                    yield Row(job.name, job.seed, task.id, task.kind, where, **of_clip, done=int(done), kept=int(kept))


Verdict = tuple[At, bool, bool]
"""(setting, done, kept)."""


def of_task(task: "Task", picture: np.ndarray, at: At) -> list[Verdict]:
    """The one verdict on a picture (H, W, 3) in [0, 1] of a task."""
    from ..worlds.judge import judge

    verdict = judge(picture, task)
    return [(at, verdict.done, verdict.kept)]


def of_chain(chain: "Chain", picture: np.ndarray, at: At) -> list[Verdict]:
    """Is each edit of the stages so far there in a picture (H, W, 3) in [0, 1]?

    Each is judged in the scene with those of the others that the picture seems to have, since one that is missing would else hide it.
    """
    from ..worlds.judge import judge

    numbers = range(int(at[0]))
    made = _made(chain, picture, numbers)
    verdicts = [judge(picture, chain.task(number, made)) for number in numbers]
    return [((*at, number + 1), one.done, one.kept) for number, one in zip(numbers, verdicts, strict=True)]


def _made(chain: "Chain", picture: np.ndarray, numbers: Sequence[int]) -> tuple[int, ...]:
    """Those of some edits with which alone the scene is nearest to a picture."""
    from ..worlds.judge import COARSE, Features, features, fitted

    seen = Features(fitted(picture, COARSE))
    some = [chosen for count in range(len(numbers) + 1) for chosen in combinations(numbers, count)]
    return min(some, key=lambda chosen: float(seen.apart(features(chain.shown(chosen))).mean()))
