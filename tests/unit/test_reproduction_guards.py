"""What `python -m ip2p reproduce` keeps its user from: a folder of others, two commands at once, settings that fail after hours."""

import errno
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from reproductions import ROOT, begun, ended, said, tiny

from ip2p.cli import main
from ip2p.configs import ConfigError, to_table
from ip2p.data.example import DataError
from ip2p.reproduction import edits, places, schedule, tasks
from ip2p.reproduction.config import Config, load
from ip2p.reproduction.marks import BEGUN, DONE, Marks
from ip2p.reproduction.workers import FAILED, Worker
from ip2p.small import files
from ip2p.stopping import STOPPED

MINUTE = 60.0


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Config:
    return load(tiny(tmp_path_factory.mktemp("config")))


def changed(config: Config, table: str, **values: object) -> Config:
    return replace(config, **{table: replace(getattr(config, table), **values)})


def told(*options: object) -> int:
    return main(["reproduce", *(str(option) for option in options)])


def contents(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


def test_a_second_command_on_a_folder_is_refused_until_the_first_has_ended(tmp_path, capsys):
    """The first is another process, killed without mercy."""
    out = tmp_path / "run"
    command = begun(out, "--config", tiny(tmp_path), "--workers", "1")
    until = time.monotonic() + 2 * MINUTE
    while not (out / places.CONFIG).is_file():
        assert command.poll() is None, said(out)
        assert time.monotonic() < until
        time.sleep(0.05)
    try:
        for options in ([], ["--only", "triplets"], ["--again", "joint"]):
            assert told("--out", out, *options) == 2
            assert f"Another command works on {out}: wait until it has ended" in capsys.readouterr().err
        assert told("--out", out, "--list") == 0
    finally:
        ended(command, signal.SIGKILL, MINUTE)
    assert told("--out", out, "--only", "triplets") == 0
    assert Marks(out, load(out / places.CONFIG)).is_done("triplets")


def test_a_lock_goes_with_its_holder_and_not_to_its_children(config, tmp_path):
    marks = Marks(tmp_path / "run", config)
    with marks.held():
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
        with pytest.raises(ValueError, match="Another command works on"), Marks(tmp_path / "run", config).held():
            pass
    try:
        with marks.held():
            pass
    finally:
        child.kill()
        child.wait()


@pytest.mark.parametrize("name", ["samples/mine.txt", "report.md", "config.json"])
def test_a_folder_of_others_is_left_alone(config, tmp_path, capsys, name):
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_text("mine")
    for options in ([], ["--again", "samples"], ["--only", "triplets"]):
        assert told("--out", tmp_path, "--config", "full", *options) == 2
        assert f"is no run's, for it has {name.split('/')[0]}: name an empty or a new one" in capsys.readouterr().err
    with pytest.raises(ValueError, match="is no run's"):
        Marks(tmp_path, config).begin(["samples"])
    assert contents(tmp_path) == {name: "mine"}


def test_what_no_mark_claims_is_not_removed(config, tmp_path):
    marks = Marks(tmp_path, config)
    marks.begin()
    places.samples(tmp_path).mkdir()
    (tmp_path / "report.txt").write_text("mine")
    marks.begin(["samples"])
    assert places.samples(tmp_path).is_dir()
    assert (tmp_path / "report.txt").read_text() == "mine"


def test_a_stage_that_there_is_not_leaves_no_folder(tmp_path, capsys):
    for option in ("--only", "--again"):
        assert told("--out", tmp_path / "run", option, "nonsense", "--config", tiny(tmp_path)) == 2
        assert "There is no stage 'nonsense'" in capsys.readouterr().err
        assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("table", "values", "sentence"),
    [
        ("editors", {"seeds": ()}, "The list 'editors.seeds' is empty: name one"),
        ("editors", {"seeds": (1, 2, 1)}, "The list 'editors.seeds' has 1 more than once"),
        ("editors", {"conditions": ("full", "half")}, "The value 'half' of 'editors.conditions' is unknown: use full, tenth"),
        ("prompts", {"kinds": ()}, "The list 'prompts.kinds' is empty"),
        ("prompts", {"kinds": ("background",)}, "The value 'background' of 'prompts.kinds' is unknown: use replace"),
        ("pairs", {"shards": 0}, "The value 0 of 'pairs.shards' is too small: use 1 or more"),
        ("pairs", {"p": (0.9, 0.1)}, "of 'pairs.p' are no range"),
        ("evaluation", {"tasks": 0}, "The value 0 of 'evaluation.tasks' is too small"),
        ("evaluation", {"shards": -1}, "The value -1 of 'evaluation.shards' is too small"),
        ("evaluation", {"strengths": (0.5, 1.5)}, "The value 1.5 of 'evaluation.strengths' is out of range"),
        ("evaluation", {"image_scales": ()}, "The list 'evaluation.image_scales' is empty"),
        ("evaluation", {"kinds": ("season", "time", "zoom")}, "The value 'zoom' of 'evaluation.kinds' is unknown"),
        ("evaluation", {"limit_kinds": ("zoom", "zoom")}, "The list 'evaluation.limit_kinds' has 'zoom' more than once"),
        ("evaluation", {"limit_kinds": ("season",)}, "The value 'season' of 'evaluation.limit_kinds' is unknown: use zoom"),
        ("evaluation", {"kinds": ("season", "time")}, "name more in 'evaluation.kinds', or set 'evaluation.chains' to 0"),
    ],
)
def test_settings_that_would_fail_after_hours_are_refused_at_once(config, table, values, sentence):
    with pytest.raises(ConfigError, match=sentence):
        changed(config, table, **values)


