"""`python -m ip2p small`, whole, on a handful of pictures: every stage runs, resumes, and the file it ends in edits a picture."""

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import AutoencoderTiny
from PIL import Image
from safetensors.torch import load_file, save_file

from ip2p.checkpoint import CheckpointError, read
from ip2p.cli import main
from ip2p.edit import Editor
from ip2p.layout import TEXT, VAE
from ip2p.small import captioned, latents
from ip2p.small.teacher import Teacher, TeacherError
from ip2p.text_to_image import TextToImage
from ip2p.worlds import language

CONFIG = """
[autoencoder]
teacher = "{teacher}"
widths = [32, 32, 32, 32]
crop = 32
encoder = {{ steps = 2, batch = 2 }}
decoder = {{ steps = 2, batch = 2 }}
[text]
width = 8
layers = 1
heads = 2
schedule = {{ steps = 2, batch = 4 }}
[latents]
crop = 64
scales = [64, 72]
edits = 2
photos = 2
[scenes]
files = 2
scenes = 1
size = 64
edits = 2
[unet]
widths = [32, 32]
attention = [1]
heads = 2
sides = [4, 8]
schedule = {{ steps = 2, batch = 2 }}
[export]
size = 64
steps = 1
[captioned]
files = 2
scenes = 2
size = 64
[painter]
editor = "{editor}"
widths = [32, 32]
attention = [0, 1]
heads = 2
size = 64
steps = 2
schedule = {{ steps = 2, batch = 2 }}
"""


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """A folder with five photos, a teacher with random weights, and a config."""
    torch.manual_seed(0)
    for folder in ("photos", "teacher"):
        (tmp_path / folder).mkdir()
    rng = np.random.default_rng(0)
    for number in range(5):
        Image.fromarray(rng.integers(0, 255, (80, 96, 3), dtype=np.uint8)).save(tmp_path / "photos" / f"photo{number}.png")
    state = AutoencoderTiny().encoder.state_dict()
    save_file({name.removeprefix("layers."): tensor for name, tensor in state.items()}, tmp_path / "teacher" / "taesd_encoder.safetensors")
    places = {name: (tmp_path / place).as_posix() for name, place in (("teacher", "teacher"), ("editor", "run/embedded.safetensors"))}
    (tmp_path / "config.toml").write_text(CONFIG.format(**places))
    return tmp_path


def train(work: Path, *more: str) -> int:
    return main(["small", str(work / "config.toml"), "--data", str(work / "photos"), "--out", str(work / "run"), *more])


@pytest.mark.whole
def test_all_stages_make_a_file_that_edits(work: Path) -> None:
    assert train(work) == 0
    assert not list((work / "run").rglob("*.partial"))
    checkpoint = read(work / "run" / "embedded.safetensors")
    assert checkpoint.family == "sd15"
    assert {tensor.dtype for tensor in checkpoint.state.values()} == {torch.float16}
    assert checkpoint.settings["num_heads"] == "2"
    editor = Editor.load(work / "run" / "embedded.safetensors", device="cpu")
    picture = torch.rand(1, 64, 64, 3)
    edited = editor.edit(picture, "make it night")
    assert edited.shape == picture.shape
    assert not torch.equal(edited, picture)


