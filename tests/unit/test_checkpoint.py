"""Every format reads to the same LDM state; every bad file gets its sentence."""

import logging
import os
import pickle

import pytest
import tiny
import torch
from safetensors.torch import save_file

from ip2p import checkpoint
from ip2p.checkpoint import CheckpointError, read, write
from ip2p.keys import unet_to_ldm


@pytest.fixture(scope="module")
def state():
    return tiny.ldm()


@pytest.fixture(scope="module")
def small():
    """A UNet alone: enough where the rest of a checkpoint doesn't matter."""
    return tiny.prefixed(unet_to_ldm(tiny.unet().state_dict()), checkpoint.UNET)


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_written_then_read_is_the_same(tmp_path, state):
    write(tmp_path / "new" / "model.safetensors", state, tiny.SETTINGS)
    found = read(tmp_path / "new" / "model.safetensors")
    assert same(found.state, state)
    assert (found.family, found.weights) == ("sd15", "only")
    assert found.settings == {"num_heads": "2", "text_heads": "2", "size": "64"}
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["model.safetensors"]


def test_a_written_file_has_the_permissions_of_a_new_file(tmp_path, small):
    (tmp_path / "plain").touch()
    write(tmp_path / "model.safetensors", small)
    assert (tmp_path / "model.safetensors").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_writing_takes_views_and_shared_tensors(tmp_path, small):
    name = checkpoint.UNET + "time_embed.0.weight"
    write(tmp_path / "model.safetensors", small | {name: small[name].T, "copy": small[name]})
    assert torch.equal(read(tmp_path / "model.safetensors").state[name], small[name].T)


@pytest.mark.parametrize("nest", [lambda s: s, lambda s: {"state_dict": s, "epoch": 3, "global_step": 22000}, lambda s: {"model": s}])
@pytest.mark.parametrize("old_format", [False, True])
def test_pickled_files(tmp_path, small, nest, old_format):
    torch.save(nest(small), tmp_path / "model.ckpt", _use_new_zipfile_serialization=not old_format)
    assert same(read(tmp_path / "model.ckpt").state, small)


def test_what_lightning_leaves_beside_the_weights_is_no_hindrance(tmp_path, small):
    import sys
    import types

    import numpy

    module = types.ModuleType("pytorch_lightning.callbacks.model_checkpoint")
    module.ModelCheckpoint = type("ModelCheckpoint", (), {"__module__": module.__name__})
    names = ["pytorch_lightning", "pytorch_lightning.callbacks", module.__name__]
    sys.modules.update({name: types.ModuleType(name) for name in names[:2]} | {names[2]: module})
    try:
        callbacks = {module.ModelCheckpoint: {"best_model_score": torch.tensor(1.0), "current_score": numpy.float64(0.5)}}
        torch.save({"state_dict": small, "callbacks": callbacks}, tmp_path / "model.ckpt")
    finally:
        for name in names:
            del sys.modules[name]
    assert same(read(tmp_path / "model.ckpt").state, small)


class Bomb:
    def __reduce__(self):
        return os.mkdir, (os.environ["IP2P_TEST_BOMB"],)


@pytest.mark.parametrize("old_format", [False, True])
def test_a_pickle_with_code_is_refused_and_not_run(tmp_path, small, monkeypatch, old_format):
    monkeypatch.setenv("IP2P_TEST_BOMB", str(tmp_path / "exploded"))
    torch.save({"state_dict": small, "extra": Bomb()}, tmp_path / "model.ckpt", _use_new_zipfile_serialization=not old_format)
    with pytest.raises(CheckpointError, match=r"program code.*\.safetensors version"):
        read(tmp_path / "model.ckpt")
    (tmp_path / "plain.pt").write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(CheckpointError, match=r"plain\.pt holds program code"):
        read(tmp_path / "plain.pt")
    assert not (tmp_path / "exploded").exists()


@pytest.mark.parametrize(("asked", "taken", "change"), [("ema", "ema", 1.0), ("raw", "raw", 0.0)])
def test_the_asked_set_of_weights_is_taken_and_said(tmp_path, small, caplog, asked, taken, change):
    both = tiny.with_ema(small) | {"model_ema.decay": torch.tensor(0.9999), "model_ema.num_updates": torch.tensor(7)}
    write(tmp_path / "model.safetensors", both)
    with caplog.at_level(logging.INFO, logger="ip2p"):
        found = read(tmp_path / "model.safetensors", asked)
    assert found.weights == taken
    assert f"the {asked.replace('ema', 'EMA')} weights were taken" in caplog.text
    assert same(found.state, {name: tensor + change for name, tensor in small.items()})


def test_ema_is_the_default_and_one_set_is_enough(tmp_path, small):
    write(tmp_path / "both.safetensors", tiny.with_ema(small))
    write(tmp_path / "one.safetensors", small)
    assert read(tmp_path / "both.safetensors").weights == "ema"
    assert read(tmp_path / "one.safetensors").weights == read(tmp_path / "one.safetensors", "raw").weights == "only"


