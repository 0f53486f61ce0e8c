"""Runs: what is written, resumed, refused and survived, with real small networks and real kills."""

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import layouts
import pytest
import tiny
import torch

from ip2p.checkpoint import write as write_model
from ip2p.data.example import Example
from ip2p.data.open import open_dataset
from ip2p.edit import Editor
from ip2p.evaluation import rows as record
from ip2p.evaluation.editors import answer, edit_functions, nothing
from ip2p.evaluation.report import write
from ip2p.evaluation.rows import Row, RunError
from ip2p.evaluation.run import RESULTS, evaluate, picture_path
from ip2p.evaluation.settings import Setting, grid, seed_of
from ip2p.metrics.measures import Measures
from ip2p.pictures import open_picture
from ip2p.text_to_image import TextToImage

ROOT = Path(__file__).resolve().parents[2]
SETTINGS = [Setting("nothing"), Setting("answer")]
EDITORS = {"nothing": nothing, "answer": answer}


@pytest.fixture
def data(tmp_path):
    return open_dataset(str(layouts.plain(tmp_path / "data", count=4)))


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "tiny.safetensors"
    write_model(path, tiny.ldm(), tiny.SETTINGS | {"steps": 2})
    return path


def content(path):
    """The lines without their times."""
    return [json.loads(line) | {"seconds": 0} for line in (path / RESULTS).read_text().splitlines()]


def test_a_line_for_each_example_and_setting(data, tmp_path):
    told = []
    found = evaluate(data, SETTINGS, EDITORS, Measures(), tmp_path, lambda *news: told.append(news))
    assert [(row.example, row.setting.editor) for row in found[:3]] == [("000001", "nothing"), ("000001", "answer"), ("000002", "nothing")]
    assert found[0].numbers["l1_source"] == 0
    assert found[0].numbers["l1_target"] > 0
    assert found[1].numbers["l1_target"] == 0
    assert found[0].numbers["l1_target_outside"] > 0
    assert [(done, total) for done, total, _ in told] == [(number + 1, 8) for number in range(8)]
    line = content(tmp_path)[0]
    assert (line["example"], line["editor"], line["kind"], line["instruction"]) == ("000001", "nothing", "even", "edit 0")
    assert [row.key for row in record.read(tmp_path / RESULTS)] == [row.key for row in found]


def test_what_is_done_is_not_done_again(data, tmp_path):
    evaluate([data[0], data[1]], SETTINGS[:1], EDITORS, Measures(), tmp_path)
    asked = []

    def counted(example, setting):
        asked.append((example.id, setting.editor))
        return EDITORS[setting.editor](example, setting)

    found = evaluate(data, SETTINGS, dict.fromkeys(EDITORS, counted), Measures(), tmp_path)
    assert len(found) == 8
    assert len(asked) == 6, "two of eight were there"
    before = (tmp_path / RESULTS).read_bytes()
    broken = Example("000001", "edit 0", image=lambda: 1 / 0, kind="even")
    assert len(evaluate([broken], SETTINGS, {}.fromkeys(EDITORS, None), Measures(), tmp_path)) == 2, "and nothing is opened or loaded"
    assert (tmp_path / RESULTS).read_bytes() == before


def test_an_unfinished_last_line_is_dropped(data, tmp_path):
    whole = evaluate(data, SETTINGS, EDITORS, Measures(), tmp_path / "whole")
    evaluate(data, SETTINGS, EDITORS, Measures(), tmp_path / "cut")
    lines = (tmp_path / "whole" / RESULTS).read_bytes()
    assert lines.count(b"\n") == 8
    ends = [number for number, byte in enumerate(lines) if byte == 10]
    for cut in (0, ends[0], ends[3] + 2, len(lines) - 1):
        (tmp_path / "cut" / RESULTS).write_bytes(lines[:cut])
        found = evaluate(data, SETTINGS, EDITORS, Measures(), tmp_path / "cut")
        assert [(row.key, row.numbers) for row in found] == [(row.key, row.numbers) for row in whole]
        assert content(tmp_path / "cut") == content(tmp_path / "whole")


def test_a_broken_line_within_is_named(data, tmp_path):
    evaluate(data, SETTINGS, EDITORS, Measures(), tmp_path)
    lines = (tmp_path / RESULTS).read_text().splitlines()
    (tmp_path / RESULTS).write_text("\n".join([lines[0], lines[1][:20], *lines[2:], ""]))
    with pytest.raises(RunError, match=r"results.jsonl, line 2, is no result: mend or remove that line"):
        evaluate(data, SETTINGS, EDITORS, Measures(), tmp_path)


