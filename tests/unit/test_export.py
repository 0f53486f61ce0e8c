"""What was trained, in every form, read again by our loader and by diffusers: the same predictions."""

import re

import pytest
import tiny
import torch
from safetensors.torch import load_file, save_file
from test_objective import batch_of
from test_trainable import SETTINGS, base_of, moved, predicted

from ip2p import changes, checkpoint, networks
from ip2p.changes import LowRank
from ip2p.checkpoint import FIRST_CONV, UNET, Checkpoint, CheckpointError
from ip2p.layout import with_picture_input
from ip2p.training import export
from ip2p.training.config import ExportConfig, ModelConfig
from ip2p.training.trainable import prepare

LORA = ModelConfig(
    train="lora", rank=3, alpha=2, targets=("to_q", "to_k", "to_v", "to_out.0", "ff.net.2", "proj_in", "conv1", "time_emb_proj")
)


def of_unet(unet):
    """A UNet's prediction for the batch of `predicted`."""
    batch = batch_of(2)
    with torch.no_grad():
        return unet(torch.cat([batch.draws.noise, batch.image], 1), batch.draws.t, batch.text).sample


def of_state(state):
    """The prediction of the UNet in an LDM state."""
    return of_unet(networks.build_unet(Checkpoint(dict(state), "sd15", "only", SETTINGS)))


def with_values(trainable, values):
    """The prediction of the trainable itself with other values in its parameters."""
    kept = [parameter.detach().clone() for _, parameter in trainable.parameters]
    _put(trainable, values)
    said = predicted(trainable)
    _put(trainable, kept)
    return said


def _put(trainable, values):
    with torch.no_grad():
        for (_, parameter), value in zip(trainable.parameters, values, strict=True):
            parameter.copy_(value)


def close(ours, theirs):
    torch.testing.assert_close(ours, theirs, atol=2e-5, rtol=1e-4)


@pytest.fixture(params=["full", "lora", "conv"])
def trained(request):
    """(a trained model, its averaged parameters)."""
    trainable = prepare(base_of(), LORA if request.param == "lora" else ModelConfig(train=request.param))
    return trainable, moved(trainable)


def test_the_state_predicts_what_the_network_in_training_does(trained):
    trainable, average = trained
    raw, averaged = with_values(trainable, [parameter for _, parameter in trainable.parameters]), with_values(trainable, average)
    assert (raw - averaged).abs().max() > 1e-3
    close(of_state(export.editor_state(trainable)), raw)
    close(of_state(export.editor_state(trainable, average)), averaged)
    close(of_state(export.editor_state(trainable, average, "raw")), raw)


@pytest.mark.whole
def test_one_file_with_both_sets_of_weights(trained, tmp_path):
    trainable, average = trained
    (path,) = export.write(trainable, average, ExportConfig(weights="both", precision="fp32"), tmp_path)
    assert path == tmp_path / "editor.safetensors"
    close(of_state(checkpoint.read(path, "ema").state), with_values(trainable, average))
    close(of_state(checkpoint.read(path, "raw").state), predicted(trainable))
    assert checkpoint.read(path).settings == SETTINGS
    rest = {name: tensor for name, tensor in trainable.base.state.items() if not name.startswith(UNET)}
    assert all(torch.equal(checkpoint.read(path).state[name], tensor) for name, tensor in rest.items())


def test_half_precision_and_the_mark_of_v_prediction(tmp_path):
    trainable = prepare(base_of(v_pred=torch.zeros(0)), ModelConfig(train="conv"))
    (path,) = export.write(trainable, None, ExportConfig(), tmp_path)
    tensors = load_file(path)
    assert {tensor.dtype for tensor in tensors.values() if tensor.is_floating_point()} == {torch.float16}
    assert checkpoint.prediction(checkpoint.read(path).state) == "v_prediction"


@pytest.mark.whole
@pytest.mark.parametrize("mark", [{}, {"v_pred": torch.zeros(0)}], ids=["epsilon", "v_prediction"])
def test_the_folder_is_a_pipeline_of_diffusers(mark, tmp_path):
    from diffusers import StableDiffusionInstructPix2PixPipeline

    trainable = prepare(base_of(**mark), LORA)
    average = moved(trainable)
    config = ExportConfig(formats=("diffusers",), precision="fp32")
    for _ in range(2):  # the second replaces the first
        (folder,) = export.write(trainable, average, config, tmp_path)
    assert [place.name for place in tmp_path.iterdir()] == ["editor"]
    pipeline = StableDiffusionInstructPix2PixPipeline.from_pretrained(folder)
    close(of_unet(pipeline.unet), with_values(trainable, average))
    assert pipeline.scheduler.config.prediction_type == checkpoint.prediction(trainable.base.state)
    picture = torch.rand(1, 3, 64, 64)
    edited = pipeline("make it snow", image=picture, num_inference_steps=2, output_type="np").images
    assert edited.shape == (1, 64, 64, 3)

    again, expected = checkpoint.read(folder).state, export.editor_state(trainable, average)
    assert again.keys() == expected.keys()
    assert all(torch.equal(again[name], tensor) for name, tensor in expected.items())