@pytest.mark.whole
def test_training_goes_on_from_a_finished_file(work: Path) -> None:
    """With `start` and no steps the autoencoder is the earlier file's to the bit, and the denoiser begins at its weights."""
    assert train(work) == 0
    earlier = work / "earlier.safetensors"
    (work / "run" / "embedded.safetensors").rename(earlier)
    text = (work / "config.toml").read_text().replace(f'teacher = "{(work / "teacher").as_posix()}"', f'start = "{earlier.as_posix()}"')
    text = text.replace("encoder = { steps = 2, batch = 2 }", "encoder = { steps = 0 }")
    text = text.replace("decoder = { steps = 2, batch = 2 }", "decoder = { steps = 0 }")
    text = text.replace("sides = [4, 8]", f'sides = [4, 8]\nstart = "{earlier.as_posix()}"').replace("rate = 1e-3", "")
    (work / "config.toml").write_text(text)
    shutil.rmtree(work / "run")
    assert train(work) == 0
    before, after = (read(path).state for path in (earlier, work / "run" / "embedded.safetensors"))
    assert all(torch.equal(tensor, after[name]) for name, tensor in before.items() if name.startswith("first_stage_model."))
    moved = [(after[name].float() - tensor.float()).abs().max() for name, tensor in before.items() if name.startswith("model.")]
    assert 0 < float(max(moved)) < 0.02


def test_a_stage_without_its_forerunner_says_so(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert train(work, "--stage", "latents") == 2
    assert "train that stage first" in capsys.readouterr().err
    assert train(work, "--stage", "unet", "--stage", "dance") == 2
    assert "no stage 'dance'; the stages are encoder" in capsys.readouterr().err


def test_latents_that_are_there_are_kept(work: Path) -> None:
    assert train(work, "--stage", "encoder", "--stage", "latents") == 0
    folder = work / "run" / "latents"
    before = {path.name: path.stat().st_mtime_ns for path in folder.glob("*.pt")}
    assert train(work, "--stage", "latents") == 0
    assert before == {path.name: path.stat().st_mtime_ns for path in folder.glob("*.pt")}
    pairs = latents.read(folder)
    assert pairs.edited.shape == (len(pairs.source), 2, 4, 8, 8)
    assert pairs.kinds.shape == (len(pairs.source), 2, 2)


@pytest.mark.whole
def test_a_text_to_image_network_shares_its_editors_other_parts(work: Path) -> None:
    assert train(work) == 0
    assert train(work, "--stage", "captioned", "--stage", "painter") == 0
    path, editor = work / "run" / "painter.safetensors", read(work / "run" / "embedded.safetensors")
    stored, found = load_file(path), read(path, editor=False)
    assert not any(name.startswith(VAE) or "token_embedding" in name for name in stored)
    assert all(torch.equal(tensor, found.state[name]) for name, tensor in editor.state.items() if name.startswith(VAE))
    assert any(not torch.equal(tensor, editor.state[name]) for name, tensor in stored.items() if name.startswith(TEXT))
    painter = TextToImage.load(path, device="cpu")
    picture = painter.generate("a red ball on a beach", [1, 2], 64, 64)
    assert picture.shape == (2, 64, 64, 3)
    path.rename(work / "alone.safetensors")
    with pytest.raises(CheckpointError, match=r"shares parts with embedded\.safetensors, which is not beside it"):
        read(work / "alone.safetensors", editor=False)


def test_captions_leave_things_out_but_never_invent(work: Path) -> None:
    rng = np.random.default_rng(0)
    scenes = [captioned.some_scene(rng) for _ in range(200)]
    assert {len(scene.things) for scene in scenes} == {1, 2, 3, 4}
    assert 0.1 < np.mean([scene.style != "plain" for scene in scenes]) < 0.3
    whole = 0
    for scene in scenes:
        said, most = captioned.caption(scene, rng), language.caption(scene)
        whole += said == most
        assert set(re.findall(r"\w+", said)) <= {*re.findall(r"\w+", most), "on", "a", "an"}
        assert all(thing.shape in said and thing.colour in said for thing in scene.things)
    assert 80 < whole < 150


def test_a_missing_or_wrong_teacher_is_refused_with_a_sentence(work: Path) -> None:
    with pytest.raises(TeacherError, match="There is no taesd_encoder"):
        Teacher(work)
    save_file({"0.weight": torch.zeros(1)}, work / "taesd_encoder.safetensors")
    with pytest.raises(TeacherError, match="is not TAESD's encoder"):
        Teacher(work)
