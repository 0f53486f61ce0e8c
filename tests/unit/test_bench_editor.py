"""The bench of the editor: its rows, judges, figures and sheet, with a tiny random network."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import tiny
import torch
from PIL import Image
from safetensors.torch import save_file

from ip2p.data.photos import Answers, example_of, held_out_instruction, photos_from, rivals
from ip2p.worlds.photo_operators import KINDS, PAIRS

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "bench"))
import editor as bench

SIZE = 64


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "tiny.safetensors"
    settings = {f"ip2p.{name}": str(value) for name, value in {**tiny.SETTINGS, "size": SIZE, "steps": 2}.items()}
    save_file(tiny.ldm(), path, metadata=settings)
    return path


def run(monkeypatch, capsys, model, *words):
    monkeypatch.setattr(sys, "argv", ["editor.py", "--model", str(model), *map(str, words)])
    bench.main()
    return capsys.readouterr().out.strip().splitlines()


@pytest.mark.whole
def test_everything_asked_for_is_measured_and_the_last_line_has_it(monkeypatch, capsys, model, tmp_path):
    words = ("--count", 2, "--kinds", "night", "sepia", "--pairs", 3, "--world", 1, "--rows", tmp_path / "rows.jsonl")
    last = json.loads(run(monkeypatch, capsys, model, *words)[-1])
    assert last["n"] == {"photos": 4, "pairs": 3, "world": 1}
    assert set(last["per_kind"]) == {"night", "sepia"}
    assert len(last["per_pair"]) == 3
    assert set(last["per_world_kind"]) == {"replace"}
    assert all(0 <= last[name] <= 1 for name in ("success", "pairs_success", "world_success", "world_done", "world_kept"))
    assert last["success_lpips"] is None
    assert last["megabytes"] == round(model.stat().st_size / 1e6, 1)


@pytest.mark.whole
def test_a_stopped_measurement_goes_on_where_it_stopped(monkeypatch, capsys, model, tmp_path):
    rows = tmp_path / "rows.jsonl"
    whole = run(monkeypatch, capsys, model, "--count", 1, "--kinds", "night", "sepia", "fog", "--batch", 1, "--rows", rows)[-1]
    lines = rows.read_text().splitlines()
    rows.write_text("\n".join(lines[:3]) + "\n" + lines[3][:20])
    said = run(monkeypatch, capsys, model, "--count", 1, "--kinds", "night", "sepia", "fog", "--batch", 1, "--rows", rows)
    assert said[-1] == whole
    assert rows.read_text().splitlines() == lines
    assert sum("edits (" in line for line in said) == 1
    with pytest.raises(SystemExit, match="name another file"):
        run(monkeypatch, capsys, model, "--steps", 3, "--rows", rows)


def test_edits_made_together_are_those_made_alone(model):
    editor = bench.Editor.load(model)
    photo = photos_from(None)[0]
    jobs = [bench.Job("photos", example_of(photo, kind, SIZE), seed, photo) for seed, kind in enumerate(("night", "snow+sepia"))]
    options = bench.argparse.Namespace(steps=None, text_scale=None, image_scale=None)
    for job, result in zip(jobs, bench._edited(editor, jobs, options), strict=True):
        alone = editor.edit(job.example.image()[None], job.example.instruction, seed=job.seed)[0].numpy()
        np.testing.assert_allclose(result, alone, atol=1e-4)


def test_a_pair_is_told_from_its_kinds_and_from_pairs_that_share_one():
    answers = Answers(photos_from(None)[0], SIZE)
    assert rivals("night") == KINDS
    assert {"snow", "snow+night", "night+sepia", "sketch+night"} <= set(rivals("snow+night"))
    assert "sketch+sepia" not in rivals("snow+night")
    for kind in ("snow+night", "sketch+sepia", "oil_painting+vivid"):
        assert answers.nearest(answers.of(kind), kind) == kind
    assert answers.nearest(answers.of("snow"), "snow+night") == "snow"
    assert answers.nearest(answers.source, "snow+night") == "unchanged"


def test_a_pair_of_a_photo_is_an_example_with_words_of_its_own():
    photo = photos_from(None)[0]
    example = example_of(photo, "snow+night", SIZE)
    assert example.edited_caption == "a photo of something covered in snow at night"
    assert example.judge(example.edited()) == {"right": 1.0}
    assert example.judge(example.image()) == {"right": 0.0}
    assert len({held_out_instruction("+".join(pair), photo.name) for pair in PAIRS}) == len(PAIRS)


@pytest.mark.whole
def test_the_sheet_shows_every_kind(monkeypatch, capsys, model, tmp_path):
    edited = []
    monkeypatch.setattr(bench, "LOCAL", ("add",))
    monkeypatch.setattr(bench, "sheet", lambda strips, cell, title: edited.extend(strips) or torch.zeros(8, 8, 3))
    said = run(monkeypatch, capsys, model, "--sheet", tmp_path / "sheet.png", "--steps", 1)
    shown = [panel.title for strip in edited for panel in strip.panels[1::3]]
    assert shown[: len(KINDS) - 1] == [kind.replace("_", " ") for kind in KINDS[1:]]
    assert shown[-1] == "add"
    assert len(said) == len(shown)
    assert Image.open(tmp_path / "sheet.png").size == (8, 8)
