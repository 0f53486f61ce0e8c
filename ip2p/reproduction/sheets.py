"""Sheets of a run's pictures after the paper's Figures 4, 9, 11 and 13, and of its pairs.

What a sheet shows is chosen by rule, never by how it came out: the first editor's pictures of the first task of every other kind, the first
chains, the first task of each limit. A green bar below a picture says that the judge calls it right, an orange one that it does not; in
a chain, that this step's edit was done.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..data.records import records
from ..data.samples import Samples
from ..evaluation.scales_sheet import scales_sheet
from ..evaluation.sheet import Panel, Strip, sheet
from ..pairs.browse import BOTH, browse
from ..sweep import Grid
from ..worlds.edits import WHOLE
from ..worlds.tasks import Task
from . import edits, judged, places, sets, tasks
from .config import Config

CHAINS, PROMPTS = 2, 3
"""Chains on a sheet, and prompts on that of pairs."""
CELL, SMALL = 112, 80
"""Pixels of a picture on a sheet, and on that of pairs."""


def drawn(out: Path, config: Config) -> dict[str, Tensor]:
    """The sheets (H, W, 3) of a run by the names of their files; none of what the config does not ask for. Raises ValueError."""
    shown, every = Shown(out, config), tasks.tasks(config)
    strips = {
        "edits.webp": [edits_strip(shown, task) for task in first_of_kinds(every)[::2]],
        "chains.webp": [chain_strip(shown, chain) for chain in tasks.chains(config)[:CHAINS]],
        "limits.webp": [limit_strip(shown, task) for task in first_of_kinds(tasks.limits(config))],
    }
    found = {name: sheet(some, CELL) for name, some in strips.items() if some}
    if task := first_whole(every[: config.evaluation.grid_tasks]):
        found["scales.webp"] = grid_sheet(shown, task)
    return {**found, "pairs.webp": pairs_sheet(out, config)}


@dataclass(frozen=True)
class Shown:
    """The edited pictures of a run's first editor, with the judge's verdicts."""

    out: Path
    config: Config

    @property
    def seed(self) -> int:
        """The first editor's."""
        return self.config.editors.seeds[0]

    @cached_property
    def verdicts(self) -> dict[tuple[str, str, edits.At], bool]:
        """Which picture is right, by its job, its task and its setting; of a chain's stage and edit, whether that was done."""
        rows = [row for row in judged.rows(self.out, self.config) if row.seed == self.seed]
        return {(row.name, row.task, row.at): bool(row.done if row.name == "chains" else row.right) for row in rows}

    def pictures(self, name: str, task: str) -> Tensor:
        """Those of a task (N, H, W, 3) in [0, 1], in the order of their settings."""
        return torch.from_numpy(edits.pictures(self.out, name, self.seed, task)).float() / 255

    def panel(self, name: str, task: str, place: int, title: str) -> Panel:
        """One of them, by its setting's number, with its verdict."""
        at = edits.settings_of(name, self.config)[place]
        key = (*at, *at) if name == "chains" else at  # the edit of a stage has its number
        return Panel(self.pictures(name, task)[place], title, good=self.verdicts[name, task, key])


def first_of_kinds(found: Sequence[Task]) -> list[Task]:
    """The first task of each kind."""
    first: dict[str, Task] = {}
    for task in found:
        first.setdefault(task.kind, task)
    return list(first.values())


def first_whole(found: Sequence[Task]) -> Task | None:
    """The first task whose edit changes the whole picture, as the paper's Figure 4 does; else the first; None where there is none."""
    return next((task for task in found if task.kind in WHOLE), next(iter(found), None))


def edits_strip(shown: Shown, task: Task) -> Strip:
    """A task's source; what the editor of filtered pairs made of it at the lowest, a middle and the highest image scale; SDEdit at the
    lowest, a middle and the highest strength; and the right answer."""
    asked = shown.config.evaluation
    panels = [_panel(task.source(), "picture")]
    for name, said, values in (("full", "image scale", asked.image_scales), ("sdedit", "SDEdit, strength", asked.strengths)):
        places_ = sorted({0, len(values) // 2, len(values) - 1})
        panels += [shown.panel(name, task.id, place, f"{said} {values[place]:g}") for place in places_]
    return Strip(f"“{task.instruction}”", (*panels, _panel(task.answer(), "right answer")))


def grid_sheet(shown: Shown, task: Task) -> Tensor:
    """A task's pictures over both scales (Figure 4)."""
    grid = Grid(shown.config.evaluation.grid_text, shown.config.evaluation.grid_image)
    source = torch.from_numpy(task.source())
    return scales_sheet(grid, shown.pictures("grid", task.id), source, f"“{task.instruction}”", cell=CELL)


def chain_strip(shown: Shown, chain: tasks.Chain) -> Strip:
    """A chain's source and what each of its edits made of the last picture, and the right answer of all (Figure 11)."""
    every = range(len(chain.edits))
    steps = [shown.panel("chains", chain.id, place, f"{place + 1}. {chain.instructions[place]}") for place in every]
    source, answer = chain.task(0, ()).source(), chain.task(0, every).answer()
    return Strip("", (_panel(source, "picture"), *steps, _panel(answer, "right answer of all")))


def limit_strip(shown: Shown, task: Task) -> Strip:
    """A known failure: the picture, what the editor made of it at the middle one of the scales tried, and a right answer (Figure 13)."""
    middle = len(edits.settings_of("limits", shown.config)) // 2
    panels = (_panel(task.source(), "picture"), shown.panel("limits", task.id, middle, "edited"), _panel(task.answer(), "a right answer"))
    return Strip(f"“{task.instruction}”", panels)


def pairs_sheet(out: Path, config: Config) -> Tensor:
    """All samples of some prompts, kept and refused, with their scores: those from the first prompt on of which any sample was kept."""
    kept = {record.prompt for record in records(str(places.pairs(out, sets.FULL)))}
    first = next(number for number, name in enumerate(Samples(places.samples(out)).names()) if name in kept)
    return browse(sets.wish(out, config), BOTH, first, PROMPTS, config.pairs.samples, SMALL).sheet


def _panel(picture: Any, title: str) -> Panel:
    return Panel(torch.as_tensor(picture), title)
