"""The measuring commands as a user meets them: files in and out, tables, sentences instead of tracebacks."""

import json
import os
import subprocess
import sys
from pathlib import Path

import layouts
import metric_models
import pytest
import tiny
from PIL import Image

from ip2p import cli
from ip2p.checkpoint import write

ROOT = Path(__file__).resolve().parents[2]
FAST = ("--model", "tiny.safetensors", "--device", "cpu", "--steps", "2")
HELP = """
import sys
from ip2p.cli import main
try: main(["--debug", "evaluate", "--help"])
except SystemExit: print(sorted({"torch", "matplotlib", "pyarrow", "diffusers"} & set(sys.modules)))
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("evaluation")
    write(folder / "tiny.safetensors", tiny.ldm(), tiny.SETTINGS | {"steps": 2})
    layouts.plain(folder / "data", count=2)
    layouts.emu_parquet(folder / "emu" / "data" / "test-00000-of-00001-x.parquet", count=2)
    metric_models.clip_folder(folder / "clip")
    return folder


@pytest.fixture
def run(folder, capsys, monkeypatch):
    """Run a command in this process, in the folder: (exit code, stdout, stderr)."""

    def command(*arguments):
        monkeypatch.chdir(folder)
        code = cli.main([str(argument) for argument in arguments])
        told = capsys.readouterr()
        return code, told.out, told.err

    return command


def names(folder):
    return {path.name for path in folder.iterdir()}


@pytest.mark.whole
def test_evaluate_writes_lines_a_table_a_plot_and_a_sheet(run, folder):
    asked = ("evaluate", "--data", "data", *FAST, "--image-scale", "1.0,1.5", "--strength", "0.5", "--clip", "clip", "--pictures")
    code, out, err = run(*asked, "--out", "out")
    assert code == 0, err
    assert "out: 6 edits measured, 0 failed, 0 skipped" in err
    assert "InstructPix2Pix (text 7.5, image 1.5, steps 2)" in out
    assert "CLIP direction" in out
    plots, tables = {"plot.svg", "plot.pdf", "plot.png", "sheet.png", "pictures"}, {"table.md", "table.csv", "table.json"}
    assert names(folder / "out") == {"results.jsonl", "run.json"} | plots | tables
    before = (folder / "out" / "results.jsonl").read_bytes()
    assert run(*asked, "--out", "out")[0] == 0
    assert (folder / "out" / "results.jsonl").read_bytes() == before, "nothing was left to do"
    code, _, err = run(*asked, "--out", "out", "--sampler", "euler")
    assert code == 2
    assert 'were made with sampler "euler_ancestral", not "euler"' in err
    for name, value, known in (("--size", "30", "size 0, not 30"), ("--structure-range", "pie_compat", 'not "pie_compat"')):
        code, _, err = run(*asked, "--out", "out", name, value)
        assert (code, known in err) == (2, True), err


def test_a_benchmark_gets_the_published_table(run, folder):
    code, out, err = run("evaluate", "--data", "emu", *FAST, "--editor", "nothing", "--clip", "clip", "--out", "emu-out")
    assert code == 0, err
    head, *lines = out.splitlines()
    titles = ["CLIP dir ↑", "CLIP im ↑", "CLIP out ↑", "L1 ↓", "DINO ↑"]
    assert sorted(titles, key=head.index) == titles
    assert lines[0].startswith("InstructPix2Pix [published]")
    assert lines[5].startswith("Nothing done ")
    assert "Not measured here: DINO" in out
    assert (folder / "emu-out" / "published.md").read_text().startswith("|")


def test_bad_data_is_told_and_skipped(run, folder):
    place = layouts.plain(folder / "bad", count=2)
    with (place / "metadata.jsonl").open("a") as file:
        file.write("{\n")
    (place / "1.png").write_bytes(b"x")
    code, _, err = run("evaluate", "--data", "bad", "--editor", "nothing", "--out", "bad-out")
    assert code == 2
    assert "metadata.jsonl, line 3, is not a JSON object" in err
    code, out, err = run("evaluate", "--data", "bad", "--editor", "nothing", "--skip-bad", "--out", "bad-out")
    assert code == 1
    assert "skipped: metadata.jsonl, line 3" in err
    assert "failed: 000002: 1.png is not a readable picture" in err
    assert "1 edits measured, 1 failed, 1 skipped" in err
    assert "failed" in out
    code, _, err = run("evaluate", "--data", "bad", "--editor", "nothing,answer", "--skip-bad", "--out", "bad-out")
    assert code == 1
    assert "failed: 000002: 1.png is not a readable picture: choose a whole JPEG, PNG, WebP or TIFF file. (2 edits)" in err


def test_compare_puts_editors_and_other_pictures_on_a_sheet(run, folder):
    files = ("--image", "data/0.png", "--target", "data/edited/0.png", "--mask", "data/0_mask.png")
    words = ("--instruction", "make it night", "--edited-caption", "a photo at night")
    code, out, err = run("compare", *files, "--with", "Theirs=data/1.png", *words, *FAST, "--out", "sheet.png", "--cell", "96")
    assert code == 0, err
    assert [line.split(":")[0] for line in out.splitlines()] == [
        "InstructPix2Pix, text 7.5, image 1.5, steps 2",
        "InstructPix2Pix, fast, text 7.5, image 1.5, steps 2",
        "SDEdit, strength 0.6, scale 7.5, steps 2",
        "Theirs",
    ]
    assert "l1_target_outside" in out
    assert Image.open(folder / "sheet.png").width > 6 * 96
    code, out, _ = run("compare", *files, "--instruction", "make it night", *FAST, "--editor", "sdedit", "--out", "sheet2.png")
    assert code == 1
    assert "has no caption of the edited picture" in out
    code, _, err = run("compare", *files, *words, *FAST, "--with", "Theirs", "--out", "sheet3.png")
    assert (code, "'Theirs' names no picture: write NAME=FILE.png" in err) == (2, True)
    for others in ((), ("a=data/0.png", "a=data/1.png")):
        code, _, err = run("compare", *files, *words, "--editor", "", "--with", *others, "--out", "sheet3.png")
        assert (code, "There is nothing to compare, or two pictures have one name" in err) == (2, True)
    code, _, err = run("compare", "--image", "none.png", *words, *FAST, "--out", "sheet.png")
    assert (code, "There is no picture at none.png" in err) == (2, True)


def test_measure_prints_every_column(run):
    code, out, _ = run("measure", "data/0.png", "data/1.png", "--mask", "data/0_mask.png", "--clip", "clip", "--device", "cpu")
    assert code == 0
    assert {"clip_image", "l1_source", "ssim_source_outside"} <= {line.split()[0] for line in out.splitlines()}
    code, out, _ = run("measure", "data/0.png", "data/0.png", "--json")
    assert json.loads(out)["l1_source"] == 0
    assert run("measure", "data/0.png", "data/9.png")[0] == 2


@pytest.mark.whole
def test_probes_report_and_keep_their_tables(run, folder):
    layouts.save(folder / "people" / "a.png", layouts.pixels(0))
    code, out, err = run("probe", "limits", "--images", "people", *FAST, "--out", "limits", "--pictures")
    assert code == 0, err
    assert all(name in out for name in ("view", "count", "swap", "isolate"))
    assert {"limits.md", "limits.csv", "limits.json", "sheet.png"} <= names(folder / "limits")
    code, out, err = run("probe", "bias", "--images", "people", "--clip", "clip", *FAST, "--out", "bias")
    assert code == 0, err
    assert "flight attendant" in out
    assert "What it can't show" in out
    code, _, err = run("probe", "bias", "--out", "bias2")
    assert (code, "needs portraits with --images and a CLIP with --clip" in err) == (2, True)


def test_mistakes_get_a_sentence(run):
    for arguments, reason in {
        ("--editor", "magic"): "The editor 'magic' is unknown",
        ("--image-scale", "1:2"): "'1:2' is no number",
        ("--seed", "1.5"): "The seed is 1.5; use whole numbers",
        ("--steps", "0"): "The number of steps is 0",
        ("--strength", "0,0.5"): "The strength is 0; use 0.01 to 1",
        ("--edit-size", "7"): "The edit size is 7 pixels; use 64 to 4096",
        ("--data", "nowhere"): "There is no data at nowhere",
        ("--data", "data", "--editor", "prompt"): "There is no editor for 'prompt'",
        ("--data", "data", "--clip", "data"): "data is not a CLIP",
        ("--data", "data", "--model", "nowhere.safetensors"): "There is no model at nowhere.safetensors: check the name.",
    }.items():
        code, _, err = run("evaluate", *arguments, "--out", "x")
        assert code == 2
        assert reason in err, err


def test_help_loads_nothing_heavy(folder):
    environment = os.environ | {"PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1", "OMP_WAIT_POLICY": "PASSIVE"}
    given = [sys.executable, "-c", HELP]
    done = subprocess.run(given, cwd=folder, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert "--image-scale" in done.stdout
    assert done.stdout.splitlines()[-1] == "[]"
