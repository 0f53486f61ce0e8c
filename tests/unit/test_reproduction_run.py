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


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny run that nothing disturbs, by one worker."""
    out = tmp_path_factory.mktemp("undisturbed") / "run"
    assert begun(out, "--config", tiny(out.parent), "--workers", "1").wait(10 * MINUTES) == 0, said(out)
    return out


def test_a_run_that_is_killed_anywhere_gives_the_same_report(undisturbed, tmp_path):
    """By two workers, killed at random moments of all stages, politely and not; no process outlives its command."""
    chance, out = random.Random(7), tmp_path / "run"
    whole = len(Marks(undisturbed, load(undisturbed / places.CONFIG)).stages)
    options = ["--config", tiny(tmp_path), "--workers", "2"]
    for number in range(KILLS):
        command = begun(out, *options)
        until = (whole - 3) * (number + chance.random()) / KILLS
        while command.poll() is None and len(done(out)) < until:
            time.sleep(0.02)
        time.sleep(chance.random())
        ended(command, signal.SIGKILL if number % 2 else signal.SIGTERM, 2 * MINUTES)
        assert len(done(out)) < whole, "it was killed before the end"
    assert begun(out, *options).wait(10 * MINUTES) == 0, said(out)
    assert report(out) == report(undisturbed)
    assert (out / "report.md").read_bytes() == (undisturbed / "report.md").read_bytes()


def done(out: Path) -> list[Path]:
    """The marks of stages that are done, as they are seen from outside."""
    return [path for path in (out / places.STAGES).glob("*.json") if json.loads(path.read_text())["state"] == DONE]


def test_a_stage_alone_and_again_gives_the_same_report(undisturbed):
    before = report(undisturbed)
    assert begun(undisturbed, "--again", "editors/full/2", "--list").wait(MINUTES) == 0
    assert report(undisturbed) == before, "to list is to change nothing"
    assert begun(undisturbed, "--again", "editors/full/2", "--only", "editors/full/2").wait(5 * MINUTES) == 0, said(undisturbed)
    assert not (undisturbed / "report.json").exists()
    assert begun(undisturbed, "--workers", "3").wait(10 * MINUTES) == 0, said(undisturbed)
    assert report(undisturbed) == before
