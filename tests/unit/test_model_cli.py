"""The commands `export` and `merge`."""

import pytest
import tiny
import torch
from test_export import close, of_state, with_values
from test_trainable import moved

from ip2p import checkpoint
from ip2p.checkpoint import UNET
from ip2p.cli import main
from ip2p.layout import with_picture_input
from ip2p.training import config as configs
from ip2p.training.checkpoints import Checkpoints
from ip2p.training.config import from_table
from ip2p.training.trainable import prepare

SETTINGS = {name: str(value) for name, value in tiny.SETTINGS.items()}


@pytest.fixture
def folder(tmp_path):
    """An editor with EMA weights, the base it was made from, and a custom model."""
    checkpoint.write(tmp_path / "editor.safetensors", tiny.with_ema(tiny.ldm(tiny.unet(seed=1, attention=(0, 1))), 0.125), SETTINGS)
    for name, seed in (("base", 2), ("custom", 3)):
        checkpoint.write(tmp_path / f"{name}.safetensors", tiny.ldm(tiny.unet(in_channels=4, seed=seed, attention=(0, 1))), SETTINGS)
    return tmp_path


def read(path, weights="ema"):
    return checkpoint.read(path, weights, editor=False)


def run(folder, *words):
    """Run a command; words that end in .safetensors, and `folder`, are names in the folder."""
    return main([str(folder / word) if word.endswith(".safetensors") or word == "folder" else word for word in words])


def test_merging_with_the_base_writes_the_editor_to_the_bit(folder, capsys):
    words = ("--custom", "base.safetensors", "--editor", "editor.safetensors", "--base", "base.safetensors", "--out", "merged.safetensors")
    for weights in ("ema", "raw"):
        assert run(folder, "merge", *words, "--weights", weights) == 0
        merged, editor = read(folder / "merged.safetensors"), read(folder / "editor.safetensors", weights)
        assert merged.settings == SETTINGS
        assert all(torch.equal(merged.state[name], tensor) for name, tensor in editor.state.items() if name.startswith(UNET))
    assert capsys.readouterr().out.splitlines() == [str(folder / "merged.safetensors")] * 2


def test_merge_strength_and_precision(folder):
    words = (
        "--custom",
        "custom.safetensors",
        "--editor",
        "editor.safetensors",
        "--base",
        "base.safetensors",
        "--out",
        "merged.safetensors",
    )
    assert run(folder, "merge", *words, "--strength", "0", "--precision", "fp16") == 0
    merged, custom = read(folder / "merged.safetensors").state, with_picture_input(read(folder / "custom.safetensors").state)
    assert all(torch.equal(merged[name], tensor.half()) for name, tensor in custom.items())


def test_a_model_as_a_delta_and_back(folder):
    export = ("export", "editor.safetensors", "--form", "delta", "--precision", "fp32", "--base", "base.safetensors")
    assert run(folder, *export, "--out", "delta.safetensors") == 0
    assert run(folder, "merge", "--custom", "base.safetensors", "--change", "delta.safetensors", "--out", "again.safetensors") == 0
    again, editor = read(folder / "again.safetensors").state, read(folder / "editor.safetensors").state
    for name, tensor in editor.items():
        torch.testing.assert_close(again[name], tensor, atol=1e-7, rtol=1e-6)


@pytest.mark.parametrize("weights", ["ema", "raw"])
def test_a_model_as_a_folder_and_back(folder, weights):
    options = ("--weights", weights, "--precision", "fp32")
    assert run(folder, "export", "editor.safetensors", "--form", "diffusers", "--out", "folder", *options) == 0
    assert run(folder, "export", "folder", "--out", "again.safetensors", "--precision", "fp32") == 0
    again, editor = read(folder / "again.safetensors"), read(folder / "editor.safetensors", weights)
    assert again.settings == SETTINGS
    assert again.state.keys() == editor.state.keys()
    assert all(torch.equal(again.state[name], tensor) for name, tensor in editor.state.items())


