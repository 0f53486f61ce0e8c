"""`python -m ip2p reproduce`, whole: it learns, and killed anywhere and run again it gives the same report."""

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
PASS = 0.3
"""The share of samples that must pass the filter: of pictures that mind their captions by chance alone, an eighth did."""
DONE_MORE, LEARNT, NEARER = 0.2, 0.05, -0.05
"""What an edit's own instruction must gain over another task's: the share that is done, the CLIP direction as a cosine, and the distance to
the right answer as a mean difference of pixels in [0, 1]. By chance all are 0."""
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


def test_the_quick_reproduction_learns(tmp_path):
    out = tmp_path / "quick"
    assert begun(out, "--quick").wait(20 * MINUTES) == 0, said(out)
    claims = {claim["id"]: claim["estimate"] for claim in json.loads(report(out))["claims"]}
    assert claims["pairs-pass"] > PASS
    assert claims["learning-done"] > DONE_MORE
    assert claims["learning-direction"] > LEARNT
    assert claims["learning-distance"] < NEARER
    assert (out / "report.md").read_text().startswith("#")
