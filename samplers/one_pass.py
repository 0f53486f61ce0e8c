"""One pass in the place of three, inside the host: the adapter's LoRA as the host's patches, and a patch of the embedding of the time."""

from pathlib import Path
from typing import Any

import comfy.lora
import torch
from comfy.model_patcher import ModelPatcher
from torch import Tensor

from ..ip2p import one_pass
from ..ip2p.changes import LowRank
from ..ip2p.files import State
from ..ip2p.layout import UNET, prefixed
from ..ip2p.one_pass import OnePass, ScaleEmbedding

ATTACHMENT = "ip2p_one_pass"
"""Under this key a MODEL says that it guides in one pass."""
SCALES = "ip2p_scales"
"""The transformer option with the text scale and the image scale of a run; without it the network is as it was with both at 1."""
NETWORK = "diffusion_model."


def attach(model: ModelPatcher, path: Path | str) -> ModelPatcher:
    """A clone of ``model`` that the guider, or dual guidance for any sampler, drives with one pass a step; ``model`` is left as it is.

    ``path`` is an adapter's file, or "embedded". LoRAs and other patches of the model stay and work together with it. Raises ValueError in
    a sentence for a model that is no editor, or an adapter that doesn't fit it.
    """
    from .families import check_instruct_pix2pix

    check_instruct_pix2pix(model)
    if is_attached(model):
        raise ValueError("This model has a one-pass adapter already; take one of the two nodes out.")
    state = prefixed(_unpatched(model), UNET)
    adapter = one_pass.read(path, state)
    adapter.check(state, Path(path).name)
    patched = model.clone()
    patched.add_patches(_patches(adapter))
    patched.set_model_patch(AddScales(adapter.embedding), "emb_patch")
    patched.set_attachments(ATTACHMENT, True)
    return patched


def is_attached(model: ModelPatcher) -> bool:
    """Whether a model guides in one pass."""
    return bool(model.get_attachment(ATTACHMENT))


def options_with(options: dict[str, Any], text_scale: float, image_scale: float) -> dict[str, Any]:
    """Model options that tell the network the two scales."""
    return {**options, "transformer_options": {**options.get("transformer_options", {}), SCALES: (text_scale, image_scale)}}


class AddScales:
    """Adds the embedding of a run's scales to that of the time. It computes on the CPU, once for each pair of scales."""

    def __init__(self, embedding: ScaleEmbedding) -> None:
        self._embedding = embedding
        self._last: tuple[tuple[float, float], Tensor] | None = None

    def __call__(self, emb: Tensor, channels: int, options: dict[str, Any]) -> Tensor:
        """The host's call: the embedding of the time (B, width), the UNet's first width, and the transformer options."""
        scales = options.get(SCALES, (1.0, 1.0))
        if self._last is None or self._last[0] != scales:
            self._embedding.check(*scales)
            self._last = scales, self._embedding(torch.tensor([scales]))
        return emb + self._last[1].to(emb)


def _unpatched(model: ModelPatcher) -> State:
    """The network's own weights, without its patches."""
    return {name.removeprefix(NETWORK): patches[0][0] for name, patches in model.get_key_patches(NETWORK).items()}


def _patches(adapter: OnePass) -> dict[str, Any]:
    """The adapter's LoRA as the host's patches, by the name of the weight."""
    tensors: State = {}
    names: dict[str, str] = {}
    for name, piece in adapter.change.items():
        assert isinstance(piece, LowRank)
        layer = NETWORK + name.removeprefix(UNET).removesuffix(".weight")
        tensors |= {f"{layer}.lora_up.weight": piece.scale * piece.up, f"{layer}.lora_down.weight": piece.down}
        names[layer] = f"{layer}.weight"
    found: dict[str, Any] = comfy.lora.load_lora(tensors, names)
    return found
