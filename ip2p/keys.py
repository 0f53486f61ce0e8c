"""One map between the two ways of naming Stable Diffusion weights: LDM (the authors' and the host's) and diffusers/transformers.

The map of a UNet or an autoencoder is derived from its own layout (how many levels, how many residual blocks in each, where the
attention is), read off the names of either side, so any width and depth works. Names never carry their part's prefix here
(`model.diffusion_model.` and so on): see `checkpoint.py` for whole files. Both directions keep every tensor's values exactly.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from torch import Tensor

State = dict[str, Tensor]
Modules = list[tuple[str, str]]  # (LDM module, diffusers module)

RESNET = {  # LDM -> diffusers, inside a residual block of the UNet; attention blocks have the same names on both sides
    "in_layers.0": "norm1",
    "in_layers.2": "conv1",
    "emb_layers.1": "time_emb_proj",
    "out_layers.0": "norm2",
    "out_layers.3": "conv2",
    "skip_connection": "conv_shortcut",
}
UNET_ENDS = [
    ("time_embed.0", "time_embedding.linear_1"),
    ("time_embed.2", "time_embedding.linear_2"),
    ("label_emb.0.0", "add_embedding.linear_1"),
    ("label_emb.0.2", "add_embedding.linear_2"),
    ("input_blocks.0.0", "conv_in"),
    ("out.0", "conv_norm_out"),
    ("out.2", "conv_out"),
]
VAE_ATTENTION = {"norm": "group_norm", "q": "to_q", "k": "to_k", "v": "to_v", "proj_out": "to_out.0"}
VAE_ATTENTION_OLD = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}  # diffusers before 0.15
VAE_SHORTCUT = {"nin_shortcut": "conv_shortcut"}
VAE_PROJECTION = re.compile(r"(mid\.attn_1\.(q|k|v|proj_out)|mid_block\.attentions\.0\.(to_q|to_k|to_v|to_out\.0))\.weight$")


@dataclass(frozen=True)
class Layout:
    """Where a UNet has attention: one flag per residual block, in the order of the forward pass, a list per level."""

    down: list[list[bool]]
    middle: bool
    up: list[list[bool]]


def is_diffusers_unet(names: Iterable[str]) -> bool:
    return any(name.startswith("down_blocks.") for name in names)


def unet_layout(names: Iterable[str]) -> Layout:
    """The layout of a UNet from its parameter names on either side."""
    known = frozenset(names)
    return _layout_diffusers(known) if is_diffusers_unet(known) else _layout_ldm(known)


def first_blocks(layout: Layout) -> list[int]:
    """The number of each level's first entry in an LDM UNet's `input_blocks`, after the first conv and each level's downsampler."""
    counts = [len(level) for level in layout.down]
    return [1 + sum(counts[:level]) + level for level in range(len(counts))]


def unet_widths(unet: Mapping[str, Tensor]) -> list[int]:
    """The channels of each level of an LDM UNet (no prefix), from fine to coarse."""
    return [unet[f"input_blocks.{block}.0.out_layers.3.weight"].shape[0] for block in first_blocks(unet_layout(unet))]


def unet_to_ldm(state: Mapping[str, Tensor]) -> State:
    """A diffusers `UNet2DConditionModel` state dict in LDM names. Raises KeyError for a name that no such UNet has."""
    return _rename(state, [(theirs, ours) for ours, theirs in unet_modules(unet_layout(state))])


def unet_to_diffusers(state: Mapping[str, Tensor]) -> State:
    """The way back: an LDM UNet state dict (no prefix) in diffusers names."""
    return _rename(state, unet_modules(unet_layout(state)))


def unet_modules(layout: Layout) -> Modules:
    """Every module of the UNet that owns parameters, as (LDM, diffusers) pairs, down to where the names agree again."""
    pairs = list(UNET_ENDS)
    block = 1  # input_blocks.0 is the first conv
    for level, flags in enumerate(layout.down):
        for index, attention in enumerate(flags):
            pairs += _unet_block(f"input_blocks.{block}", f"down_blocks.{level}", index, attention)
            block += 1
        if level + 1 < len(layout.down):
            pairs.append((f"input_blocks.{block}.0.op", f"down_blocks.{level}.downsamplers.0.conv"))
            block += 1
    pairs += _resnet("middle_block.0", "mid_block.resnets.0")
    if layout.middle:
        pairs.append(("middle_block.1", "mid_block.attentions.0"))
    pairs += _resnet(f"middle_block.{1 + layout.middle}", "mid_block.resnets.1")
    block = 0
    for level, flags in enumerate(layout.up):
        for index, attention in enumerate(flags):
            pairs += _unet_block(f"output_blocks.{block}", f"up_blocks.{level}", index, attention)
            block += 1
        if level + 1 < len(layout.up):
            pairs.append((f"output_blocks.{block - 1}.{1 + flags[-1]}.conv", f"up_blocks.{level}.upsamplers.0.conv"))
    return pairs


def _unet_block(ldm: str, level: str, index: int, attention: bool) -> Modules:
    pairs = _resnet(f"{ldm}.0", f"{level}.resnets.{index}")
    return pairs + ([(f"{ldm}.1", f"{level}.attentions.{index}")] if attention else [])


def _resnet(ldm: str, diffusers: str) -> Modules:
    return [(f"{ldm}.{ours}", f"{diffusers}.{theirs}") for ours, theirs in RESNET.items()]


