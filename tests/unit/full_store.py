# ruff: noqa: T201
"""A writing run on a disk that refuses: `python full_store.py PLACE WHAT HOW`; what it was told, and how it ended, as a line of JSON.

HOW "full": PLACE is a file system of 400 kB, most of it taken, in a mount namespace of this process; "limit": files may have 6 kB at most
(RLIMIT_FSIZE). Then there is room again, and the run goes on. "locked": a folder that may not be written to. "unreadable": what linting and
converting say of a store of which a file, a folder and all may not be read.
"""

import functools
import json
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import killed_store
import store_sets as sets

from ip2p.data.convert import convert
from ip2p.data.example import DataError
from ip2p.data.lint import lint

COUNT = 24
SIZE, LIMIT = 400_000, 6_000
ROOM = {"parquet": 30_000}


def attempt(place, what):
    """What the run was told; "" where it ended."""
    try:
        killed_store.live(place, what, COUNT)
    except DataError as reason:
        return str(reason)
    return ""


def locked(what):
    """What a run is told in a folder of someone else's."""
    with tempfile.TemporaryDirectory() as place:
        Path(place).chmod(0o555)
        return as_nobody(functools.partial(tell_locked, Path(place) / "set", what))


def tell_locked(place, what, told):
    if os.geteuid() == 0:
        os.setuid(65534)
    os.write(told, attempt(place, what).encode())


def unreadable(what):
    """What linting and converting say of a store with a closed file or folder, and of a closed one."""
    with tempfile.TemporaryDirectory() as place:
        sets.write(Path(place) / "set", killed_store.pairs(COUNT), what)
        closed = sorted((Path(place) / "set").glob("00*" if what in ("authors", "plain") else "pairs-*"))[0]
        Path(place).chmod(0o777)
        for _ in range(2):  # loads what nobody may not, the second time for the index
            assert lint(str(Path(place) / "set")).clean
        convert(str(Path(place) / "set"), Path(place) / "whole", what)
        closed.chmod(0)
        inside = as_nobody(functools.partial(tell_unreadable, Path(place), what))
        closed.chmod(0o755)
        (Path(place) / "set").chmod(0)
        return [*inside, *as_nobody(functools.partial(tell_unreadable, Path(place), what))]


def as_nobody(act):
    """What an action tells, line by line, that may not read everything."""
    child, told = killed_store.in_a_child(act)
    with os.fdopen(told) as text:
        found = text.read().splitlines()
    os.waitpid(child, 0)
    return found


def tell_unreadable(place, what, told):
    if os.geteuid() == 0:
        os.setuid(65534)
    for act in (
        lambda: lint(str(place / "set")).clean,
        lambda: convert(str(place / "set"), place / f"out{os.getpid()}", what).counts.pairs,
    ):
        try:
            found = act()
        except DataError as reason:
            found = reason
        os.write(told, f"{found}\n".encode())


def main():
    place, what, how = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
    if what == "parquet":
        import pyarrow.parquet  # noqa: F401 (what it may write on loading isn't the test)
    if how in ("locked", "unreadable"):
        print(json.dumps({"told": locked(what) if how == "locked" else unreadable(what)}))
        return
    killed_store.live(place / "quiet", what, COUNT)
    disk = place / "disk"
    disk.mkdir()
    if how == "full":
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "none", disk], check=True)
        (disk / "ballast").write_bytes(bytes(SIZE - ROOM.get(what, 70_000)))
    if how == "limit":
        resource.setrlimit(resource.RLIMIT_FSIZE, (LIMIT, resource.RLIM_INFINITY))
    told, again = attempt(disk / "set", what), attempt(disk / "set", what)
    there = killed_store.found(disk / "set", what, COUNT)
    (disk / "ballast").unlink(missing_ok=True)
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    then = attempt(disk / "set", what)
    same = sets.tree(disk / "set") == sets.tree(place / "quiet")
    print(json.dumps({"told": told, "again": again, "then": then, "same": same, "there": there}))


if __name__ == "__main__":
    main()
