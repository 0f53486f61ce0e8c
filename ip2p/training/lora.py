"""LoRA through peft: low-rank updates of a frozen UNet's layers (Hu et al. 2021)."""

from collections.abc import Mapping, Sequence
from typing import cast

import torch
from torch import Tensor, nn

from ..changes import LowRank

ADAPTER = "default"
DOWN, UP = f".lora_A.{ADAPTER}.weight", f".lora_B.{ADAPTER}.weight"


def inject(module: nn.Module, rank: int, alpha: float, targets: Sequence[str], seed: int = 0) -> float:
    """Give the layers whose names end in one of `targets` a LoRA that changes nothing yet; returns its scale, ``alpha / rank``.

    ``alpha`` 0 stands for the rank. The first factors are drawn from `seed`; no other parameter's `requires_grad` is touched. Raises
    ValueError for a target that is no linear layer or conv, and where peft is not installed.
    """
    try:
        import peft
    except ImportError as error:
        raise ValueError("Training a LoRA needs peft: run `pip install peft`.") from error
    for target in targets:
        _check(module, target)
    trained = {name: parameter.requires_grad for name, parameter in module.named_parameters()}
    config = peft.LoraConfig(r=rank, lora_alpha=cast(int, alpha or rank), target_modules=list(targets))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        peft.inject_adapter_in_model(config, module, adapter_name=ADAPTER)
    for name, parameter in module.named_parameters():
        parameter.requires_grad_(trained.get(name.replace(".base_layer.", "."), True))
    return (alpha or rank) / rank


def _check(module: nn.Module, target: str) -> None:
    found = [layer for name, layer in module.named_modules() if name == target or name.endswith(f".{target}")]
    if target == "conv_in" or not found or not all(isinstance(layer, (nn.Linear, nn.Conv2d)) for layer in found):
        why = "is trained whole in any case" if target == "conv_in" else "are no linear layers or convs of this UNet"
        raise ValueError(f"LoRA targets named {target!r} {why}: use ends of names such as to_q, to_k, to_v, to_out.0, ff.net.2, conv1.")


def pieces(values: Mapping[str, Tensor], scale: float) -> dict[str, LowRank]:
    """The low-rank updates among a module's parameters, by the name of the layer's weight."""
    layers = [name.removesuffix(DOWN) for name in values if name.endswith(DOWN)]
    return {f"{layer}.weight": LowRank(values[layer + DOWN], values[layer + UP], scale) for layer in layers}