def _layout_ldm(names: frozenset[str]) -> Layout:
    down: list[list[bool]] = [[]]
    for block in range(1, _count(names, "input_blocks.{}.0.")):
        if f"input_blocks.{block}.0.op.weight" in names:
            down.append([])
        else:
            down[-1].append(f"input_blocks.{block}.1.norm.weight" in names)
    up: list[list[bool]] = [[]]
    for block in range(_count(names, "output_blocks.{}.0.")):
        attention = f"output_blocks.{block}.1.norm.weight" in names
        up[-1].append(attention)
        if f"output_blocks.{block}.{1 + attention}.conv.weight" in names:
            up.append([])
    return Layout(down, "middle_block.1.norm.weight" in names, up)


def _layout_diffusers(names: frozenset[str]) -> Layout:
    def side(blocks: str) -> list[list[bool]]:
        levels = range(_count(names, blocks + ".{}.resnets.0."))
        counts = [_count(names, f"{blocks}.{level}.resnets." + "{}.") for level in levels]
        return [[f"{blocks}.{level}.attentions.{i}.norm.weight" in names for i in range(counts[level])] for level in levels]

    return Layout(side("down_blocks"), "mid_block.attentions.0.norm.weight" in names, side("up_blocks"))


def vae_to_ldm(state: Mapping[str, Tensor]) -> State:
    """A diffusers `AutoencoderKL` state dict in LDM names; attention projections become 1x1 convs. Old attention names are known."""
    modern = {_modern(name): tensor for name, tensor in state.items()}
    renamed = _rename(modern, [(theirs, ours) for ours, theirs in vae_modules(*vae_levels(modern))])
    return {name: tensor.reshape(*tensor.shape[:2], 1, 1) if VAE_PROJECTION.search(name) else tensor for name, tensor in renamed.items()}


def vae_to_diffusers(state: Mapping[str, Tensor]) -> State:
    """The way back: an LDM autoencoder (no prefix) in today's diffusers names."""
    renamed = _rename(state, vae_modules(*vae_levels(state)))
    return {name: tensor.reshape(tensor.shape[:2]) if VAE_PROJECTION.search(name) else tensor for name, tensor in renamed.items()}


def vae_levels(names: Iterable[str]) -> tuple[int, int, int]:
    """(levels, residual blocks a level in the encoder, the same in the decoder) of an autoencoder from its names on either side."""
    known = frozenset(names)
    encoder, decoder = "encoder.down.{}.block.{}.", "decoder.up.{}.block.{}."
    if any(name.startswith("encoder.down_blocks.") for name in known):
        encoder, decoder = "encoder.down_blocks.{}.resnets.{}.", "decoder.up_blocks.{}.resnets.{}."
    levels = _count(known, encoder.format("{}", 0))
    return levels, _count(known, encoder.format(0, "{}")), _count(known, decoder.format(0, "{}"))


def vae_modules(levels: int, down: int, up: int) -> Modules:
    """Every module of the autoencoder as (LDM, diffusers) pairs. LDM counts the decoder's levels from fine to coarse."""
    pairs = [("quant_conv", "quant_conv"), ("post_quant_conv", "post_quant_conv")]
    for half in ("encoder", "decoder"):
        pairs += [(f"{half}.{ours}", f"{half}.{theirs}") for ours, theirs in (("conv_in", "conv_in"), ("conv_out", "conv_out"))]
        pairs.append((f"{half}.norm_out", f"{half}.conv_norm_out"))
        pairs += [(f"{half}.mid.attn_1.{ours}", f"{half}.mid_block.attentions.0.{theirs}") for ours, theirs in VAE_ATTENTION.items()]
        for index in range(2):
            pairs += _vae_resnet(f"{half}.mid.block_{index + 1}", f"{half}.mid_block.resnets.{index}")
    for level in range(levels):
        mirrored = levels - 1 - level
        pairs.append((f"encoder.down.{level}.downsample.conv", f"encoder.down_blocks.{level}.downsamplers.0.conv"))
        pairs.append((f"decoder.up.{mirrored}.upsample.conv", f"decoder.up_blocks.{level}.upsamplers.0.conv"))
        for index in range(down):
            pairs += _vae_resnet(f"encoder.down.{level}.block.{index}", f"encoder.down_blocks.{level}.resnets.{index}")
        for index in range(up):
            pairs += _vae_resnet(f"decoder.up.{mirrored}.block.{index}", f"decoder.up_blocks.{level}.resnets.{index}")
    return pairs


def _vae_resnet(ldm: str, diffusers: str) -> Modules:
    same = [(f"{ldm}.{name}", f"{diffusers}.{name}") for name in ("norm1", "conv1", "norm2", "conv2")]
    return same + [(f"{ldm}.{ours}", f"{diffusers}.{theirs}") for ours, theirs in VAE_SHORTCUT.items()]


def _modern(name: str) -> str:
    head, module, ending = name.rpartition(".mid_block.attentions.0.")
    old, dot, parameter = ending.rpartition(".")
    return f"{head}{module}{VAE_ATTENTION_OLD.get(old, old)}{dot}{parameter}"


def _count(names: frozenset[str], pattern: str) -> int:
    """How many consecutive numbers, from 0, `pattern` (one `{}`) has among the beginnings of `names`."""
    before, after = pattern.split("{}")
    found = {int(m[1]) for m in map(re.compile(re.escape(before) + r"(\d+)" + re.escape(after)).match, names) if m}
    return next(n for n in range(len(found) + 1) if n not in found)


def _rename(state: Mapping[str, Tensor], modules: Modules) -> State:
    """Rename by the longest known module name. Raises KeyError naming the first parameter that belongs to none."""
    known = dict(modules)
    return {_renamed(name, known.get): tensor for name, tensor in state.items()}


def _renamed(name: str, known: Callable[[str], str | None]) -> str:
    module = name
    while "." in module:
        module = module.rpartition(".")[0]
        other = known(module)
        if other is not None:
            return other + name[len(module) :]
    raise KeyError(name)