def test_other_conditions_are_refused(data, tmp_path):
    evaluate(data, SETTINGS, EDITORS, Measures(), tmp_path, conditions={"model": "a", "clip": ""})
    evaluate(data, SETTINGS, EDITORS, Measures(), tmp_path, conditions={"clip": "", "model": "a"})
    with pytest.raises(RunError, match=r'were made with model "a", not "b": use a new folder, or the same model'):
        evaluate(data, SETTINGS, EDITORS, Measures(), tmp_path, conditions={"model": "b", "clip": ""})
    with pytest.raises(RunError, match='with clip "", not null'):
        evaluate(data, SETTINGS, EDITORS, Measures(), tmp_path)


def test_another_folder_of_the_same_name_is_refused(data, tmp_path):
    evaluate(data, SETTINGS[:1], EDITORS, Measures(), tmp_path / "out")
    other = dataclasses.replace(data[1], instruction="something else")
    with pytest.raises(RunError, match=r"are of other data \(000002 was 'edit 1'\): use a new folder"):
        evaluate([data[0], other], SETTINGS[:1], EDITORS, Measures(), tmp_path / "out")


def test_a_folder_that_can_not_be_written_to_is_named_and_nothing_is_lost(data, tmp_path):
    found = evaluate(data, SETTINGS[:1], EDITORS, Measures(), tmp_path)
    lines = (tmp_path / RESULTS).read_bytes()
    for name in ("table.csv", "plot.svg"):
        (tmp_path / name).mkdir()
        with pytest.raises(RunError, match="make room or move what is there, and run the same again; nothing is lost"):
            write(tmp_path, data, SETTINGS[:1], found)
        (tmp_path / name).rmdir()
    assert (tmp_path / RESULTS).read_bytes() == lines
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]
    (tmp_path / "run.json").write_text("[]")
    with pytest.raises(RunError, match=r"run.json holds something else"):
        evaluate(data, SETTINGS[:1], EDITORS, Measures(), tmp_path)
    (tmp_path / "run.json").unlink()
    (tmp_path / RESULTS).unlink()
    (tmp_path / RESULTS).mkdir()
    with pytest.raises(RunError, match=r"results.jsonl can't be used \(Is a directory\)"):
        evaluate(data, SETTINGS[:1], EDITORS, Measures(), tmp_path)


def test_failures_are_recorded_and_tried_again(data, tmp_path):
    picture = tmp_path / "data" / "1.png"
    kept = picture.read_bytes()
    picture.write_bytes(b"no picture")

    def weak(example, setting):
        if example.id == "000003":
            raise RuntimeError("out of\n memory")
        return example.image()

    editors = EDITORS | {"nothing": weak}
    found = evaluate(data, SETTINGS, editors, Measures(), tmp_path / "out")
    errors = {row.key[0] + row.setting.editor: row.error for row in found if row.error}
    assert errors == {
        "000002nothing": "1.png is not a readable picture: choose a whole JPEG, PNG, WebP or TIFF file.",
        "000002answer": "1.png is not a readable picture: choose a whole JPEG, PNG, WebP or TIFF file.",
        "000003nothing": "out of memory",
    }
    assert [row.numbers for row in found if row.error] == [{}, {}, {}]
    picture.write_bytes(kept)
    again = evaluate(data, SETTINGS, EDITORS, Measures(), tmp_path / "out")
    assert not any(row.error for row in again)
    assert [row.key for row in record.read(tmp_path / "out" / RESULTS)] == [row.key for row in again]


def test_stopping_leaves_what_was_done(data, tmp_path):
    done = []
    found = evaluate(data, SETTINGS, EDITORS, Measures(), tmp_path, lambda *news: done.append(news), stop=lambda: len(done) >= 3)
    assert len(found) == 3
    assert len(content(tmp_path)) == 3

    def cancel(number, total, row):
        if number == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        evaluate(data, SETTINGS, EDITORS, Measures(), tmp_path, cancel)
    assert len(content(tmp_path)) == 5


def test_what_can_not_run(data, tmp_path):
    with pytest.raises(RunError, match="There is no editor for 'sdedit'"):
        evaluate(data, [Setting("sdedit")], EDITORS, Measures(), tmp_path)
    with pytest.raises(RunError, match="Two examples have the id '000001'"):
        evaluate([data[0], data[0]], SETTINGS, EDITORS, Measures(), tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="can't be used"):
        evaluate(data, SETTINGS, EDITORS, Measures(), tmp_path / "file")
    found = evaluate([dataclasses.replace(data[0], edited=None)], SETTINGS, EDITORS, Measures(), tmp_path / "out")
    assert found[1].error == "000001 has no right answer: leave the editor `answer` out for this data."


def test_pictures_are_kept_under_names_every_system_takes(data, tmp_path):
    odd = dataclasses.replace(data[0], id='a/b: "c"?' + "x" * 200)
    evaluate([odd, data[1]], SETTINGS[:1], EDITORS, Measures(), tmp_path, pictures=True)
    for example in (odd, data[1]):
        path = picture_path(tmp_path, example.id, SETTINGS[0])
        assert path.is_file()
        assert len(path.name) < 100
        assert path.parent.parent == tmp_path / "pictures"


