"""Pairs on Ray: several local workers, one of them killed, give the same bytes as one process."""

import os
import signal
import sys
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
import ray
from pair_runs import TRIPLETS, files, made, plan

from ip2p.captions.triplet import Triplet
from ip2p.data.example import DataError
from ip2p.pairs import ray_run
from ip2p.pairs.build import build
from ip2p.pairs.draws import Settings

MORE = [Triplet(f"{number} balls in a forest", "make it winter", f"{number} balls in a forest in winter") for number in range(8)]


@pytest.fixture(autouse=True)
def _workers_find_the_pack(monkeypatch):
    root = str(Path(__file__).resolve().parents[2])
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([root, *filter(None, [os.environ.get("PYTHONPATH")])]))


def workers():
    """The processes of Ray's actors that hold our models."""
    found = psutil.Process().children(recursive=True)
    return [one for one in found if "Worker" in " ".join(one.cmdline()[:1]) and one.cmdline()[0].startswith("ray::")]


@pytest.mark.whole
def test_workers_of_which_one_is_killed_give_the_bytes_of_one_process(tmp_path):
    one = plan(tmp_path, Settings(samples=4, steps=4, batch=2))
    triplets = [*TRIPLETS, *MORE]
    found = files(made(one, triplets)[1])
    there = replace(one, out=tmp_path / "ray")
    killed = []

    def on_prompt(name, tally):
        if not killed and (living := workers()):
            living[0].send_signal(signal.SIGKILL)
            killed.append(living[0].pid)

    tally = ray_run.run(triplets, there, build(there)[1], ray_run.Cluster(2), on_prompt)
    assert killed
    assert (tally.prompts, tally.samples, tally.passes) == (12, 48, 48 * 4 * 4)
    assert files(there.out) == found
    assert not ray.is_initialized()


@pytest.mark.whole
def test_a_folder_of_another_run_is_refused_before_any_work(tmp_path):
    one = plan(tmp_path, Settings(samples=1, steps=1, batch=1))
    made(one, TRIPLETS[:1])
    other = replace(one, settings=Settings(samples=1, steps=2, batch=1))
    with pytest.raises(DataError, match="settings"):
        ray_run.run(TRIPLETS, other, build(other)[1], ray_run.Cluster(2))


def test_no_worker_is_a_mistake():
    with pytest.raises(ValueError, match="at least 1"):
        ray_run.Cluster(0)


def test_a_missing_ray_is_told_with_its_cure(tmp_path, monkeypatch):
    one = plan(tmp_path, Settings(samples=1, steps=1, batch=1))
    monkeypatch.setitem(sys.modules, "ray", None)  # what Python takes for a module that can't be imported
    with pytest.raises(ValueError, match="pip install"):
        ray_run.run(TRIPLETS, one, build(one)[1], ray_run.Cluster(2))
