"""A digest of a model as it is wired, so that results made with another one are not taken for its own."""

import hashlib
from typing import Any

import torch
from comfy.model_patcher import ModelPatcher
from torch import Tensor

SAMPLE = 64
"""Numbers of each weight that are looked at."""


def identity(model: ModelPatcher) -> str:
    """The same for the same weights and patches (LoRA and the like) on any device; samples every weight, so takes milliseconds."""
    digest = hashlib.blake2b(digest_size=8)
    for name, patches in sorted(model.get_key_patches().items()):
        digest.update(name.encode())
        _add(digest, patches)
    return f"{type(model.model).__name__} {digest.hexdigest()}"


def _add(digest: Any, part: Any) -> None:
    """Put weights, patches and numbers, however nested, into a digest."""
    if isinstance(part, Tensor):
        digest.update(f"{tuple(part.shape)}{part.dtype}".encode())
        flat = part.detach().flatten()
        places = torch.linspace(0, max(0, len(flat) - 1), min(SAMPLE, len(flat)), dtype=torch.float64).long().to(flat.device)
        digest.update(flat[places].float().cpu().numpy().tobytes())
    elif isinstance(part, list | tuple):
        for item in part:
            _add(digest, item)
    elif isinstance(part, int | float | str):
        digest.update(str(part).encode())
    elif hasattr(part, "weights"):
        _add(digest, [type(part).__name__, part.weights])
