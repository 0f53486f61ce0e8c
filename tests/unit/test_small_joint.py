"""An autoencoder of a part of the world: it learns, its latents have Stable Diffusion's scale, and a painter is trained in them."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from ip2p import checkpoint, networks
from ip2p.cli import main
from ip2p.layout import TEXT, VAE
from ip2p.noising import SCALE
from ip2p.small import joint, painter
from ip2p.small.config import Joint, Painter, TextEncoder
from ip2p.text_to_image import TextToImage
from ip2p.training.chance import Randomness
from ip2p.training.schedule import Schedule
from ip2p.worlds.subset import Subset

PART = Subset(places=("beach",), shapes=("ball",), things=1)
SMALL = Joint(widths=(32, 32, 32, 32), size=64, crop=32, scenes=12, schedule=Schedule(batch=4, seed=3))
CONFIG = """
[world]
places = ["beach"]
shapes = ["ball"]
things = 1
[joint]
widths = [32, 32, 32, 32]
size = 64
crop = 32
scenes = 8
schedule = { steps = 3, batch = 2, save_every = 1 }
[text]
width = 8
layers = 1
heads = 2
[captioned]
files = 2
scenes = 2
size = 64
[painter]
editor = "joint"
widths = [32, 32]
attention = [1]
heads = 2
size = 64
steps = 1
schedule = { steps = 2, batch = 2 }
"""


def test_latents_are_brought_to_scale_and_the_decoder_takes_them_so() -> None:
    torch.manual_seed(0)
    whole, scenes = joint.build(SMALL).eval(), joint.Scenes(SMALL, PART)
    pictures = torch.from_numpy(scenes.pictures).permute(0, 3, 1, 2).float() / 127.5 - 1
    with torch.no_grad():
        before = whole.decode(whole.encode(pictures).latent_dist.mode()).sample
        joint.normalise(whole, scenes, SMALL)
        posterior = whole.encode(pictures).latent_dist
        after = whole.decode(posterior.mode()).sample
    torch.testing.assert_close(after, before, atol=1e-4, rtol=1e-3)
    torch.testing.assert_close(posterior.mode().mean((0, 2, 3)), torch.zeros(4), atol=1e-3, rtol=0)
    torch.testing.assert_close(posterior.mode().std((0, 2, 3)) * SCALE, torch.ones(4), atol=1e-3, rtol=0)
    assert torch.unique(posterior.std.round(decimals=6)[0], dim=1).numel() <= 4 * 64  # one deviation a channel
    assert float(posterior.std[:, 0].std()) < 1e-5


@pytest.mark.whole
def test_the_packs_own_goes_on_and_gets_better_at_the_part() -> None:
    config = Joint(start="embedded", size=64, crop=64, scenes=6, noise=0.02, schedule=Schedule(batch=2, seed=3))
    scenes, whole = joint.Scenes(config, PART), joint.build(config)
    pictures = torch.from_numpy(scenes.pictures).permute(0, 3, 1, 2).float() / 127.5 - 1
    with torch.no_grad():
        latents = whole.encode(pictures).latent_dist.mode()
    assert 0.3 < float(latents.pow(2).mean()) < 3
    before = joint.psnr(whole, scenes)
    loss, optimizer = joint.JointLoss(whole, scenes, config), torch.optim.AdamW(whole.parameters(), 3e-5)
    for step in range(12):
        value = loss(Randomness.of(3, step))
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
    assert joint.psnr(whole, scenes) > before + 0.5 > 20.5


@pytest.mark.whole
def test_a_painter_is_trained_in_its_latents_and_written_whole(tmp_path: Path) -> None:
    (tmp_path / "small.toml").write_text(CONFIG)
    run = tmp_path / "run"
    stages = [word for name in ("joint", "captioned", "painter") for word in ("--stage", name)]
    assert main(["small", str(tmp_path / "small.toml"), "--out", str(run), *stages]) == 0
    stored, vae = load_file(run / "painter.safetensors"), load_file(run / "autoencoder.safetensors")
    assert {name.removeprefix(VAE) for name in stored if name.startswith(VAE)} == set(vae)
    assert any(name.startswith(TEXT) and "token_embedding" in name for name in stored)
    picture = TextToImage.load(run / "painter.safetensors", device="cpu").generate("a red ball on a beach", [1], 64, 64)
    assert picture.shape == (1, 64, 64, 3)
    assert main(["small", str(tmp_path / "small.toml"), "--out", str(run), "--resume", *stages]) == 0
    again = load_file(run / "painter.safetensors")
    assert all(torch.equal(tensor, again[name]) for name, tensor in stored.items())


@pytest.mark.parametrize("learns", [False, True])
def test_a_painters_words_are_those_it_starts_from(learns: bool) -> None:
    read = networks.build_text_encoders(checkpoint.read(checkpoint.EMBEDDED))[0].state_dict()
    torch.manual_seed(0)
    network = painter.Network(Painter(widths=(32, 32), attention=(1,), heads=2), TextEncoder(start="embedded", learns=learns))
    assert all(torch.equal(tensor, read[name]) for name, tensor in network.text.state_dict().items())
    assert {parameter.requires_grad for parameter in network.unet.parameters()} == {True}
    assert {name.rpartition(".")[0]: parameter.requires_grad for name, parameter in network.text.named_parameters()} == {
        name.rpartition(".")[0]: learns and "token_embedding" not in name for name, _ in network.text.named_parameters()
    }


def test_a_painter_whose_words_are_not_there_says_so(tmp_path: Path) -> None:
    with pytest.raises(checkpoint.CheckpointError, match=r"none\.safetensors"):
        painter.Network(Painter(), TextEncoder(start=str(tmp_path / "none.safetensors")))
