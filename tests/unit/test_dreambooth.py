"""DreamBooth on tiny networks: the class pictures, the two terms of the loss, and that the word comes to mean the subject."""

from dataclasses import replace

import pytest
import tiny
import torch
from test_objective import batch_of, by_diffusers
from torch import Tensor

from ip2p import checkpoint
from ip2p.checkpoint import Checkpoint
from ip2p.cli import main
from ip2p.configs import ConfigError
from ip2p.data.example import DataError
from ip2p.pictures import open_picture, save_picture
from ip2p.text_to_image import TextToImage
from ip2p.training import dreambooth, run
from ip2p.training.config import TrainConfig, from_table, merged

CPU = torch.device("cpu")
SIDE = 64
LITTLE = {
    "data": {"crop": SIDE, "sizes": [SIDE, SIDE], "threads": 0},
    "dreambooth": {"class_images": 5, "class_steps": 2},
    "optimizer": {"rate": 2e-3},
    "run": {"steps": 2, "save_every": 50, "batch": 2},
}


def base_of(channels: int = 4) -> Checkpoint:
    settings = {name: str(value) for name, value in tiny.SETTINGS.items()}
    return Checkpoint(tiny.ldm(tiny.unet(widths=(32, 32), in_channels=channels)), "sd15", "only", settings)


@pytest.fixture(scope="module")
def subject(tmp_path_factory):
    """Three pictures of the same thing: a red square on blue, in three places."""
    folder = tmp_path_factory.mktemp("subject")
    for number, left in enumerate((16, 20, 24)):
        picture = torch.tensor([0.1, 0.2, 0.8]).repeat(SIDE, SIDE, 1)
        picture[20:44, left : left + 24] = torch.tensor([0.9, 0.1, 0.1])
        save_picture(picture, folder / f"{number}.png")
    return folder


def config(subject, *more, lora=False) -> TrainConfig:
    table = merged(dreambooth.settings(subject, "sks", "dog", lora), LITTLE)
    for one in more:
        table = merged(table, one)
    return from_table(table)


def test_the_prompts_of_a_subject_and_of_its_class():
    assert dreambooth.prompts("sks", "dog") == ("a photo of sks dog", "a photo of a dog")
    assert dreambooth.prompts(" sks ", "owl")[1] == "a photo of an owl"
    with pytest.raises(ValueError, match="rare word"):
        dreambooth.prompts("", "dog")


@pytest.mark.whole
def test_class_pictures_are_made_once_and_only_missing_ones_again(subject, tmp_path):
    chosen = config(subject, {"dreambooth": {"class_folder": str(tmp_path / "class")}})
    run.train(chosen, tmp_path / "one", base_of(), device="cpu")
    files = sorted((tmp_path / "class").glob("*.png"))
    before = {path: (open_picture(path), path.stat().st_mtime_ns) for path in files}
    assert len(files) == 5
    assert all((before[one][0] - before[other][0]).abs().max() > 0.02 for one in files for other in files if one != other)
    files[3].unlink()
    run.train(chosen, tmp_path / "two", base_of(), device="cpu")
    assert sorted((tmp_path / "class").glob("*.png")) == files
    for path in files:
        picture, time = before[path]
        assert (open_picture(path) - picture).abs().max() < 2.5 / 255  # made alone instead of among others
        assert (path.stat().st_mtime_ns == time) == (path != files[3])
    with pytest.raises(DataError, match="made with prompt"):
        run.train(replace(chosen, dreambooth=replace(chosen.dreambooth, class_prompt="a cat")), tmp_path / "three", base_of(), device="cpu")


@pytest.mark.whole
def test_making_class_pictures_can_be_stopped_and_goes_on(subject, tmp_path):
    asked = []

    def stop() -> bool:
        asked.append(1)
        return len(asked) > 3  # in the second batch of pictures

    chosen = config(subject)
    stopped = run.train(chosen, tmp_path, base_of(), device="cpu", should_stop=stop)
    assert (stopped.step, stopped.finished) == (0, False)
    assert len(list((tmp_path / "class_pictures").glob("*.png"))) == 4
    assert run.train(chosen, tmp_path, base_of(), device="cpu").finished
    assert len(list((tmp_path / "class_pictures").glob("*.png"))) == 5


def test_each_pair_of_samples_has_one_of_the_subject_and_one_of_the_class(subject, tmp_path):
    from ip2p.training.batches import Batches
    from ip2p.training.encoders import Encoders
    from ip2p.training.kinds import Place

    chosen = config(subject)
    pairs = dreambooth.pairs(base_of(), chosen, Place(tmp_path, tmp_path / "cache", CPU))
    with Batches(pairs, Encoders(base_of()), chosen.data, 0, 4, tmp_path / "cache") as batches:
        for step in range(4):
            ids = batches(step, range(4)).ids
            assert sorted(name.partition("/")[0] for name in ids) == ["class", "class", "instance", "instance"]


