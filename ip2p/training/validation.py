"""Validation while training: the same held-out edits with the same noise every time, as numbers and as a picture."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice, product
from typing import Any

import torch
from torch import Tensor

from .. import fit
from ..data.example import Example
from ..edit import Editor
from ..evaluation.run import score
from ..evaluation.sheet import Panel, Strip, sheet
from ..latent_model import STEPS
from ..metrics.measures import Measures
from ..sampling import Conditions, OnStep, Text
from ..text import encode

COLUMNS = ("right", "done", "kept", "lpips_target", "clip_direction", "clip_image", "l1_target")
"""What is told of an edit, where it is known, the most telling first."""
LOWER_IS_BETTER = ("lpips_target", "l1_target")
BATCH = 8
"""Pictures that are sampled at once."""
CELL = 160
"""Pixels a side of a picture on the sheet."""

Scales = tuple[float, float]
"""A text scale and an image scale."""


@dataclass(frozen=True)
class Validated:
    """One validation: the mean of each column over all edits, and of each pair of scales as "column 7.5/1.5"; the sheet (H, W, 3).

    `right` (and `done`, `kept`) is the share of examples whose judge is content, `l1_target` the mean absolute difference to the answer.
    """

    numbers: Mapping[str, float]
    picture: Tensor

    @property
    def score(self) -> float:
        """One number to choose the best step by, higher is better: success where there is a judge, else LPIPS, CLIP or L1."""
        for name in COLUMNS:
            if name in self.numbers:
                return -self.numbers[name] if name in LOWER_IS_BETTER else self.numbers[name]
        return 0.0


@dataclass(frozen=True)
class Prepared:
    """One held-out edit, ready to be made again and again: pictures (H, W, 3) at the editor's size, latent (1, 4, h, w), features."""

    example: Example
    number: int
    opened: Mapping[str, Tensor | None]
    latent: Tensor
    text: Tensor


