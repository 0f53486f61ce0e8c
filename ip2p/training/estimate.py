"""What a run will take of a device's memory and time, worked out on a network without data: shapes are run through, nothing is computed."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from ..checkpoint import Checkpoint
from ..layout import TEXT, UNET, VAE
from . import lora
from .config import ModelConfig, TrainConfig

if TYPE_CHECKING:
    from diffusers import UNet2DConditionModel

TOKENS = 77
HALF, FULL = 2, 4
"""Bytes of a number."""
ADAM, ADAM_8BIT = 8, 2
"""Bytes of the optimiser's state for each trained weight: two means."""
PASSES = 3
"""A step costs so many forward passes: forward, and backward to inputs and to weights."""
WORKING = 4
"""The largest activation is there so many times at once while it is worked on."""
RESERVE = {"cuda": 0.7 * 2**30, "mps": 0.5 * 2**30, "cpu": 0.25 * 2**30}
"""Bytes that the device's libraries take for themselves."""


@dataclass(frozen=True)
class Memory:
    """Bytes on the device, by what they are for."""

    weights: float
    gradients: float
    optimiser: float
    average: float
    activations: float
    encoders: float
    reserve: float

    @property
    def total(self) -> float:
        """All of it."""
        return sum(getattr(self, part.name) for part in fields(self))

    def __str__(self) -> str:
        parts = [f"{part.name} {gigabytes(getattr(self, part.name))}" for part in fields(self)]
        return f"{gigabytes(self.total)} GB ({', '.join(parts)})"


@dataclass(frozen=True)
class Activations:
    """Of one pass of one sample: bytes kept for the backward pass, with and without gradient checkpointing, and the forward's
    floating-point operations."""

    kept: float
    checkpointed: float
    largest: float
    operations: float

    def bytes(self, samples: int, checkpointing: bool) -> float:
        """For so many samples at once."""
        return samples * ((self.checkpointed if checkpointing else self.kept) + WORKING * self.largest)


def gigabytes(count: float) -> str:
    """A number of bytes in GB, with one digit, two below 1."""
    found = count / 2**30
    return f"{found:.1f}" if found >= 1 else f"{found:.2f}"


def network(base: Checkpoint, config: ModelConfig) -> "UNet2DConditionModel":
    """The UNet of a run without its data ("meta"), with what is trained marked as such. Raises ValueError as `prepare` does."""
    from diffusers import UNet2DConditionModel

    from ..networks import unet_config

    with torch.device("meta"):
        unet = UNet2DConditionModel(**unet_config(base.part(UNET), base.settings) | {"in_channels": 8})
        unet.requires_grad_(config.train == "full")
        if config.train == "lora":
            lora.inject(unet, config.rank, config.alpha, config.targets)
    unet.get_parameter("conv_in.weight").requires_grad_(True)
    return unet.train()


def memory(base: Checkpoint, config: TrainConfig, used: Activations, device: str, samples: int) -> Memory:
    """What a run takes with `samples` computed at once."""
    unet = network(base, config.model)
    trained = sum(p.numel() for p in unet.parameters() if p.requires_grad)
    frozen = sum(p.numel() for p in unet.parameters()) - trained
    half = config.run.precision != "fp32"
    copies = HALF * trained if half else 0  # autocast casts trained weights once a step
    eight = config.optimizer.name == "adamw8bit"
    return Memory(
        weights=FULL * trained + (HALF if half else FULL) * frozen + copies,
        gradients=FULL * trained,
        optimiser=(ADAM_8BIT if eight else ADAM) * trained,
        average=FULL * trained if config.run.ema else 0,
        activations=used.bytes(samples, config.model.gradient_checkpointing),
        encoders=_encoders(base, config.data.crop),
        reserve=RESERVE.get(device, 0),
    )


def _encoders(base: Checkpoint, crop: int) -> float:
    """The autoencoder's encoder and the text encoder in float32, and what encoding two pictures takes at its widest."""
    vae = {name: tensor for name, tensor in base.part(VAE).items() if name.startswith(("encoder.", "quant_conv."))}
    weights = sum(tensor.numel() for tensor in (*vae.values(), *base.part(TEXT).values()))
    widest = vae["encoder.conv_in.weight"].shape[0] if "encoder.conv_in.weight" in vae else 0
    return float(FULL * (weights + 2 * widest * crop * crop * WORKING))


def activations(base: Checkpoint, config: TrainConfig) -> Activations:
    """What one sample keeps for its backward pass: every tensor that autograd would hold on to, each once."""
    from torch.utils.flop_counter import FlopCounterMode

    half = config.run.precision != "fp32"
    unet = network(base, config.model)
    nn.Module.to(unet, torch.bfloat16 if half else torch.float32)  # diffusers' own warns of a cast
    attention = _Attention()
    unet.set_attn_processor(attention)
    side, width = config.data.crop // 8, unet.config.cross_attention_dim
    dtype = next(unet.parameters()).dtype
    noisy = torch.empty(1, 8, side, side, device="meta", dtype=dtype)
    text = torch.empty(1, TOKENS, width, device="meta", dtype=dtype)
    ledger = _Ledger({p.untyped_storage()._cdata for p in unet.parameters()})
    with ledger.watching(unet, half), FlopCounterMode(display=False) as counted:
        unet(noisy, torch.zeros(1, device="meta"), text)
    operations = counted.get_total_flops() + attention.operations
    return Activations(ledger.kept, ledger.checkpointed, ledger.largest, operations)


