"""A run's figures: the curves of Figures 8 and 10, and sheets of pictures after Figures 4, 9, 11 and 13, and of the pairs.

What a sheet shows is chosen by rule, never by how it came out: the first editor's pictures of the first task of every other kind.
"""

import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..data.disk import make_folder, write_file
from .config import Config
from .fields import BY, NAMES
from .page import FIGURES

if TYPE_CHECKING:
    from torch import Tensor

    from ..evaluation.intervals import Mean
    from ..evaluation.plot import Curve
    from ..evaluation.sheet import Strip
    from ..worlds.tasks import Task

AXES = {"direction": "clip_direction", "similarity": "clip_image", "done": "done", "kept": "kept"}
"""A report's columns as the plots call them."""
PLOTS = {
    "figure8.png": (("full", "sdedit"), "direction", "similarity"),
    "figure8_judged.png": (("full", "sdedit"), "done", "kept"),
    "figure10.png": (("full", "tenth", "unfiltered", "true"), "direction", "similarity"),
    "figure10_judged.png": (("full", "tenth", "unfiltered", "true"), "done", "kept"),
}
"""File -> (curves, x, y)."""
SHEETS = ("edits.webp", "scales.webp", "chains.webp", "limits.webp", "pairs.webp")
CHAINS, PROMPTS = 2, 3
"""Chains on a sheet, and prompts on that of pairs."""
CELL, SMALL, QUALITY, COLOURS, DPI = 112, 80, 70, 32, 144
"""Pixels of a picture on a sheet and on that of pairs, the quality of sheets; colours of a plot's palette, and pixels of its inch."""


def draw(out: Path, config: Config, report: Mapping[str, Any]) -> list[str]:
    """Draw the figures of a run from its report and its pictures; the names of the files in `FIGURES`, sorted. Raises ValueError."""
    folder = out / FIGURES
    make_folder(folder)
    written = [name for name, (names, x, y) in PLOTS.items() if _plot(folder / name, report, names, x, y)]
    for name, sheet in zip(SHEETS, _sheets(out, config), strict=True):
        if sheet is not None:
            write_file(folder / name, _webp(sheet))
            written.append(name)
    return sorted(written)


def _plot(path: Path, report: Mapping[str, Any], names: Sequence[str], x: str, y: str) -> bool:
    """Draw the curves of these names that the report has; False where it has none."""
    from PIL import Image

    from ..evaluation import plot
    from ..pictures import to_pil

    found = [curve_of(curve, x, y) for name in names for curve in report["curves"] if curve["name"] == name]
    if not found:
        return False
    picture = to_pil(plot.to_tensor(plot.drawn(found, AXES[x], AXES[y]), DPI))
    buffer = io.BytesIO()
    picture.quantize(COLOURS, dither=Image.Dither.NONE).save(buffer, "PNG", optimize=True)
    write_file(path, buffer.getvalue())
    return True


def curve_of(entry: Mapping[str, Any], x: str, y: str) -> "Curve":
    """A curve of the report for a plot; only its ends are labelled with their scale."""
    from ..evaluation.plot import Curve, Point

    points = entry["points"]
    ends = (0, len(points) - 1)
    drawn = [Point(_mean(one[x]), _mean(one[y]), f"{one['at']:g}" if place in ends else "") for place, one in enumerate(points)]
    return Curve(f"{NAMES[entry['name']]}, by {BY[entry['by']]}", tuple(drawn))


def _mean(found: Mapping[str, Any]) -> "Mean":
    from ..evaluation.intervals import Mean

    low, high = (found[name] if found[name] is not None else sign * float("inf") for name, sign in (("low", -1), ("high", 1)))
    return Mean(found["value"], low, high, found["n"])


def _sheets(out: Path, config: Config) -> "Iterator[Tensor | None]":
    """The sheets in the order of SHEETS; None for one that the run has no pictures for."""
    from . import tasks

    seed = config.editors.seeds[0]
    every = tasks.tasks(config)
    yield _sheet([edits_strip(out, config, task, seed) for task in first_of_kinds(every)[::2]])
    yield scales_sheet(out, config, first_whole(every[: config.evaluation.grid_tasks]), seed)
    yield _sheet([chain_strip(out, chain, seed) for chain in tasks.chains(config)[:CHAINS]])
    yield _sheet([limit_strip(out, task, seed) for task in first_of_kinds(tasks.limits(config))])
    yield pairs_sheet(out, config)


