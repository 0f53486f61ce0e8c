"""Tar files read by place: one pass over the heads finds every member, after that each is one seek and one read."""

import tarfile
from dataclasses import dataclass
from pathlib import Path

from .example import DataError

BLOCK = 512
"""Bytes; a whole tar ends with two empty blocks."""


@dataclass(frozen=True)
class Member:
    """A file in a tar: its name (bytes that are no UTF-8 become surrogates), where its data starts, and how many bytes it has."""

    name: str
    start: int
    size: int


def members(path: Path) -> tuple[list[Member], str]:
    """The files whose data is all there, and why that is not all of the tar ("" if it is). Raises DataError for what is no tar."""
    found: list[Member] = []
    there, last = path.stat().st_size, 0
    try:
        with tarfile.open(path, "r:", errors="surrogateescape") as tar:
            for member in tar:
                tar.members = []  # type: ignore[attr-defined] # otherwise every head stays in memory
                last = member.offset_data + (member.size if member.isreg() else 0)
                if last > there:
                    raise tarfile.ReadError("it ends within a file")
                if member.isreg():
                    found.append(Member(member.name, member.offset_data, member.size))
        if last + BLOCK > there:
            raise tarfile.ReadError("it lacks its end")
    except (tarfile.TarError, OSError, EOFError) as error:
        if not found:
            raise DataError(f"{path.name} is no readable tar file ({error}): download it again, or make it with plain `tar`.") from error
        return found, f"{path.name} is damaged after {len(found)} files ({error}): these are used; download it again for the rest."
    return found, ""


def read_at(path: Path, start: int, size: int, where: str = "") -> bytes:
    """Some bytes of a file. Raises DataError where they are not there."""
    try:
        with path.open("rb") as file:
            file.seek(start)
            data = file.read(size)
    except OSError as error:
        raise DataError(f"{path} can't be read ({error.strerror or error}): check the disk and its permissions.") from error
    if len(data) < size:
        raise DataError(f"{path.name} ends within {where or 'a file'}: download it again.")
    return data