def test_a_folder_that_is_no_pipeline_is_left_alone(tmp_path):
    (tmp_path / "editor").mkdir()
    (tmp_path / "editor" / "holiday.jpg").touch()
    with pytest.raises(CheckpointError, match="is there already and is no diffusers folder"):
        export.write_diffusers(tmp_path / "editor", base_of(channels=8))
    bare = Checkpoint({name: tensor for name, tensor in base_of().state.items() if name.startswith(UNET)}, "sd15", "only", SETTINGS)
    with pytest.raises(CheckpointError, match="needs the autoencoder and the text encoder"):
        export.write_diffusers(tmp_path / "new", bare)


@pytest.mark.parametrize("config", [LORA, ModelConfig(train="conv")], ids=["lora", "conv"])
@pytest.mark.parametrize("channels", [4, 8])
def test_a_lora_is_read_by_diffusers(config, channels, tmp_path):
    from diffusers import StableDiffusionInstructPix2PixPipeline

    trainable = prepare(base_of(channels), config)
    average = moved(trainable)
    (path,) = export.write(trainable, average, ExportConfig(formats=("lora",), precision="fp32"), tmp_path)
    start = with_picture_input(trainable.base.state) if channels == 4 else trainable.base.state
    export.write_diffusers(tmp_path / "start", Checkpoint(start, "sd15", "only", SETTINGS), "fp32")
    pipeline = StableDiffusionInstructPix2PixPipeline.from_pretrained(tmp_path / "start")
    before = of_unet(pipeline.unet)
    pipeline.load_lora_weights(tmp_path, weight_name=path.name)
    close(of_unet(pipeline.unet), with_values(trainable, average))
    assert (of_unet(pipeline.unet) - before).abs().max() > 1e-3


def test_a_lora_makes_an_editor_of_a_text_to_image_model(tmp_path):
    """Of its own base, and of another one, as the same change of the weights."""
    trainable = prepare(base_of(), LORA)
    moved(trainable)
    export.write_lora(tmp_path / "lora.safetensors", trainable, precision="fp32")
    editor = changes.applied(trainable.base, tmp_path / "lora.safetensors")
    close(of_state(editor.state), predicted(trainable))

    custom = Checkpoint(tiny.ldm(tiny.unet(in_channels=4, attention=(0, 1), seed=9)), "sd15", "only", SETTINGS)
    half = changes.applied(custom, tmp_path / "lora.safetensors", 0.5)
    full_change = {name: editor.state[name] - tensor for name, tensor in with_picture_input(trainable.base.state).items()}
    for name, tensor in with_picture_input(custom.state).items():
        torch.testing.assert_close(half.state[name], tensor + 0.5 * full_change[name], atol=1e-6, rtol=1e-5)
    assert half.state[FIRST_CONV][:, 4:].any()


def test_the_headless_editor_takes_a_lora_on_a_text_to_image_model(tmp_path):
    from ip2p.edit import Editor

    trainable = prepare(base_of(), LORA)
    moved(trainable)
    checkpoint.write(tmp_path / "base.safetensors", trainable.base.state, SETTINGS)
    export.write_lora(tmp_path / "lora.safetensors", trainable, precision="fp32")
    editor = Editor.load(tmp_path / "base.safetensors", device="cpu", lora=tmp_path / "lora.safetensors")
    close(of_unet(editor.unet), predicted(trainable))
    assert editor.edit(torch.rand(1, 64, 64, 3), "make it snow", steps=1).shape == (1, 64, 64, 3)


def test_a_delta_added_to_the_base_is_the_editor(trained, tmp_path):
    trainable, average = trained
    (path,) = export.write(trainable, average, ExportConfig(formats=("delta",), precision="fp32"), tmp_path)
    editor, again = export.editor_state(trainable, average), changes.applied(trainable.base, path).state
    assert editor.keys() == again.keys()
    for name, tensor in editor.items():
        torch.testing.assert_close(again[name], tensor, atol=1e-7, rtol=1e-6)
    close(of_state(again), with_values(trainable, average))


def test_a_delta_of_half_precision_models_is_exact(tmp_path):
    """The difference of two float16 weights fits float32, and their file holds nothing that did not change."""
    base = {name: tensor.half() for name, tensor in base_of().state.items()}
    editor = {name: tensor.half() for name, tensor in tiny.ldm(tiny.unet(attention=(0, 1), seed=3)).items()}
    kept = UNET + "out.2.weight"
    editor[kept] = base[kept]
    path = tmp_path / "delta.safetensors"
    export.write_delta(path, Checkpoint(editor, "sd15", "only", {}), Checkpoint(base, "sd15", "only", {}))
    assert "diffusion_model.out.2.diff" not in load_file(path)
    again = changes.apply(base, changes.read(path, base))
    assert all(torch.equal(again[name], tensor) for name, tensor in editor.items() if name.startswith(UNET))


