"""Who runs the stages: workers, processes of their own that take one stage after another, each on one thread of the processor.

One thread, because sums in another order would round otherwise: the same run gives the same report on any number of workers.
"""

import logging
import os
import random
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from ..data.disk import writing
from ..stopping import STOPPED
from . import places
from .config import load
from .marks import BEGUN, DONE, Marks
from .progress import Progress, last_line
from .workers import FAILED, REFUSED, Worker

log = logging.getLogger(__name__)

MOST = 8
"""Workers at most, unless told otherwise: the longest row of stages that wait for each other gives no work to more."""
POLL = 0.1
"""Seconds between two looks at the workers."""
PATIENCE = 10.0
"""Seconds that a worker has to end before it is asked again, or one without work is ended."""
TELL_EVERY = 30.0
"""Seconds between two words on how far they are."""
ASKED = (STOPPED, -signal.SIGTERM, -signal.SIGINT)
"""How a worker ends that was asked to stop, the last two before it listens."""


def alone(out: Path, name: str) -> None:
    """Run one stage in this process, on one thread. Raises ValueError where it must wait for others, or can't be done."""
    marks = Marks(out, load(out / places.CONFIG))
    marks.check()
    stage = marks.stage(name)
    if lacks := marks.lacks(name):
        raise ValueError(f"The stage {name} needs {lacks[0]}, which is not done: run that first, or all with `reproduce --out {out}`.")
    if marks.is_done(name):
        log.info("%s is done already; --again %s makes it anew.", name, name)
        return
    _settle()
    marks.write(name, BEGUN)
    stage.work(out, marks.config)
    marks.write(name, DONE)


def _settle() -> None:
    """One thread, and chance that no earlier stage of this process has touched."""
    import numpy as np
    import torch

    torch.set_num_threads(1)
    torch.manual_seed(0)
    np.random.seed(0)
    random.seed(0)


def run(marks: Marks, workers: int, should_stop: Callable[[], bool]) -> int:
    """Run all stages that are not done; returns 0, 1 where some failed, or 130 where they were stopped."""
    crew = _Crew(marks, workers)
    try:
        while crew.advance(should_stop()):
            time.sleep(POLL)
    finally:
        crew.end()
    for name, reason in crew.failed.items():
        log.error("%s failed: %s (its log: %s)", name, reason, crew.log_of(name))
    return 1 if crew.failed else STOPPED if marks.waiting() else 0


class _Crew:
    """The workers, what each does, and what failed."""

    def __init__(self, marks: Marks, most: int) -> None:
        self.marks, self.most = marks, most
        self.idle: list[Worker] = []
        self.busy: dict[str, Worker] = {}
        self.progress: dict[str, Progress] = {}
        self.failed: dict[str, str] = {}
        self.done = set(marks.stages) - set(marks.waiting())
        self.stopping, self.asked, self.told = False, 0.0, time.monotonic()

    def advance(self, stop: bool) -> bool:
        """With ``stop`` ask all to save and end; note what has ended and give out what can begin. False where nothing runs any more."""
        if stop:
            self._stop()
        for name, worker in list(self.busy.items()):
            code = worker.ended()
            if code is not None:
                self._ended(name, code)
        if not self.stopping:
            for name in [name for name in self.marks.stages if self._is_ready(name)][: self.most - len(self.busy)]:
                self._begin(name)
        self._tell()
        return bool(self.busy)

    def _stop(self) -> None:
        """Ask the workers to save and end; again now and then, since what is asked while Python clears up is lost."""
        if not self.stopping or time.monotonic() - self.asked > PATIENCE:
            self.stopping, self.asked = True, time.monotonic()
            for worker in self.busy.values():
                worker.stop()

    def _is_ready(self, name: str) -> bool:
        known = name in self.done or name in self.busy or name in self.failed
        return not known and self.done.issuperset(self.marks.stages[name].needs)

    def _begin(self, name: str) -> None:
        path = self.log_of(name)
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.unlink(missing_ok=True)
        self.idle = [worker for worker in self.idle if worker.is_alive()]
        worker = self.idle.pop() if self.idle else Worker(self.marks.out)
        worker.begin(name, path)
        self.busy[name], self.progress[name] = worker, Progress(path)
        log.info("%s: begun", name)

    def _ended(self, name: str, code: int) -> None:
        worker = self.busy.pop(name)
        if worker.is_alive():
            self.idle.append(worker)
        if code == 0:
            self.done.add(name)
            log.info("%s: done in %s (%d of %d stages)", name, self.progress[name].taken(), len(self.done), len(self.marks.stages))
        elif self.stopping and code in ASKED:
            log.info("%s: stopped", name)
        else:
            self.failed[name] = self._reason(name, code)
            log.error("%s: failed; the others go on", name)

    def _reason(self, name: str, code: int) -> str:
        """Why a stage failed: its log's last words, unless its process had no time for any."""
        if code not in (REFUSED, FAILED):
            return f"its process was ended by the system (code {code}, perhaps for want of memory)"
        return last_line(self.log_of(name)) or f"its process ended with {code}"

    def _tell(self) -> None:
        """Say now and then how far all are."""
        if time.monotonic() - self.told > TELL_EVERY:
            self.told = time.monotonic()
            for name in self.busy:
                log.info("%s: %s", name, self.progress[name])

    def end(self) -> None:
        """End all workers, the busy ones at once."""
        for worker in self.busy.values():
            worker.end()
        for worker in self.idle:
            worker.end(PATIENCE)

    def log_of(self, name: str) -> Path:
        """The log of a stage's latest beginning."""
        return self.marks.out / places.LOGS / f"{places.file_name(name)}.log"


def workers_here() -> int:
    """As many workers as there are processor cores for us, at most `MOST`."""
    with suppress(AttributeError):  # not on every system
        return min(MOST, len(os.sched_getaffinity(0)))
    return min(MOST, os.cpu_count() or 1)
