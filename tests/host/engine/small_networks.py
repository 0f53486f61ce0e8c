"""Small random networks of every family of editors, built from the host's own classes as its loaders build the large ones."""

from typing import Any, NamedTuple

import torch


class Small(NamedTuple):
    """A family: the host's configuration and the settings of its network, the latent it samples, its text, and the size of its weights."""

    config: str
    network: dict[str, Any]
    latent: tuple[int, ...]
    text: tuple[int, int]  # tokens, width
    pooled: int = 0
    reads: str = "reference_latents"
    gain: float = 0.6
    marks: tuple[tuple[str, float], ...] = ()  # entries of the file by which the host tells a variant


UNET = {
    "image_size": 32,
    "out_channels": 4,
    "model_channels": 32,
    "num_res_blocks": [1, 1],
    "channel_mult": [1, 2],
    "num_heads": 4,
    "num_head_channels": -1,
    "use_spatial_transformer": True,
    "transformer_depth": [1, 1],
    "transformer_depth_output": [1, 1, 1, 1],
    "transformer_depth_middle": 1,
    "context_dim": 24,
    "legacy": False,
}
SDXL = {**UNET, "in_channels": 8, "use_linear_in_transformer": True, "adm_in_channels": 1560, "num_classes": "sequential"}
FLUX = {
    "image_model": "flux",
    "in_channels": 16,
    "out_channels": 16,
    "vec_in_dim": 8,
    "context_in_dim": 24,
    "hidden_size": 32,
    "mlp_ratio": 2.0,
    "num_heads": 2,
    "depth": 1,
    "depth_single_blocks": 1,
    "axes_dim": [4, 6, 6],
    "theta": 10000,
    "patch_size": 2,
    "qkv_bias": True,
    "guidance_embed": True,
}
FLUX2 = {
    **FLUX,
    "image_model": "flux2",
    "in_channels": 128,
    "out_channels": 128,
    "vec_in_dim": None,
    "axes_dim": [4, 4, 4, 4],
    "theta": 2000,
    "patch_size": 1,
    "qkv_bias": False,
    "global_modulation": True,
    "mlp_silu_act": True,
    "ops_bias": False,
    "default_ref_method": "index",
    "ref_index_scale": 10.0,
}
QWEN = {
    "image_model": "qwen_image",
    "in_channels": 64,
    "num_layers": 1,
    "attention_head_dim": 16,
    "num_attention_heads": 2,
    "joint_attention_dim": 24,
    "axes_dims_rope": (4, 6, 6),
}
OMNIGEN2 = {
    "image_model": "omnigen2",
    "in_channels": 16,
    "hidden_size": 48,
    "num_layers": 1,
    "num_refiner_layers": 1,
    "num_attention_heads": 2,
    "num_kv_heads": 1,
    "multiple_of": 16,
    "axes_dim_rope": (8, 8, 8),
    "text_feat_dim": 24,
    "timestep_scale": 1000.0,
}
HIDREAM = {
    "image_model": "hidream",
    "in_channels": 16,
    "patch_size": 2,
    "num_layers": 1,
    "num_single_layers": 1,
    "attention_head_dim": 16,
    "num_attention_heads": 2,
    "caption_channels": [24, 20],
    "text_emb_dim": 8,
    "num_routed_experts": 2,
    "num_activated_experts": 1,
    "axes_dims_rope": (4, 6, 6),
    "max_resolution": (16, 16),
    "llama_layers": [0, 0],
}
CHROMA = {
    **{name: value for name, value in FLUX.items() if name not in ("guidance_embed", "vec_in_dim")},
    "image_model": "chroma",
    "in_dim": 64,
    "out_dim": 32,
    "hidden_dim": 16,
    "n_layers": 1,
}
WAN = {
    "image_model": "wan2.1",
    "model_type": "t2v",
    "in_dim": 16,
    "out_dim": 16,
    "dim": 48,
    "ffn_dim": 32,
    "freq_dim": 16,
    "num_heads": 2,
    "num_layers": 1,
    "text_dim": 24,
}
COSXL = (("edm_vpred.sigma_max", 80.0), ("edm_vpred.sigma_min", 0.002))
LATENT4, LATENT16 = (4, 8, 8), (16, 8, 8)
FAMILIES = {
    "SD 1.5": Small("SD15_instructpix2pix", {**UNET, "in_channels": 8}, LATENT4, (5, 24), reads="concat_latent_image"),
    "SDXL": Small("SDXL_instructpix2pix", SDXL, LATENT4, (5, 24), 24, "concat_latent_image"),
    "CosXL": Small("SDXL_instructpix2pix", SDXL, LATENT4, (5, 24), 24, "concat_latent_image", marks=COSXL),
    "Flux control": Small("Flux", {**FLUX, "in_channels": 32}, LATENT16, (5, 24), 8, "concat_latent_image"),
    "HiDream-E1": Small("HiDream", HIDREAM, LATENT16, (5, 24), 8, "concat_latent_image"),
    "Flux Kontext": Small("Flux", FLUX, LATENT16, (5, 24), 8),
    "Flux 2": Small("Flux2", FLUX2, (128, 4, 4), (5, 24), gain=1.5),
    "Qwen-Image-Edit": Small("QwenImage", QWEN, (16, 1, 8, 8), (5, 24)),
    "OmniGen2": Small("Omnigen2", OMNIGEN2, LATENT16, (5, 24)),
}
OTHERS = {
    "inpainting": Small("SD15", {**UNET, "in_channels": 9}, LATENT4, (5, 24)),
    "text-to-image": Small("SD15", {**UNET, "in_channels": 4}, LATENT4, (5, 24)),
    "Chroma": Small("Chroma", CHROMA, LATENT16, (5, 24)),
    "Wan": Small("WAN21_T2V", WAN, (16, 2, 8, 8), (5, 24)),
    "Flux Fill": Small("FluxInpaint", {**FLUX, "in_channels": 96}, LATENT16, (5, 24), 8),
}


