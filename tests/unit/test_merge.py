"""A custom model turned into an editor: exactly the editor where the custom model is its base, the formula elsewhere."""

import logging

import pytest
import tiny
import torch

from ip2p import checkpoint, merge
from ip2p.checkpoint import FIRST_CONV, UNET, CheckpointError
from ip2p.layout import TEXT, VAE, with_picture_input
from ip2p.merge import sources
from ip2p.training import export
from ip2p.training.config import ModelConfig
from ip2p.training.trainable import prepare


def unet_of(channels, seed, dtype=torch.float32, **more):
    """A UNet in LDM layout."""
    state = tiny.prefixed(tiny.unet_to_ldm(tiny.unet(in_channels=channels, seed=seed, **more).state_dict()), UNET)
    return {name: tensor.to(dtype) for name, tensor in state.items()}


def bits(tensor):
    return tensor.contiguous().view({2: torch.int16, 4: torch.int32}[tensor.element_size()])


def awkward(state, seed):
    """The same with weights that floating-point sums lose: signed zeros, and others that are 20 orders of magnitude apart."""
    generator = torch.Generator().manual_seed(seed)
    out = {}
    for name, tensor in state.items():
        scale = 10 ** torch.empty(tensor.shape).uniform_(-20, 2, generator=generator)
        out[name] = (tensor.float() * scale).to(tensor.dtype)
        out[name].view(-1)[:2] = torch.tensor([0.0, -0.0])
    return out


@pytest.mark.parametrize("editor_type", [torch.float32, torch.float16])
@pytest.mark.parametrize("base_type", [torch.float32, torch.float16])
def test_merging_with_the_base_gives_the_editor_back_to_the_bit(base_type, editor_type):
    base = awkward(unet_of(4, 0, base_type), 1)
    editor = awkward(unet_of(8, 1, editor_type), 2)
    merged = merge.merge(base, editor, base)
    assert merged.keys() == editor.keys()
    for name, tensor in editor.items():
        assert torch.equal(bits(merged[name]), bits(tensor)), name


def test_the_formula_and_the_first_conv():
    custom, editor, base = unet_of(4, 5), unet_of(8, 6), unet_of(4, 7)
    for strength in (1.0, 0.4):
        merged = merge.merge(custom, editor, base, strength)
        for name, tensor in editor.items():
            if name != FIRST_CONV:
                torch.testing.assert_close(merged[name], custom[name] + strength * (tensor - base[name]), atol=1e-6, rtol=1e-6)
        first = custom[FIRST_CONV] + strength * (editor[FIRST_CONV][:, :4] - base[FIRST_CONV])
        torch.testing.assert_close(merged[FIRST_CONV][:, :4], first, atol=1e-6, rtol=1e-6)
        torch.testing.assert_close(merged[FIRST_CONV][:, 4:], strength * editor[FIRST_CONV][:, 4:])
    assert torch.equal(merge.merge(custom, editor, base)[FIRST_CONV][:, 4:], editor[FIRST_CONV][:, 4:])


def test_without_strength_the_custom_model_stays():
    custom = unet_of(4, 5)
    merged = merge.merge(custom, unet_of(8, 6), unet_of(4, 7), 0.0)
    assert all(torch.equal(merged[name], tensor) for name, tensor in with_picture_input(custom).items())


def test_a_custom_editor_on_a_base_of_eight_channels():
    custom, editor, base = unet_of(8, 5), unet_of(8, 6), unet_of(8, 7)
    merged = merge.merge(custom, editor, base)
    assert all(torch.equal(bits(tensor), bits(editor[name])) for name, tensor in merge.merge(base, editor, base).items())
    torch.testing.assert_close(merged[FIRST_CONV], custom[FIRST_CONV] + editor[FIRST_CONV] - base[FIRST_CONV], atol=1e-6, rtol=1e-6)


def test_models_of_sdxl():
    """Their editors too come back to the bit, from a UNet alone with the base's other parts."""
    base = tiny.wide_ldm()
    unet = {name: tensor + 1 for name, tensor in base.items() if name.startswith(UNET)}
    merged = merge.merge(base, unet, base)
    assert merged.keys() == base.keys()
    assert all(torch.equal(merged[name], unet.get(name, tensor)) for name, tensor in base.items())
    assert sources(unet, base) == {VAE: "editor", "conditioner.": "editor"}


