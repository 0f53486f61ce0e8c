"""What training writes, loaded by the host's own loaders: the networks compute what they did in training."""

import logging

import pytest
import torch


@pytest.fixture(scope="module")
def base(networks):
    """The tiny text-to-image model that is trained."""
    import tiny

    from ip2p.checkpoint import Checkpoint

    net = tiny.unet(widths=(32, 64), attention=(0, 1), in_channels=4, seed=7)
    settings = {name: str(value) for name, value in tiny.SETTINGS.items()}
    return Checkpoint(tiny.ldm(net, networks.vae, networks.clip), "sd15", "only", settings)


@pytest.fixture(scope="module", params=["full", "lora", "conv"])
def trained(request, pack, base):
    """(a model in training, its average), moved away from the base."""
    from ip2p.training.config import ModelConfig
    from ip2p.training.trainable import prepare

    targets = ("to_q", "to_k", "to_v", "to_out.0", "proj_in", "ff.net.0.proj", "ff.net.2", "conv1", "conv_shortcut", "time_emb_proj")
    trainable = prepare(base, ModelConfig(train=request.param, rank=3, alpha=6, targets=targets))
    generator = torch.Generator().manual_seed(4)
    with torch.no_grad():
        for _, parameter in trainable.parameters:
            parameter += 0.03 * torch.randn(parameter.shape, generator=generator)
        return trainable, [parameter + 0.01 for _, parameter in trainable.parameters]


def inputs():
    generator = torch.Generator().manual_seed(1)
    noisy, image, text = (torch.randn(shape, generator=generator) for shape in ((2, 4, 8, 8), (2, 4, 8, 8), (2, 77, 32)))
    return noisy, torch.tensor([10, 900]), text, image


def in_training(trainable, average=None):
    """The prediction of the network in training, or of its averaged weights."""
    kept = [parameter.detach().clone() for _, parameter in trainable.parameters]
    with torch.no_grad():
        for (_, parameter), value in zip(trainable.parameters, average or kept, strict=True):
            parameter.copy_(value)
        said = trainable.predict(*inputs())
        for (_, parameter), value in zip(trainable.parameters, kept, strict=True):
            parameter.copy_(value)
    return said


def in_host(model):
    """The prediction of a MODEL's network with its patches."""
    import comfy.model_management

    noisy, t, text, image = inputs()
    comfy.model_management.load_models_gpu([model], force_patch_weights=True)
    with torch.no_grad():
        said = model.model.diffusion_model(torch.cat([noisy, image], 1), t.float(), text)
    model.detach()
    return said


def close(ours, theirs):
    torch.testing.assert_close(ours, theirs, atol=2e-5, rtol=1e-4)


def test_one_file_loads_with_either_weights(pack, trained, tmp_path):
    from ip2p.training import export

    trainable, average = trained
    export.write_form(tmp_path / "editor.safetensors", "ldm", trainable, average, "both", "fp32")
    for weights, expected in (("ema", in_training(trainable, average)), ("raw", in_training(trainable))):
        loaded = pack.loading.load(tmp_path / "editor.safetensors", weights)
        close(in_host(loaded.model), expected)
        assert loaded.clip is not None
        assert pack.edit.native_size(loaded.model) == 64


def test_a_folder_loads(pack, trained, tmp_path):
    from ip2p.training import export

    trainable, average = trained
    export.write_form(tmp_path / "editor", "diffusers", trainable, average, "ema", "fp32")
    close(in_host(pack.loading.load(tmp_path / "editor").model), in_training(trainable, average))


def as_editor(pack, base):
    """The untrained editor: the base with zero channels for the picture."""
    from dataclasses import replace

    from ip2p.layout import with_picture_input

    return pack.loading.build(replace(base, state=with_picture_input(base.state)))


PAIRS = [("lora", "lora"), ("conv", "lora"), ("full", "delta"), ("lora", "delta"), ("conv", "delta")]


@pytest.mark.parametrize(("trained", "form"), PAIRS, indirect=["trained"])
def test_the_hosts_lora_loader_adds_all_of_a_file(pack, call, nodes, base, trained, form, tmp_path, monkeypatch, caplog):
    """On the untrained editor, by the host's own node, without a word of a key that it doesn't know."""
    import folder_paths

    from ip2p.training import export

    trainable, average = trained
    export.write_form(tmp_path / "file.safetensors", form, trainable, average, "ema", "fp32")
    monkeypatch.setitem(folder_paths.folder_names_and_paths, "loras", ([str(tmp_path)], {".safetensors"}))
    editor = as_editor(pack, base)
    with caplog.at_level(logging.WARNING):
        (model,) = call("LoraLoaderModelOnly", model=editor.model, lora_name="file.safetensors", strength_model=1.0)
        close(in_host(model), in_training(trainable, average))
    assert [record.getMessage() for record in caplog.records if "lora" in record.getMessage().lower()] == []
    assert not any("SHAPE MISMATCH" in record.getMessage() for record in caplog.records)


