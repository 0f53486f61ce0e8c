"""`python -m ip2p pairs` and `filter`: files in, files out, and one sentence for each mistake."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from pair_runs import TRIPLETS, WORLD_CLIP, files, plan

from ip2p.cli import main
from ip2p.data.pairs import open_pairs
from ip2p.data.records import records
from ip2p.data.samples import Samples
from ip2p.data.writers import LAYOUTS

ANYTHING = ["--min-image=-1", "--min-caption=-1", "--min-direction=-1"]


@pytest.fixture(scope="module")
def triplets(tmp_path_factory):
    path = tmp_path_factory.mktemp("words") / "triplets.jsonl"
    lines = [
        {"id": one.id, "input": one.caption, "edit": one.instruction, "output": one.edited_caption, "kind": one.kind} for one in TRIPLETS
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in [*lines, lines[0]]))
    return path


@pytest.fixture(scope="module")
def command(tmp_path_factory, triplets):
    model = plan(tmp_path_factory.mktemp("model")).model
    models = ("--model", model, "--clip", str(WORLD_CLIP), "--device", "cpu", "--threads", "1")
    return ["pairs", str(triplets), *models, "--samples", "3", "--steps", "2", "--batch", "2", "--format", "png"]


@pytest.fixture(scope="module")
def made(command, tmp_path_factory):
    """The folder that the command makes."""
    out = tmp_path_factory.mktemp("made") / "samples"
    assert main([*command, "--out", str(out), "--log", str(out.parent / "log.jsonl")]) == 0
    return out


def test_pairs_makes_each_triplet_once(made):
    assert len(Samples(made).names()) == len(TRIPLETS)
    assert len(list(made.rglob("*_0.png"))) == 3 * len(TRIPLETS)
    log = [json.loads(line) for line in (made.parent / "log.jsonl").read_text().splitlines()]
    assert [line["id"] for line in log] == [triplet.id for triplet in TRIPLETS]
    assert {line["passes"] for line in log} == {3 * 2 * 4}


def test_run_again_it_says_that_all_is_there(command, made, capsys):
    before = files(made)
    assert main([*command, "--out", str(made), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said == {"out": str(made), "prompts": 4, "before": 4, "samples": 12, "dropped": 0, "passes": 96}
    assert files(made) == before


@pytest.mark.parametrize("layout", LAYOUTS)
def test_filter_writes_every_layout(made, tmp_path, layout, capsys):
    asked = ["filter", str(made), "--out", str(tmp_path / layout), "--layout", layout, "--keep", "2", "--json", "--keep-duplicates"]
    assert main([*asked, *ANYTHING]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["prompts"], said["candidates"], said["kept"]) == (4, 12, 8)
    assert said["rejected"] == {"not among the best 2 of its prompt": 4}
    manifest = json.loads((tmp_path / layout / "manifest.json").read_text())
    assert (manifest["pairs"], manifest["rejected"]) == (8, said["rejected"])
    assert manifest["settings"]["run"] == json.loads((made / "settings.json").read_text())
    assert len({(record.prompt, record.sample) for record in records(str(tmp_path / layout))}) == 8
    assert open_pairs(str(tmp_path / layout), "all").length in (4, 8)  # some layouts' readers take every pair for itself
    before = files(tmp_path / layout)
    assert main([*asked, *ANYTHING]) == 0
    assert files(tmp_path / layout) == before


def test_filter_alone_says_what_it_would_keep(made, capsys):
    assert main(["filter", str(made)]) == 0
    said = capsys.readouterr().out
    assert said.startswith("0 of 12 pairs kept, from 0 of 4 prompts")
    assert sum(int(line.rpartition(": ")[2]) for line in said.splitlines() if "left out" in line) == 12


def test_thresholds_are_those_of_the_clip_unless_they_are_given(made, tmp_path):
    """The world's CLIP is not held against the paper's .75."""
    for change, image in (([], 0.4), (["--min-image", "0.6"], 0.6)):
        out = tmp_path / str(image)
        assert main(["filter", str(made), "--out", str(out), *change]) == 0
        told = json.loads((out / "manifest.json").read_text())["settings"]["thresholds"]
        assert told["general"]["image"] == image
        assert told["kinds"]["weather"]["direction"] == 0.5


def test_a_set_without_scores_is_scored_by_the_clip_that_is_named(made, tmp_path, capsys):
    from dataclasses import replace

    from ip2p.data.writers import open_writer

    with open_writer(tmp_path / "bare", "plain", {}) as writer:
        for record in records(str(made)):
            writer.write(replace(record, facts={}))
    asked = ["filter", str(tmp_path / "bare"), "--keep-duplicates", "--json", *ANYTHING]
    assert main(asked) == 0
    assert json.loads(capsys.readouterr().out)["rejected"] == {"not scored": 12}
    assert main([*asked, "--clip", "world", "--device", "cpu"]) == 0
    assert json.loads(capsys.readouterr().out)["kept"] == 12


def test_replace_writes_anew_what_filter_wrote(made, tmp_path, capsys):
    out = ["--out", str(tmp_path / "set"), "--layout", "plain"]
    assert main(["filter", str(made), *out, *ANYTHING]) == 0
    assert main(["filter", str(made), *out, *ANYTHING, "--keep", "1"]) == 2
    assert "settings" in capsys.readouterr().err
    assert main(["filter", str(made), *out, *ANYTHING, "--keep", "1", "--replace"]) == 0
    assert json.loads((tmp_path / "set" / "manifest.json").read_text())["pairs"] == 4


def test_a_dry_run_says_what_it_would_cost_and_makes_nothing(command, tmp_path, capsys):
    assert main([*command, "--out", str(tmp_path / "none"), "--dry-run", "--json", "--samples", "100", "--preset", "paper"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["prompts"], said["samples"]) == (4, 400)
    assert said["passes"] == 400 * 2 * 4
    assert said["hours"] > 0
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (["--steps", "0"], "steps is 0"),
        (["--p", "0.9", "0.1"], "smaller one first"),
        (["--kind", "style"], "names no thresholds"),
        (["--early-stop", "--at", "3"], "at is 3.0"),
        (["--mode", "reweight"], "Reweighting needs words"),
        (["--workers", "0", "--ray"], "at least 1"),
        (["--clip", "/nowhere/clip"], "/nowhere/clip"),
        (["--source", "photos:."], "Name a file of edit triplets"),
    ],
)
def test_mistakes_are_named_in_a_sentence(command, tmp_path, change, said, capsys):
    assert main([*command, "--out", str(tmp_path / "none"), *change]) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("error: ")
    assert said in error


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (["pairs", "/nowhere.jsonl"], "/nowhere.jsonl"),
        (["filter", "/nowhere"], "no data at /nowhere"),
        (["filter", ".", "--keep", "0"], "at least 1"),
    ],
)
def test_input_that_is_not_there_is_told(asked, said, tmp_path, capsys, monkeypatch, made):
    monkeypatch.chdir(made)
    assert main([*asked, "--out", str(tmp_path / "out")]) == 2
    assert said in capsys.readouterr().err


def test_photos_become_pairs_without_a_model(tmp_path, capsys):
    photos = Path(__file__).resolve().parents[1] / "photos"
    asked = ["pairs", "--source", f"photos:{photos}", "--out", str(tmp_path / "set"), "--each", "2", "--size", "64", "--format", "jpg"]
    assert main([*asked, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["pairs"] == 6
    assert open_pairs(str(tmp_path / "set"), "all").length == 6


@pytest.mark.parametrize("name", ["pairs", "filter"])
def test_help_needs_no_torch(name):
    code = f"import sys; from ip2p.cli import main\ntry: main(['{name}', '--help'])\nexcept SystemExit: print('torch' in sys.modules)"
    root = Path(__file__).resolve().parents[2]
    said = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True).stdout
    assert said.splitlines()[-1] == "False"
    assert "--early-stop" in said if name == "pairs" else "--layout" in said
