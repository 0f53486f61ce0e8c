"""The editors: one run of `ip2p.training` for each condition and seed, from the painter's weights (paper, section 3.2)."""

import logging
import os
from pathlib import Path

from ..training.config import TrainConfig, from_table
from ..training.run import Event, train
from . import places
from .config import Config

log = logging.getLogger(__name__)

TELL_EVERY = 10
"""Steps between two lines of the log."""


def settings(out: Path, config: Config, condition: str, seed: int) -> TrainConfig:
    """The training run of an editor. The objective and its conditioning dropout are the paper's; pictures are met whole and unmirrored,
    since the world's captions say left and right."""
    chosen, folder, size = config.editors, places.run_of(out, condition, seed), config.painter.size
    there = {
        name: os.path.relpath(place, folder) for name, place in (("base", places.painter(out)), ("data", places.pairs(out, condition)))
    }
    cut = {"crop": size, "sizes": [size, size], "flip": 0.0, "variants": 1, "threads": 0}
    length = {name: getattr(chosen, name) for name in ("steps", "batch", "ema", "save_every")}
    table = {
        "model": {"base": there["base"]},
        "data": {"source": there["data"], "split": "all", "cache": str(places.latents(out, condition)), **cut},
        "objective": {"snr": chosen.snr, "offset": chosen.offset},
        "optimizer": {"rate": chosen.rate},
        "run": {**length, "seed": seed, "precision": "bf16", "log_every": TELL_EVERY},
        "validation": {"count": 0},
    }
    return from_table(table, "small")


def editor(out: Path, config: Config, condition: str, seed: int) -> None:
    """Train an editor, or go on where it stopped; its file is `places.editor`. Raises ValueError."""
    folder = places.run_of(out, condition, seed)
    folder.mkdir(parents=True, exist_ok=True)  # relative places of the settings begin there
    train(settings(out, config, condition, seed), folder, device="cpu", on_event=_tell)


def _tell(event: Event) -> None:
    if event.step % TELL_EVERY == 0 or event.step == event.steps:
        log.info("step %d of %d: loss %.4f", event.step, event.steps, event.loss)
