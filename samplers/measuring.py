"""Measures whose networks live in the host's memory: loaded when they are needed, moved away when the host wants the room."""

import json
from collections.abc import Iterable, Sequence
from typing import Any

import comfy.model_management
import torch
from comfy.model_patcher import ModelPatcher
from torch import Tensor, nn

from ..ip2p.fit import rgb
from ..ip2p.metrics.columns import COLUMNS
from ..ip2p.metrics.measures import Item, Measures

Row = dict[str, float]


class _Networks(nn.Module):
    """A shell around networks, because the host writes attributes on its models that theirs may forbid."""

    def __init__(self, networks: nn.Module) -> None:
        super().__init__()
        self.networks = networks


def managed(networks: Iterable[nn.Module]) -> list[ModelPatcher]:
    """Networks as what the host moves to its device and away again."""
    places = comfy.model_management.get_torch_device(), comfy.model_management.unet_offload_device()
    return [ModelPatcher(_Networks(network), *places) for network in networks]


class HostMeasures:
    """``Measures`` under the host's memory management; a call is the same as theirs."""

    def __init__(self, measures: Measures) -> None:
        """The networks are moved to where the host keeps models that wait."""
        self.measures = measures
        self.device = comfy.model_management.get_torch_device()
        measures.to(comfy.model_management.unet_offload_device())
        self.patchers = managed(measures.modules().values())

    def __call__(
        self,
        source: Tensor,
        result: Tensor,
        target: Tensor | None = None,
        mask: Tensor | None = None,
        caption: str = "",
        edited_caption: str = "",
    ) -> Row:
        """The columns of one edit."""
        return self.batch([Item(source, result, target, mask, caption, edited_caption)])[0]

    def batch(self, items: Sequence[Item]) -> list[Row]:
        """The columns of each edit. The networks are whole on the device meanwhile: they are not the host's own, so can't be split."""
        if self.patchers:
            comfy.model_management.load_models_gpu(self.patchers, force_full_load=True)
        self.measures.device = self.device
        return self.measures.batch(items)

    @property
    def identity(self) -> str:
        """What the numbers depend on: the networks and how pictures are prepared for them."""
        parts: dict[str, Any] = {"clip": self.measures.clip, "dino": self.measures.dino}
        said = [f"{name} {part.identity}" for name, part in parts.items() if part]
        return ", ".join([*said, *([f"lpips {self.measures.lpips.net}"] if self.measures.lpips else [])]) or "pixels"


def load(clip: str = "", dino: str = "", lpips: str = "", input_range: str = "correct") -> HostMeasures:
    """Measures with networks by public name, folder or file ("" = without). Raises ValueError in a sentence for what can't be loaded."""
    with torch.inference_mode(False):  # weights made in inference mode can't be moved in place later
        return HostMeasures(Measures.load(clip, dino, lpips, input_range, device="cpu"))


def pixels_only() -> HostMeasures:
    """Measures without networks: L1, L2, PSNR and SSIM."""
    return HostMeasures(Measures())


def measure(
    measures: HostMeasures | None,
    before: Tensor,
    after: Tensor,
    answer: Tensor | None = None,
    mask: Tensor | None = None,
    caption: str = "",
    edited_caption: str = "",
) -> list[Row]:
    """The columns of each edited picture of a batch (B, H, W, C). Batches of originals, answers and masks repeat where they are shorter."""
    before, after, answer = rgb(before), rgb(after), None if answer is None else rgb(answer)
    masks = None if mask is None else mask.reshape(-1, *mask.shape[-2:])
    items = [
        Item(
            before[row % len(before)],
            picture,
            None if answer is None else answer[row % len(answer)],
            None if masks is None else masks[row % len(masks)],
            caption,
            edited_caption,
        )
        for row, picture in enumerate(after)
    ]
    with torch.no_grad():
        return (measures or pixels_only()).batch(items)


def means(rows: Sequence[Row]) -> Row:
    """The mean of each column over the pictures that have it."""
    names = [name for name in COLUMNS if any(name in row for row in rows)]
    values = {name: [row[name] for row in rows if name in row] for name in names}
    return {name: sum(own) / len(own) for name, own in values.items()}


def numbers_text(rows: Sequence[Row]) -> str:
    """A Markdown table with a line for each column: its name and which way is better, and the mean over the pictures."""
    arrows = {True: "↑", False: "↓"}
    lines = [f"| {COLUMNS[name].title} {arrows[COLUMNS[name].higher_is_better]} | {value:.4f} |" for name, value in means(rows).items()]
    head = "mean of " + (f"{len(rows)} edits" if len(rows) > 1 else "1 edit")
    return "\n".join([f"| measure | {head} |", "| --- | ---: |", *lines])


def numbers_json(rows: Sequence[Row]) -> str:
    """{"mean": {column: number}, "pictures": [{column: number}, ...]}."""
    return json.dumps({"mean": means(rows), "pictures": list(rows)}, indent=1)
