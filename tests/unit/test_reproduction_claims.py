"""From verdicts to claims: measurements that are made up, so that what must be found in them is known."""

import json
import math
from dataclasses import asdict, replace

import numpy as np
import pytest

from ip2p.evaluation.intervals import Mean
from ip2p.reproduction import agreement, claims, estimates, judged, places
from ip2p.reproduction.blocks import blocks, estimated, share
from ip2p.reproduction.claim import POINTS, Claim
from ip2p.reproduction.config import Config, Editors, Evaluation
from ip2p.reproduction.edits import ANCHORS, jobs, settings_of
from ip2p.reproduction.judged import Row

CONFIG = Config(
    editors=Editors(seeds=(1, 2, 3)), evaluation=Evaluation(tasks=18, limits=14, chains=6, grid_tasks=9, image_scales=(1.0, 1.6, 2.2))
)
BASE = {"direction": 0.2, "similarity": 0.8, "distance": 0.05, "second_direction": 0.2, "second_similarity": 0.8, "done": 1, "kept": 1}


def row(name, seed, task, at, kind="time", **numbers):
    return Row(name, seed, task, kind, at, **{**BASE, **numbers})


def curve(name, points, spread=0.0, seeds=(1, 2, 3), tasks=12):
    """Rows of a curve through points (direction, similarity), each task off it by chance."""
    rng = np.random.default_rng(0)
    return [
        row(name, seed, f"time-{task}", (7.5, float(place)), direction=x + rng.normal(0, spread), similarity=y + rng.normal(0, spread))
        for seed in seeds
        for task in range(tasks)
        for place, (x, y) in enumerate(points)
    ]


def test_a_curve_above_another_is_above_it_by_their_distance_whatever_their_settings_are():
    found = blocks([*curve("full", [(0.0, 0.9), (0.1, 0.85), (0.4, 0.7)]), *curve("sdedit", [(0.3, 0.65), (0.1, 0.75), (-0.2, 0.9)])])
    above = estimated(estimates.gap("direction", "similarity"), found["full"], found["sdedit"])
    assert above.value == pytest.approx(0.1, abs=1e-6)
    assert estimates.gap("direction", "similarity")(found["sdedit"], found["full"]) == pytest.approx(-0.1, abs=1e-6)


def test_a_curve_that_turns_back_counts_by_the_most_that_it_reaches():
    """More strength that gives less of both is a setting nobody would take."""
    one, other = [(0.0, 0.9), (0.4, 0.7), (0.2, 0.3)], [(0.0, 0.9), (0.4, 0.7)]
    found = blocks([*curve("full", one), *curve("sdedit", other)])
    assert estimates.gap("direction", "similarity")(found["full"], found["sdedit"]) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("swap", [False, True])
def test_a_curve_does_not_win_by_doing_less_than_the_other_ever_does(swap):
    """Else an editor that does nothing would be above every other."""
    points = [(0.01, 0.99), (0.02, 0.99)], [(0.2, 0.9), (0.6, 0.5)]
    found = blocks([*curve("full", points[swap]), *curve("sdedit", points[not swap])])
    apart = estimated(estimates.gap("direction", "similarity"), found["full"], found["sdedit"])
    assert math.isnan(apart.value)
    assert CLAIM.verdict(apart) == "cannot be told"


def test_a_curve_that_does_more_of_both_is_above_one_that_it_never_meets():
    found = blocks([*curve("full", [(0.5, 0.9), (0.6, 0.8)]), *curve("sdedit", [(0.0, 0.8), (0.2, 0.7)])])
    above = estimates.gap("direction", "similarity")
    assert above(found["full"], found["sdedit"]) == pytest.approx(0.2, abs=1e-6)
    assert above(found["sdedit"], found["full"]) == pytest.approx(-0.2, abs=1e-6)


def test_blocks_refuse_verdicts_that_are_not_whole():
    with pytest.raises(ValueError, match="Verdicts of 'full' are missing"):
        blocks(curve("full", [(0.1, 0.9)])[:-1])


def test_a_share_of_nothing_has_the_interval_of_the_tasks_and_not_of_their_repetitions():
    rows = [row("limits", seed, f"zoom-{task}", (7.5, 1.0), "zoom", done=0) for seed in (1, 2, 3) for task in range(12)]
    found = share(blocks(rows)["limits"], "done")
    assert (found.value, found.low) == (0, 0)
    assert found.high == pytest.approx(0.2425, abs=1e-3)