@pytest.fixture
def training_run(folder):
    """A run of a LoRA with checkpoints after one step (the best) and two; their weights, averaged and raw, as predicted by the network."""
    config = from_table({"model": {"base": str(folder / "base.safetensors"), "train": "lora", "rank": 2}, "run": {"steps": 2}})
    configs.save(config, folder / "folder" / "config.yaml")
    trainable = prepare(read(folder / "base.safetensors"), config.model)
    store, said = Checkpoints(folder / "folder" / "checkpoints"), {}
    for step, score in ((1, 2.0), (2, 1.0)):
        average = {name: value for (name, _), value in zip(trainable.parameters, moved(trainable), strict=True)}
        weights = {name: parameter.detach().clone() for name, parameter in trainable.parameters}
        store.save({"weights": weights, "average": average, "optimizer": {}, "scaler": {}}, step, 4 * step, score)
        said |= {("raw", step): with_values(trainable, weights.values()), ("ema", step): with_values(trainable, average.values())}
    return said


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ((), ("ema", 2)),
        (("--weights", "raw"), ("raw", 2)),
        (("--checkpoint", "best"), ("ema", 1)),
        (("--checkpoint", "1", "--weights", "raw"), ("raw", 1)),
    ],
)
def test_a_run_as_one_file(folder, training_run, options, expected):
    assert run(folder, "export", "folder", "--out", "out.safetensors", "--precision", "fp32", *options) == 0
    close(of_state(read(folder / "out.safetensors").state), training_run[expected])


@pytest.mark.parametrize("form", ["lora", "delta"])
def test_a_run_as_a_file_to_add(folder, training_run, form):
    assert run(folder, "export", "folder", "--form", form, "--precision", "fp32", "--out", "out.safetensors") == 0
    assert run(folder, "merge", "--custom", "base.safetensors", "--change", "out.safetensors", "--out", "again.safetensors") == 0
    close(of_state(read(folder / "again.safetensors").state), training_run["ema", 2])


def test_a_run_as_a_folder_replaces_only_its_like(folder, training_run, capsys):
    command = ("export", str(folder / "folder"), "--form", "diffusers", "--precision", "fp32", "--out", str(folder / "pipeline"))
    for _ in range(2):
        assert main(list(command)) == 0
    close(of_state(read(folder / "pipeline").state), training_run["ema", 2])
    (folder / "pipeline" / "model_index.json").unlink()
    assert main(list(command)) == 2
    assert "is there already and is no diffusers folder" in capsys.readouterr().err
    assert not [place.name for place in folder.iterdir() if place.name.startswith(".")]


EDITOR, OUT = ("export", "editor.safetensors"), ("--out", "out.safetensors")
MERGE = ("merge", "--custom", "custom.safetensors")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ((*EDITOR, *OUT, "--form", "lora"), "A LoRA can be written of a training run only"),
        ((*EDITOR, *OUT, "--form", "delta"), "name the one that this editor was made from with --base"),
        ((*EDITOR, *OUT, "--weights", "both"), "Both sets of weights can be written of a training run only"),
        ((*EDITOR, "--out", "editor.ckpt"), "editor.ckpt can't be the file to write: choose a name that ends in .safetensors"),
        (("export", "base.safetensors", *OUT), "This is a text-to-image model"),
        ((*MERGE, *OUT, "--editor", "editor.safetensors"), "A merge needs --editor and --base, or --change alone"),
        ((*MERGE, *OUT), "A merge needs --editor and --base, or --change alone"),
        ((*MERGE, *OUT, "--change", "missing.safetensors"), "There is no LoRA or delta file"),
        ((*MERGE, *OUT, "--change", "missing.safetensors", "--strength", "nan"), "The strength is nan"),
    ],
)
def test_mistakes_are_named(folder, words, sentence, capsys):
    assert run(folder, *words) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("error: ")
    assert sentence in error
    assert not (folder / "out.safetensors").exists()
