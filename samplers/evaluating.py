"""Editors measured inside the host: its models and samplers behind the same run, table, plot and sheets as the command's."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple, cast

import comfy.model_management
from comfy.model_patcher import ModelPatcher
from torch import Tensor

from ..ip2p.data.example import Dataset
from ..ip2p.data.open import open_dataset
from ..ip2p.evaluation import editors, plot
from ..ip2p.evaluation.compare import SHOWN
from ..ip2p.evaluation.report import write
from ..ip2p.evaluation.rows import Row, RunError
from ..ip2p.evaluation.run import EditFunction, evaluate
from ..ip2p.evaluation.settings import Setting, grid
from ..ip2p.evaluation.sheet import Panel, Strip, sheet
from ..ip2p.evaluation.table import table
from ..ip2p.pictures import open_picture, to_pil
from . import conditioning, families, sdedit
from .edit import Callback, edit
from .identity import identity
from .measuring import HostMeasures, pixels_only
from .progress import Progress

BASELINES = ("nothing", "answer")
COLUMNS = 6
"""Columns of the table that a node shows; the files have all."""


@dataclass(frozen=True)
class HostModel:
    """A model of the host with the settings that all edits share; what ``ip2p``'s Editor and TextToImage do, under the host's samplers."""

    model: ModelPatcher
    clip: Any
    vae: Any
    sampler: str = "euler_ancestral"
    scheduler: str = "normal"
    size: int = 0
    callback: Callback | None = None

    def edit(
        self,
        image: Tensor,
        instruction: str,
        steps: int | None,
        seed: int,
        text_scale: float | None,
        image_scale: float | None,
        speed: str = "exact",
    ) -> Tensor:
        """Edit (B, H, W, 3) pictures by an instruction; 30 steps and scales 7.5 and 1.5 where None."""
        told: dict[str, Any] = {
            "text_scale": 7.5 if text_scale is None else text_scale,
            "image_scale": 1.5 if image_scale is None else image_scale,
            "steps": steps or 30,
            "seed": seed,
            "speed": speed,
        }
        return edit(self.model, self.clip, self.vae, image, instruction, **told, **self._shared())

    def sdedit(self, image: Tensor, prompt: str, strength: float, steps: int | None, scale: float | None, seed: int) -> Tensor:
        """SDEdit of (B, H, W, 3) pictures by a caption; 30 steps and scale 7.5 where None."""
        cfg = 7.5 if scale is None else scale
        wired = (self.model, self.clip, self.vae)
        return sdedit.sdedit(*wired, image, prompt, strength, steps=steps or 30, seed=seed, cfg=cfg, **self._shared())

    def _shared(self) -> dict[str, Any]:
        return {"sampler": self.sampler, "scheduler": self.scheduler, "size": self.size, "callback": self.callback}


class Wired(NamedTuple):
    """A model as it is wired to a node."""

    model: ModelPatcher
    clip: Any
    vae: Any


class Evaluated(NamedTuple):
    """Plot and sheet as (1, H, W, 3), and the table as Markdown."""

    plot: Tensor
    sheet: Tensor
    table: str


def run(
    editor: Wired,
    base: Wired | None,
    spec: str,
    count: int,
    settings: list[Setting],
    measures: HostMeasures | None,
    out: Path,
    sampler: str = "euler_ancestral",
    scheduler: str = "normal",
    size: int = 0,
) -> Evaluated:
    """Measure an editor (and ``base`` by SDEdit; the editor itself where None) over a dataset, and write all of it into ``out``.

    What stands there is not made again. Raises ValueError in a sentence for what can't be done, and the host's exception on cancel:
    what is done by then is kept.
    """
    general = base or editor
    check(editor, general, settings)
    dataset = open_dataset(spec, count)
    if dataset[0].edited is None:
        settings = [setting for setting in settings if setting.editor != "answer"]
    measures = measures or pixels_only()
    shared: dict[str, Any] = {"sampler": sampler, "scheduler": scheduler, "size": size}
    models = {"editor": identity(editor.model), "text_to_image": identity(general.model)}
    told = {"data": dataset.name, **models, "measures": measures.identity, **shared}
    progress = Progress(len(dataset) * len(settings))
    functions = edit_functions(HostModel(*editor, **shared), HostModel(*general, **shared), progress)

    def show(done: int, total: int, row: Row) -> None:
        progress.finished(done)

    rows = evaluate(dataset, settings, functions, measures, out, show, _stop, told, pictures=True)
    return report(dataset, settings, rows, out)


def check(editor: Wired, general: Wired, settings: list[Setting]) -> None:
    """Raise ValueError, in a sentence for the user, for models that can't make these edits, before the first is tried."""
    families.check_model(editor.model)
    sdedit.check_model(general.model)
    for wired in (editor, general):
        conditioning.check_clip(wired.clip)
        conditioning.check_vae(wired.vae)
    if not settings:
        raise ValueError("There is nothing to try; write image scales such as 1.5, or SDEdit strengths such as 0.6.")


