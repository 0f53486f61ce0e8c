"""DreamBooth inside the host (Ruiz et al. 2023): a text-to-image model learns a subject from a few pictures."""

from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import comfy.model_management
from comfy.model_patcher import ModelPatcher
from torch import Tensor

from ..ip2p.evaluation.sheet import Panel, Strip, sheet
from ..ip2p.fit import rgb
from ..ip2p.pictures import open_picture, to_pil
from ..ip2p.training import config as configs
from ..ip2p.training.config import TrainConfig
from . import runs
from .apart import Tell
from .edit import native_size
from .loading import build
from .training import BASE, Wired, given, network, worked

INSTANCES, CLASS = "instances", "class_pictures"
"""Folders in the run's own: the subject's pictures, and those of its class that the model makes."""
SHOWN = 5
"""Pictures of each kind on the sheet."""
CELL = 200
"""Longest side in pixels of a picture on the sheet."""


class Personal(NamedTuple):
    """The MODEL and CLIP that know the subject, curves and pictures as (1, H, W, 3), and what was done, in words."""

    model: ModelPatcher
    clip: Any
    plot: Tensor
    pictures: Tensor
    report: str


@dataclass(frozen=True)
class Subject:
    """What is to be learnt: pictures, each (B, H, W, C), a rare word for it, and what it is."""

    pictures: Sequence[Tensor]
    word: str
    noun: str


def config_of(
    model: ModelPatcher,
    subject: Subject,
    train: str = "full",
    steps: int = 400,
    class_images: int = 200,
    rate: float = 0.0,
    size: int = 0,
    seed: int = 0,
    save_every: int = 100,
    more: str = "",
) -> TrainConfig:
    """A run's settings from a node's; 0 leaves what is usual, lines of ``more`` win. Raises ValueError in a sentence."""
    from ..ip2p.training.dreambooth import settings

    table = settings(INSTANCES, subject.word, subject.noun, train == "lora", size or native_size(model))
    own: dict[str, Any] = {
        "model": {"base": BASE, "train": train},
        "dreambooth": {"class_images": class_images},
        "optimizer": given(rate=rate),
        "run": {"steps": steps, "seed": seed, "save_every": save_every},
        "export": {"formats": []},
    }
    lines = configs.changed([line.strip() for line in more.splitlines() if line.strip()])
    return configs.from_table(configs.merged(configs.merged(table, own), lines))


def personalise(wired: Wired, subject: Subject, config: TrainConfig, out: Path, tell: Tell) -> Personal:
    """Teach a model a subject, or go on, or look at it where it is finished.

    Raises ValueError in a sentence for what can't be done, and the host's exception on cancel, after what is learnt is saved.
    """
    from ..ip2p.training import dreambooth

    keep(subject, out)
    whole = worked(wired, config, out, tell, lambda done: dreambooth.whole(done.trainable, done.average, config))
    model = build(network(whole)).model
    clip = build(whole).clip if config.dreambooth.text_encoder else wired.clip
    plot, _, report = runs.shown(out)
    return Personal(model, clip, plot, sheet_of(out), report)


def keep(subject: Subject, out: Path) -> None:
    """Write the subject's pictures into the run's folder. Raises ValueError where a run there has begun with others."""
    folder = out / INSTANCES
    pictures = [picture for batch in subject.pictures for picture in rgb(batch)]
    wanted = {f"{number:02d}.png": _png(picture) for number, picture in enumerate(pictures, start=1)}
    there = {path.name: path.read_bytes() for path in sorted(folder.glob("*.png"))}
    if there == wanted:
        return
    if there and runs.steps_of(out) is not None:
        raise ValueError(f"The run '{out.name}' has learnt from other pictures; give it another name.")
    folder.mkdir(parents=True, exist_ok=True)
    for name in there:
        (folder / name).unlink()
    for name, data in wanted.items():
        (folder / name).write_bytes(data)


def _png(picture: Tensor) -> bytes:
    file = BytesIO()
    to_pil(picture).save(file, "PNG")
    return file.getvalue()


def sheet_of(out: Path) -> Tensor:
    """The subject's pictures, and below them those of its class, as (1, H, W, 3)."""
    strips = [_strip("the subject", out / INSTANCES), _strip("its class, made by the model itself", out / CLASS)]
    page = sheet([strip for strip in strips if strip.panels], CELL)
    return page[None].to(comfy.model_management.intermediate_device())


def _strip(heading: str, folder: Path) -> Strip:
    files = sorted(folder.glob("*.png"))[:SHOWN]
    return Strip(heading, tuple(Panel(open_picture(path)[0]) for path in files))
