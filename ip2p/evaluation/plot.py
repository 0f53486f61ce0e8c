"""Edit against picture as curves over a scale (the paper's Figure 8), readable without telling colours apart."""

import math
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .intervals import Mean
from .rows import Row, RunError
from .settings import NAMES, PARAMETERS, SHORT, Setting
from .table import table

PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#F0E442")
"""Okabe and Ito's eight colours, told apart with any kind of colour vision; the faint yellow last."""
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
DASHES: tuple[Any, ...] = ("-", (0, (5, 2)), (0, (1, 1.5)), (0, (5, 1.5, 1, 1.5)))
AXES = {
    "clip_direction": "CLIP directional similarity (the edit was done) →",
    "clip_image": "CLIP image similarity (the picture was kept) →",
    "clip_text": "CLIP similarity to the edited caption →",
    "right": "share judged right →",
    "done": "share in which the edit was done →",
    "kept": "share in which all else was kept →",
    "lpips_source_outside": "LPIPS outside the edit (reversed) →",
    "l1_source_outside": "L1 outside the edit (reversed) →",
    "lpips_source": "LPIPS to the source (reversed) →",
    "l1_source": "L1 to the source (reversed) →",
    "lpips_target": "LPIPS to the right answer (reversed) →",
    "l1_target": "L1 to the right answer (reversed) →",
}
"""What the axes say; better is always up and to the right, so that what is better when small runs backwards."""
PLACES = ((8, 7), (8, -16), (-8, 7), (-8, -16), (12, -4), (-12, -4), (0, 11), (0, -20))
"""Where a label may stand beside its mark, in points: the first that is free is taken."""
PAIRS = (
    ("clip_direction", "clip_image"),
    ("done", "kept"),
    ("right", "lpips_source_outside"),
    ("right", "l1_source_outside"),
    ("right", "lpips_target"),
    ("right", "l1_target"),
    ("right", "l1_source"),
    ("lpips_target", "lpips_source"),
    ("l1_target", "l1_source"),
)
"""Axes in the order of preference: the paper's, then judged shares, then what a picture alone tells."""


@dataclass(frozen=True)
class Point:
    """One setting: where it stands, with the intervals, and the scale that is written beside it."""

    x: Mean
    y: Mean
    label: str


@dataclass(frozen=True)
class Curve:
    """One editor over the scale that varies."""

    name: str
    points: tuple[Point, ...]


def axes_of(rows: Sequence[Row]) -> tuple[str, str]:
    """The columns for x and y: the paper's where there is a CLIP, else the best that was measured. Raises RunError for none."""
    there = {name for row in rows for name in row.numbers}
    for x, y in PAIRS:
        if {x, y} <= there:
            return x, y
    raise RunError("Nothing was measured that makes a plot: give a CLIP, or data with right answers.")


def curves(rows: Sequence[Row], x: str, y: str) -> list[Curve]:
    """A curve for each editor and each combination of the scales that do not vary along it."""
    found: dict[str, list[Point]] = {}
    lines = [line for line in table(rows).lines if line.setting and {x, y} <= set(line.cells)]
    for editor in dict.fromkeys(line.setting.editor for line in lines if line.setting):
        own = [line for line in lines if line.setting and line.setting.editor == editor]
        along = _varying([line.setting for line in own if line.setting])
        for line in own:
            assert line.setting
            value = line.setting.get(along) if along else None
            name = _name(line.setting, along, [other.setting for other in own if other.setting])
            found.setdefault(name, []).append(Point(line.cells[x], line.cells[y], "" if value is None else f"{value:g}"))
    return [Curve(name, tuple(points)) for name, points in found.items()]


def _varying(settings: Sequence[Setting]) -> str:
    """The number with the most different values: the scale a curve runs along ("" where nothing varies)."""
    counts = {name: len({setting.get(name) for setting in settings}) for name in reversed(PARAMETERS[settings[0].editor])}
    best = max(counts, key=lambda name: counts[name], default="")
    return best if counts.get(best, 0) > 1 else ""


def _name(setting: Setting, along: str, others: Sequence[Setting]) -> str:
    """The editor, and the numbers by which this curve differs from its others."""
    rest = [(name, value) for name, value in setting.values if name != along and len({other.get(name) for other in others}) > 1]
    parts = [f"{SHORT[name]} {value:g}" for name, value in rest]
    parts += [f"seed {setting.seed}"] if len({other.seed for other in others}) > 1 else []
    along_words = f"by {SHORT[along]}{' scale' if along.endswith('scale') and along != 'scale' else ''}" if along else ""
    words = [word for word in (", ".join(parts), along_words) if word]
    return f"{NAMES[setting.editor]}{', ' if words else ''}{', '.join(words)}"


def figure(rows: Sequence[Row], x: str = "", y: str = "", title: str = "") -> Any:
    """The matplotlib figure of a run. Raises RunError where nothing can be drawn, or matplotlib is missing."""
    if not (x and y):
        x, y = axes_of(rows)
    found = curves(rows, x, y)
    if not found:
        raise RunError(f"No edit has both {x} and {y}: choose columns of the table.")
    return drawn(found, x, y, title)


