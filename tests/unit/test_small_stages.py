"""`python -m ip2p small`, whole, on a handful of pictures: every stage runs, resumes, and the file it ends in edits a picture."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import AutoencoderTiny
from PIL import Image
from safetensors.torch import save_file

from ip2p.checkpoint import read
from ip2p.cli import main
from ip2p.edit import Editor
from ip2p.small import latents
from ip2p.small.teacher import Teacher, TeacherError

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
    (tmp_path / "config.toml").write_text(CONFIG.format(teacher=(tmp_path / "teacher").as_posix()))
    return tmp_path


def train(work: Path, *more: str) -> int:
    return main(["small", str(work / "config.toml"), "--data", str(work / "photos"), "--out", str(work / "run"), *more])


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


def test_a_missing_or_wrong_teacher_is_refused_with_a_sentence(work: Path) -> None:
    with pytest.raises(TeacherError, match="There is no taesd_encoder"):
        Teacher(work)
    save_file({"0.weight": torch.zeros(1)}, work / "taesd_encoder.safetensors")
    with pytest.raises(TeacherError, match="is not TAESD's encoder"):
        Teacher(work)
