"""`python -m ip2p reproduce`, whole: killed anywhere and run again it gives the same report."""

import json
import random
import signal
import time
from pathlib import Path

import pytest
from reproductions import begun, ended, said, tiny

from ip2p.reproduction import places
from ip2p.reproduction.config import load
from ip2p.reproduction.marks import DONE, Marks

MINUTES = 60.0
KILLS = 4
pytestmark = pytest.mark.whole


def report(out: Path) -> bytes:
    return (out / "report.json").read_bytes()


def finished(out: Path, *options: object) -> None:
    """Run the command to its end."""
    assert begun(out, *options).wait(10 * MINUTES) == 0, said(out)


def test_a_run_that_is_killed_anywhere_gives_the_same_report(tmp_path):
    """By two workers, killed at random moments of all stages; no process outlives its command. Then with a stage made again."""
    undisturbed, out = tmp_path / "undisturbed", tmp_path / "run"
    finished(undisturbed, "--config", tiny(tmp_path), "--workers", "1")
    killed(out, len(Marks(undisturbed, load(undisturbed / places.CONFIG)).stages))
    finished(out)
    assert report(out) == report(undisturbed)
    assert (out / "report.md").read_bytes() == (undisturbed / "report.md").read_bytes()
    finished(out, "--again", "editors/full/2", "--list")
    assert report(out) == report(undisturbed), "to list is to change nothing"
    finished(out, "--again", "editors/full/2", "--only", "editors/full/2")
    assert not (out / "report.json").exists()
    finished(out, "--workers", "3")
    assert report(out) == report(undisturbed)


def killed(out: Path, whole: int) -> None:
    """A run that is begun and killed several times, before the end of its stages."""
    chance = random.Random(7)
    for number in range(KILLS):
        command = begun(out, "--config", tiny(out.parent), "--workers", "2")
        until = (whole - 3) * (number + chance.random()) / KILLS
        while command.poll() is None and len(done(out)) < until:
            time.sleep(0.02)
        time.sleep(chance.random())
        ended(command, signal.SIGKILL if number % 2 else signal.SIGTERM, 2 * MINUTES)
        assert len(done(out)) < whole, "it was killed before the end"


def done(out: Path) -> list[Path]:
    """The marks of stages that are done, as they are seen from outside."""
    return [path for path in (out / places.STAGES).glob("*.json") if json.loads(path.read_text())["state"] == DONE]
