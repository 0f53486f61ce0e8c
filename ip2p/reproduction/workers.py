"""A worker: a process that runs stages one after another, so that it loads the libraries once."""

import logging
import os
import signal
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from ..data.disk import writing
from ..stopping import STOPPED

log = logging.getLogger(__name__)

REFUSED, FAILED = 2, 1


class Worker:
    """The parent's side of a worker for the run in a folder."""

    def __init__(self, out: Path) -> None:
        from torch import multiprocessing

        context = multiprocessing.get_context("spawn")
        self._line, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(out, theirs), daemon=True)
        self._process.start()
        theirs.close()

    def begin(self, name: str, path: Path) -> None:
        """Run a stage, its words in the log at ``path``."""
        with suppress(OSError):  # it died: `ended` tells
            self._line.send((name, path))

    def ended(self) -> int | None:
        """How the stage ended: 0 is well; None while it runs."""
        try:
            return int(self._line.recv()) if self._line.poll() else None
        except (EOFError, OSError):  # it died
            self._process.join()
            return self._process.exitcode or FAILED

    def is_alive(self) -> bool:
        """Whether it can take another stage."""
        return self._process.is_alive()

    def stop(self) -> None:
        """Ask it to save what it did, and end."""
        self._process.terminate()

    def end(self, patience: float = 0.0) -> None:
        """Let it go, and end it at once where it hasn't gone after so many seconds."""
        self._line.close()
        self._process.join(patience)
        self._process.kill()
        self._process.join()


def _serve(out: Path, line: Any) -> None:
    """The worker's side. It ends with its parent, and saves what it can when it is asked to stop."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes of a terminal: the parent decides
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    logging.basicConfig(stream=sys.stderr, format="%(message)s")
    logging.getLogger("ip2p").setLevel(logging.INFO)
    try:
        code = 0
        while code != STOPPED:
            name, path = line.recv()
            code = _done(out, name, path)
            line.send(code)
    except KeyboardInterrupt:
        sys.exit(STOPPED)
    except (EOFError, OSError):  # the parent let it go
        return


def _done(out: Path, name: str, path: Path) -> int:
    """Run a stage; why it failed is the last line of its log."""
    from .schedule import alone

    try:
        _tell_into(path)
        alone(out, name)
    except ValueError as error:
        log.error("%s", error, exc_info=error if not str(error) else None)
        return REFUSED
    except KeyboardInterrupt:
        return STOPPED
    except Exception:
        log.exception("%s:", name)
        return FAILED
    return 0


def _tell_into(path: Path) -> None:
    """Let all that is said here, also by libraries, go to a log. Streams are opened anew: one for a window of Windows would stay there."""
    with writing(path), path.open("w", encoding="utf-8") as file:
        for number in (1, 2):
            os.dup2(file.fileno(), number)
    sys.stdout, sys.stderr = (_stream(number) for number in (1, 2))
    for handler in logging.getLogger().handlers:
        if isinstance(handler, logging.StreamHandler):
            handler.setStream(sys.stderr)


def _stream(number: int) -> IO[str]:
    return open(number, "w", buffering=1, encoding="utf-8", errors="backslashreplace", closefd=False)


def _end_with_parent() -> None:
    """End at once when the parent does, however it does: two processes must not work on one stage."""
    from torch.multiprocessing import parent_process

    parent = parent_process()
    if parent:
        parent.join()
        os._exit(FAILED)
