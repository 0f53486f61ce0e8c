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
    there, last = path.stat().st_size, 0
    if (plain := _plain_members(path, there)) is not None:
        return plain
    found: list[Member] = []
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
        return found, _shortened(path, found, error)
    return found, ""


def _plain_members(path: Path, there: int) -> tuple[list[Member], str] | None:
    """The same for a tar of ordinary files with short names that lacks at most its end, read ten times as fast; None for any other."""
    found: list[Member] = []
    place = 0
    try:
        with path.open("rb") as file:
            while place + BLOCK <= there:
                file.seek(place)
                head = file.read(BLOCK)
                if not any(head):
                    return found, ""
                name, size = head[:100].partition(b"\0")[0], int(head[124:136].strip(b" \0") or b"x", 8)
                plain = head[156:157] in (b"0", b"\0") and head[257:262] == b"ustar" and not head[345] and name[-1:] not in (b"", b"/")
                if not plain or sum(head) - sum(head[148:156]) + 8 * ord(" ") != int(head[148:156].strip(b" \0"), 8):
                    return None
                found.append(Member(name.decode("utf-8", "surrogateescape"), place + BLOCK, size))
                place += BLOCK + -(-size // BLOCK) * BLOCK
    except (OSError, ValueError):
        return None
    return (found, _shortened(path, found, "it lacks its end")) if found and place == there else None


def _shortened(path: Path, found: list[Member], why: object) -> str:
    return f"{path.name} is damaged after {len(found)} files ({why}): these are used; download it again for the rest."


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
