"""Small random CLIPs and ViTs saved as folders, so that the metrics run their real code; and photos to measure."""

from pathlib import Path

import torch
from transformers import (
    CLIPConfig,
    CLIPImageProcessor,
    CLIPModel,
    CLIPTokenizer,
    Dinov2Config,
    Dinov2Model,
    SiglipConfig,
    SiglipModel,
    ViTConfig,
    ViTImageProcessor,
    ViTModel,
)

from ip2p.pictures import open_picture

ROOT = Path(__file__).resolve().parents[2]
LAYERS = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
SIZE = 32


def clip_folder(folder, seed=0):
    """A CLIP with its tokenizer and its preparation of pictures, which crops as OpenAI's does."""
    torch.manual_seed(seed)
    text = {**LAYERS, "vocab_size": 49408, "bos_token_id": 49406, "eos_token_id": 49407, "pad_token_id": 49407}
    vision = {**LAYERS, "image_size": SIZE, "patch_size": 8}
    CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=16)).save_pretrained(folder)
    CLIPTokenizer.from_pretrained(ROOT / "ip2p" / "tokenizer").save_pretrained(folder)
    CLIPImageProcessor(size={"shortest_edge": SIZE}, crop_size={"height": SIZE, "width": SIZE}).save_pretrained(folder)
    return str(folder)


def siglip_folder(folder):
    """A SigLIP; without a preparation of pictures."""
    torch.manual_seed(0)
    text = {**LAYERS, "vocab_size": 49408, "max_position_embeddings": 16}
    SiglipModel(SiglipConfig(text_config=text, vision_config={**LAYERS, "image_size": SIZE, "patch_size": 8})).save_pretrained(folder)
    CLIPTokenizer.from_pretrained(ROOT / "ip2p" / "tokenizer").save_pretrained(folder)
    return str(folder)


def vit_folder(folder):
    """A ViT as DINO's, with its preparation of pictures."""
    torch.manual_seed(1)
    ViTModel(ViTConfig(**LAYERS, image_size=SIZE, patch_size=8)).save_pretrained(folder)
    ViTImageProcessor(image_mean=[0.4, 0.5, 0.6], image_std=[0.2, 0.3, 0.4]).save_pretrained(folder)
    return str(folder)


def dinov2_folder(folder):
    torch.manual_seed(2)
    Dinov2Model(Dinov2Config(**{**LAYERS, "intermediate_size": None}, image_size=42, patch_size=14)).save_pretrained(folder)
    return str(folder)


def photo(name="china.jpg", height=96, width=128):
    """The upper left part of a photo, (height, width, 3)."""
    folder = ROOT / ("photos" if (ROOT / "photos" / name).exists() else "tests/photos")
    return open_picture(folder / name)[0, 40 : 40 + height, 40 : 40 + width].contiguous()


def changed(picture, seed=0):
    """The same, darker, shifted and noisy, in [0, 1]."""
    noise = torch.randn(picture.shape, generator=torch.Generator().manual_seed(seed))
    return (picture.roll(2, 1) * 0.8 + 0.05 + 0.03 * noise).clamp(0, 1)


def mask_of(picture):
    """A rectangle of ones, (H, W)."""
    mask = torch.zeros(picture.shape[:2])
    mask[20:60, 30:90] = 1
    return mask
