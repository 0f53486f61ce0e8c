"""An editor trained inside the host: its models in, a run's folder on the disk, a MODEL for the guider out."""

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import comfy.model_management
import torch
from comfy.model_patcher import ModelPatcher
from torch import Tensor

from ..ip2p import checkpoint
from ..ip2p.checkpoint import Checkpoint
from ..ip2p.evaluation.settings import numbers
from ..ip2p.pictures import to_pil
from ..ip2p.training import config as configs
from ..ip2p.training.config import TrainConfig
from . import runs
from .apart import Tell, Watch, apart
from .loading import build
from .states import lossless_half, whole_checkpoint_of

log = logging.getLogger(__name__)

BASE = "base.safetensors"
"""What a run began from, in its folder."""
LARGER = 288 / 256
"""The paper's largest short side before the crop, over the crop."""
DRAWN = (64, 512)
"""Sides in pixels between which the world is drawn."""
Result = Callable[[Any], Any]
"""What is made of a run's `Trained` for :func:`built`, before the memory of training is given back."""


class Wired(NamedTuple):
    """A model as it is wired to a node."""

    model: ModelPatcher
    clip: Any
    vae: Any


class Found(NamedTuple):
    """The trained MODEL, curves and edits as (1, H, W, 3), and what was done, in words."""

    model: ModelPatcher
    plot: Tensor
    validation: Tensor
    report: str


def config_of(
    pairs: str,
    preset: str = "small",
    train: str = "",
    steps: int = 0,
    batch: int = 0,
    rate: float = 0.0,
    size: int = 256,
    seed: int = 0,
    save_every: int = 100,
    validate_every: int = 100,
    validate_on: int = 4,
    text_scales: str = "7.5",
    image_scales: str = "1.5",
    more: str = "",
    objective: dict[str, Any] | None = None,
) -> TrainConfig:
    """A run's settings from a node's; 0 and "" leave what the preset has, lines of ``more`` win. Raises ConfigError in a sentence.

    ``objective``: further tables of the config, for objectives other than the paper's.
    """
    table: dict[str, Any] = {
        "model": {"base": BASE} | given(train=train),
        "data": {"source": pairs, "size": made_at(size, pairs), "crop": size, "sizes": [size, round(size * LARGER)]},
        "optimizer": given(rate=rate),
        "run": given(steps=steps, batch=batch) | {"seed": seed, "save_every": save_every},
        "validation": {
            "count": validate_on if validate_every else 0,
            "every": validate_every or 1,
            "text_scales": list(numbers(text_scales)),
            "image_scales": list(numbers(image_scales)),
        },
        "export": {"formats": []},
    }
    lines = configs.changed([line.strip() for line in more.splitlines() if line.strip()])
    return configs.from_table(configs.merged(configs.merged(table, objective or {}), lines), preset)


def made_at(size: int, pairs: str) -> int:
    """The side in pixels at which pictures that are drawn or edited by formulas are made, for crops of ``size``."""
    side = -8 * int(-size * LARGER // 8)
    return min(max(side, DRAWN[0]), DRAWN[1]) if "world" in pairs else side


def given(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value}


def train(wired: Wired, config: TrainConfig, out: Path, tell: Tell) -> Found:
    """Train an editor, or go on with the run in ``out``, or look at it where it is finished.

    Raises ValueError in a sentence for what can't be done, and the host's exception on cancel, after what is learnt is saved.
    """
    from ..ip2p.training import export

    def trained(done: Any) -> Checkpoint:
        return export.model(done.trainable, done.average)

    return found(build(network(worked(wired, config, out, tell, trained))).model, out)


def found(model: ModelPatcher, out: Path) -> Found:
    """A finished run's MODEL with what its folder shows."""
    return Found(model, *runs.shown(out))


def worked(wired: Wired, config: TrainConfig, out: Path, tell: Tell, result: Result) -> Any:
    """Do the run's steps, and give what ``result`` makes of it; nothing else of the training stays in memory."""
    from ..ip2p.training import run

    base = begun(wired, out)
    watch = Watch(config.run.steps, tell)
    with apart(needed(config, base)) as device:
        made = _ended(run.train(config, out, base, None, device, lambda event: _show(watch, event), watch.cancelled), result)
    if made is None:
        watch.raise_if_cancelled()
    return made


def _ended(done: Any, result: Result) -> Any:
    for note in done.notes:
        log.warning("The run goes on with another setting than before: %s", note)
    return result(done) if done.finished else None


def begun(wired: Wired, out: Path) -> Checkpoint:
    """The wired model as ``ip2p`` reads it, written into the run's folder, from where the command takes it."""
    read = whole_checkpoint_of(*wired)
    base = replace(read, state=lossless_half(read.state))
    if not (out / BASE).is_file() or runs.steps_of(out) is None:
        out.mkdir(parents=True, exist_ok=True)
        checkpoint.write(out / BASE, base.state, base.settings)
    return base


def network(whole: Checkpoint) -> Checkpoint:
    """The UNet alone, with the marks of how it predicts."""
    parts = ("cond_stage_model.", "first_stage_model.")
    return replace(whole, state={name: tensor for name, tensor in whole.state.items() if not name.startswith(parts)})


def needed(config: TrainConfig, base: Checkpoint) -> int:
    """Bytes that training takes on the host's device, as the preflight estimates them; 0 on the CPU, where there is nothing to move."""
    from ..ip2p.training import estimate

    device = comfy.model_management.get_torch_device().type
    if device == "cpu":
        return 0
    samples = config.run.micro_batch or config.run.batch
    with torch.inference_mode(False):
        return int(estimate.memory(base, config, estimate.activations(base, config), device, samples).total)


def _show(watch: Watch, event: Any) -> None:
    """A step on the node; with the picture where there is a new one."""
    minutes, seconds = divmod(round(event.seconds_left), 60)
    left = f"{minutes} min {seconds:02d} s" if minutes else f"{seconds} s"
    text = f"step {event.step} of {event.steps}, loss {event.loss:.4f}, {event.images_per_s:.1f} pictures/s, {left} left"
    if event.validated:
        text += f"\n{runs.numbers(dict(event.validated.numbers))}"
    watch.show(event.step, event.steps, text, to_pil(event.validated.picture) if event.validated else None)