class TestLoadEditorLora:
    """Our node: what the host's LoRA loader can't do, widen the first layer."""

    @pytest.fixture
    def files(self, tmp_path, monkeypatch):
        import folder_paths

        monkeypatch.setitem(folder_paths.folder_names_and_paths, "loras", ([str(tmp_path)], {".safetensors"}))
        return tmp_path

    @pytest.mark.parametrize(("trained", "form"), PAIRS, indirect=["trained"])
    def test_a_text_to_image_model_becomes_the_editor(self, pack, call, base, trained, form, files):
        from ip2p.training import export

        trainable, average = trained
        export.write_form(files / "file.safetensors", form, trainable, average, "ema", "fp32")
        plain = pack.loading.build(base).model
        (model,) = call("IP2PLoadEditorLora", model=plain, lora="file.safetensors", strength=1.0)
        assert type(model.model).__name__ == "SD15_instructpix2pix"
        assert pack.edit.native_size(model) == 64
        close(in_host(model), in_training(trainable, average))

    @pytest.mark.parametrize("trained", ["lora"], indirect=True)
    def test_other_loras_stay_and_it_edits(self, pack, call, graph, base, trained, files, image):
        from ip2p.training import export

        trainable, average = trained
        export.write_form(files / "file.safetensors", "lora", trainable, average, "ema", "fp32")
        plain = pack.loading.build(base).model
        styled, name = plain.clone(), "diffusion_model.out.2.weight"
        styled.add_patches({name: ("diff", (torch.full((4, 32, 3, 3), 0.01),))})
        (one,), (other,) = (call("IP2PLoadEditorLora", model=model, lora="file.safetensors", strength=0.5) for model in (plain, styled))
        weights = [model.model_state_dict()[name] for model in (one, other)]
        torch.testing.assert_close(weights[1], weights[0] + 0.01)
        samples, picture = graph(image, model=other, steps=2)
        assert picture.shape == image.shape
        assert samples.isfinite().all()

    def test_files_that_make_no_editor_are_named(self, pack, call, base, files):
        from safetensors.torch import save_file

        plain = pack.loading.build(base).model
        save_file({"diffusion_model.out.2.diff_b": torch.ones(4)}, files / "style.safetensors")
        with pytest.raises(ValueError, match=r"style\.safetensors makes no editor of a text-to-image model"):
            call("IP2PLoadEditorLora", model=plain, lora="style.safetensors", strength=1.0)
        with pytest.raises(ValueError, match="There is no LoRA 'missing"):
            call("IP2PLoadEditorLora", model=plain, lora="missing.safetensors", strength=1.0)


def test_every_layer_of_stable_diffusion_has_the_name_that_the_host_gives_it(pack, nodes):
    """The names in our LoRA and delta files, for the full-size network, against the host's own list."""
    import comfy.lora
    import comfy.model_base
    import comfy.ops
    import comfy.supported_models
    from comfy.ldm.modules.diffusionmodules.openaimodel import UNetModel
    from test_models import full_size_config

    from ip2p import changes
    from ip2p.checkpoint import UNET

    with torch.device("meta"):
        network = UNetModel(**full_size_config(8), device="meta", operations=comfy.ops.disable_weight_init)
    state = {UNET + name: tensor for name, tensor in network.state_dict().items()}
    config = comfy.supported_models.SD15_instructpix2pix(full_size_config(8))
    model = comfy.model_base.SD15_instructpix2pix.__new__(comfy.model_base.SD15_instructpix2pix)
    torch.nn.Module.__init__(model)
    model.diffusion_model, model.model_config = network, config
    known = comfy.lora.model_lora_keys_unet(model, {})
    layers = {layer: name for layer, name in changes.layers(state).items() if f"{UNET}{layer}.weight" in state}
    assert len(layers) > 300
    for layer, name in layers.items():
        weight = f"diffusion_model.{layer}.weight"
        assert known[f"lora_unet_{name.replace('.', '_')}"] == weight
        assert known[f"diffusion_model.{layer}"] == weight


def test_a_full_size_export_is_detected_by_the_hosts_own_loader(pack, call, nodes, tmp_path, monkeypatch):
    """A random Stable Diffusion 1.5 with all its keys, trained in its first conv, through CheckpointLoaderSimple."""
    import folder_paths
    from test_models import save_full_size

    from ip2p import checkpoint
    from ip2p.training import export
    from ip2p.training.config import ModelConfig
    from ip2p.training.trainable import prepare

    save_full_size(tmp_path / "base.safetensors", channels=4)
    trainable = prepare(checkpoint.read(tmp_path / "base.safetensors", editor=False), ModelConfig(train="conv"), dtype=torch.float16)
    ((_, weight),) = trainable.parameters
    with torch.no_grad():
        weight[:, 4:] = 0.25
    export.write_form(tmp_path / "editor.safetensors", "ldm", trainable)
    (tmp_path / "base.safetensors").unlink()
    del trainable
    monkeypatch.setitem(folder_paths.folder_names_and_paths, "checkpoints", ([str(tmp_path)], {".safetensors"}))
    model, clip, vae = call("CheckpointLoaderSimple", ckpt_name="editor.safetensors")
    (tmp_path / "editor.safetensors").unlink()
    assert type(model.model).__name__ == "SD15_instructpix2pix"
    assert clip is not None
    assert vae is not None
    first = model.model.diffusion_model.input_blocks[0][0].weight
    assert first.shape == (320, 8, 3, 3)
    assert bool((first[:, 4:] == 0.25).all())
