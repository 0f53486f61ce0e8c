"""Key maps of text encoders: transformers' CLIP to the names that LDM checkpoints use, and OpenCLIP (the second one of SDXL).

LDM files keep the first encoder in transformers' own names below `text_model.`; newer transformers releases leave that prefix out of
`CLIPTextModel`. OpenCLIP stores q, k and v in one matrix and its projection transposed.
"""

import re
from collections.abc import Mapping

import torch
from torch import Tensor

State = dict[str, Tensor]

OPENCLIP = {  # OpenCLIP -> transformers, modules outside the layers
    "token_embedding": "text_model.embeddings.token_embedding",
    "ln_final": "text_model.final_layer_norm",
}
OPENCLIP_LAYER = {
    "ln_1": "layer_norm1",
    "ln_2": "layer_norm2",
    "mlp.c_fc": "mlp.fc1",
    "mlp.c_proj": "mlp.fc2",
    "attn.out_proj": "self_attn.out_proj",
}
QKV = ("q_proj", "k_proj", "v_proj")
_OPEN_LAYER = re.compile(r"transformer\.resblocks\.(\d+)\.(.+)\.(weight|bias)$")
_OPEN_QKV = re.compile(r"transformer\.resblocks\.(\d+)\.attn\.in_proj_(weight|bias)$")
_CLIP_LAYER = re.compile(r"text_model\.encoder\.layers\.(\d+)\.(.+)\.(weight|bias)$")


def clip_to_ldm(state: Mapping[str, Tensor]) -> State:
    """A transformers text encoder's state dict with the `text_model.` prefix that LDM files have; position ids (a buffer) are dropped."""
    kept = {name: tensor for name, tensor in state.items() if not name.endswith("position_ids")}
    return {name if name.startswith(("text_model.", "text_projection.")) else f"text_model.{name}": t for name, t in kept.items()}


def clip_to_transformers(state: Mapping[str, Tensor], prefixed: bool) -> State:
    """The way back; `prefixed` says whether the installed transformers' `CLIPTextModel` names its weights below `text_model.`."""
    kept = {name: tensor for name, tensor in state.items() if not name.endswith("position_ids")}
    return kept if prefixed else {name.removeprefix("text_model."): tensor for name, tensor in kept.items()}


def openclip_to_transformers(state: Mapping[str, Tensor]) -> State:
    """An OpenCLIP text tower (no prefix) as transformers' `CLIPTextModelWithProjection`. Raises KeyError for an unknown name."""
    renamed: State = {}
    for name, tensor in state.items():
        if match := _OPEN_QKV.match(name):
            layer = f"text_model.encoder.layers.{match[1]}.self_attn"
            renamed |= {f"{layer}.{part}.{match[2]}": piece for part, piece in zip(QKV, tensor.chunk(3), strict=True)}
        elif match := _OPEN_LAYER.match(name):
            renamed[f"text_model.encoder.layers.{match[1]}.{OPENCLIP_LAYER[match[2]]}.{match[3]}"] = tensor
        elif name == "positional_embedding":
            renamed["text_model.embeddings.position_embedding.weight"] = tensor
        elif name == "text_projection":
            renamed["text_projection.weight"] = tensor.T.contiguous()
        elif name == "text_projection.weight":  # some tools write it as a linear layer
            renamed[name] = tensor
        elif name not in ("logit_scale", "attn_mask"):
            renamed[_other(name, OPENCLIP)] = tensor
    return renamed


def transformers_to_openclip(state: Mapping[str, Tensor]) -> State:
    """The way back: q, k and v joined to one matrix, the projection transposed. Raises KeyError for an unknown name."""
    ldm = clip_to_ldm(state)
    outer = {theirs: ours for ours, theirs in OPENCLIP.items()}
    inner = {theirs: ours for ours, theirs in OPENCLIP_LAYER.items()}
    renamed: State = {}
    for name, tensor in ldm.items():
        match = _CLIP_LAYER.match(name)
        if match and match[2] == "self_attn.q_proj":
            layer = name[: -len(f"q_proj.{match[3]}")]
            joined = torch.cat([ldm[f"{layer}{part}.{match[3]}"] for part in QKV])
            renamed[f"transformer.resblocks.{match[1]}.attn.in_proj_{match[3]}"] = joined
        elif match and match[2] in ("self_attn.k_proj", "self_attn.v_proj"):
            continue  # joined with q
        elif match:
            renamed[f"transformer.resblocks.{match[1]}.{inner[match[2]]}.{match[3]}"] = tensor
        elif name == "text_model.embeddings.position_embedding.weight":
            renamed["positional_embedding"] = tensor
        elif name == "text_projection.weight":
            renamed["text_projection"] = tensor.T.contiguous()
        else:
            renamed[_other(name, outer)] = tensor
    return renamed


def _other(name: str, modules: Mapping[str, str]) -> str:
    module, _, parameter = name.rpartition(".")
    if module not in modules:
        raise KeyError(name)
    return f"{modules[module]}.{parameter}"
