"""Killed, a full disk, a read-only folder: nothing is damaged, and the run goes on to the same bytes."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import killed_store
import pytest
import store_sets as sets

pytestmark = pytest.mark.whole
WHAT = ("authors", "webdataset", "parquet", "plain", "samples")
HERE = Path(__file__).resolve().parent
APART = ["unshare", "--user", "--map-root-user", "--mount"]
ENVIRONMENT = {**os.environ, "PYTHONPATH": f"{HERE.parents[1]}:{HERE}"}


def lives(folder, what, how, kills=0):
    command = [sys.executable, HERE / "killed_store.py", folder, what, how, str(kills)]
    return subprocess.run(command, capture_output=True, text=True, check=True, env=ENVIRONMENT).stdout.splitlines()


@pytest.mark.parametrize("what", WHAT)
def test_killed_twenty_times(tmp_path, what):
    """Each time at most the pair in work is lost, and the end is as if nothing had been."""
    told = [json.loads(line) for line in lives(tmp_path / "killed", what, "random", 20)]
    assert len(told) == 20
    for life in told:
        assert life["safe"][-1] <= life["found"] <= life["safe"][-1] + 1
    killed_store.live(tmp_path / "quiet", what, killed_store.COUNT)
    assert sets.tree(tmp_path / "killed") == sets.tree(tmp_path / "quiet")


@pytest.mark.parametrize("what", WHAT)
def test_killed_at_every_operation(tmp_path, what):
    """Wherever between two operations on files the blow falls, the next life ends it with the same bytes."""
    killed_store.live(tmp_path / "quiet", what, 6)
    (operations,) = map(int, lives(tmp_path / "killed", what, "everywhere"))
    assert operations > 15
    for number in range(operations + 1):
        assert sets.tree(tmp_path / "killed" / f"{number}") == sets.tree(tmp_path / "quiet"), f"killed at operation {number}"


def namespaces():
    """Whether anyone may mount a file system of their own here, as Linux allows unless it is forbidden."""
    return bool(shutil.which("unshare")) and subprocess.run([*APART, "true"], capture_output=True, check=False).returncode == 0


def refused(folder, what, how):
    """What a run was told by a disk that refuses, and how it went on."""
    command = [*(APART if how == "full" else []), sys.executable, str(HERE / "full_store.py"), str(folder), what, how]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=ENVIRONMENT)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


FULL = [("full", what) for what in WHAT if namespaces()]
LIMITED = [("limit", what) for what in WHAT if what != "samples"]


@pytest.mark.parametrize(("how", "what"), [*FULL, *LIMITED])
def test_no_room(tmp_path, how, what):
    """A file system of a few kilobytes, or files that may not grow. When there is room again it goes on to the same bytes."""
    run = refused(tmp_path, what, how)
    why = "the disk is full" if how == "full" else "the file would be too large"
    assert f"can't be written, {why}: make room and run again" in run["told"]
    assert why in run["again"]
    assert 0 < run["there"] < 24
    assert (run["then"], run["same"]) == ("", True)


@pytest.mark.parametrize("what", WHAT)
def test_a_folder_that_is_locked(tmp_path, what):
    (told,) = refused(tmp_path, what, "locked")["told"]
    assert "can't be written (Permission denied): choose another folder, or change its permissions." in told


@pytest.mark.parametrize("what", ["authors", "webdataset", "parquet", "plain"])
def test_data_that_may_not_be_read(tmp_path, what):
    """A closed part costs itself and is told; a closed store is refused in a sentence."""
    linted, pairs, *whole = refused(tmp_path, what, "unreadable")["told"]
    assert linted == "False" or "can't be read (Permission denied)" in linted
    assert (pairs.isdecimal() and int(pairs) < 24) or "can't be read" in pairs
    assert len(whole) == 2
    assert all("can't be read (Permission denied): check the file and its permissions." in told for told in whole)
