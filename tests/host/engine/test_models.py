"""Models that the pack loads into the host, and those it refuses with a sentence."""

import pytest
import torch


def test_the_small_network_equals_diffusers(pack, editor, networks):
    """The host's network, VAE and text encoder, built from the file, compute what diffusers' and transformers' modules do."""
    import comfy.model_management

    x, t, context = torch.randn(2, 8, 8, 8), torch.tensor([10.0, 900.0]), torch.randn(2, 77, 32)
    comfy.model_management.load_model_gpu(editor.model)
    with torch.no_grad():
        ours = editor.model.model.diffusion_model(x, t, context)
        theirs = networks.unet(x, t, context).sample
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)

    picture = torch.rand(1, 64, 64, 3)
    mode = networks.vae.encode(picture.movedim(-1, 1) * 2 - 1).latent_dist.mode()
    torch.testing.assert_close(editor.vae.encode(picture), mode, atol=1e-4, rtol=1e-4)


def test_text_states_equal_transformers(editor, networks):
    tokens = editor.clip.tokenize("make it snow")
    ids = torch.tensor([[token for token, _ in tokens["l"][0]]])
    states = editor.clip.encode_from_tokens(tokens)
    torch.testing.assert_close(states, networks.clip(ids).last_hidden_state, atol=1e-5, rtol=1e-5)


def test_settings_travel_with_the_model(pack, editor):
    assert pack.edit.native_size(editor.model) == 64
    assert pack.edit.native_size(editor.model.clone()) == 64


def test_load_node_takes_files_of_the_host(call, nodes, editor_file, monkeypatch):
    import folder_paths

    folder_paths.add_model_folder_path("checkpoints", str(editor_file.parent))
    folder_paths.filename_list_cache.clear()
    model, clip, vae = call("IP2PLoadModel", model="checkpoints/" + editor_file.name, weights="ema")
    assert type(model.model).__name__ == "SD15_instructpix2pix"
    assert clip is not None
    assert vae is not None
    with pytest.raises(ValueError, match="There is no model 'checkpoints/missing"):
        call("IP2PLoadModel", model="checkpoints/missing.safetensors", weights="ema")


def test_a_unet_alone_has_no_vae_and_clip(pack, networks, tmp_path):
    from safetensors.torch import save_file

    save_file(networks.unet.state_dict(), tmp_path / "unet.safetensors")
    model, clip, vae = pack.loading.load(tmp_path / "unet.safetensors")
    assert clip is None
    assert vae is None
    assert model.model.model_config.unet_config["in_channels"] == 8


def test_levels_of_any_width_and_parts_from_another_file(pack, editor_file, editor):
    """A text-to-image network whose second level is one and a half times as wide, with the autoencoder and text of the editor's file."""
    import comfy.model_management
    import tiny

    from ip2p import checkpoint
    from ip2p.layout import UNET

    unet = tiny.unet(widths=(64, 96), attention=(0, 1), in_channels=4)
    state = {name: tensor for name, tensor in tiny.ldm(unet).items() if name.startswith(UNET)}
    path = editor_file.with_name("painter.safetensors")
    checkpoint.write(path, state, {**tiny.SETTINGS, "rest": editor_file.name})
    model, clip, vae = pack.loading.load(path)
    x, t, context = torch.randn(2, 4, 8, 8), torch.tensor([10.0, 900.0]), torch.randn(2, 77, 32)
    comfy.model_management.load_model_gpu(model)
    with torch.no_grad():
        torch.testing.assert_close(model.model.diffusion_model(x, t, context), unet(x, t, context).sample, atol=1e-5, rtol=1e-5)
    picture = torch.rand(1, 64, 64, 3)
    assert torch.equal(vae.encode(picture), editor.vae.encode(picture))
    told = [torch.as_tensor(one.encode_from_tokens(one.tokenize("snow"))) for one in (clip, editor.clip)]
    assert torch.equal(*told)


def test_text_to_image_and_inpainting_models_are_named(call, pack, nodes, tmp_path):
    """A model from the host's own loaders, wired in where an editor belongs."""
    import comfy.model_base
    import comfy.supported_models
    from comfy.model_patcher import ModelPatcher

    for channels, sentence in ((4, "text-to-image model; load an InstructPix2Pix"), (9, "inpainting model")):
        config = comfy.supported_models.SD15(small_config(channels))
        config.set_inference_dtype(torch.float32, None)
        model = ModelPatcher(comfy.model_base.BaseModel(config, device="cpu"), torch.device("cpu"), torch.device("cpu"))
        with pytest.raises(ValueError, match=sentence):
            call("IP2PGuidance", model=model, image_scale=1.5)


def small_config(channels):
    return {
        "image_size": 32,
        "in_channels": channels,
        "out_channels": 4,
        "model_channels": 32,
        "num_res_blocks": [1, 1],
        "channel_mult": [1, 2],
        "transformer_depth": [0, 1],
        "transformer_depth_output": [0, 0, 1, 1],
        "transformer_depth_middle": 1,
        "context_dim": 32,
        "use_linear_in_transformer": False,
        "use_spatial_transformer": True,
        "legacy": False,
        "adm_in_channels": None,
        "use_temporal_attention": False,
        "num_heads": 2,
        "num_head_channels": -1,
    }