def _stop() -> bool:
    """Never asks for a stop: cancelling raises the host's own exception."""
    comfy.model_management.throw_exception_if_processing_interrupted()
    return False


def edit_functions(editor: HostModel, general: HostModel, progress: Progress) -> dict[str, EditFunction]:
    """The command's editors over the host's models, each edit shown when it is made."""
    watched = [replace(one, callback=progress.steps_of(one.model)) for one in (editor, general)]
    load = [cast(Callable[[], Any], lambda one=one: one) for one in watched]
    found = editors.edit_functions(load[0], load[1])
    return {name: _shown(function, progress) for name, function in found.items()}


def _shown(function: EditFunction, progress: Progress) -> EditFunction:
    def edited(example: Any, setting: Setting) -> Tensor:
        picture = function(example, setting)
        progress.made(to_pil(picture))
        return picture

    return edited


def settings_of(text_scales: str, image_scales: str, strengths: str, steps: int, seed: int, baselines: bool) -> list[Setting]:
    """Every combination of scales for the editor, every strength for SDEdit, then the ``baselines``: nothing done, and the answer."""
    given = {"text_scale": text_scales, "image_scale": image_scales, "steps": str(steps)}
    settings = grid(["ip2p"], given, [seed]) if image_scales.strip() and text_scales.strip() else []
    if strengths.strip():
        settings += grid(["sdedit"], {"strength": strengths, "steps": str(steps)}, [seed])
    return [*settings, *(map(Setting, BASELINES) if baselines else [])]


def report(dataset: Dataset, settings: list[Setting], rows: list[Row], out: Path) -> Evaluated:
    """Plot, sheet and table of a run, written into its folder too. Raises RunError where every edit failed."""
    edits = [row for row in rows if row.setting.editor not in BASELINES] or rows
    if edits and all(row.error for row in edits):
        raise RunError(f"Not one edit could be made, the first because: {edits[0].error}")
    found = write(out, dataset, settings, rows, pictures=True)
    return Evaluated(
        _drawn(rows, dataset.name)[None],
        open_picture(out / "sheet.png"),
        (found if dataset.benchmark else table(rows, _columns(rows))).markdown(),
    )


def _drawn(rows: list[Row], title: str) -> Tensor:
    """The plot (H, W, 3), or a page that says why there is none."""
    try:
        return plot.to_tensor(plot.figure(rows, title=title))
    except RunError as reason:
        return sheet([Strip(str(reason), (Panel(None),))], 512)


def _columns(rows: list[Row]) -> list[str]:
    """What is shown in a narrow place: the judgement, and the most telling numbers that are there."""
    there = {name for row in rows for name in row.numbers}
    return [name for name in ("right", "done", "kept", *SHOWN) if name in there][:COLUMNS]
