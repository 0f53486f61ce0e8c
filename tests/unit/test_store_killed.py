"""Killed, a full disk, a read-only folder: nothing is damaged, and the run goes on to the same bytes."""

import json
import subprocess
import sys
from pathlib import Path

import killed_store
import pytest
import store_sets as sets

WHAT = ("authors", "webdataset", "parquet", "plain", "samples")
HERE = Path(__file__).resolve().parent


def lives(folder, what, how, kills=0):
    command = [sys.executable, HERE / "killed_store.py", folder, what, how, str(kills)]
    paths = {"PYTHONPATH": f"{HERE.parents[1]}:{HERE}", "PATH": "/usr/bin:/bin"}
    return subprocess.run(command, capture_output=True, text=True, check=True, env=paths).stdout.splitlines()


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