def test_the_loss_is_the_subjects_plus_the_weighted_prior(subject):
    chosen = config(subject, {"dreambooth": {"prior": 0.7}})
    model = dreambooth.prepare(base_of(), chosen, CPU, torch.float32)
    batch = batch_of(4, r=[0.02, 0.07, 0.12, 0.5])  # would be dropped in an editor's training
    batch = replace(batch, ids=("instance/a", "class/b", "class/c", "instance/d"))
    found = dreambooth.losses(model, batch, chosen).mean()

    def alone(rows: list[int]) -> Tensor:
        draws = replace(batch.draws, **{name: getattr(batch.draws, name)[rows] for name in ("t", "noise", "posterior")}, r=torch.ones(2))
        part = replace(batch, mean=batch.mean[rows], deviation=batch.deviation[rows], text=batch.text[rows], image=batch.image[rows])

        def four(sample, t, encoder_hidden_states):
            return tiny.unet(widths=(32, 32), in_channels=4)(sample[:, :4], t, encoder_hidden_states=encoder_hidden_states)

        return by_diffusers(four, replace(part, draws=draws), 0.0, "epsilon")

    assert found.item() == pytest.approx(float(alone([0, 3]) + 0.7 * alone([1, 2])), rel=1e-4)
    without = config(subject, {"dreambooth": {"class_images": 0}})
    assert dreambooth.weights(("instance/a",), without.dreambooth).tolist() == [1.0]


def test_an_editor_learns_with_an_empty_picture(subject):
    chosen = config(subject)
    model = dreambooth.prepare(base_of(8), chosen, CPU, torch.float32)
    batch = replace(batch_of(2), ids=("instance/a", "class/b"))
    first = dreambooth.losses(model, batch, chosen)
    assert torch.equal(dreambooth.losses(model, replace(batch, image=9 * batch.image), chosen), first)


def distance(model: TextToImage, pictures: Tensor, prompt: str) -> float:
    """How far what is made after a prompt is from the subject, in latents (random autoencoders show everything grey)."""
    shape = (4, 4, SIDE // 8, SIDE // 8)
    with torch.no_grad():
        subject = model.mode(pictures) * model.latent_scale
        made = model.denoise(model.told(prompt, "", torch.zeros(shape)), model.schedule(8), range(4), 1.0, 1.0, "euler")
    return float(torch.cdist(made.flatten(1), subject.flatten(1)).min(1).values.mean())


@pytest.mark.whole
@pytest.mark.parametrize("lora", [False, True])
def test_the_word_comes_to_mean_the_subject(subject, tmp_path, lora):
    pictures = torch.cat([open_picture(path) for path in sorted(subject.glob("*.png"))])
    base = base_of()
    checkpoint.write(tmp_path / "base.safetensors", base.state, base.settings)
    steps = {"run": {"steps": 40, "batch": 8}, "optimizer": {"rate": 2e-2 if lora else 3e-3}}
    steps |= {"model": {"targets": ["to_q", "to_k", "to_v", "to_out.0", "conv1", "conv2", "conv_shortcut"]}}
    trained = run.train(config(subject, steps, lora=lora), tmp_path / "run", base, device="cpu")
    (file,) = trained.files
    before = TextToImage.load(tmp_path / "base.safetensors", device="cpu")
    after = TextToImage.load(tmp_path / "base.safetensors", device="cpu", lora=file) if lora else TextToImage.load(file, device="cpu")
    assert distance(after, pictures, "a photo of sks dog") < 0.5 * distance(before, pictures, "a photo of sks dog")


def test_the_text_encoder_may_learn_too(subject, tmp_path):
    base = base_of()
    chosen = config(subject, {"dreambooth": {"text_encoder": True, "class_images": 2}, "run": {"steps": 3}})
    trained = run.train(chosen, tmp_path, base, device="cpu")
    learnt = checkpoint.read(trained.files[0], editor=False).state
    inside = dreambooth.whole(trained.trainable, trained.average, chosen).state
    assert all(torch.equal(inside[name].half(), tensor.half()) for name, tensor in learnt.items())
    for part in ("cond_stage_model.", "model.diffusion_model."):
        moved = [
            name for name, tensor in base.state.items() if name.startswith(part) and not torch.equal(tensor.half(), learnt[name].half())
        ]
        assert len(moved) > 10
    assert all(torch.equal(tensor.half(), learnt[name].half()) for name, tensor in base.state.items() if name.startswith("first_stage"))
    with pytest.raises(ConfigError, match="text encoder"):
        dreambooth.prepare(base, config(subject, {"dreambooth": {"text_encoder": True}}, lora=True), CPU, torch.float32)


@pytest.mark.whole
def test_the_command(subject, tmp_path, capsys):
    base = base_of()
    checkpoint.write(tmp_path / "base.safetensors", base.state, base.settings)
    told = ["dreambooth", "--base", str(tmp_path / "base.safetensors"), "--instance", str(subject), "--identifier", "sks", "--class-noun"]
    told += ["dog", "--out", str(tmp_path / "run"), "--class-images", "2", "--steps", "2", "--set", "dreambooth.class_steps=1"]
    assert main(told) == 0
    assert (tmp_path / "run" / "editor.safetensors").is_file()
    assert "editor.safetensors" in capsys.readouterr().out
    told[told.index(str(subject))] = str(tmp_path / "run" / "checkpoints")
    told[told.index(str(tmp_path / "run"))] = str(tmp_path / "other")
    assert main(told) == 2
    assert "no pictures" in capsys.readouterr().err
