"""How far a stage is, by what its log says."""

import re
import time
from pathlib import Path

TAIL = 4096
"""Bytes at a log's end that are looked at."""
COUNT = re.compile(r"(\d[\d,]*) of (\d[\d,]*)")


class Progress:
    """A stage that began now, and whose log is at ``path``: the last "12 of 60" of it counts."""

    def __init__(self, path: Path) -> None:
        self.path, self.began = path, time.monotonic()
        self.first: tuple[float, int] | None = None

    def __str__(self) -> str:
        """ "12 of 60, 3.5 min left", or how long it has run where nothing can be counted."""
        counted = COUNT.findall(_tail(self.path))
        if not counted:
            return f"for {self.taken()}"
        now, (done, whole) = time.monotonic(), (int(number.replace(",", "")) for number in counted[-1])
        self.first = self.first or (now, done)
        since, before = self.first
        left = (now - since) / (done - before) * (whole - done) if done > before else None
        return f"{done} of {whole}" + (f", {_duration(left)} left" if left is not None else "")

    def taken(self) -> str:
        """The time since it began, in words."""
        return _duration(time.monotonic() - self.began)


def last_line(path: Path) -> str:
    """The last words of a log: why a stage failed."""
    lines = [line.strip() for line in _tail(path).splitlines() if line.strip()]
    return lines[-1] if lines else ""


def _tail(path: Path) -> str:
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - TAIL))
            return file.read().decode("utf-8", "replace")
    except OSError:
        return ""


def _duration(seconds: float) -> str:
    from ..training.preflight import duration

    return duration(seconds)