def test_few_scales_and_no_chains_are_settings_too(config):
    few = changed(config, "evaluation", image_scales=(1.5,), kinds=("season", "time"), chains=0)
    assert edits.settings_of("limits", few) == [(few.evaluation.text_scale, 1.5)]
    assert tasks.chains(few) == ()
    assert {image for _, image in edits.settings_of("limits", load("full"))} == {1.0, 1.4, 1.8}


def test_a_part_of_the_world_without_a_kind_of_edit_is_refused_before_any_work(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(tasks, "TRIES", 9)
    out, day = tmp_path / "run", tiny(tmp_path, ('times = ["day", "night"]', 'times = ["day"]'))
    assert told("--out", out, "--config", day) == 2
    assert "allows an edit of the kind 'time': enlarge 'world', or leave the kind out" in capsys.readouterr().err
    assert not (out / places.CONFIG).exists()
    alike = replace(load("full"), world=replace(load("full").world, places=("meadow",), styles=("plain",), things=1))
    short = changed(alike, "evaluation", kinds=("recolour", "replace", "remove"), chains=1)
    with pytest.raises(ValueError, match=r"enlarge 'world', or set 'evaluation\.chains' to 0"):
        tasks.chains(short)


def test_broken_edits_are_told_with_the_command_that_mends_them(tmp_path):
    path = places.edits(tmp_path, "full", 1) / "time-0.npz"
    path.parent.mkdir(parents=True)
    np.savez_compressed(path, pictures=np.random.default_rng(0).integers(0, 256, (4, 64, 64, 3), np.uint8), numbers=np.zeros((4, 5)))
    whole = path.read_bytes()
    for broken in (b"", b"PK\x03\x04 torn", whole[:2000], whole[:2000] + bytes(2000) + whole[4000:], whole[:60] + b"\xff" * 9 + whole[69:]):
        path.write_bytes(broken)
        with pytest.raises(ValueError, match=f"with `python -m ip2p reproduce --out {tmp_path} --again edits/full/1`"):
            edits.read(tmp_path, "full", 1, "time-0")


@pytest.mark.parametrize("spoil", [lambda data: b"", lambda data: data[: len(data) // 2], lambda data: b"nonsense"])
def test_a_broken_file_of_scenes_is_told_by_its_name(tmp_path, spoil):
    import torch

    folder = tmp_path / "captioned"
    files.write(folder, 2, lambda number: {"scenes": torch.full((8, 8), number)})
    assert [int(part["scenes"][0, 0]) for part in files.read(folder)] == [0, 1]
    path = folder / "00001.pt"
    path.write_bytes(spoil(path.read_bytes()))
    with pytest.raises(DataError, match=r"00001.pt is broken: delete it and run the stage 'captioned' again .*--again captioned"):
        files.read(folder)


def test_a_stage_that_is_done_says_so(config, tmp_path, caplog):
    marks = Marks(tmp_path, config)
    marks.begin()
    marks.write("triplets", DONE)
    with caplog.at_level("INFO", "ip2p"):
        schedule.alone(tmp_path, "triplets")
    assert "triplets is done already; --again triplets makes it anew." in caplog.text


def gone() -> SimpleNamespace:
    """A worker that has died."""
    return SimpleNamespace(is_alive=lambda: False)


@pytest.mark.parametrize(
    ("code", "stopping", "reason"),
    [
        (-signal.SIGKILL, False, "its process was ended by the system (code -9, perhaps for want of memory)"),
        (-signal.SIGKILL, True, "its process was ended by the system (code -9, perhaps for want of memory)"),
        (FAILED, True, "the last words"),
        (STOPPED, False, "its process was ended by the system (code 130, perhaps for want of memory)"),
        (STOPPED, True, None),
        (-signal.SIGTERM, True, None),
    ],
)
def test_a_process_that_the_system_ended_is_told_so(config, tmp_path, code, stopping, reason):
    crew = schedule._Crew(Marks(tmp_path, config), 1)
    crew.log_of("joint").parent.mkdir()
    crew.log_of("joint").write_text("step 3 of 9\nthe last words\n")
    crew.busy["joint"], crew.stopping = gone(), stopping
    crew._ended("joint", code)
    assert crew.failed.get("joint") == reason


def test_a_worker_that_has_died_gets_no_stage(config, tmp_path):
    marks = Marks(tmp_path, config)
    marks.begin()
    for name in ("joint", "clip"):
        marks.write(name, DONE)
    crew = schedule._Crew(marks, 1)
    crew.idle = [gone()]
    crew._begin("triplets")
    try:
        until = time.monotonic() + 2 * MINUTE
        while (code := crew.busy["triplets"].ended()) is None and time.monotonic() < until:
            time.sleep(0.05)
        assert code == 0
        assert crew.idle == []
    finally:
        crew.end()


def test_a_worker_that_is_killed_ends_with_its_signal(config, tmp_path):
    Marks(tmp_path, config).begin()
    worker = Worker(tmp_path)
    try:
        worker._process.kill()
        worker._process.join()
        worker.begin("triplets", tmp_path / "log")
        assert worker.ended() == -signal.SIGKILL
    finally:
        worker.end()


def test_words_of_a_stage_go_to_its_log_and_no_other(tmp_path):
    """In a process of its own, whose streams are changed."""
    script = (
        "import logging, os, sys; from pathlib import Path; from ip2p.reproduction.workers import _tell_into\n"
        "logging.basicConfig(stream=sys.stderr, format='%(message)s')\n"
        "for name in ('one', 'two'):\n"
        "    _tell_into(Path(sys.argv[1]) / name)\n"
        "    print('said', name); logging.error('told %s', name); os.write(2, b'written\\n')\n"
    )
    done = subprocess.run([sys.executable, "-c", script, tmp_path], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout + done.stderr == ""
    for name in ("one", "two"):
        assert (tmp_path / name).read_text() == f"said {name}\ntold {name}\nwritten\n"


def test_what_the_disk_refuses_is_one_sentence(config, tmp_path, capsys, monkeypatch):
    (tmp_path / "notes.txt").write_text("mine")
    for options in ([], ["--list"]):
        assert told("--out", tmp_path / "notes.txt" / "run", "--config", "quick", *options) == 2
        assert f"{tmp_path / 'notes.txt'} is a file: name a folder with --out." in capsys.readouterr().err

    def full(number: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    assert told("--out", tmp_path / "run", "--config", tiny(tmp_path), "--only", "triplets") == 2
    assert "config.json can't be written, the disk is full: make room and run again" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["", '{"state": "do', "[]", "{}", "7"])
def test_a_broken_mark_is_named_with_its_cure(config, tmp_path, text):
    marks = Marks(tmp_path, config)
    marks.begin()
    for name in ("joint", "editors/full/1", "editors/full/2"):
        marks.write(name, DONE)
    (tmp_path / places.STAGES / "editors--full--2.json").write_text(text)
    with pytest.raises(ValueError, match=r"The mark .*editors--full--2.json is broken: give --again editors/full/2, which"):
        marks.begin()
    marks.begin(["editors/full/2"])
    assert marks.mark("editors/full/2") is None
    assert marks.is_done("editors/full/1")


def test_a_list_tells_what_was_made_with_other_settings(config, tmp_path, capsys):
    out = tmp_path / "run"
    marks = Marks(out, config)
    marks.begin()
    for name in ("joint", "triplets"):
        marks.write(name, DONE)
    marks.write("clip", BEGUN)
    other = tmp_path / "other.json"
    other.write_text(json.dumps(to_table(changed(config, "joint", scenes=5))))
    assert told("--out", out, "--config", other, "--list") == 0
    states = {line[7:]: line[:6].strip() for line in capsys.readouterr().out.splitlines()}
    assert [states[name] for name in ("joint", "triplets", "clip", "painter")] == ["other", "done", "begun", "to do"]
