# ruff: noqa: T201 - a command speaks to its user
"""Commands that save what they did when they are asked to stop."""

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

STOPPED = 130
"""The exit code of a command that was stopped and goes on when it is given again."""


@contextmanager
def stopping() -> Iterator[Callable[[], bool]]:
    """The first Ctrl-C, or a polite kill, asks the run to save and stop; the second ends it at once."""
    asked = False

    def ask(number: int, _: object) -> None:
        nonlocal asked
        asked = True
        signal.signal(number, before[signal.Signals(number)])
        print("\nSaving a checkpoint; once more ends at once.", file=sys.stderr)

    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number in before:
        signal.signal(number, ask)
    try:
        yield lambda: asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