def test_broken_files(pack, editor_file, tmp_path):
    whole = editor_file.read_bytes()
    for name, content in {
        "cut.safetensors": whole[: len(whole) // 2],
        "page.safetensors": b"<html>not found</html>",
        "none.safetensors": b"",
    }.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(Exception, match=name.split(".")[0]) as caught:
            pack.loading.load(tmp_path / name)
        assert "Error" in type(caught.value).__name__
        assert "\n" not in str(caught.value)


def test_full_size_checkpoint_loads_and_takes_a_step(call, pack, nodes, tmp_path):
    """A random Stable Diffusion 1.5 editor with all its keys, as 2 GB in half precision, through our loader and guider."""
    path = tmp_path / "full.safetensors"
    save_full_size(path)
    model, clip, vae = pack.loading.load(path)
    path.unlink()
    assert type(model.model).__name__ == "SD15_instructpix2pix"
    assert pack.edit.native_size(model) == 512
    assert sum(p.numel() for p in model.model.diffusion_model.parameters()) == 859_532_484
    settings = {
        "negative": "",
        "seed": 5,
        "steps": 1,
        "size": 64,
        "sampler": "euler",
        "scheduler": "normal",
        "text_scale": 7.5,
        "image_scale": 1.5,
    }
    (edited,) = call("IP2PEdit", model=model, clip=clip, vae=vae, image=torch.rand(1, 64, 64, 3), instruction="make it snow", **settings)
    assert edited.shape == (1, 64, 64, 3)
    assert edited.isfinite().all()


@pytest.mark.parametrize(("cosxl", "family", "prediction"), [(False, "sdxl", "EPS"), (True, "cosxl", "V_PREDICTION_EDM")])
def test_the_host_detects_sdxl_editors(pack, cosxl, family, prediction):
    """All keys and shapes of an SDXL editor, without their gigabytes: the host finds the right model and prediction for both kinds."""
    import comfy.model_detection
    import comfy.ops
    import comfy.supported_models
    from comfy.ldm.modules.diffusionmodules.openaimodel import UNetModel

    from ip2p.checkpoint import UNET, check_editor, detect_family

    wide = comfy.supported_models.SDXL_instructpix2pix.unet_config
    config = small_config(8) | {"model_channels": 320, "num_res_blocks": [2, 2, 2], "channel_mult": [1, 2, 4], "num_classes": "sequential"}
    config |= {
        "transformer_depth_output": [0, 0, 0, 2, 2, 2, 10, 10, 10],
        "transformer_depth_middle": 10,
        "num_heads": -1,
        "num_head_channels": 64,
    }
    config |= {name: wide[name] for name in ("transformer_depth", "context_dim", "use_linear_in_transformer", "adm_in_channels")}
    unet = UNetModel(**config, device="meta", operations=comfy.ops.disable_weight_init)
    state = {UNET + name: torch.zeros(()).expand(tensor.shape) for name, tensor in unet.state_dict().items()}
    if cosxl:
        state |= {"edm_vpred.sigma_max": torch.tensor(120.0), "edm_vpred.sigma_min": torch.tensor(0.002)}
    check_editor(state)
    assert detect_family(state) == family
    found = comfy.model_detection.model_config_from_unet(state, UNET)
    assert type(found).__name__ == "SDXL_instructpix2pix"
    assert found.model_type(state, UNET).name == prediction


def full_size_config(channels):
    """The host's arguments for Stable Diffusion 1.x's UNet."""
    return small_config(channels) | {
        "model_channels": 320,
        "num_res_blocks": [2, 2, 2, 2],
        "channel_mult": [1, 2, 4, 4],
        "transformer_depth": [1, 1, 1, 1, 1, 1, 0, 0],
        "transformer_depth_output": [1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0],
        "context_dim": 768,
        "num_heads": 8,
    }


def save_full_size(path, channels=8):
    """Random weights with exactly the keys and shapes of the released editor, taken from the host's own modules on the meta device."""
    import comfy.ldm.models.autoencoder
    import comfy.ops
    import comfy.sd1_clip
    from comfy.ldm.modules.diffusionmodules.openaimodel import UNetModel
    from safetensors.torch import save_file

    ddconfig = {"double_z": True, "z_channels": 4, "resolution": 256, "in_channels": 3, "out_ch": 3, "ch": 128, "ch_mult": [1, 2, 4, 4]}
    ddconfig |= {"num_res_blocks": 2, "attn_resolutions": [], "dropout": 0.0}
    with torch.device("meta"):
        parts = {
            "model.diffusion_model.": UNetModel(**full_size_config(channels), device="meta", operations=comfy.ops.disable_weight_init),
            "first_stage_model.": comfy.ldm.models.autoencoder.AutoencoderKL(ddconfig=ddconfig, embed_dim=4),
            "cond_stage_model.": comfy.sd1_clip.SDClipModel(device="meta"),
        }
    shapes = {prefix + name: tensor.shape for prefix, module in parts.items() for name, tensor in module.state_dict().items()}
    shapes = {name: shape for name, shape in shapes.items() if "text_projection" not in name and "logit_scale" not in name}
    generator = torch.Generator().manual_seed(0)

    def weight(shape):
        if len(shape) < 2:
            return torch.zeros(shape, dtype=torch.float16)
        return (torch.randn(shape, generator=generator) * 0.02).half()

    save_file({name: weight(shape).clone() for name, shape in shapes.items()}, path)
