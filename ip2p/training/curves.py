"""The curves of a run: its loss, smoothed, over the steps, and the numbers of its validations, from the log in its folder."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from ..evaluation.plot import DASHES, MARKERS, PALETTE, to_tensor
from .log import Line, lines

PICTURE = "curves.png"
SMOOTHING = 0.05
"""The share of all lines over which the loss is smoothed."""
WIDE = 10
"""A loss that falls by more than this factor is drawn on a logarithmic axis."""
NAMES = {
    "right": "right",
    "done": "edit done",
    "kept": "rest kept",
    "lpips_target": "LPIPS to the answer",
    "l1_target": "L1 to the answer",
    "clip_direction": "CLIP direction",
    "clip_image": "CLIP image",
}
SHARES = ("right", "done", "kept", "clip_direction", "clip_image")
"""Numbers that are better when large; the others have a panel of their own."""


def curves(folder: Path) -> Tensor:
    """The plot of a run's folder as a picture (H, W, 3) in [0, 1]. Raises ValueError where nothing is logged yet."""
    return to_tensor(figure(lines(folder)))


def write(folder: Path) -> Path:
    """The plot as curves.png in the run's folder; returns its path. Raises ValueError where nothing is logged yet."""
    path, part = folder / PICTURE, folder / f".{PICTURE}"
    figure(lines(folder)).savefig(part, dpi=160, format="png")
    return part.replace(path)


def figure(found: Sequence[Line]) -> Any:
    """The matplotlib figure: the loss, and below it what validation measured, where there was one. Raises ValueError."""
    steps, losses = series(found, "loss")
    if not steps:
        raise ValueError("There is no loss in this run's log yet: train some steps first.")
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ValueError("Plots need matplotlib: install it with `pip install matplotlib`.") from error
    validated = [(line["step"], line["validation"]) for line in found if "validation" in line]
    there = [name for name in NAMES if any(name in numbers for _, numbers in validated)]
    panels = [names for names in ([n for n in there if n in SHARES], [n for n in there if n not in SHARES]) if names]
    whole = Figure(figsize=(7.2, 3.0 + 2.4 * len(panels)), layout="constrained", facecolor="white")
    FigureCanvasAgg(whole)
    axes = whole.subplots(1 + len(panels), sharex=True, squeeze=False, height_ratios=[1.2] + [1.0] * len(panels))[:, 0]
    _loss(axes[0], steps, losses)
    for place, names in zip(axes[1:], panels, strict=True):
        _numbers(place, names, validated)
    axes[-1].set_xlabel("step", fontsize=12)
    return whole


def series(found: Sequence[Line], name: str) -> tuple[list[int], list[float]]:
    """The steps and values of a number in the log's lines."""
    pairs = [(line["step"], line[name]) for line in found if line.get(name) is not None]
    return [step for step, _ in pairs], [value for _, value in pairs]


def smoothed(values: Sequence[float], share: float = SMOOTHING) -> list[float]:
    """The mean of each value with its neighbours, ``share`` of all of them and at least itself, fewer at both ends."""
    reach = max(0, round(len(values) * share / 2))
    near = [values[max(0, place - reach) : place + reach + 1] for place in range(len(values))]
    return [sum(some) / len(some) for some in near]


def _loss(axes: Any, steps: Sequence[int], losses: Sequence[float]) -> None:
    axes.plot(steps, losses, color=PALETTE[0], linewidth=0.8, alpha=0.3)
    axes.plot(steps, smoothed(losses), color=PALETTE[0], linewidth=1.8, label="loss, smoothed")
    if 0 < WIDE * min(losses) < max(losses):
        axes.set_yscale("log")
    else:
        axes.ticklabel_format(axis="y", useOffset=False)
    _styled(axes)


def _numbers(axes: Any, names: Sequence[str], validated: Sequence[tuple[int, dict[str, float]]]) -> None:
    for place, name in enumerate(names):
        points = [(step, numbers[name]) for step, numbers in validated if name in numbers]
        style = {"color": PALETTE[place % len(PALETTE)], "linestyle": DASHES[place % len(DASHES)], "marker": MARKERS[place % len(MARKERS)]}
        axes.plot([step for step, _ in points], [value for _, value in points], linewidth=1.8, markersize=5, label=NAMES[name], **style)
    axes.ticklabel_format(axis="y", useOffset=False)
    _styled(axes)


def _styled(axes: Any) -> None:
    axes.tick_params(labelsize=11)
    axes.grid(color="0.9", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(fontsize=10.5, frameon=False)
