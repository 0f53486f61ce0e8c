"""The command line as a user meets it: its own process, files in and out, sentences instead of tracebacks."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tiny
from PIL import Image

from ip2p import cli
from ip2p.checkpoint import write
from ip2p.jobs import parse, read_jobs

ROOT = Path(__file__).resolve().parents[2]


def command(*arguments, folder):
    """Run `python -m ip2p` in a process of its own, in `folder`."""
    given = [sys.executable, "-m", "ip2p", *map(str, arguments)]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1", "OMP_WAIT_POLICY": "PASSIVE"}
    return subprocess.run(given, cwd=folder, env=environment, capture_output=True, text=True, timeout=300, check=False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cli")
    write(folder / "tiny.safetensors", tiny.with_ema(tiny.ldm(), 0.01), tiny.SETTINGS | {"steps": 2})
    pixels = np.random.default_rng(0).integers(0, 255, (70, 90, 4), np.uint8)
    Image.fromarray(pixels, "RGBA").save(folder / "photo.png")
    return folder


def run(folder, *arguments, capsys=None):
    """The same command in this process, where the libraries are already loaded."""
    here = Path.cwd()
    os.chdir(folder)
    try:
        code = cli.main([str(argument) for argument in arguments])
    finally:
        os.chdir(here)
    return (code, capsys.readouterr()) if capsys else code


EDIT = ("edit", "--model", "tiny.safetensors", "--image", "photo.png", "--instruction", "make it night")


@pytest.mark.whole
def test_a_picture_is_edited_in_a_process_of_its_own(folder):
    done = command(*EDIT, "--out", "new/night.png", folder=folder)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert "tiny.safetensors: sd15, the EMA weights were taken" in done.stderr
    assert done.stdout.startswith(f"{Path('new/night.png')} (90 x 70, ")
    assert Image.open(folder / "new" / "night.png").size == (90, 70)
    assert [path.name for path in (folder / "new").iterdir()] == ["night.png"]


@pytest.mark.whole
def test_a_mistake_gets_a_sentence_and_code_2(folder):
    done = command("edit", "--model", "nowhere.safetensors", *EDIT[3:], "--out", "x.png", folder=folder)
    assert done.returncode == 2
    assert done.stderr.strip().splitlines()[-1] == "error: There is no model at nowhere.safetensors: check the name."
    assert "Traceback" not in done.stderr


def test_help_is_quick_and_loads_nothing_heavy(folder):
    lines = [
        "import sys",
        "from ip2p.cli import main",
        "try: main(['--help'])",
        "except SystemExit: assert not {'torch', 'diffusers'} & set(sys.modules)",
    ]
    done = subprocess.run([sys.executable, "-c", "\n".join(lines)], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert "edit" in done.stdout
    assert "small" in done.stdout


def test_raw_weights_seed_and_sampler_are_passed_on(folder):
    for name, extra in {"a": (), "b": (), "raw": ("--weights", "raw"), "seed": ("--seed", "1"), "euler": ("--sampler", "euler")}.items():
        assert run(folder, *EDIT, "--out", f"{name}.png", *extra) == 0
    pictures = {name: (folder / f"{name}.png").read_bytes() for name in ("a", "b", "raw", "seed", "euler")}
    assert pictures["a"] == pictures["b"]
    assert len(set(pictures.values())) == 4


def test_an_empty_instruction_writes_the_input(folder):
    assert run(folder, *EDIT[:-1], "", "--out", "same.png") == 0
    assert np.array_equal(np.asarray(Image.open(folder / "same.png")), np.asarray(Image.open(folder / "photo.png"))[..., :3])


@pytest.mark.parametrize(
    ("extra", "sentence"),
    [
        (("--text-scale", "nan"), "The text scale is nan"),
        (("--image-scale", "-1"), "The image scale is -1"),
        (("--steps", "0"), "The number of steps is 0; use 1 to 1000."),
        (("--size", "7"), "The size is 7 pixels; use 64 to 4096"),
        (("--seed", "-3"), "The seed is -3"),
        (("--device", "tpu"), "The device 'tpu' is not there"),
        (("--mask", "no.png"), "There is no mask at no.png"),
        (("--mask", "tiny.safetensors"), "tiny.safetensors is not a readable picture"),
        (("--out", "out.txt"), "out.txt has no ending of a picture format"),
        (("--image", "no.png"), "There is no picture at no.png"),
        (("--image", "tiny.safetensors"), "tiny.safetensors is not a readable picture"),
        (("--out", "photo.png/out.png"), "The folder photo.png can't be made"),
        (("--jobs", "jobs.jsonl"), "A file of jobs names its own pictures"),
    ],
)
def test_mistakes_are_named(folder, capsys, extra, sentence):
    code, said = run(folder, *EDIT, "--out", "out.png", *extra, capsys=capsys)
    assert code == 2
    assert f"error: {sentence}" in said.err
    assert not (folder / "out.png").exists()


SDEDIT = ("sdedit", "--model", "tiny.safetensors", "--image", "photo.png", "--prompt", "a night", "--steps", "2")


def test_sdedit_writes_a_picture_of_the_input_size(folder, capsys):
    code, said = run(folder, *SDEDIT, "--strength", "0.5", "--out", "sdedit/night.png", capsys=capsys)
    assert code == 0
    assert said.out.startswith(f"{Path('sdedit/night.png')} (90 x 70, ")
    assert Image.open(folder / "sdedit" / "night.png").size == (90, 70)


@pytest.mark.parametrize(
    ("extra", "sentence"),
    [
        (("--strength", "0"), "The strength is 0.0; use 0.01"),
        (("--scale", "-1"), "The guidance scale is -1"),
        (("--image", "no.png"), "There is no picture at no.png"),
        (("--model", "no.ckpt"), "There is no model at no.ckpt"),
    ],
)
def test_mistakes_in_sdedit_are_named(folder, capsys, extra, sentence):
    code, said = run(folder, *SDEDIT, "--out", "out.png", *extra, capsys=capsys)
    assert code == 2
    assert f"error: {sentence}" in said.err


def test_missing_arguments_are_named(folder, capsys):
    code, said = run(folder, "edit", "--instruction", "x", capsys=capsys)
    assert code == 2
    assert "Missing --image, --out" in said.err


def test_jobs_of_which_one_fails_write_the_others(folder, capsys):
    lines = [
        {"image": "photo.png", "instruction": "make it night", "out": "jobs/1.png"},
        {"image": "lost.png", "instruction": "make it night", "out": "jobs/2.png"},
        {"image": "photo.png", "instruction": "make it night", "out": "jobs/3.png", "seed": 5, "image-scale": 1, "text_scale": 3.5},
        {"image": "photo.png", "instruction": "make it night", "out": "jobs/4.png", "text_scale": -1},
    ]
    text = "\n".join(map(json.dumps, lines)) + '\n\n{"image": "photo.png"\n{"image": "photo.png", "out": "jobs/5.png", "colour": 1}\n'
    (folder / "jobs.jsonl").write_text(text, encoding="utf-8")
    code, said = run(folder, "edit", "--model", "tiny.safetensors", "--jobs", "jobs.jsonl", capsys=capsys)
    assert code == 1
    assert sorted(path.name for path in (folder / "jobs").iterdir()) == ["1.png", "3.png"]
    assert "jobs.jsonl, line 2: There is no picture at lost.png" in said.err
    assert "jobs.jsonl, line 4: The text scale is -1" in said.err
    assert "jobs.jsonl, line 6: is not JSON" in said.err
    assert "jobs.jsonl, line 7: has the unknown name 'colour'" in said.err


def test_outside_a_mask_every_pixel_stays(folder):
    mask = np.zeros((70, 90), np.uint8)
    mask[:, 50:] = 255
    Image.fromarray(mask).save(folder / "mask.png")
    assert run(folder, *EDIT, "--out", "masked.png", "--mask", "mask.png") == 0
    (folder / "masked.jsonl").write_text(
        json.dumps({"image": "photo.png", "instruction": "make it night", "out": "job.png", "mask": "mask.png"})
    )
    assert run(folder, "edit", "--model", "tiny.safetensors", "--jobs", "masked.jsonl") == 0
    before, after, job = (np.asarray(Image.open(folder / name).convert("RGB")) for name in ("photo.png", "masked.png", "job.png"))
    assert np.array_equal(after[:, :45], before[:, :45])
    assert (after[:, 60:] != before[:, 60:]).any()
    assert np.array_equal(job, after)


def test_isolating_and_speed_are_passed_on(folder):
    names = []
    for number, extra in enumerate([(), ("--speed", "fast", "--steps", "6"), ("--steps", "6"), ("--steps", "6", "--isolate", "0.5")]):
        assert run(folder, *EDIT, "--out", f"way{number}.png", *extra) == 0
        names.append((folder / f"way{number}.png").read_bytes())
    assert len(set(names)) >= 3


def test_a_job_equals_the_single_command(folder):
    (folder / "one.jsonl").write_text(json.dumps({"image": "photo.png", "instruction": "make it night", "out": "job.png"}))
    assert run(folder, "edit", "--model", "tiny.safetensors", "--jobs", "one.jsonl", "--seed", "9") == 0
    assert run(folder, *EDIT, "--out", "single.png", "--seed", "9") == 0
    assert (folder / "job.png").read_bytes() == (folder / "single.png").read_bytes()


def test_unusable_job_files_are_named(tmp_path):
    with pytest.raises(ValueError, match="can't be read"):
        read_jobs(tmp_path / "nowhere.jsonl", {})
    (tmp_path / "empty.jsonl").write_text("\n\n")
    with pytest.raises(ValueError, match=r"empty\.jsonl has no jobs"):
        read_jobs(tmp_path / "empty.jsonl", {})


def test_two_jobs_may_not_write_the_same_file(tmp_path):
    line = json.dumps({"image": "a.png", "instruction": "x", "out": "b.png"})
    (tmp_path / "jobs.jsonl").write_text(f"{line}\n{line}\n")
    jobs, bad = read_jobs(tmp_path / "jobs.jsonl", {})
    assert len(jobs) == 1
    assert bad == ["jobs.jsonl, line 2: writes to b.png like line 1; give each its own output."]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"steps": 2.5}, "has 2.5 for steps; give a whole number"),
        ({"steps": True}, "has True for steps"),
        ({"text_scale": "7"}, "has '7' for text_scale; give a number"),
        ({"instruction": None}, "has None for instruction; give a text"),
        ({"model": "x"}, "has the unknown name 'model'"),
    ],
)
def test_values_of_the_wrong_kind_are_named(change, sentence):
    job = {"image": "a.png", "instruction": "x", "out": "b.png"} | change
    with pytest.raises(ValueError, match=sentence):
        parse(json.dumps(job), {})


@pytest.mark.parametrize(("line", "sentence"), [("[1]", "is not a JSON object"), ('{"image": "a.png"}', "lacks instruction, out")])
def test_lines_that_are_no_jobs_are_named(line, sentence):
    with pytest.raises(ValueError, match=sentence):
        parse(line, {})
