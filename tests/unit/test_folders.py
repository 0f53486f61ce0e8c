"""diffusers folders, in the variants that are found in the wild, read to the same state as the LDM file."""

import json
import shutil

import pytest
import tiny
import torch
from safetensors.torch import load_file, save_file

from ip2p.checkpoint import UNET, CheckpointError, read


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder as `save_pretrained` writes it."""
    folder = tmp_path_factory.mktemp("models") / "editor"
    tiny.unet(sample_size=8).save_pretrained(folder / "unet")
    tiny.vae().save_pretrained(folder / "vae")
    tiny.clip().save_pretrained(folder / "text_encoder")
    return folder


@pytest.fixture
def folder(made, tmp_path):
    return shutil.copytree(made, tmp_path / "editor")


def weights(folder, part="unet"):
    return folder / part / ("model.safetensors" if part.startswith("text") else "diffusion_pytorch_model.safetensors")


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_a_folder_reads_as_the_file_of_the_same_weights(folder):
    found = read(folder)
    assert same(found.state, tiny.ldm())
    assert (found.family, found.weights) == ("sd15", "only")
    assert found.settings == {"num_heads": "2", "text_heads": "2", "size": "64"}


def test_fp16_variants_and_pickles_are_found(folder):
    weights(folder).rename(folder / "unet" / "diffusion_pytorch_model.fp16.safetensors")
    torch.save(load_file(weights(folder, "vae")), folder / "vae" / "diffusion_pytorch_model.bin")
    weights(folder, "vae").unlink()
    torch.save(load_file(weights(folder, "text_encoder")), folder / "text_encoder" / "pytorch_model.bin")
    weights(folder, "text_encoder").unlink()
    assert same(read(folder).state, tiny.ldm())


def test_safetensors_come_before_pickles(folder):
    torch.save({"wrong": torch.zeros(1)}, folder / "unet" / "diffusion_pytorch_model.bin")
    assert same(read(folder).state, tiny.ldm())


def test_shards(folder):
    tiny.unet(sample_size=8).save_pretrained(folder / "unet", max_shard_size="300KB")
    weights(folder).unlink()
    assert (folder / "unet" / "diffusion_pytorch_model.safetensors.index.json").is_file()
    assert same(read(folder).state, tiny.ldm())
    shard = sorted((folder / "unet").glob("*-of-*.safetensors"))[1]
    shard.unlink()
    with pytest.raises(CheckpointError, match=f"unet lacks its piece {shard.name}"):
        read(folder)


@pytest.mark.parametrize(("asked", "change"), [("ema", 1.0), ("raw", 0.0)])
def test_an_ema_folder(folder, asked, change):
    shutil.copytree(folder / "unet", folder / "unet_ema")
    save_file({name: tensor + 1 for name, tensor in load_file(weights(folder)).items()}, weights(folder, "unet_ema"))
    found = read(folder, asked)
    assert found.weights == asked
    name = UNET + "out.2.bias"
    assert torch.equal(found.state[name], tiny.ldm()[name] + change)


@pytest.mark.parametrize(("asked", "change"), [("ema", 0.0), ("raw", 1.0)])
def test_a_non_ema_variant(folder, asked, change):
    raw = {name: tensor + 1 for name, tensor in load_file(weights(folder)).items()}
    save_file(raw, folder / "unet" / "diffusion_pytorch_model.non_ema.safetensors")
    found = read(folder, asked)
    assert found.weights == asked
    name = UNET + "out.2.bias"
    assert torch.equal(found.state[name], tiny.ldm()[name] + change)


def test_the_folder_of_a_unet_alone(folder):
    found = read(folder / "unet")
    assert all(name.startswith(UNET) for name in found.state)
    assert found.settings["num_heads"] == "2"


def test_sdxl_and_cosxl_folders(tmp_path):
    tiny.wide_unet().save_pretrained(tmp_path / "unet")
    tiny.vae().save_pretrained(tmp_path / "vae")
    tiny.clip(width=32).save_pretrained(tmp_path / "text_encoder")
    tiny.clip(width=32, projection=32, heads=1, activation="gelu", seed=3).save_pretrained(tmp_path / "text_encoder_2")
    found = read(tmp_path)
    assert found.family == "sdxl"
    assert same(found.state, tiny.wide_ldm())
    (tmp_path / "scheduler").mkdir()
    scheduler = {"_class_name": "EDMEulerScheduler", "prediction_type": "v_prediction", "sigma_max": 100.0}
    (tmp_path / "scheduler" / "scheduler_config.json").write_text(json.dumps(scheduler))
    found = read(tmp_path)
    assert found.family == "cosxl"
    assert found.state["edm_vpred.sigma_max"] == 100
    assert found.state["edm_vpred.sigma_min"] == pytest.approx(0.002)


@pytest.mark.parametrize("part", ["unet", "vae", "text_encoder"])
def test_a_component_without_weights_is_named(folder, part):
    weights(folder, part).unlink()
    with pytest.raises(CheckpointError, match=f"editor/{part} has no weights file: download the whole folder"):
        read(folder)


def test_no_unet_at_all(folder):
    shutil.rmtree(folder / "unet")
    with pytest.raises(CheckpointError, match="editor has no folder `unet`, so it is no diffusers model"):
        read(folder)


def test_the_folder_of_the_command_itself_has_its_name(folder, monkeypatch):
    monkeypatch.chdir(folder)
    assert same(read(".").state, tiny.ldm())
    shutil.rmtree(folder / "unet")
    with pytest.raises(CheckpointError, match="editor has no folder `unet`"):
        read(".")


def test_a_broken_config_is_named(folder):
    (folder / "unet" / "config.json").write_text("{")
    with pytest.raises(CheckpointError, match=r"unet/config\.json is not readable JSON"):
        read(folder)


def test_another_normalisation_is_refused(folder):
    config = json.loads((folder / "unet" / "config.json").read_text())
    (folder / "unet" / "config.json").write_text(json.dumps(config | {"norm_num_groups": 16}))
    with pytest.raises(CheckpointError, match="normalises in 16 groups"):
        read(folder)


def test_a_component_of_another_kind_is_named(folder):
    save_file({"encoder.conv_in.weight": torch.zeros(4), "quantizer.weight": torch.zeros(4)}, weights(folder, "vae"))
    with pytest.raises(CheckpointError, match=r"editor/vae is of another kind.*quantizer\.weight"):
        read(folder)


def test_a_text_to_image_folder_is_refused(folder):
    tiny.unet(in_channels=4).save_pretrained(folder / "unet")
    with pytest.raises(CheckpointError, match="text-to-image model"):
        read(folder)