class Validation:
    """Edits of fixed examples by whatever the network is at the time. Example number i is sampled with the seed `seed` + i."""

    def __init__(
        self,
        examples: Sequence[Example],
        editor: Editor,
        text_scales: Sequence[float] = (),
        image_scales: Sequence[float] = (),
        steps: int = 0,
        size: int = 0,
        seed: int = 0,
        measures: Measures | None = None,
    ) -> None:
        """Open, fit and encode the examples once, with the autoencoder and text encoder of `editor`.

        Every text scale goes with every image scale; none means the model's own, as with `steps` and `size` (pixels) 0. LPIPS and CLIP are
        measured where `measures` has them. Raises ValueError where an example can't be opened, or there is none.
        """
        if not examples:
            raise ValueError("There are no examples to validate on: name data with at least one held-out pair, or set the count to 0.")
        text_scales = tuple(text_scales) or (editor.default("text_scale", 7.5),)
        image_scales = tuple(image_scales) or (editor.default("image_scale", 1.5),)
        self.scales: tuple[Scales, ...] = tuple(product(text_scales, image_scales))
        self.editor, self.seed, self.measures = editor, seed, measures or Measures()
        self.steps, self.size = steps or int(editor.default("steps", STEPS)), size or editor.size
        with torch.no_grad():
            self.negative = encode(editor.encoders, "")
            self.prepared = [self._prepared(number, example) for number, example in enumerate(examples)]

    @torch.no_grad()
    def __call__(self, unet: Any, step: int = 0, on_step: OnStep | None = None) -> Validated:
        """Edit every example at every pair of scales with `unet`, in the place of the editor's own; it is in eval mode meanwhile.

        `on_step` is told each step of sampling; what it raises ends the validation.
        """
        training, editor = unet.training, replace(self.editor, unet=unet)
        unet.eval()
        try:
            results = {scales: self._results(editor, scales, on_step) for scales in self.scales}
        finally:
            unet.train(training)
        rows = {scales: [self._row(one, made) for one, made in zip(self.prepared, results[scales], strict=True)] for scales in self.scales}
        return Validated(_numbers(rows), self._sheet(results, rows, step))

    def _prepared(self, number: int, example: Example) -> Prepared:
        """The example at the editor's size, encoded."""
        source = example.image()
        plan = fit.plan(source.shape[1], source.shape[0], self.size)
        opened: dict[str, Tensor | None] = {"source": fit.apply(fit.rgb(source[None]), plan)[0], "target": None, "mask": None}
        if example.edited:
            opened["target"] = fit.apply(fit.rgb(example.edited()[None]), plan)[0]
        if example.mask:
            opened["mask"] = fit.apply_mask(example.mask()[None], plan)[0]
        latent = self.editor.encode(opened["source"][None])  # type: ignore[index]
        return Prepared(example, number, opened, latent, encode(self.editor.encoders, example.instruction).context)

    def _results(self, editor: Editor, scales: Scales, on_step: OnStep | None) -> list[Tensor]:
        """The edited pictures (H, W, 3), in the order of the examples; those of one shape are sampled together."""
        made: dict[int, Tensor] = {}
        for group in _groups(self.prepared):
            conditions = Conditions(Text(torch.cat([one.text for one in group])), self.negative, torch.cat([one.latent for one in group]))
            seeds = [self.seed + one.number for one in group]
            latent = editor.denoise(conditions, editor.schedule(self.steps), seeds, *scales, on_step=on_step)
            made |= dict(zip([one.number for one in group], editor.decode(latent).float().cpu(), strict=True))
        return [made[one.number] for one in self.prepared]

    def _row(self, one: Prepared, result: Tensor) -> dict[str, float]:
        numbers = score(one.example, one.opened, result, self.measures)
        return {name: numbers[name] for name in COLUMNS if name in numbers}

    def _sheet(self, results: Mapping[Scales, list[Tensor]], rows: Mapping[Scales, list[dict[str, float]]], step: int) -> Tensor:
        """A strip for each example: source, result at each pair of scales with its numbers, answer."""
        strips = []
        for one in self.prepared:
            made = [_panel(scales, results[scales][one.number], rows[scales][one.number]) for scales in self.scales]
            panels = [Panel(one.opened["source"], "source"), *made, Panel(one.opened["target"], "answer")]
            strips.append(Strip(one.example.instruction, tuple(panels)))
        return sheet(strips, CELL, f"step {step}")


def _groups(prepared: Sequence[Prepared]) -> Iterator[list[Prepared]]:
    """Examples whose latents have one shape, at most `BATCH` at once."""
    shapes: dict[tuple[int, ...], list[Prepared]] = {}
    for one in prepared:
        shapes.setdefault(tuple(one.latent.shape), []).append(one)
    for same in shapes.values():
        waiting = iter(same)
        while group := list(islice(waiting, BATCH)):
            yield group


def _panel(scales: Scales, result: Tensor, row: Mapping[str, float]) -> Panel:
    right = row.get("right")
    lines = tuple(f"{name} {value:.3f}" for name, value in row.items() if name not in ("right", "done", "kept"))
    return Panel(result, named(scales), lines, None if right is None else right > 0.5)


def named(scales: Scales) -> str:
    """How a pair of scales is written: "7.5/1.5", text first."""
    return f"{scales[0]:g}/{scales[1]:g}"


def _numbers(rows: Mapping[Scales, list[dict[str, float]]]) -> dict[str, float]:
    out = _means([row for group in rows.values() for row in group])
    for scales, group in rows.items():
        out |= {f"{name} {named(scales)}": value for name, value in _means(group).items()}
    return out


def _means(rows: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The mean of each column over the rows that have it."""
    values = {name: [row[name] for row in rows if name in row] for name in COLUMNS}
    return {name: sum(found) / len(found) for name, found in values.items() if found}
