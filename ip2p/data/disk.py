"""Files that are whole or not there: written beside their place and renamed, with one sentence for each way a disk can refuse.

A process that is killed at any moment leaves at most a hidden `.NAME.part`, which the next writing of the same file replaces.
"""

import errno
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from .example import DataError

PART = ".part"
"""How the names of files that are being written end."""
BLOCK = 1 << 20
"""Bytes that are read at once."""
FULL = (errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC))
LOCKED = (errno.EROFS, errno.EACCES, errno.EPERM)


def refusal(path: Path, error: OSError) -> DataError:
    """Why a file can't be written, and what to do."""
    name = path.name
    if error.errno in FULL:
        why = "the file would be too large" if error.errno == errno.EFBIG else "the disk is full"
        return DataError(f"{name} can't be written, {why}: make room and run again; what was written before is whole and is kept.")
    if error.errno in LOCKED:
        return DataError(f"{path} can't be written ({error.strerror}): choose another folder, or change its permissions.")
    return DataError(f"{path} can't be written ({error.strerror or error}): check the disk, and run again.")


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turns what the disk refuses while `path` is written into a DataError."""
    try:
        yield
    except OSError as error:
        raise refusal(path, error) from error


def beside(path: Path) -> Path:
    """Where a file is written before it is renamed into its place."""
    return path.with_name(f".{path.name}{PART}")


def write_file(path: Path, data: bytes) -> None:
    """Put some bytes into a file, in its place whole or not at all. Raises DataError."""
    part = beside(path)
    with writing(path):
        try:
            part.write_bytes(data)
            part.replace(path)
        except OSError:
            with suppress(OSError):
                part.unlink(missing_ok=True)
            raise


def append(path: Path, data: bytes) -> int:
    """Put some bytes at the end of a file; returns its new size. A failure leaves the file as it was. Raises DataError."""
    with writing(path), path.open("ab") as file:
        before = file.seek(0, os.SEEK_END)
        try:
            file.write(data)
            file.flush()
        except OSError:
            with suppress(OSError):
                file.close()  # what the buffer still holds fails again
            with suppress(OSError):
                os.truncate(path, before)
            raise
        return before + len(data)


class Appender:
    """A file that grows at its end and is opened once. What a failure left of an addition is cut off again.

    `size`: how much of a file that is there already is kept (default: all). Raises DataError, also where it is shorter than that.
    """

    def __init__(self, path: Path, size: int | None = None) -> None:
        self.path = path
        with writing(path):
            self._file = path.open("ab", buffering=0)
            there = self._file.seek(0, os.SEEK_END)
            self.end = there if size is None else size
            if there < self.end:
                self._file.close()
                raise DataError(f"{path} has lost its end ({there:,} of {self.end:,} bytes): delete {path.parent.name}, and run again.")
            self._file.truncate(self.end)

    def add(self, *parts: bytes) -> int:
        """Put bytes at the end; returns the new size. Raises DataError."""
        data = b"".join(parts)
        rest = memoryview(data)
        with writing(self.path):
            try:
                while len(rest):
                    rest = rest[self._file.write(rest) or 0 :]
            except BaseException:
                with suppress(OSError):
                    self._file.truncate(self.end)
                raise
        self.end += len(data)
        return self.end

    def close(self) -> None:
        """The file is whole up to here; nothing more is added through this object."""
        self._file.close()


def make_folder(folder: Path) -> None:
    """A folder with its parents; one that is there is left alone. Raises DataError."""
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)


def whole_lines(path: Path) -> bytes:
    """The lines of a file that end with a newline; a last one that was torn is left out. b"" where there is no file. Raises DataError."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise unreadable(path, error) from error
    return data[: data.rfind(b"\n") + 1]


def mend_end(path: Path) -> None:
    """Cut a last line that was torn off a file of lines. Raises DataError."""
    whole = len(whole_lines(path))
    with writing(path):
        if path.is_file() and path.stat().st_size > whole:
            os.truncate(path, whole)


def read_file(path: Path) -> bytes:
    """The bytes of a file. Raises DataError."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise unreadable(path, error) from error


def unreadable(path: Path, error: OSError) -> DataError:
    """Why a file can't be read, and what to do."""
    return DataError(f"{path} can't be read ({error.strerror or error}): check the file and its permissions.")


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file in hexadecimal digits. Raises DataError."""
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while block := file.read(BLOCK):
                digest.update(block)
    except OSError as error:
        raise unreadable(path, error) from error
    return digest.hexdigest()


def same_settings(path: Path, settings: Any) -> None:
    """Keep the settings (JSON values) of a folder in a file, or compare them with those that are there.

    Raises DataError for other ones, naming the first that differs.
    """
    import json
    import uuid

    wanted = json.loads(json.dumps(settings))
    make_folder(path.parent)
    with writing(path):
        begun = path.is_file()
    if not begun:
        part = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}{PART}")  # several workers may begin at once
        with writing(path):
            part.write_bytes(json.dumps(wanted, indent=1).encode() + b"\n")
            with suppress(FileNotFoundError):  # another was faster, and has cleared this away: what it wrote is compared
                part.replace(path)
    for left in path.parent.glob(f".{path.name}.*{PART}"):
        with writing(left):
            left.unlink(missing_ok=True)
    try:
        found = json.loads(read_file(path))
    except ValueError as error:
        raise DataError(f"{path} is broken ({error}): delete it if the settings are the same as before, and run again.") from error
    if found != wanted:
        raise DataError(f"{path.parent.name} was begun with {difference(found, wanted)}: use the same settings, or another folder.")


def difference(found: Any, wanted: Any) -> str:
    """What is first different between two JSON values: "steps 30, not 20"."""
    if isinstance(found, dict) and isinstance(wanted, dict):
        name = next(name for name in (*found, *wanted) if found.get(name) != wanted.get(name) or (name in found) != (name in wanted))
        was, now = (repr(part[name]) if name in part else "nothing" for part in (found, wanted))
        return f"{name} {was}, not {now}"
    return f"{found!r}, not {wanted!r}"
