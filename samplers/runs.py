"""Training runs as nodes show them: curves, the last edits, and how far they are, from a run's folder alone."""

from pathlib import Path
from typing import Any, NamedTuple

import comfy.model_management
from torch import Tensor

from ..ip2p.evaluation.sheet import Panel, Strip, sheet
from ..ip2p.pictures import open_picture
from ..ip2p.training import curves, log
from ..ip2p.training.checkpoints import Checkpoints

CHECKPOINTS, PICTURES = "checkpoints", "validation"
RECENT = 20
"""Lines of the log whose loss is told."""
PAGE = 512
"""Width in pixels of a page that says why there is no picture."""


class Shown(NamedTuple):
    """Curves and edits as (1, H, W, 3), and how far the run is, in words."""

    plot: Tensor
    validation: Tensor
    report: str


def shown(folder: Path) -> Shown:
    """A run as its folder has it. Raises ValueError where there is none."""
    lines = log.lines(folder)
    if not lines and not steps_of(folder):
        raise ValueError(f"There is no training run in {folder}; train some steps first, or write the name of another run.")
    return Shown(_picture(_plot(folder)), _picture(last_edits(folder)), report(folder, lines))


def steps_of(folder: Path) -> tuple[int, int] | None:
    """(steps done, steps in all) by the newest checkpoint that is whole; None where there is none."""
    store = Checkpoints(folder / CHECKPOINTS)
    found = next((manifest for step in store.steps() if (manifest := store.manifest(step))), None)
    return (found.step, int(found.config.get("run", {}).get("steps", found.step))) if found else None


def fingerprint(folder: Path) -> str:
    """Another text when the run has gone on, or is gone."""
    return str(steps_of(folder))


def last_edits(folder: Path) -> Tensor:
    """The sheet (H, W, 3) of the last validation, or a page that says that there was none."""
    found = sorted((folder / PICTURES).glob("step-*.png"))
    return open_picture(found[-1])[0] if found else _page("No edits were looked at while training; set validate_every for that.")


def report(folder: Path, lines: list[log.Line]) -> str:
    """How far the run is, its loss and the numbers of its last edits, as Markdown."""
    done, total = steps_of(folder) or (0, 0)
    losses = [line["loss"] for line in lines if line.get("loss") is not None][-RECENT:]
    said = [f"**{folder.name}**: {done} of {total} steps" if done else f"**{folder.name}**: no checkpoint yet"]
    if losses:
        said.append(f"loss {sum(losses) / len(losses):.4f} (mean of the last {len(losses)} lines of the log)")
    validated = [line for line in lines if "validation" in line]
    if validated:
        said.append(f"edits of unseen pairs at step {validated[-1]['step']}: {numbers(validated[-1]['validation'])}")
    if done < total:
        said.append("It is not finished; queue it again and it goes on.")
    return "\n\n".join(said)


def numbers(found: dict[str, Any]) -> str:
    """The means of a validation in words, without those of single scales."""
    names = {name: curves.NAMES[name] for name in found if name in curves.NAMES}
    return ", ".join(f"{said} {found[name]:.3f}" for name, said in names.items()) or "nothing was measured"


def _plot(folder: Path) -> Tensor:
    try:
        return curves.curves(folder)
    except ValueError as reason:
        return _page(str(reason))


def _page(text: str) -> Tensor:
    return sheet([Strip(text, (Panel(None),))], PAGE)


def _picture(picture: Tensor) -> Tensor:
    return picture[None].to(comfy.model_management.intermediate_device())