def test_a_share_that_differs_between_tasks_only_is_as_wide_as_theirs():
    rows = [row("full", seed, f"a-{task}", (7.5, 1.0), done=task % 2) for seed in (1, 2, 3) for task in range(40)]
    low, high = (lambda mean: (mean.low, mean.high))(share(blocks(rows)["full"], "done"))
    assert high - low == pytest.approx(0.30, abs=0.02)  # Wilson's of 20 in 40 is .2957, that of 60 in 120 .1767


CLAIM = Claim("x", "8", "4.1", "the paper's words", "a statement", POINTS, (), lambda blocks: Mean(0, 0, 0, 1))


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (0.01, 0.2, "reproduced"),
        (-0.2, 0.01, "not reproduced"),
        (-0.2, 0.2, "cannot be told"),
        (-math.inf, math.inf, "cannot be told"),
        (0.0, 0.0, "cannot be told"),
    ],
)
def test_the_verdict_needs_the_whole_interval(low, high, verdict):
    found = Mean((low + high) / 2 if math.isfinite(low) else 0.0, low, high, 9)
    assert CLAIM.verdict(found) == verdict
    assert replace(CLAIM, below=True).verdict(Mean(-found.value, -found.high, -found.low, 9)) == verdict
    assert replace(CLAIM, null=0.5).verdict(Mean(found.value + 0.5, found.low + 0.5, found.high + 0.5, 9)) == verdict
    assert replace(CLAIM, paper="").verdict(found) == "measured"


def test_what_is_no_number_cannot_be_told():
    assert CLAIM.verdict(Mean(math.nan, -math.inf, math.inf, 9)) == "cannot be told"


def test_what_never_varied_cannot_be_told():
    assert [CLAIM.verdict(Mean(value, value, value, 9)) for value in (-1.0, 0.0, 0.5, 1.0)] == ["cannot be told"] * 4


def test_chains_tell_what_was_added_and_what_stayed():
    """The first edit stays in one chain of two, the second in both; the third is never made."""
    done = {(1, 1): (1, 1), (2, 1): (1, 0), (2, 2): (1, 1), (3, 1): (1, 0), (3, 2): (1, 1), (3, 3): (0, 0)}
    rows = [
        row("chains", seed, f"chain-{task}", at, done=values[task]) for seed in (1, 2) for task in (0, 1) for at, values in done.items()
    ]
    rows += [row("chains", seed, "chain-2", at, done=1, kept=0) for seed in (1, 2) for at in done]  # a spoilt picture passes for done
    found = blocks(rows)["chains"]
    assert estimates.compounded(found) == pytest.approx(0.5 * 2 / 3)
    assert estimates.lasting(found) == pytest.approx(0.75)


def test_where_the_axes_and_the_judge_disagree():
    """The right answer has a direction of .6, so CLIP takes .3 and more for done."""
    numbers = [(0.5, 1), (0.5, 0), (0.1, 1), (0.1, 0)]
    rows = [row("full", 1, f"a-{task}", (7.5, 1.0), direction=x, done=y) for task, (x, y) in enumerate(numbers)]
    rows += [row("anchors", 0, f"a-{task}", (anchor,), direction=0.6) for task in range(4) for anchor in ANCHORS]
    found = blocks(rows)
    both = agreement.with_disagreements(found["full"], found["anchors"])
    assert both["clip_only"].ravel().tolist() == [0, 1, 0, 0]
    assert both["judge_only"].ravel().tolist() == [0, 0, 1, 0]
    assert agreement.separation("direction", "done", both) == pytest.approx(0.5)
    assert agreement.separation("direction", "clip_only", both) == pytest.approx((1 + 1 + 0.5) / 3)
    assert math.isnan(agreement.separation("direction", "kept", both))


def verdicts(better):
    """Rows of all jobs in which the full recipe is as good as asked, and the others are not."""
    rng, rows = np.random.default_rng(0), []
    tasks = [(f"{kind}-{number}", kind) for number, kind in enumerate(CONFIG.evaluation.kinds * 2)]
    limits = [(f"{kind}-{number}", kind) for kind in CONFIG.evaluation.limit_kinds for number in range(14)]
    chains = [(f"chain-{number}", "x+y+z") for number in range(6)]
    asked = {"chains": chains, "limits": limits, "anchors": [*tasks, *limits], "grid": tasks[:9]}
    for job in jobs(CONFIG):
        for task, kind in asked.get(job.name, tasks):
            for place, at in enumerate(settings_of(job.name, CONFIG)):
                good = 0.5 + better * (0.4 if job.name in ("full", "own", "grid", "chains") else -0.4)
                for where in [(*at, part) for part in range(1, place + 2)] if job.name == "chains" else [at]:
                    chance = rng.random(2) < (1 if job.name == "anchors" else good)
                    numbers = dict(zip(("done", "kept"), map(int, chance), strict=True)) | {"similarity": 0.9 - 0.1 * place + 0.1 * good}
                    numbers |= {
                        "direction": 0.1 * place + 0.3 * good + rng.normal(0, 0.02),
                        "distance": 0.1 - 0.05 * good + rng.normal(0, 0.01),
                    }
                    numbers |= {f"second_{axis}": numbers[axis] for axis in ("direction", "similarity")}
                    rows.append(Row(job.name, job.seed, task, kind, where, **numbers))
    return rows


