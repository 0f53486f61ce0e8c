"""The stages of a reproduction: what decides each, what is refused, what is made again, and what a failure says."""

import json
import time
from dataclasses import replace
from pathlib import Path

import pytest
from reproductions import tiny

from ip2p.cli import main
from ip2p.configs import to_table
from ip2p.reproduction import places
from ip2p.reproduction.config import Config, load
from ip2p.reproduction.marks import AGAIN, BEGUN, DONE, Marks
from ip2p.reproduction.progress import Progress, last_line
from ip2p.reproduction.stages import digests, stages


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Config:
    return load(tiny(tmp_path_factory.mktemp("config")))


def changed(config: Config, table: str, **values: object) -> Config:
    return replace(config, **{table: replace(getattr(config, table), **values)})


def other(config: Config, new: Config) -> set[str]:
    """The first parts of the stages that other settings decide otherwise."""
    before, after = digests(stages(config)), digests(stages(new))
    return {name.split("/")[0] for name in after if before.get(name) != after[name]}


def done(out: Path, config: Config) -> Marks:
    """A folder in which all stages are done, with a file of each in its place."""
    marks = Marks(out, config)
    marks.begin()
    for name, stage in marks.stages.items():
        for pattern in stage.leaves:
            place = out / pattern.replace(".*", ".json")
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(name)
        marks.write(name, DONE)
    return marks


@pytest.mark.parametrize("name", ["full", "quick"])
def test_every_stage_comes_after_what_it_needs(name):
    known = stages(load(name))
    seen: set[str] = set()
    for stage in known.values():
        assert set(stage.needs) <= seen, stage.name
        seen.add(stage.name)
    assert list(known)[-1] == "report"
    assert {f"editors/{condition}/{seed}" for condition in load(name).editors.conditions for seed in load(name).editors.seeds} <= seen


def test_a_setting_decides_its_stage_and_all_that_follow(config):
    late = {"edits", "judged", "report"}
    assert other(config, changed(config, "editors", steps=5)) == {"editors", *late}
    assert other(config, changed(config, "evaluation", steps=3)) == late
    assert other(config, changed(config, "pairs", keep=1)) == {"sets", "editors", *late}
    assert other(config, changed(config, "pairs", samples=3)) == {"samples", "sets", "editors", *late}
    assert other(config, changed(config, "clip", width=32)) == {"clip", "samples", "sets", "editors", *late}
    every = {place.split("/")[0] for place in stages(config)}
    assert other(config, changed(config, "world", things=2)) == every
    whole = changed(config, "clip", part=False)
    assert other(whole, changed(whole, "world", things=2)) == every - {"clip"}


def test_another_seed_leaves_the_editors_that_are_there(config):
    before, after = digests(stages(config)), digests(stages(changed(config, "editors", seeds=(1, 2, 3))))
    assert {name for name in before if name.startswith(("editors/", "edits/")) and before[name] != after[name]} == set()
    assert "editors/full/3" in after
    assert before["judged/0"] != after["judged/0"]


def test_how_the_judges_work_is_shared_out_decides_no_edit(config):
    assert other(config, changed(config, "evaluation", shards=3)) == {"judged", "report"}


def test_a_run_of_another_config_is_refused_by_its_key(config, tmp_path):
    done(tmp_path / "run", config)
    with pytest.raises(ValueError, match=r"editors.steps = 4, and now it is 6.*--out, or give --again editors,"):
        Marks(tmp_path / "run", changed(config, "editors", steps=6)).begin()
    two = changed(changed(config, "clip", width=32), "captioned", scenes=6)
    with pytest.raises(ValueError, match=r"clip.width = 16, and now it is 32.*give --again clip --again captioned,"):
        Marks(tmp_path / "run", two).begin()
    assert json.loads((tmp_path / "run" / places.CONFIG).read_text()) == to_table(config), "a refused command changes nothing"


