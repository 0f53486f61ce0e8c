"""Training small networks: the averaging rule, the data, and that a resumed run equals an uninterrupted one to the bit."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from ip2p.configs import ConfigError, build
from ip2p.data.photo_files import DataError, held_out_photos, read_photos, training_photos
from ip2p.small.config import Config, load
from ip2p.small.fitting import fit
from ip2p.training import ema, loop
from ip2p.training.chance import Randomness
from ip2p.training.checkpoints import ResumeError, load_average
from ip2p.training.schedule import Schedule

ROOT = Path(__file__).resolve().parents[2]


def test_the_average_forgets_its_beginning_quickly() -> None:
    assert ema.decay_at(0, 0.999) == pytest.approx(0.1)
    assert ema.decay_at(10**6, 0.999) == 0.999
    average = [torch.zeros(2)]
    ema.update(average, [torch.ones(2)], updates=0, decay=0.999)
    assert average[0].tolist() == pytest.approx([0.9, 0.9])


def trained(folder: Path, resume: bool = False, stop_at: int = 0) -> list[Tensor]:
    torch.manual_seed(0)
    module = nn.Linear(4, 3)

    def loss(chance: Randomness) -> Tensor:
        x = torch.randn(8, 4, generator=chance.torch)
        return (module(x) - float(chance.numpy.normal())).pow(2).mean()

    def interrupt(done: loop.Progress) -> None:
        if done.step == stop_at:
            raise KeyboardInterrupt

    average = fit(module, loss, Schedule(steps=10, warmup=2, save_every=3), folder, resume, interrupt)
    return [*average, *module.state_dict().values()]


def test_a_resumed_stage_equals_an_uninterrupted_one_to_the_bit(tmp_path: Path) -> None:
    whole = trained(tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        trained(tmp_path / "part", stop_at=5)
    resumed = trained(tmp_path / "part", resume=True)
    assert all(torch.equal(a, b) for a, b in zip(whole, resumed, strict=True))


def test_a_checkpoint_of_another_network_is_refused(tmp_path: Path) -> None:
    trained(tmp_path / "a")
    with pytest.raises(ResumeError, match="another network"):
        load_average(tmp_path / "a", nn.Linear(7, 3))
    with pytest.raises(ResumeError, match="train that stage first"):
        load_average(tmp_path / "none", nn.Linear(4, 3))


def test_the_committed_config_reads() -> None:
    config = load(ROOT / "models" / "embedded.toml")
    assert config.unet.schedule.steps > 0
    assert config.export.size == 256


def test_unknown_keys_and_wrong_types_are_errors() -> None:
    with pytest.raises(ConfigError, match="'wdith' in"):
        build(Config, {"text": {"wdith": 3}}, "the config")
    with pytest.raises(ConfigError, match="wrong type"):
        build(Config, {"text": {"width": "wide"}}, "the config")
    with pytest.raises(ConfigError, match="can't be read"):
        load(ROOT / "no-such-config.toml")


def test_an_empty_folder_is_refused_with_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no photos; put"):
        read_photos(tmp_path)
    with pytest.raises(DataError, match="There is no folder or tar"):
        read_photos(tmp_path / "none")


def test_held_out_photos_are_never_trained_on_whatever_the_folder(tmp_path: Path) -> None:
    for number in range(120):
        Image.fromarray(np.full((4, 4, 3), number, dtype=np.uint8)).save(tmp_path / f"{number}.png")
    (tmp_path / "0.txt").write_text("a grey square\n")
    training, held_out = training_photos(tmp_path), held_out_photos(tmp_path)
    assert len(training) + len(held_out) == 120
    assert 0 < len(held_out) < 20
    assert not {photo.name for photo in training} & {photo.name for photo in held_out}
    assert next(photo for photo in read_photos(tmp_path) if photo.name == "0").captions == ("a grey square",)