def test_numbers_that_are_not_finite_are_left_out(tmp_path):
    row = Row("a", Setting("nothing"), {"good": 1.0, "bad": float("nan"), "worse": float("inf")})
    record.append(tmp_path / RESULTS, [row])
    assert record.read(tmp_path / RESULTS)[0].numbers == {"good": 1.0}


KILLED = """
import os, random, signal, sys, time
from pathlib import Path
import torch
torch.set_num_threads(1)
sys.path.insert(0, {root!r})
from ip2p.data.open import open_dataset
from ip2p.edit import Editor
from ip2p.evaluation.editors import edit_functions
from ip2p.evaluation.run import evaluate
from ip2p.evaluation.settings import grid
from ip2p.metrics.measures import Measures
from ip2p.text_to_image import TextToImage

folder, out = Path({folder!r}), Path({out!r})
editor, general = Editor.load({model!r}), TextToImage.load({model!r})
data = open_dataset(str(folder))
settings = grid(["ip2p", "sdedit"], {{"image_scale": "1.0,1.5", "strength": "0.5"}})

def run(place):
    evaluate(data, settings, edit_functions(lambda: editor, lambda: general), Measures(), out / place, pictures=True)

run("whole")
random.seed(int(sys.argv[1]))
kills = 0
while True:
    child = os.fork()
    if not child:
        run("killed")
        os._exit(0)
    time.sleep(random.uniform(0.005, 0.25))
    os.kill(child, signal.SIGKILL)
    if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0:
        break
    kills += 1
print(kills)
"""


@pytest.mark.whole
def test_killed_at_random_moments_and_resumed_the_results_are_the_same(model, tmp_path):
    layouts.plain(tmp_path / "data", count=3)
    given = {"root": str(ROOT), "model": str(model), "folder": str(tmp_path / "data"), "out": str(tmp_path)}
    environment = os.environ | {"OMP_WAIT_POLICY": "PASSIVE", "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    script = [sys.executable, "-c", KILLED.format(**given), "3"]
    done = subprocess.run(script, env=environment, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert int(done.stdout.split()[-1]) >= 2, "it was killed several times on the way"
    assert len(content(tmp_path / "whole")) == 9
    assert content(tmp_path / "killed") == content(tmp_path / "whole")
    pictures = {place: sorted((tmp_path / place / "pictures").rglob("*.png")) for place in ("whole", "killed")}
    assert len(pictures["whole"]) == 9
    for one, other in zip(pictures["whole"], [path for path in pictures["killed"] if not path.name.startswith(".")], strict=True):
        assert one.read_bytes() == other.read_bytes()


def test_a_model_is_loaded_once_and_only_when_it_edits(data, model, tmp_path):
    loads = []

    def load():
        loads.append(Editor.load(model))
        return loads[-1]

    editors = edit_functions(load)
    assert loads == []
    settings = grid(["ip2p", "fast"], {"image_scale": "1.5", "text_scale": "3"})
    evaluate([data[0]], settings, editors, Measures(), tmp_path, pictures=True)
    assert len(loads) == 1
    seed = seed_of(data[0].id, settings[0])
    for setting, speed in zip(settings, ("exact", "fast"), strict=True):
        expected = loads[0].edit(data[0].image()[None], "edit 0", seed=seed, text_scale=3, image_scale=1.5, speed=speed)[0]
        assert torch.equal(editors[setting.editor](data[0], setting), expected)
        kept = open_picture(picture_path(tmp_path, data[0].id, setting))[0]
        assert torch.allclose(kept, expected, atol=0.6 / 255)


def test_the_baselines_take_the_edited_caption(data, model):
    general = TextToImage.load(model)
    editors = edit_functions(text_to_image=lambda: general, personalised=lambda: general)
    sdedit, prompt = grid(["sdedit", "prompt"], {"strength": "0.5", "scale": "3"})
    seed = seed_of(data[0].id, sdedit)
    expected = general.sdedit(data[0].image()[None], "after 0", strength=0.5, scale=3, seed=seed)[0]
    assert torch.equal(editors["sdedit"](data[0], sdedit), expected)
    moved = dataclasses.replace(data[0], image=lambda: 1 - data[0].image())
    assert not torch.equal(editors["sdedit"](moved, sdedit), expected)
    assert torch.equal(editors["prompt"](moved, prompt), editors["prompt"](data[0], prompt)), "it never sees the source"
    with pytest.raises(ValueError, match="000001 has no caption of the edited picture, which sdedit needs"):
        editors["sdedit"](dataclasses.replace(data[0], edited_caption=" "), sdedit)