def written(out, rows):
    folder = places.judged(out) / "0"
    folder.mkdir(parents=True)
    (folder / "all.jsonl").write_text("".join(json.dumps(asdict(row)) + "\n" for row in rows))
    return out


def test_findings_find_what_was_put_in(tmp_path):
    found = claims.findings(written(tmp_path, verdicts(better=1)), CONFIG)
    told = {claim["id"]: claim for claim in found["claims"]}
    for name in (
        "8-similarity",
        "8-right",
        "10-unfiltered-kept",
        "11-compounded",
        "13-zoom",
        "13-swap-less",
        "learning-right",
        "learning-distance",
    ):
        assert told[name]["verdict"] == "reproduced", told[name]
        assert told[name]["low"] <= told[name]["estimate"] <= told[name]["high"]
    assert told["true-right"]["verdict"] == "measured"
    assert [curve["name"] for curve in found["curves"]] == ["full", "tenth", "unfiltered", "true", "own", "sdedit", "sdedit-own"]
    assert found["anchors"]["answer"]["right"]["value"] == 1
    assert {line["kind"] for line in found["limits"]} == {"zoom", "count", "swap"}
    assert [line["kind"] for line in found["kinds"]] == list(CONFIG.evaluation.kinds)
    assert json.dumps(claims.findings(tmp_path, CONFIG)) == json.dumps(found)


def test_findings_of_fewer_tasks_than_kinds_leave_kinds_out(tmp_path):
    kinds = CONFIG.evaluation.kinds[:4]
    rows = [row for row in verdicts(better=1) if row.kind in (*kinds, *CONFIG.evaluation.limit_kinds, "x+y+z")]
    assert [line["kind"] for line in claims.findings(written(tmp_path, rows), CONFIG)["kinds"]] == list(kinds)


def test_verdicts_of_shards_that_are_no_more_are_not_read(tmp_path):
    written(tmp_path, verdicts(better=1))
    before = judged.rows(tmp_path, CONFIG)
    (places.judged(tmp_path) / str(CONFIG.evaluation.shards)).mkdir()
    (places.judged(tmp_path) / str(CONFIG.evaluation.shards) / "old.jsonl").write_text("of another run")
    assert judged.rows(tmp_path, CONFIG) == before


def test_findings_of_no_difference_claim_none(tmp_path):
    found = claims.findings(written(tmp_path, verdicts(better=0)), CONFIG)
    told = {claim["id"]: claim["verdict"] for claim in found["claims"]}
    assert told["13-zoom"] == "cannot be told"  # what fails where everything fails says nothing of a limit
    assert all(
        told[name] != "reproduced"
        for name in ("8-similarity", "8-right", "8-own-similarity", "8-second", "10-tenth-direction", "13-zoom", "learning-done")
    )


def test_claims_about_what_a_run_has_not_made_are_left_out(tmp_path):
    few = replace(CONFIG, editors=replace(CONFIG.editors, conditions=("full", "true")))
    rows = [row for row in verdicts(better=1) if row.name not in ("tenth", "unfiltered")]
    found = claims.findings(written(tmp_path, rows), few)
    assert not any(claim["id"].startswith("10-") for claim in found["claims"])
    assert [curve["name"] for curve in found["curves"]] == ["full", "true", "own", "sdedit", "sdedit-own"]


def test_verdicts_that_are_missing_or_broken_are_told(tmp_path):
    with pytest.raises(ValueError, match="--again judged"):
        judged.rows(tmp_path, CONFIG)
    written(tmp_path, [])
    (places.judged(tmp_path) / "0" / "all.jsonl").write_text('{"name": 1}\n')
    with pytest.raises(ValueError, match="is broken"):
        judged.rows(tmp_path, CONFIG)