def build(small: Small) -> Any:
    """A MODEL with random weights of that family, seeded, with predictions near the size of its input."""
    import comfy.supported_models
    from comfy.model_patcher import ModelPatcher

    config = getattr(comfy.supported_models, small.config)(dict(small.network))
    config.unet_config.update(small.network)  # a class's own settings are those of its full size
    config.set_inference_dtype(torch.float32, None)
    model = config.get_model({name: torch.tensor(value) for name, value in small.marks}, device=torch.device("cpu"))
    draw = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for weight in model.diffusion_model.parameters():
            fan = weight[0].numel() if weight.ndim > 1 else 1
            weight.copy_(torch.randn(weight.shape, generator=draw) * (small.gain / fan**0.5 if weight.ndim > 1 else 0.1))
            if weight.ndim == 1:
                weight.add_(0.5)
    return ModelPatcher(model, torch.device("cpu"), torch.device("cpu"))


def text(small: Small, seed: int, tokens: int | None = None) -> list:
    """A CONDITIONING as the family's text encoder would give it, with random numbers in the place of words."""
    draw = torch.Generator().manual_seed(seed)
    count, width = tokens or small.text[0], small.text[1]
    options: dict[str, Any] = {"pooled_output": torch.randn(1, small.pooled, generator=draw) if small.pooled else None}
    if small.config in ("QwenImage", "Omnigen2"):
        options["attention_mask"] = torch.ones(1, count, dtype=torch.long)
    if small.config == "HiDream":
        options["conditioning_llama3"] = torch.randn(1, 1, count, 20, generator=draw)
    return [[torch.randn(1, count, width, generator=draw), options]]


def told(small: Small, seed: int, latent: torch.Tensor, tokens: int | None = None) -> list:
    """The same, with a picture handed over in the family's own way."""
    carried = [latent] if small.reads == "reference_latents" else latent
    return [[words, {**options, small.reads: carried}] for words, options in text(small, seed, tokens)]


def picture(small: Small, seed: int = 3, rows: int = 1) -> torch.Tensor:
    """A picture's latent as the family's VAE would give it, random."""
    return torch.randn(rows, *small.latent, generator=torch.Generator().manual_seed(seed))
