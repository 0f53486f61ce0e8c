"""Models made ready to be trained: what learns, what it starts from, and which models are refused."""

import json
import sys

import pytest
import tiny
import torch
from safetensors.torch import save_file
from test_objective import KEPT, NEITHER, NO_IMAGE, NO_TEXT, batch_of, by_diffusers

from ip2p import checkpoint
from ip2p.checkpoint import UNET, Checkpoint, CheckpointError
from ip2p.training.config import ModelConfig
from ip2p.training.objective import losses
from ip2p.training.trainable import prepare

SETTINGS = {name: str(value) for name, value in tiny.SETTINGS.items()}


def base_of(channels=4, family="sd15", **more):
    """A whole tiny model with attention on both levels."""
    state = tiny.ldm(tiny.unet(in_channels=channels, attention=(0, 1)))
    return Checkpoint(state | more, family, "only", SETTINGS)


def predicted(trainable, image_scale=1.0):
    """The network's prediction for a fixed batch."""
    batch = batch_of(2)
    with torch.no_grad():
        return trainable.predict(batch.draws.noise, batch.draws.t, batch.text, image_scale * batch.image)


def moved(trainable, by=0.05, seed=4):
    """As if it had been trained: every parameter moved at random; returns another set as its average."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for _, parameter in trainable.parameters:
            parameter += by * torch.randn(parameter.shape, generator=generator)
        return [parameter + by * torch.randn(parameter.shape, generator=generator) for _, parameter in trainable.parameters]


@pytest.mark.parametrize("train", ["full", "lora", "conv"])
def test_before_training_it_predicts_what_the_base_does_whatever_the_picture(train):
    base = base_of()
    trainable = prepare(base, ModelConfig(train=train))
    batch = batch_of(2)
    with torch.no_grad():
        expected = tiny.unet(in_channels=4, attention=(0, 1))(batch.draws.noise, batch.draws.t, batch.text).sample
    torch.testing.assert_close(predicted(trainable), expected, atol=1e-6, rtol=1e-5)
    assert torch.equal(predicted(trainable), predicted(trainable, image_scale=100))
    weight = trainable.unet.conv_in.weight
    assert weight.shape[1] == 8
    assert not weight[:, 4:].any()
    assert torch.equal(trainable.unet.conv_in.bias, base.state[UNET + "input_blocks.0.0.bias"])


def test_an_editor_goes_on_as_it_is():
    base = base_of(channels=8)
    trainable = prepare(base, ModelConfig())
    expected = tiny.unet(attention=(0, 1)).state_dict()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in trainable.unet.state_dict().items())


def test_what_learns():
    everything = {name for name, _ in tiny.unet(attention=(0, 1)).named_parameters()}
    assert {name for name, _ in prepare(base_of(), ModelConfig()).parameters} == everything
    assert [name for name, _ in prepare(base_of(), ModelConfig(train="conv")).parameters] == ["conv_in.weight"]
    low = prepare(base_of(), ModelConfig(train="lora", rank=3, targets=("to_q", "ff.net.2", "conv1")))
    names = [name for name, _ in low.parameters]
    assert names[0] == "conv_in.weight"
    assert all(".lora_" in name for name in names[1:])
    for target in ("to_q", "ff.net.2", "conv1"):
        layers = [name for name in everything if name.endswith(f"{target}.weight")]
        assert sum(f".{target}.lora_A" in name for name in names) == len(layers) > 0
    assert all(parameter.shape[0] == 3 for name, parameter in low.parameters if "lora_A" in name)
    assert [name for name, parameter in low.unet.named_parameters() if parameter.requires_grad] == names


def test_training_never_writes_into_the_base():
    base = base_of(channels=8)
    before = {name: tensor.clone() for name, tensor in base.state.items()}
    for train in ("full", "lora", "conv"):
        moved(prepare(base, ModelConfig(train=train)))
    assert all(torch.equal(tensor, before[name]) for name, tensor in base.state.items())


def test_trained_weights_are_float32_and_frozen_ones_as_asked():
    half = {name: tensor.half() for name, tensor in base_of().state.items()}
    base = Checkpoint(half, "sd15", "only", SETTINGS)
    assert {parameter.dtype for parameter in prepare(base, ModelConfig(), dtype=torch.bfloat16).unet.parameters()} == {torch.float32}
    low = prepare(base, ModelConfig(train="lora"), dtype=torch.bfloat16)
    assert {parameter.dtype for _, parameter in low.parameters} == {torch.float32}
    assert {parameter.dtype for parameter in low.unet.parameters() if not parameter.requires_grad} == {torch.bfloat16}
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = losses(low.predict, batch_of(2)).mean()
    loss.backward()
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for _, parameter in low.parameters)


@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("r", [KEPT, NO_TEXT, NEITHER, NO_IMAGE], ids=str)
def test_loss_and_gradients_of_what_is_trained_equal_diffusers(r, checkpointing):
    """A text-to-image model made an editor by hand, straight in diffusers, against ours."""
    theirs = tiny.unet(in_channels=4, attention=(0, 1)).requires_grad_(True)
    old, wide = theirs.conv_in, torch.nn.Conv2d(8, 32, 3, padding=1)
    with torch.no_grad():
        wide.weight.zero_()
        wide.weight[:, :4] = old.weight
        wide.bias.copy_(old.bias)
    theirs.conv_in = wide
    trainable = prepare(base_of(), ModelConfig(gradient_checkpointing=checkpointing))
    batch = batch_of(3, r)
    ours, expected = losses(trainable.predict, batch).mean(), by_diffusers(theirs, batch, 0.0, "epsilon")
    ours.backward()
    expected.backward()
    torch.testing.assert_close(ours, expected, atol=1e-5, rtol=1e-5)
    gradients = {name: parameter.grad for name, parameter in theirs.named_parameters()}
    for name, parameter in trainable.parameters:
        torch.testing.assert_close(parameter.grad, gradients[name], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("checkpointing", [False, True])
def test_gradients_of_a_lora_equal_diffusers_by_the_chain_rule(checkpointing):
    """With W + s B A in diffusers' own UNet, and G the gradient there: s G A' for B, s B' G for A, and that of the first conv as it is."""
    config = ModelConfig(train="lora", rank=3, alpha=2, targets=("to_q", "to_out.0", "ff.net.2"), gradient_checkpointing=checkpointing)
    trainable = prepare(base_of(8), config)
    moved(trainable)
    values = {name: parameter.detach() for name, parameter in trainable.parameters}
    theirs, scale = tiny.unet(attention=(0, 1)).requires_grad_(True), 2 / 3
    layers = [name.removesuffix(".lora_A.default.weight") for name in values if "lora_A" in name]
    factors = {layer: (values[f"{layer}.lora_A.default.weight"], values[f"{layer}.lora_B.default.weight"]) for layer in layers}
    with torch.no_grad():
        theirs.conv_in.weight.copy_(values["conv_in.weight"])
        for layer, (down, up) in factors.items():
            theirs.get_submodule(layer).weight += scale * up @ down
    batch = batch_of(3, [KEPT, NO_TEXT, NO_IMAGE])
    ours, expected = losses(trainable.predict, batch).mean(), by_diffusers(theirs, batch, 0.0, "epsilon")
    ours.backward()
    expected.backward()
    torch.testing.assert_close(ours, expected, atol=1e-5, rtol=1e-5)
    found = {name: parameter.grad for name, parameter in trainable.parameters}
    torch.testing.assert_close(found["conv_in.weight"], theirs.conv_in.weight.grad, atol=1e-5, rtol=1e-5)
    for layer, (down, up) in factors.items():
        whole = theirs.get_submodule(layer).weight.grad
        torch.testing.assert_close(found[f"{layer}.lora_B.default.weight"], scale * whole @ down.T, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(found[f"{layer}.lora_A.default.weight"], scale * up.T @ whole, atol=1e-5, rtol=1e-5)


def test_a_lora_begins_the_same_every_time_and_leaves_the_generator_alone():
    base = base_of()
    torch.manual_seed(5)
    drawn = torch.rand(1)
    torch.manual_seed(5)
    first = prepare(base, ModelConfig(train="lora"))
    assert torch.equal(torch.rand(1), drawn)
    second = prepare(base, ModelConfig(train="lora"))
    assert all(torch.equal(one, other) for (_, one), (_, other) in zip(first.parameters, second.parameters, strict=True))


def test_the_scale_of_a_lora():
    assert prepare(base_of(), ModelConfig(train="lora", rank=4)).scale == 1
    assert prepare(base_of(), ModelConfig(train="lora", rank=4, alpha=2)).scale == 0.5


@pytest.mark.parametrize(
    ("base", "sentence"),
    [
        (lambda: base_of(channels=9), "inpainting model"),
        (lambda: Checkpoint(tiny.wide_ldm(), "sdxl", "only", {}), "SDXL family, which can't be trained here: start from an SD 1.x model"),
        (lambda: base_of(family="cosxl"), "COSXL family"),
        (lambda: Checkpoint(tiny.ldm(tiny.unet(context=1024)), "sd15", "only", SETTINGS), "Stable Diffusion 2 model"),
        (lambda: base_of(ztsnr=torch.zeros(0)), "zero terminal SNR"),
        (lambda: base_of(channels=5), "takes 5 channels"),
    ],
)
def test_models_that_cannot_be_trained_are_named(base, sentence):
    with pytest.raises(CheckpointError, match=sentence):
        prepare(base(), ModelConfig())


@pytest.mark.parametrize("targets", [("to_q", "nowhere"), ("norm1",), ("conv_in",)])
def test_targets_that_fit_no_layer_are_named(targets):
    with pytest.raises(ValueError, match=f"'{targets[-1]}'.*use ends of names such as to_q"):
        prepare(base_of(), ModelConfig(train="lora", targets=targets))


def test_a_missing_peft_is_one_sentence(monkeypatch):
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(ValueError, match="needs peft: run `pip install peft`"):
        prepare(base_of(), ModelConfig(train="lora"))


def test_v_prediction_is_recognised(tmp_path):
    """By the scheduler's config in a folder, by the key v_pred in a file."""
    assert prepare(base_of(), ModelConfig(train="conv")).prediction == "epsilon"
    path = tmp_path / "v.safetensors"
    save_file(base_of().state | {"v_pred": torch.zeros(0)}, path, {"ip2p.num_heads": "2"})
    assert prepare(checkpoint.read(path, editor=False), ModelConfig(train="conv")).prediction == "v_prediction"

    folder = tmp_path / "folder"
    tiny.unet(in_channels=4).save_pretrained(folder / "unet")
    (folder / "scheduler").mkdir()
    for kind in ("epsilon", "v_prediction"):
        config = {"_class_name": "DDIMScheduler", "prediction_type": kind}
        (folder / "scheduler" / "scheduler_config.json").write_text(json.dumps(config))
        assert prepare(checkpoint.read(folder, editor=False), ModelConfig(train="conv")).prediction == kind
    (folder / "scheduler" / "scheduler_config.json").write_text(json.dumps({**config, "rescale_betas_zero_snr": True}))
    with pytest.raises(CheckpointError, match="zero terminal SNR"):
        prepare(checkpoint.read(folder, editor=False), ModelConfig(train="conv"))


def test_without_a_picture_the_base_keeps_its_channels():
    """For objectives that train the text-to-image model itself."""
    trainable = prepare(base_of(), ModelConfig(), picture=False)
    assert trainable.unet.conv_in.weight.shape[1] == 4
    assert torch.equal(predicted(trainable), predicted(trainable, image_scale=100))