def test_half_an_ema_is_refused(tmp_path, small):
    half = tiny.with_ema(small)
    del half["model_ema.diffusion_modelout2weight"]
    write(tmp_path / "model.safetensors", half)
    with pytest.raises(CheckpointError, match=r"incomplete \(\d+ of \d+\): choose the raw"):
        read(tmp_path / "model.safetensors")
    assert read(tmp_path / "model.safetensors", "raw").weights == "raw"


@pytest.mark.parametrize("prefix", ["", "diffusion_model.", "unet."])
@pytest.mark.parametrize("layout", [unet_to_ldm, dict])
def test_a_unet_alone_in_either_naming(tmp_path, small, prefix, layout):
    save_file(tiny.prefixed(layout(tiny.unet().state_dict()), prefix), tmp_path / "unet.safetensors")
    found = read(tmp_path / "unet.safetensors")
    assert same(found.state, small)
    assert found.part("first_stage_model.") == {}


def test_families():
    wide = tiny.wide_ldm()
    assert checkpoint.detect_family(tiny.ldm()) == "sd15"
    assert checkpoint.detect_family(wide) == "sdxl"
    assert checkpoint.detect_family(wide | {"edm_vpred.sigma_max": torch.tensor(120.0)}) == "cosxl"


def test_autoencoder_config(state):
    config = checkpoint.vae_config(state)
    assert (config["ch"], config["ch_mult"], config["num_res_blocks"], config["z_channels"]) == (32, [1, 1, 2, 2], 1, 4)
    with pytest.raises(CheckpointError, match="no autoencoder"):
        checkpoint.vae_config({"model.diffusion_model.out.2.weight": torch.zeros(1)})


@pytest.mark.parametrize(
    ("channels", "sentence"),
    [
        (4, "This is a text-to-image model: load an InstructPix2Pix checkpoint or turn it into one."),
        (9, "This is an inpainting model"),
        (5, "takes 5 channels where InstructPix2Pix has 8"),
    ],
)
def test_other_kinds_of_model_are_named(tmp_path, channels, sentence):
    net = tiny.prefixed(unet_to_ldm(tiny.unet(in_channels=channels).state_dict()), checkpoint.UNET)
    write(tmp_path / "model.safetensors", net)
    with pytest.raises(CheckpointError, match=sentence):
        read(tmp_path / "model.safetensors")
    assert checkpoint.unet_in_channels(read(tmp_path / "model.safetensors", editor=False).state) == channels


def test_stable_diffusion_2_is_named(tmp_path):
    write(tmp_path / "model.safetensors", tiny.prefixed(unet_to_ldm(tiny.unet(context=1024).state_dict()), checkpoint.UNET))
    with pytest.raises(CheckpointError, match=r"Stable Diffusion 2 model: load an SD 1\.5"):
        read(tmp_path / "model.safetensors")


def cut(path, part):
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * part)])


@pytest.mark.parametrize("part", [0.001, 0.5, 0.99])
@pytest.mark.parametrize("name", ["model.safetensors", "model.ckpt", "old.ckpt"])
def test_a_cut_file_is_called_damaged(tmp_path, small, name, part):
    path = tmp_path / name
    if name == "model.safetensors":
        write(path, small)
    else:
        torch.save(small, path, _use_new_zipfile_serialization=name == "model.ckpt")
    cut(path, part)
    with pytest.raises(CheckpointError, match=f"{name} is damaged or was only partly downloaded: download it again"):
        read(path)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", r"is empty \(0 bytes\): download it again"),
        (b"<!DOCTYPE html><html><body>Sign in</body></html>", "is a web page, not a model"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00", "is a Git LFS pointer"),
        (b"\x89PNG\r\n\x1a\n" + bytes(60), "is not a model file: choose"),
    ],
)
@pytest.mark.parametrize("ending", ["safetensors", "ckpt"])
def test_files_that_are_no_models(tmp_path, content, sentence, ending):
    path = tmp_path / f"model.{ending}"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=sentence):
        read(path)


def test_other_weights_and_no_weights(tmp_path):
    save_file({"lora_down.weight": torch.zeros(4)}, tmp_path / "lora.safetensors")
    with pytest.raises(CheckpointError, match=r"lora.safetensors is not a Stable Diffusion model \(it has no UNet weights\)"):
        read(tmp_path / "lora.safetensors")
    torch.save({"epoch": 3}, tmp_path / "none.pt")
    with pytest.raises(CheckpointError, match="holds no weights"):
        read(tmp_path / "none.pt")


def test_missing_file_and_unknown_choice(tmp_path, small):
    with pytest.raises(CheckpointError, match=r"no model at .*nowhere\.safetensors: check the name"):
        read(tmp_path / "nowhere.safetensors")
    write(tmp_path / "model.safetensors", small)
    with pytest.raises(CheckpointError, match="'best' are unknown: choose ema or raw"):
        read(tmp_path / "model.safetensors", "best")


def test_a_foreign_diffusers_unet_is_named(tmp_path):
    save_file(dict(tiny.unet().state_dict()) | {"down_blocks.0.motion_modules.0.weight": torch.zeros(4)}, tmp_path / "unet.safetensors")
    with pytest.raises(CheckpointError, match=r"another kind \(its weight down_blocks\.0\.motion_modules"):
        read(tmp_path / "unet.safetensors")