def test_autoencoder_and_text_encoder_are_the_custom_models(caplog):
    editor, custom = tiny.ldm(), tiny.ldm(tiny.unet(in_channels=4), tiny.vae(seed=8), tiny.clip(seed=9))
    base = unet_of(4, 0)
    with caplog.at_level(logging.INFO, "ip2p.merge"):
        merged = merge.merge(custom, editor, base)
    assert all(torch.equal(merged[name], tensor) for name, tensor in custom.items() if name.startswith((VAE, TEXT)))
    assert caplog.messages == ["the autoencoder is the custom model's", "the text encoder is the custom model's"]
    bare = {name: tensor for name, tensor in custom.items() if not name.startswith(VAE)}
    merged = merge.merge(bare, editor, base)
    assert all(torch.equal(merged[name], tensor) for name, tensor in editor.items() if name.startswith(VAE))
    assert sources(bare, editor) == {VAE: "editor", TEXT: "custom model"}
    assert sources(base, base) == {}


KINDS = {
    "other shapes": (
        (unet_of(4, 0, widths=(64, 64)), unet_of(8, 0), unet_of(4, 0)),
        r"custom model is of another kind than the editor \(at .* 64x",
    ),
    "other layout": (
        (unet_of(4, 0), unet_of(8, 0), unet_of(4, 0, blocks=2)),
        r"base model is of another kind than the editor \(at .* it has nothing",
    ),
    "sdxl": (
        (tiny.wide_ldm(), unet_of(8, 0), unet_of(4, 0)),
        "differ in their family .the custom model sdxl, the editor sd15, the base model sd15.",
    ),
    "v": (
        (unet_of(4, 0) | {"v_pred": torch.zeros(0)}, unet_of(8, 0), unet_of(4, 0)),
        "differ in their prediction type .the custom model v_pred",
    ),
    "inpainting": ((unet_of(9, 0), unet_of(8, 0), unet_of(4, 0)), "custom model's UNet takes 9 channels, as inpainting models do"),
    "no editor": ((unet_of(4, 0), unet_of(4, 0), unet_of(4, 0)), "This is a text-to-image model"),
    "wrong base": ((unet_of(4, 0), unet_of(8, 0), unet_of(8, 1)), "base model is an editor already.*such as SD 1.5"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_models_that_do_not_fit_are_named(kind):
    states, sentence = KINDS[kind]
    with pytest.raises(CheckpointError, match=sentence):
        merge.merge(*states)


def test_files_of_any_form(tmp_path):
    """A diffusers folder, a single UNet and a whole checkpoint with EMA weights."""
    settings = {name: str(value) for name, value in tiny.SETTINGS.items()}
    tiny.unet(in_channels=4, seed=5).save_pretrained(tmp_path / "custom" / "unet")
    tiny.vae().save_pretrained(tmp_path / "custom" / "vae")
    checkpoint.write(tmp_path / "base.safetensors", unet_of(4, 7))
    checkpoint.write(tmp_path / "editor.safetensors", tiny.with_ema(tiny.ldm(tiny.unet(seed=6))), settings)
    places = [tmp_path / name for name in ("custom", "editor.safetensors", "base.safetensors")]
    for weights, change in (("ema", 1.0), ("raw", 0.0)):
        merged = merge.merge_files(*places, weights=weights)
        name = UNET + "out.2.bias"
        expected = unet_of(4, 5)[name] + unet_of(8, 6)[name] + change - unet_of(4, 7)[name]
        torch.testing.assert_close(merged.state[name], expected, atol=1e-6, rtol=1e-6)
        assert merged.settings == settings
        assert not any(name.startswith("model_ema.") for name in merged.state)


def test_a_delta_of_the_editor_merges_as_the_editor_does(tmp_path):
    base = checkpoint.Checkpoint(tiny.ldm(tiny.unet(in_channels=4)), "sd15", "only", {"num_heads": "2"})
    trainable = prepare(base, ModelConfig())
    editor = export.model(trainable)
    editor.state[FIRST_CONV] += 0.1
    export.write_delta(tmp_path / "delta.safetensors", editor, base)
    checkpoint.write(tmp_path / "custom.safetensors", tiny.ldm(tiny.unet(in_channels=4, seed=5)), base.settings)
    custom = checkpoint.read(tmp_path / "custom.safetensors", editor=False)
    added = merge.add_file(tmp_path / "custom.safetensors", tmp_path / "delta.safetensors")
    merged = merge.merge(custom.state, editor.state, base.state)
    assert added.state.keys() == merged.keys()
    for name, tensor in merged.items():
        torch.testing.assert_close(added.state[name], tensor, atol=1e-6, rtol=1e-6)


def test_a_lora_that_makes_no_editor_is_named(tmp_path):
    from safetensors.torch import save_file

    save_file({"diffusion_model.out.2.diff_b": torch.ones(4)}, tmp_path / "other.safetensors")
    checkpoint.write(tmp_path / "custom.safetensors", unet_of(4, 5))
    with pytest.raises(CheckpointError, match=r"other\.safetensors makes no editor of a text-to-image model: choose a LoRA"):
        merge.add_file(tmp_path / "custom.safetensors", tmp_path / "other.safetensors")