def first_of_kinds(found: "Sequence[Task]") -> "list[Task]":
    """The first task of each kind."""
    first: dict[str, Task] = {}
    for task in found:
        first.setdefault(task.kind, task)
    return list(first.values())


def first_whole(found: "Sequence[Task]") -> "Task | None":
    """The first task whose edit changes the whole picture, as the paper's Figure 4 does; else the first; None where there is none."""
    from ..worlds.edits import WHOLE

    return next((task for task in found if task.kind in WHOLE), next(iter(found), None))


def _sheet(strips: "Sequence[Strip]") -> "Tensor | None":
    from ..evaluation.sheet import sheet

    return sheet(strips, CELL) if strips else None


def edits_strip(out: Path, config: Config, task: "Task", seed: int) -> "Strip":
    """A task's source; what the editor of filtered pairs made of it at the lowest, a middle and the highest image scale; SDEdit at the
    lowest, a middle and the highest strength; and the right answer."""
    from ..evaluation.sheet import Panel, Strip

    asked = config.evaluation
    panels = [_panel(task.source(), "picture")]
    for name, said, values in (("full", "image scale", asked.image_scales), ("sdedit", "SDEdit, strength", asked.strengths)):
        made = _made(out, name, seed, task.id)
        panels += [Panel(made[place], f"{said} {values[place]:g}") for place in sorted({0, len(values) // 2, len(values) - 1})]
    return Strip(f"“{task.instruction}”", (*panels, _panel(task.answer(), "right answer")))


def scales_sheet(out: Path, config: Config, task: "Task | None", seed: int) -> "Tensor | None":
    """A task's pictures over both scales (Figure 4)."""
    import torch

    if task is None:
        return None

    from ..evaluation.scales_sheet import scales_sheet as drawn
    from ..sweep import Grid

    grid = Grid(config.evaluation.grid_text, config.evaluation.grid_image)
    return drawn(grid, _made(out, "grid", seed, task.id), torch.from_numpy(task.source()), f"“{task.instruction}”", cell=CELL)


def chain_strip(out: Path, chain: Any, seed: int) -> "Strip":
    """A chain's source and what each of its edits made of the last picture, and the right answer of all (Figure 11)."""
    from ..evaluation.sheet import Strip

    made = _made(out, "chains", seed, chain.id)
    first, every = chain.task(0, ()), range(len(chain.edits))
    said = [f"{number}. {text}" for number, text in enumerate(chain.instructions, start=1)]
    panels = [_panel(first.source(), "picture"), *(_panel(one, text) for one, text in zip(made, said, strict=True))]
    return Strip("", (*panels, _panel(chain.task(0, every).answer(), "all of them, right")))


def limit_strip(out: Path, task: "Task", seed: int) -> "Strip":
    """A known failure: the picture, what the editor made of it at the middle image scale, and a right answer (Figure 13)."""
    from ..evaluation.sheet import Strip

    made = _made(out, "limits", seed, task.id)
    return Strip(
        f"“{task.instruction}”", (_panel(task.source(), "picture"), _panel(made[0], "edited"), _panel(task.answer(), "right answer"))
    )


def pairs_sheet(out: Path, config: Config) -> "Tensor":
    """All samples of some prompts, kept and refused, with their scores: those from the first prompt on of which any sample was kept."""
    from ..data.records import records
    from ..data.samples import Samples
    from ..pairs.browse import BOTH, browse
    from . import places, sets

    kept = {record.prompt for record in records(str(places.pairs(out, sets.FULL)))}
    first = next(number for number, name in enumerate(Samples(places.samples(out)).names()) if name in kept)
    return browse(sets.wish(out, config), BOTH, first, PROMPTS, config.pairs.samples, SMALL).sheet


def _made(out: Path, name: str, seed: int, task: str) -> "Tensor":
    """The pictures (N, H, W, 3) of a task in [0, 1], in the order of their settings."""
    import torch

    from . import edits

    return torch.from_numpy(edits.pictures(out, name, seed, task)).float() / 255


def _panel(picture: Any, title: str) -> Any:
    import torch

    from ..evaluation.sheet import Panel

    return Panel(torch.as_tensor(picture), title)


def _webp(picture: "Tensor") -> bytes:
    from ..pictures import to_pil

    buffer = io.BytesIO()
    to_pil(picture).save(buffer, "WEBP", quality=QUALITY, method=6)
    return buffer.getvalue()
