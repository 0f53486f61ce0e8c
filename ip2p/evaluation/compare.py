"""Several editors, or any pictures, side by side: one sheet with their numbers."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from torch import Tensor

from ..data.example import Example
from ..pictures import open_picture
from .rows import Row
from .run import EditFunction, Measure, in_turn, picture_path, prepare, score
from .settings import NAMES, Setting
from .sheet import Panel, Strip, sheet

SHOWN = {
    "clip_direction": "CLIP direction",
    "clip_image": "CLIP image",
    "clip_text": "CLIP text",
    "lpips_target": "LPIPS to answer",
    "l1_target": "L1 to answer",
    "lpips_source_outside": "LPIPS outside",
    "l1_source_outside": "L1 outside",
    "lpips_source": "LPIPS to source",
    "l1_source": "L1 to source",
}
"""The numbers below a picture, in this order, as many as there is room for."""
MOST = 4


@dataclass(frozen=True)
class Compared:
    """One result: its name, its picture (None where the edit failed, with the reason in `error`) and its numbers."""

    name: str
    picture: Tensor | None
    numbers: Mapping[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    error: str = ""


def compare(
    example: Example,
    settings: Sequence[Setting],
    editors: Mapping[str, EditFunction],
    measures: Measure,
    pictures: Mapping[str, Tensor] | None = None,
    on_progress: Callable[[int, int, str], None] | None = None,
) -> list[Compared]:
    """Each setting's edit of an example, then `pictures` by name that were made elsewhere (H, W, 3), all measured alike.

    An edit that fails is among the results with its reason. `on_progress` is told (results so far, of how many, the newest's name).
    """
    opened = {"source": example.image(), "target": example.edited and example.edited(), "mask": example.mask and example.mask()}
    jobs: list[tuple[str, Callable[[], Tensor]]] = [(name_of(setting), _job(editors, example, setting)) for setting in settings]
    jobs += [(name, lambda picture=picture: picture) for name, picture in (pictures or {}).items()]  # type: ignore[misc]
    found: list[Compared] = []
    for name, make in jobs:
        started = time.perf_counter()
        try:
            picture = make().detach().float().cpu()
            seconds = time.perf_counter() - started
            found.append(Compared(name, picture, score(example, opened, picture, measures), seconds))
        except (ValueError, OSError, RuntimeError) as error:
            found.append(Compared(name, None, error=" ".join(str(error).split())))
        if on_progress:
            on_progress(len(found), len(jobs), name)
    return found


def name_of(setting: Setting) -> str:
    """The editor's name, and below it its numbers."""
    return "\n".join([NAMES[setting.editor], *([setting.told] if setting.told else [])])


def _job(editors: Mapping[str, EditFunction], example: Example, setting: Setting) -> Callable[[], Tensor]:
    if setting.editor not in editors:
        raise ValueError(f"There is no editor for {NAMES[setting.editor]}: name the model it needs, or leave it out.")
    edit = editors[setting.editor]
    prepare(edit)
    return lambda: in_turn(edit, example, setting)


def _good(numbers: Mapping[str, float]) -> bool | None:
    return bool(numbers["right"]) if "right" in numbers else None


def strip(example: Example, compared: Sequence[Compared]) -> Strip:
    """Source, every result with its numbers, and the right answer where one is known."""
    panels = [Panel(example.image(), "Source")]
    panels += [Panel(one.picture, one.name, lines(one.numbers, one.seconds, one.error), _good(one.numbers)) for one in compared]
    if example.edited and all(one.name != NAMES["answer"] for one in compared):
        panels.append(Panel(example.edited(), "Right answer"))
    return Strip(f"“{example.instruction}”", tuple(panels))


def lines(numbers: Mapping[str, float], seconds: float = 0.0, error: str = "") -> tuple[str, ...]:
    """What stands below a result: the judgement, then the most telling numbers, then the time."""
    if error:
        return (error,)
    said = [_judged(numbers)] if "right" in numbers else []
    said += [f"{title} {numbers[name]:.3f}" for name, title in SHOWN.items() if name in numbers][:MOST]
    return (*said, *([f"{seconds:.1f} s"] if seconds >= 0.05 else []))


def _judged(numbers: Mapping[str, float]) -> str:
    if numbers["right"]:
        return "judged: right"
    if "done" not in numbers:
        return "judged: wrong"
    parts = ["done" if numbers["done"] else "not done", "the rest kept" if numbers.get("kept") else "other things changed"]
    return f"judged: {', '.join(parts)}"


def run_sheet(out: Path, examples: Sequence[Example], rows: Sequence[Row], settings: Sequence[Setting], cell: int = 256) -> Tensor:
    """A sheet from the pictures that a run kept: a strip for each example, a panel for each setting, as one picture (H, W, 3)."""
    by_key = {row.key: row for row in rows}
    strips = []
    for example in examples:
        compared = []
        for setting in settings:
            row, path = by_key.get((example.id, setting.key)), picture_path(out, example.id, setting)
            picture = open_picture(path)[0] if path.is_file() else None
            told = (row.numbers, row.seconds, row.error) if row else ({}, 0.0, "not edited")
            compared.append(Compared(name_of(setting), picture, *told))
        strips.append(strip(example, compared))
    return sheet(strips, cell)
