"""`python -m ip2p world` and `judge`: scenes as files, and verdicts on files."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from ip2p.cli import main
from ip2p.data.open import open_dataset


@pytest.fixture
def world(tmp_path, capsys):
    assert main(["world", "--out", str(tmp_path / "w"), "--count", "3", "--kinds", "recolour,remove", "--size", "64", "--seed", "5"]) == 0
    assert "3 scenes" in capsys.readouterr().out
    return tmp_path / "w"


def test_the_folder_is_a_data_set_of_the_same_edits(world):
    lines = [json.loads(line) for line in (world / "metadata.jsonl").read_text().splitlines()]
    assert [line["kind"] for line in lines] == ["recolour", "remove", "recolour"]
    data = open_dataset(str(world))
    assert [example.id for example in data] == [line["id"] for line in lines]
    for example in data:
        source, answer, mask = example.image(), example.edited(), example.mask()
        changed = (source - answer).abs().amax(-1) > 3 / 255
        assert changed.any()
        assert (mask[changed] == 1).all()
        assert example.caption != example.edited_caption
    assert Image.open(world / "sheet.png").width > 200


@pytest.mark.whole
def test_the_judge_tells_right_from_wrong_files(world, tmp_path, capsys):
    lines = [json.loads(line) for line in (world / "metadata.jsonl").read_text().splitlines()]
    results = tmp_path / "results"
    results.mkdir()
    shutil.copy(world / lines[0]["edited"], results / f"{lines[0]['id']}.png")
    shutil.copy(world / lines[1]["image"], results / f"{lines[1]['id']}.png")
    assert main(["judge", str(results), "--world", str(world), "--json"]) == 0
    said = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(one["id"], one["right"]) for one in said] == [(lines[0]["id"], True), (lines[1]["id"], False)]
    assert "nothing was edited" in said[1]["reason"]
    assert main(["judge", str(results), "--world", str(world)]) == 0
    told = capsys.readouterr()
    assert "1 of 2 right" in told.out
    assert "1 scenes of" in told.err
    (results / f"{lines[0]['id']}.png").write_bytes(b"no picture")
    assert main(["judge", str(results), "--world", str(world)]) == 1, "one that can't be read doesn't stop the others"
    told = capsys.readouterr()
    assert "0 of 1 right" in told.out
    assert f"failed: {lines[0]['id']}" in told.err


def test_the_same_seed_writes_the_same_bytes(world, tmp_path):
    assert main(["world", "--out", str(tmp_path / "v"), "--count", "3", "--kinds", "recolour,remove", "--size", "64", "--seed", "5"]) == 0
    names = sorted(path.name for path in world.iterdir())
    assert names == sorted(path.name for path in (tmp_path / "v").iterdir())
    assert all((world / name).read_bytes() == (tmp_path / "v" / name).read_bytes() for name in names)


@pytest.mark.parametrize(
    ("arguments", "cause"),
    [
        (["--count", "0"], "ask for 1 or more"),
        (["--kinds", "teleport"], "unknown"),
        (["--size", "9"], "64"),
        (["--seed", "-3"], "The seed is -3; use 0 or more"),
    ],
)
def test_what_cannot_be_drawn_is_refused(arguments, cause, tmp_path, capsys):
    assert main(["world", "--out", str(tmp_path / "w"), "--count", "1", *arguments]) == 2
    assert cause in capsys.readouterr().err


def test_results_without_a_known_name_are_refused(world, tmp_path, capsys):
    Image.fromarray(np.zeros((64, 64, 3), np.uint8)).save(tmp_path / "mine.png")
    assert main(["judge", str(tmp_path / "mine.png"), "--world", str(world)]) == 2
    assert "ID.png" in capsys.readouterr().err
    assert main(["judge", str(tmp_path / "mine.png"), "--world", str(tmp_path)]) == 2
    assert "metadata.jsonl" in capsys.readouterr().err
