"""Making pairs: the same bytes however a run is begun, ordered, stopped or shared out."""

import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pair_runs
import pytest
from pair_runs import TRIPLETS, files, made, plan

from ip2p.captions.triplet import Triplet
from ip2p.data.example import DataError
from ip2p.data.samples import Samples
from ip2p.pairs.draws import Settings, draw
from ip2p.pairs.early_stop import EarlyStop
from ip2p.pairs.loop import Watch, name_of, once


class StoppedError(Exception):
    """Raised in the midst of a run."""


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A plan, and what it gives when nobody interrupts it."""
    one = plan(tmp_path_factory.mktemp("whole"))
    tally, out = made(one)
    return one, tally, files(out)


def test_a_run_has_what_it_says(whole):
    one, tally, found = whole
    assert vars(tally) == {"prompts": 4, "before": 0, "samples": 16, "dropped": 0, "passes": 16 * 2 * 4}
    samples = Samples(one.out)
    assert samples.names() == sorted(name_of(triplet) for triplet in TRIPLETS)
    for triplet in TRIPLETS:
        name, expected = name_of(triplet), [draw(triplet, number, one.settings) for number in range(4)]
        assert samples.finished(name)
        assert samples.triplet(name) == triplet
        known = samples.known(name)
        assert list(known) == [sample.seed for sample in expected]
        for sample in expected:
            facts = known[sample.seed]
            assert (facts["number"], facts["p2p_threshold"], facts["cfg_scale"]) == (sample.number, sample.p, sample.guidance)
            assert all(-1 <= facts[name] <= 1 for name in ("clip_sim_0", "clip_sim_1", "clip_sim_dir", "clip_sim_image"))
            assert samples.has_pictures(name, sample.seed)
    assert len({data for name, data in found.items() if name.endswith(".png")}) > 16  # the pictures are not all one picture


def test_another_order_and_another_start_give_the_same_bytes(whole, tmp_path):
    one, _, found = whole
    made(one, TRIPLETS[2:], tmp_path / "other")
    tally, out = made(one, TRIPLETS[::-1], tmp_path / "other")
    assert (tally.before, tally.samples) == (2, 16)
    assert files(out) == found


@pytest.mark.whole
def test_a_run_stopped_after_any_sample_goes_on_to_the_same_bytes(whole, tmp_path):
    one, _, found = whole
    for kept in range(1, 6):
        left = [kept]

        def on_sample(_, left=left):
            left[0] -= 1
            if not left[0]:
                raise StoppedError

        with pytest.raises(StoppedError):
            made(one, out=tmp_path / str(kept), watch=Watch(on_sample=on_sample))
        assert len(list((tmp_path / str(kept)).rglob("*_0.png"))) == kept
        assert files(made(one, out=tmp_path / str(kept))[1]) == found


def test_a_run_cancelled_within_a_step_goes_on(whole, tmp_path):
    one, _, found = whole

    def on_step(done, total, _):
        raise StoppedError

    with pytest.raises(StoppedError):
        made(one, out=tmp_path / "run", watch=Watch(on_step=on_step))
    assert files(made(one, out=tmp_path / "run")[1]) == found


@pytest.mark.whole
def test_a_killed_process_loses_at_most_the_sample_in_work(whole, tmp_path):
    """SIGKILL, wherever it hits: what has a line is whole, and going on gives the same bytes."""
    _, _, found = whole
    there = plan(tmp_path)
    root = str(Path(pair_runs.__file__).parents[2])
    process = subprocess.Popen([sys.executable, pair_runs.__file__, str(tmp_path)], env={**os.environ, "PYTHONPATH": root})
    while process.poll() is None and len(list(there.out.rglob("*_1.png"))) < 5:
        time.sleep(0.005)
    process.kill()
    assert process.wait() == -9
    samples = Samples(there.out)
    lines = {(name, seed) for name in samples.names() for seed in samples.known(name)}
    assert 4 <= len(lines) < 16
    assert all(samples.has_pictures(name, seed) for name, seed in lines)
    assert files(made(there)[1]) == found


def test_the_company_of_a_sample_decides_its_rounding_and_so_is_a_setting(whole, tmp_path):
    one, _, _ = whole
    with pytest.raises(DataError, match="settings"):
        made(replace(one, settings=replace(one.settings, batch=3)))
    with pytest.raises(DataError, match="settings"):
        made(replace(one, settings=replace(one.settings, steps=3)))


def test_an_early_stop_drops_midway_and_counts_its_passes(tmp_path):
    """Random networks make no pair that passes, so that all go midway: half the passes."""
    one = plan(tmp_path, Settings(samples=3, steps=4, batch=2), EarlyStop(at=0.5, slack=0.0))
    tally, out = made(one, TRIPLETS[:2])
    assert vars(tally) == {"prompts": 2, "before": 0, "samples": 6, "dropped": 6, "passes": 6 * 2 * 4}
    assert not list(out.rglob("*.png"))
    line = json.loads((out / name_of(TRIPLETS[0]) / "metadata.jsonl").read_text().splitlines()[0])
    assert line["dropped"].startswith("hopeless midway: ")
    assert line["passes"] == 8
    assert "clip_sim_dir" not in line


@pytest.mark.whole
def test_a_prompt_ends_with_enough_good_pairs_and_so_does_a_resumed_one(tmp_path):
    from ip2p.pairs.thresholds import Rules, Thresholds

    anything = Rules(Thresholds(-1, -1, -1, -1))
    one = plan(tmp_path, Settings(samples=9, steps=2, batch=2), EarlyStop(anything, enough=3, margin=0.0))
    tally, out = made(one, TRIPLETS[:1])
    assert 4 <= tally.samples <= 6  # whole groups, and duplicates don't count
    found = files(out)
    for kept in range(1, 5):
        left = [kept]

        def on_sample(_, left=left):
            left[0] -= 1
            if not left[0]:
                raise StoppedError

        with pytest.raises(StoppedError):
            made(one, TRIPLETS[:1], tmp_path / str(kept), Watch(on_sample=on_sample))
        assert files(made(one, TRIPLETS[:1], tmp_path / str(kept))[1]) == found


def test_a_triplet_whose_id_stands_for_other_words_gets_its_own():
    first, other = Triplet("a cat", "make it a dog", "a dog", id="1"), Triplet("a cat", "make it a bird", "a bird", id="1")
    assert once([first, other, replace(first, kind="replace"), other]) == [first, replace(other, id="")]


def test_a_finished_prompt_of_other_words_is_refused(whole, tmp_path):
    one = replace(whole[0], out=tmp_path / "run", settings=replace(whole[0].settings, samples=1))
    named = replace(TRIPLETS[0], id="1")
    made(one, [named])
    with pytest.raises(DataError, match="1 was begun with another triplet: give each its own id"):
        made(one, [replace(TRIPLETS[1], id="1")])
