"""A hundred thousand pairs are written, converted and read in the memory of a few."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ip2p.data.authors import SEEDS
from ip2p.data.read_folders import entries

HERE = Path(__file__).resolve().parent
COUNT, MEGABYTES = 100_000, 40


@pytest.mark.whole
def test_a_hundred_thousand_pairs(tmp_path):
    """The pairs themselves are 80 MB here, and would be 400 GB in earnest."""
    command = [sys.executable, HERE / "stream_store.py", tmp_path, str(COUNT)]
    paths = {**os.environ, "PYTHONPATH": f"{HERE.parents[1]}:{HERE}"}
    steps = json.loads(subprocess.run(command, capture_output=True, text=True, check=True, env=paths).stdout)
    assert {step["found"] for step in steps.values()} == {COUNT}
    assert sum(step["grown"] for step in steps.values()) < MEGABYTES, steps


@pytest.mark.parametrize("gap", [",", ",\n", " ,\n  "])
def test_a_list_of_any_length_is_read_bit_by_bit(tmp_path, gap):
    """seeds.json as the authors' tools write it, in one line, and as ours do."""
    wanted = [(f"{number:07d}", [number, 2**60 + number]) for number in range(9000)]
    (tmp_path / SEEDS).write_text("[" + gap.join(map(json.dumps, map(list, wanted))) + "]")
    assert (tmp_path / SEEDS).stat().st_size > 3 * (1 << 16)
    assert list(entries(tmp_path / SEEDS)) == wanted
