"""`python -m ip2p sweep`: files in and out, and sentences instead of tracebacks."""

import json
import re

import numpy as np
import pytest
import tiny
import torch
from PIL import Image

from ip2p import cli
from ip2p.checkpoint import write
from ip2p.pictures import open_picture


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sweep")
    write(folder / "tiny.safetensors", tiny.ldm(), tiny.SETTINGS)
    pixels = np.random.default_rng(0).integers(0, 255, (70, 90, 3), np.uint8)
    Image.fromarray(pixels).save(folder / "photo.png")
    return folder


@pytest.fixture
def run(folder, monkeypatch, capsys):
    def command(*arguments):
        monkeypatch.chdir(folder)
        told = ("--model", "tiny.safetensors", "--text-scales", "3,7.5", "--image-scales", "1.5", "--steps", "2", "--device", "cpu")
        code = cli.main(["sweep", "photo.png", *map(str, arguments), *told])
        return code, capsys.readouterr()

    return command


def test_a_sweep_writes_its_sheet_and_cells(run, folder):
    code, said = run("make it night", "--out", "sheet.png", "--cells", "cells", "--seed", "3", "--negative", "blurry")
    assert code == 0
    assert said.out.startswith("sheet.png (")
    assert "2 edits in 9 network passes; one by one they take 12" in said.out
    with Image.open(folder / "sheet.png") as sheet:
        assert sheet.width > 3 * 256
    known = json.loads((folder / "cells" / "cells.json").read_text())
    assert [(one["text_scale"], one["image_scale"]) for one in known] == [(3, 1.5), (7.5, 1.5)]
    for one, scale in zip(known, ("3", "7.5"), strict=True):
        edit = ("--text-scale", scale, "--image-scale", "1.5", "--steps", "2", "--seed", "3", "--negative", "blurry", "--device", "cpu")
        told = ("--model", "tiny.safetensors", "--image", "photo.png", "--instruction", "make it night", "--out", "one.png")
        assert cli.main(["edit", *told, *edit]) == 0
        apart = (open_picture(folder / "one.png") - open_picture(folder / "cells" / one["file"])).abs()
        assert apart.max() <= 1.01 / 255
        assert (apart > 0).float().mean() < 0.01


def test_a_fast_sweep_makes_fewer_passes(run):
    code, said = run("make it night", "--out", "fast.png", "--speed", "fast")
    assert code == 0
    assert "2 edits in 5 network passes; one by one they take 12" in said.out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("make it night", "--out", "sheet.txt"), "no ending of a picture format"),
        ((" ", "--out", "s.png"), "A sweep takes one picture and an instruction"),
    ],
)
def test_mistakes_are_named(run, arguments, said):
    code, told = run(*arguments)
    assert code == 2
    assert said in told.err
    assert "Traceback" not in told.err


def test_auto_scales_are_told_and_used(folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    told = (
        "edit",
        "--model",
        "tiny.safetensors",
        "--image",
        "photo.png",
        "--instruction",
        "make it night",
        "--steps",
        "2",
        "--device",
        "cpu",
    )
    assert cli.main([*told, "--out", "auto.png", "--auto-scales", "--text-scale", "4", "--image-scale", "1.5"]) == 0
    said = re.search(r"auto\.png: text scale ([\d.]+), image scale ([\d.]+)\. ", capsys.readouterr().err)
    assert float(said[1]) in (2.4, 4, 6.4)
    assert float(said[2]) in (1, 1.5, 2)
    assert cli.main([*told, "--out", "by_hand.png", "--text-scale", said[1], "--image-scale", said[2]]) == 0
    assert torch.equal(open_picture(folder / "auto.png"), open_picture(folder / "by_hand.png"))
