"""The host's MODEL, CLIP and VAE taken back into a state dict: complete, private, with what is patched onto them."""

import pytest
import torch

from launcher.in_process import pack_module


@pytest.fixture(scope="module")
def states(pack, nodes):
    return pack_module(nodes, "samplers.states")


def test_what_was_loaded_comes_back(states, editor, editor_file):
    from ip2p import checkpoint

    file = checkpoint.read(editor_file)
    with torch.inference_mode():
        found = states.checkpoint_of(editor.model, editor.clip, editor.vae)
    left = {name for name in file.state if name not in found.state}
    assert all("position_ids" in name for name in left)
    for name, tensor in found.state.items():
        torch.testing.assert_close(tensor.float(), file.state[name].float(), rtol=0, atol=0, msg=name)
    assert found.settings == {name: file.settings[name] for name in ("num_heads", "text_heads", "size")}
    assert found.family == "sd15"


def test_the_copy_is_private_and_can_be_trained(states, pack, editor_file):
    with torch.inference_mode():  # as in a node; such weights can't be saved for backward
        editor = pack.loading.load(editor_file)
        found = states.checkpoint_of(editor.model)
        before = {name: weight.clone() for name, weight in editor.model.model_state_dict().items()}
    assert not any(weight.is_inference() for weight in found.state.values())
    with torch.inference_mode(False), torch.enable_grad():
        weight = found.state["model.diffusion_model.out.2.weight"].clone().requires_grad_()
        weight.square().sum().backward()
        assert weight.grad is not None
    for weight in found.state.values():
        weight.zero_()
    for name, weight in editor.model.model_state_dict().items():
        assert torch.equal(weight, before[name]), name


def test_patches_are_worked_in(states, editor):
    patched = editor.model.clone()
    name = "diffusion_model.input_blocks.0.0.weight"
    weight = editor.model.model_state_dict()[name]
    patched.add_patches({name: ("diff", (torch.ones_like(weight),))}, 0.25)
    found = states.checkpoint_of(patched).state
    plain = states.checkpoint_of(editor.model).state
    torch.testing.assert_close(found["model." + name], plain["model." + name] + 0.25)
    assert all(torch.equal(found[key], plain[key]) for key in plain if key != "model." + name)


def test_a_patched_model_that_is_loaded_gives_the_same(states, editor):
    """The host works patches into the weights themselves while a model is loaded, and keeps the old ones beside."""
    import comfy.model_management

    patched = editor.model.clone()
    name = "diffusion_model.out.2.weight"
    patched.add_patches({name: ("diff", (torch.ones_like(editor.model.model_state_dict()[name]),))})
    before = states.checkpoint_of(patched).state
    comfy.model_management.load_models_gpu([patched], force_patch_weights=True)
    loaded = states.checkpoint_of(patched).state
    comfy.model_management.unload_all_models()
    assert all(torch.equal(before[key], loaded[key]) for key in before)


def test_it_is_built_again_as_the_same_network(states, pack, editor):
    import comfy.model_management

    again = pack.loading.build(states.checkpoint_of(editor.model))
    assert again.clip is None
    assert again.vae is None
    assert type(again.model.model) is type(editor.model.model)
    assert pack.edit.native_size(again.model) == pack.edit.native_size(editor.model)
    comfy.model_management.load_models_gpu([editor.model, again.model])
    told = torch.randn(2, 8, 8, 8), torch.tensor([10.0, 900.0]), torch.randn(2, 77, 32)
    with torch.no_grad():
        assert torch.equal(again.model.model.diffusion_model(*told), editor.model.model.diffusion_model(*told))


def test_v_prediction_is_noted(states, nodes, editor):
    model = nodes.NODE_CLASS_MAPPINGS["ModelSamplingDiscrete"]().patch(editor.model, "v_prediction", False)[0]
    assert "v_pred" in states.checkpoint_of(model).state
    assert "v_pred" not in states.checkpoint_of(editor.model).state


def test_half_where_nothing_is_lost(states):
    state = {"half": torch.tensor([0.5, 1.0]), "single": torch.tensor([1 / 3]), "whole": torch.tensor([3])}
    found = states.lossless_half(state)
    assert {name: tensor.dtype for name, tensor in found.items()} == {
        "half": torch.float16,
        "single": torch.float32,
        "whole": torch.int64,
    }


def test_what_cannot_be_read_is_said(states, editor):
    with pytest.raises(ValueError, match="There is no model here"):
        states.checkpoint_of(None)
    with pytest.raises(ValueError, match="There is no VAE here"):
        states.whole_checkpoint_of(editor.model, editor.clip, None)
    with pytest.raises(ValueError, match="There is no text encoder"):
        states.whole_checkpoint_of(editor.model, None, editor.vae)
    stopped = editor.clip.clone()
    stopped.clip_layer(-2)
    with pytest.raises(ValueError, match="stops before its last layer"):
        states.checkpoint_of(editor.model, stopped)
