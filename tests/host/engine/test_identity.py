"""The digest by which an evaluation knows a model again."""

import pytest
import torch


@pytest.fixture(scope="module")
def identity(nodes, pack):
    from launcher.in_process import pack_module

    return pack_module(nodes, "samplers.identity").identity


def patched(model, strength, adapter=False):
    from comfy.weight_adapter import LoRAAdapter

    changed = model.clone()
    state = changed.model_state_dict()
    name = next(name for name in state if name.endswith("attn1.to_q.weight"))
    width = state[name].shape[0]
    generator = torch.Generator().manual_seed(0)
    up, down = (torch.randn(shape, generator=generator) for shape in ((width, 2), (2, width)))
    patch = LoRAAdapter({name}, (up, down, None, None, None, None)) if adapter else ("diff", (up @ down,))
    assert changed.add_patches({name: patch}, strength) == [name]
    return changed


def test_a_clone_and_a_loaded_model_are_the_same(identity, editor):
    import comfy.model_management

    first = identity(editor.model)
    assert identity(editor.model.clone()) == first
    comfy.model_management.load_model_gpu(editor.model)
    assert identity(editor.model) == first
    comfy.model_management.unload_all_models()
    assert identity(editor.model) == first


@pytest.mark.parametrize("adapter", [False, True])
def test_patches_and_their_strengths_count(identity, editor, adapter):
    import comfy.model_management

    half, whole = (patched(editor.model, strength, adapter) for strength in (0.5, 1.0))
    assert len({identity(model) for model in (editor.model, half, whole)}) == 3
    before = identity(half)
    comfy.model_management.load_model_gpu(half)  # writes the patch into the weights
    assert identity(half) == before
    comfy.model_management.unload_all_models()


def test_other_weights_count(identity, pack, networks, editor, tmp_path):
    import tiny

    from ip2p import checkpoint

    path = tmp_path / "other.safetensors"
    checkpoint.write(path, tiny.ldm(tiny.unet(widths=(32, 64), attention=(0, 1), seed=7), networks.vae, networks.clip), tiny.SETTINGS)
    assert identity(pack.loading.load(path).model) != identity(editor.model)