def test_a_stage_that_is_made_again_takes_with_it_what_follows_and_no_more(config, tmp_path):
    marks = done(tmp_path, config)
    Marks(tmp_path, changed(config, "editors", steps=6)).begin(["editors"])
    assert [name for name in marks.stages if marks.mark(name) is None] == [
        name
        for name in marks.stages
        if name.startswith(("editors", "edits", "judged", "report")) and not name.startswith(("edits/sdedit", "edits/anchors"))
    ]
    assert not places.run_of(tmp_path, "full", 1).exists()
    assert not (tmp_path / "report.json").exists()
    assert places.edits(tmp_path, "sdedit", 1).exists()
    assert places.pairs(tmp_path, "").parent.exists()


def test_stages_that_share_a_folder_are_made_again_together(config, tmp_path):
    marks = done(tmp_path, config)
    marks.begin(["samples/1"])
    assert marks.mark("samples/0") is None
    assert not places.samples(tmp_path).exists()
    assert marks.is_done("triplets")


def test_a_clearing_that_was_killed_is_finished_by_the_next_run(config, tmp_path):
    marks = done(tmp_path, config)
    for name in marks.following(["editors/full/2"]):
        marks.write(name, AGAIN)
    Marks(tmp_path, config).begin()
    assert marks.mark("editors/full/2") is None
    assert not places.run_of(tmp_path, "full", 2).exists()
    assert places.run_of(tmp_path, "full", 1).exists()


def test_a_half_trained_stage_of_other_settings_is_not_continued(config, tmp_path):
    marks = Marks(tmp_path, config)
    marks.begin()
    marks.write("painter", BEGUN)
    with pytest.raises(ValueError, match="--again painter"):
        Marks(tmp_path, changed(config, "painter", snr=1.0)).begin()


def test_a_run_is_continued_with_the_settings_it_began_with(config, tmp_path, capsys):
    done(tmp_path / "run", config)
    assert main(["reproduce", "--out", str(tmp_path / "run"), "--list"]) == 0
    assert {line.split()[0] for line in capsys.readouterr().out.splitlines()} == {"done"}


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--again", "nonsense"], "There is no stage 'nonsense': use joint, clip,"),
        (["--only", "nonsense"], "There is no stage 'nonsense' in the run"),
        (["--only", "sets"], "The stage sets needs samples/0, which is not done"),
        (["--workers", "-1"], "give --workers 1 or more"),
        (["--config", "missing.toml"], "missing.toml can't be read"),
    ],
)
def test_a_mistake_is_one_sentence(tmp_path, capsys, options, sentence):
    named = [] if "--config" in options else ["--config", str(tiny(tmp_path))]
    assert main(["reproduce", "--out", str(tmp_path / "run"), *named, *options]) == 2
    assert sentence in capsys.readouterr().err


def test_a_worker_says_why_a_stage_failed_and_takes_the_next(tmp_path):
    from ip2p.reproduction.workers import REFUSED, Worker

    impossible = load(tiny(tmp_path, ('count = 4\neach = 2\nkinds = ["season", "time", "weather"]', 'count = 4\nkinds = ["material"]')))
    marks = Marks(tmp_path / "run", impossible)
    marks.begin()
    worker = Worker(marks.out)
    try:
        for number, name in enumerate(("triplets", "sets")):
            log = tmp_path / f"{number}.log"
            worker.begin(name, log)
            while (code := worker.ended()) is None:
                time.sleep(0.05)
            assert code == REFUSED
            assert worker.is_alive()
        assert "needs samples/0" in last_line(tmp_path / "1.log")
        assert last_line(tmp_path / "0.log").endswith(".")
        assert marks.mark("triplets").state == BEGUN
    finally:
        worker.end(10)
    assert not worker.is_alive()


def test_progress_is_the_last_count_of_a_log(tmp_path):
    log = tmp_path / "stage.log"
    progress = Progress(log)
    assert str(progress).startswith("for ")
    log.write_text("file 1 of 4\nstep 100 of 1,000: loss 0.1\nwrote something\n")
    assert str(progress) == "100 of 1000"
    log.write_text("step 300 of 1,000\n")
    assert str(progress).startswith("300 of 1000, ")
    assert str(progress).endswith(" left")
    assert last_line(log) == "step 300 of 1,000"
    assert last_line(tmp_path / "none.log") == ""