def test_no_lora_of_a_model_that_was_trained_whole(tmp_path):
    trainable = prepare(base_of(), ModelConfig())
    with pytest.raises(ValueError, match="trained whole, which no LoRA can carry: export it as ldm"):
        export.write(trainable, None, ExportConfig(formats=("lora",)), tmp_path)


def test_equal_models_have_no_delta(tmp_path):
    with pytest.raises(CheckpointError, match="equal, so there is no delta"):
        export.write_delta(tmp_path / "delta.safetensors", base_of(channels=8), base_of(channels=8))


@pytest.mark.parametrize("shape", [(32, 8, 3, 3), (320, 8, 3, 3)])
def test_a_full_difference_as_a_lora_is_exact(shape):
    """For small networks (fewer outputs than inputs) and large ones."""
    difference = torch.randn(shape)
    piece = changes.exact(difference)
    assert torch.equal(piece.full(), difference)
    assert piece.down.shape[0] == piece.up.shape[1] == min(shape[0], 72)


MANNERS = {
    "kohya": ("lora_unet_mid_block_attentions_0_transformer_blocks_0_attn1_{}", ".lora_down.weight", ".lora_up.weight"),
    "kohya_ldm": ("lora_unet_middle_block_1_transformer_blocks_0_attn1_{}", ".lora_down.weight", ".lora_up.weight"),
    "peft": ("unet.mid_block.attentions.0.transformer_blocks.0.attn1.{}", ".lora_A.weight", ".lora_B.weight"),
    "diffusers": ("unet.mid_block.attentions.0.transformer_blocks.0.attn1.{}", ".lora.down.weight", ".lora.up.weight"),
    "old": ("mid_block.attentions.0.transformer_blocks.0.attn1.processor.{}", "_lora.down.weight", "_lora.up.weight"),
    "host": ("diffusion_model.middle_block.1.transformer_blocks.0.attn1.{}", ".lora_A.weight", ".lora_B.weight"),
}


@pytest.mark.parametrize("manner", MANNERS)
def test_loras_of_all_manners_are_read(manner, tmp_path):
    layer, down, up = MANNERS[manner]
    tensors = {}
    for short in ("to_q", "to_out.0"):
        name = layer.format(
            "to_out" if manner == "old" and short == "to_out.0" else short.replace(".", "_" if "lora_unet" in layer else ".")
        )
        tensors |= {name + down: torch.randn(4, 64), name + up: torch.randn(64, 4)}
        tensors |= {} if manner == "old" else {name + ".alpha": torch.tensor(2.0)}
    save_file(tensors | {"lora_te_text_model_encoder_layers_0_mlp_fc1.alpha": torch.tensor(1.0)}, tmp_path / "lora.safetensors")
    change = changes.read(tmp_path / "lora.safetensors", base_of().state)
    middle = UNET + "middle_block.1.transformer_blocks.0.attn1."
    assert change.keys() == {middle + "to_q.weight", middle + "to_out.0.weight"}
    assert {piece.scale for piece in change.values()} == {1.0 if manner == "old" else 0.5}
    assert all(isinstance(piece, LowRank) and piece.full().shape == (64, 64) for piece in change.values())


QUERY = "lora_unet_mid_block_attentions_0_transformer_blocks_0_attn1_to_q"


@pytest.mark.parametrize(
    ("tensors", "sentence"),
    [
        ({"lora_unet_double_blocks_0.lora_down.weight": (4, 64)}, "for another kind of network (its layer lora_unet_double_blocks_0"),
        ({"anything.weight": (4, 64)}, "is no LoRA or delta that can be used here (its entry anything.weight"),
        ({QUERY + ".lora_down.weight": (4, 64)}, "half of its layer"),
        ({"lora_te_text_model_encoder_layers_0_mlp_fc1.alpha": ()}, "changes no UNet"),
        ({QUERY + ".lora_down.weight": (4, 32), QUERY + ".lora_up.weight": (32, 4)}, "are 32x32 and 64x64"),
    ],
)
def test_files_that_do_not_fit_are_named(tensors, sentence, tmp_path):
    save_file({name: torch.zeros(shape) for name, shape in tensors.items()}, tmp_path / "lora.safetensors")
    with pytest.raises(CheckpointError, match=re.escape(sentence)):
        changes.applied(base_of(), tmp_path / "lora.safetensors")
    with pytest.raises(CheckpointError, match="There is no LoRA or delta file"):
        changes.applied(base_of(), tmp_path / "missing.safetensors")