def drawn(found: Sequence[Curve], x: str, y: str, title: str = "") -> Any:
    """The matplotlib figure of curves whose axes are the columns x and y. Raises RunError where matplotlib is missing."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise RunError("Plots need matplotlib: install it with `pip install matplotlib`.") from error

    whole = Figure(figsize=(7.2, 5.4), layout="constrained", facecolor="white")
    FigureCanvasAgg(whole)
    axes = whole.add_subplot()
    for number, curve in enumerate(found):
        _draw(axes, curve, number)
    for name, inverted in ((x, axes.xaxis), (y, axes.yaxis)):
        inverted.set_inverted("reversed" in AXES.get(name, ""))
    axes.set_xlabel(AXES.get(x, x), fontsize=12)
    axes.set_ylabel(AXES.get(y, y), fontsize=12)
    axes.tick_params(labelsize=11)
    axes.grid(color="0.9", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.margins(0.09)
    titled = {"title": title.replace("$", r"\$"), "title_fontsize": 12, "alignment": "left"} if title else {}
    whole.legend(fontsize=10.5, frameon=False, loc="outside upper left", ncols=2 if len(found) > 1 else 1, **titled)
    _label(whole, axes, found)
    return whole


def _draw(axes: Any, curve: Curve, number: int) -> None:
    """One curve: line, marks and thin error bars."""
    colour, marker = _colour(number), MARKERS[number % len(MARKERS)]
    xs, ys = [point.x.value for point in curve.points], [point.y.value for point in curve.points]
    bars = {"xerr": _reach([point.x for point in curve.points]), "yerr": _reach([point.y for point in curve.points])}
    axes.errorbar(xs, ys, **bars, fmt="none", ecolor=colour, elinewidth=0.8, alpha=0.45)
    line = DASHES[number % len(DASHES)] if len(xs) > 1 else "none"
    axes.plot(xs, ys, color=colour, linestyle=line, linewidth=1.8, marker=marker, markersize=7.5, label=curve.name)


def _label(whole: Any, axes: Any, found: Sequence[Curve]) -> None:
    """Write each point's scale beside its mark, where it hides no other mark or label."""
    from matplotlib.patheffects import withStroke

    with _any_letters():
        whole.draw_without_rendering()  # fixes where everything stands
    scale = whole.dpi / 72
    marks = [tuple(axes.transData.transform((point.x.value, point.y.value))) for curve in found for point in curve.points]
    taken = [(x - 6 * scale, y - 6 * scale, x + 6 * scale, y + 6 * scale) for x, y in marks]
    at = iter(marks)
    for number, curve in enumerate(found):
        for point in curve.points:
            here = next(at)
            if not point.label:
                continue
            size = (6.0 * len(point.label) * scale, 10 * scale)
            boxes = [_box(here, place, size, scale) for place in PLACES]
            best = min(range(len(PLACES)), key=lambda place: (sum(_overlap(boxes[place], other) for other in taken), place))
            taken.append(boxes[best])
            place = {"xytext": PLACES[best], "textcoords": "offset points", "ha": _side(PLACES[best]), "va": "bottom"}
            text = axes.annotate(point.label, (point.x.value, point.y.value), **place, fontsize=9.5, color=_colour(number))
            text.set_path_effects([withStroke(linewidth=2.5, foreground="white")])


def _colour(number: int) -> str:
    return PALETTE[number % len(PALETTE)]


def _side(place: tuple[int, int]) -> str:
    return "left" if place[0] > 0 else "right" if place[0] < 0 else "center"


def _box(mark: Sequence[float], place: tuple[int, int], size: tuple[float, float], scale: float) -> tuple[float, float, float, float]:
    """Left, bottom, right, top in pixels of a label beside a mark."""
    left = mark[0] + place[0] * scale - {"left": 0.0, "center": size[0] / 2, "right": size[0]}[_side(place)]
    bottom = mark[1] + place[1] * scale
    return left, bottom, left + size[0], bottom + size[1]


def _overlap(a: Sequence[float], b: Sequence[float]) -> float:
    """The area that two boxes share."""
    return max(0.0, min(a[2], b[2]) - max(a[0], b[0])) * max(0.0, min(a[3], b[3]) - max(a[1], b[1]))


def _reach(means: Sequence[Mean]) -> list[list[float]]:
    """How far the intervals reach down and up, 0 where they are not finite."""
    ends = [(mean.value - mean.low, mean.high - mean.value) for mean in means]
    return [[max(0.0, end[side]) if math.isfinite(end[side]) else 0.0 for end in ends] for side in (0, 1)]


def save(whole: Any, path: Path) -> list[Path]:
    """Write a figure as .svg, .pdf and .png beside each other; `path` has no ending. The same figure gives the same files."""
    import matplotlib

    written = []
    path.parent.mkdir(parents=True, exist_ok=True)
    with matplotlib.rc_context({"svg.hashsalt": "ip2p", "svg.fonttype": "path", "pdf.fonttype": 42}):
        for kind in ("svg", "pdf", "png"):
            target = path.with_name(f"{path.name}.{kind}")
            part = path.with_name(f".{path.name}.part.{kind}")
            dates = {"svg": {"Date": None}, "pdf": {"CreationDate": None}, "png": {}}[kind]
            try:
                with _any_letters():
                    whole.savefig(part, dpi=160, metadata=dates, format=kind)
                written.append(part.replace(target))
            finally:
                part.unlink(missing_ok=True)
    return written


@contextmanager
def _any_letters() -> Iterator[None]:
    """A name in letters that the font lacks is drawn with boxes, without a warning for each."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")
        yield


def to_tensor(whole: Any, dpi: int = 160) -> Tensor:
    """The figure as a picture (H, W, 3) in [0, 1]."""
    import numpy as np
    from PIL import Image

    out = BytesIO()
    with _any_letters():
        whole.savefig(out, dpi=dpi, format="png")
    out.seek(0)
    return torch.from_numpy(np.asarray(Image.open(out).convert("RGB"), np.float32) / 255)