class _Ledger:
    """Counts what autograd keeps, and how much of it lies within the blocks that gradient checkpointing would compute again."""

    def __init__(self, weights: set[int]) -> None:
        self.seen = weights
        self.alive: list[Tensor] = []
        self.kept = self.largest = self.inputs = 0.0
        self.within: list[float] = []

    @property
    def checkpointed(self) -> float:
        """Only the blocks' inputs, what lies outside them, and, while it is computed again, the largest block."""
        return self.kept - sum(self.within) + self.inputs + max(self.within, default=0.0)

    def keep(self, tensor: Tensor) -> Tensor:
        """Autograd keeps a tensor: its storage counts once."""
        storage = tensor.untyped_storage()
        if storage._cdata not in self.seen:
            self.seen.add(storage._cdata)
            self.alive.append(tensor)
            self._count(storage.nbytes())
        return tensor

    def _count(self, size: float) -> None:
        self.kept += size
        self.largest = max(self.largest, size)

    @contextmanager
    def watching(self, unet: nn.Module, half: bool) -> Iterator[None]:
        """While the network runs."""
        hooks = [hook for module in unet.modules() for hook in self._hooks(module, half)]
        with torch.autograd.graph.saved_tensors_hooks(self.keep, lambda tensor: tensor):
            yield
        for hook in hooks:
            hook.remove()

    def _hooks(self, module: nn.Module, half: bool) -> Iterator[Any]:
        if type(module).__name__ in ("ResnetBlock2D", "BasicTransformerBlock"):
            start: list[float] = []

            def begin(_: nn.Module, inputs: tuple[Any, ...]) -> None:
                start.append(self.kept)
                self.inputs += sum(tensor.nbytes for tensor in inputs if isinstance(tensor, Tensor))

            yield module.register_forward_pre_hook(begin)
            yield module.register_forward_hook(lambda *_: self.within.append(self.kept - start.pop()))
        if half and isinstance(module, (nn.GroupNorm, nn.LayerNorm)):  # which autocast computes, and keeps, in float32
            yield module.register_forward_pre_hook(lambda _, inputs: self._count(inputs[0].numel() * FULL))


class _Fused(torch.autograd.Function):
    """Attention that keeps its inputs and its result alone, as the fused kinds do."""

    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        out = torch.empty_like(query)
        ctx.save_for_backward(query, key, value, out)
        return out


class _Attention:
    """Runs the shapes of diffusers' attention through: projections, heads, a fused attention, the output's projection."""

    def __init__(self) -> None:
        self.operations = 0.0

    def __call__(self, attn: Any, hidden: Tensor, encoder_hidden_states: Tensor | None = None, *_: Any, **__: Any) -> Tensor:
        source = hidden if encoder_hidden_states is None else encoder_hidden_states
        query, key, value = attn.to_q(hidden), attn.to_k(source), attn.to_v(source)
        self.operations += 4.0 * query.shape[0] * query.shape[1] * key.shape[1] * query.shape[2]
        split: Callable[[Tensor], Tensor] = lambda x: x.unflatten(-1, (attn.heads, -1)).transpose(1, 2)  # noqa: E731
        out = _Fused.apply(split(query), split(key), split(value)).transpose(1, 2).flatten(2)
        return attn.to_out[1](attn.to_out[0](out)) / attn.rescale_output_factor


def alternatives(config: TrainConfig, samples: int, device: str) -> Iterator[tuple[dict[str, object], TrainConfig, int]]:
    """Cheaper and cheaper ways to run the same thing: (the changed settings, the config, samples at once)."""
    steps: list[dict[str, object]] = [{}]
    if not config.model.gradient_checkpointing:
        steps.append({"model.gradient_checkpointing": True})
    if device == "cuda" and config.run.precision == "fp32":
        steps.append(steps[-1] | {"run.precision": "bf16"})
    if device == "cuda" and config.optimizer.name == "adamw" and config.model.train == "full":
        steps.append(steps[-1] | {"optimizer.name": "adamw8bit"})
    if config.model.train == "full":
        steps.append({name: value for name, value in steps[-1].items() if name != "optimizer.name"} | {"model.train": "lora"})
    for changes in steps:
        at_once = samples
        while at_once >= 1:
            micro = {} if at_once == samples else {"run.micro_batch": at_once}
            yield {**micro, **changes}, changed(config, changes), at_once
            at_once //= 2


def changed(config: TrainConfig, changes: dict[str, object]) -> TrainConfig:
    """A config with other values at some "table.key"s."""
    for name, value in changes.items():
        table, key = name.split(".")
        config = replace(config, **{table: replace(getattr(config, table), **{key: value})})
    return config
