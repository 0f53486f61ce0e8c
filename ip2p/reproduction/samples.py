"""A reproduction's candidates: Prompt-to-Prompt pairs of every triplet, painted and scored by the run's own networks (section 3.1.2)."""

import logging
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from ..captions.triplet import Triplet
from ..ids import seed_of
from ..pairs.build import ModelPaint, Plan, build, opened
from ..pairs.draws import Sample, Settings
from ..pairs.early_stop import Midway
from ..pairs.loop import Tally, Watch, once, run
from ..sampling import OnStep
from ..training.cpu import quicken
from . import places, prompts
from .config import Config

log = logging.getLogger(__name__)

PICTURE = "png"
"""Kept without loss: the editors learn from small pictures."""


def samples(out: Path, config: Config, shard: int) -> None:
    """Make a shard's samples, from 0 on, or go on with them; no early stop, as the share of samples that a filter keeps is to be known.

    Raises ValueError for a shard that there isn't, and where triplets or networks are missing.
    """
    mine = part_of(prompts.read(out), shard, config.pairs.shards)
    asked = plan(out, config)
    stage, told = build(asked)
    assert isinstance(stage.paint, ModelPaint)
    quicken(stage.paint.model.unet)
    stage.paint = Bfloat(stage.paint.model, stage.settings)
    done = 0

    def on_prompt(triplet: Triplet, tally: Tally) -> None:
        nonlocal done
        done += 1
        log.info("samples/%d: step %d of %d", shard, done, len(mine))

    run(mine, stage, opened(asked, told), asked.kind, Watch(on_prompt=on_prompt))


class Bfloat(ModelPaint):
    """A painter under bfloat16 autocast, as small ones are trained: a quarter quicker on a processor."""

    def __call__(self, samples: Sequence[Sample], midway: Midway, on_step: OnStep | None = None) -> Tensor:
        """See `pairs.generate.Paint`."""
        with torch.autocast(next(self.model.unet.parameters()).device.type, dtype=torch.bfloat16):
            return super().__call__(samples, midway, on_step).float()


def part_of(triplets: list[Triplet], shard: int, shards: int) -> list[Triplet]:
    """The triplets of a shard, by their ids alone. Raises ValueError for a shard that there isn't."""
    if not 0 <= shard < shards:
        raise ValueError(f"There is no shard {shard} of the samples: 'pairs.shards' is {shards}, so use 0 to {shards - 1}.")
    return [triplet for triplet in once(triplets) if seed_of(triplet.id, "shard") % shards == shard]


def plan(out: Path, config: Config) -> Plan:
    """How the samples are made, with the painter and the CLIP of the run."""
    pairs = config.pairs
    settings = Settings(pairs.samples, pairs.steps, p=pairs.p, guidance=pairs.guidance, batch=pairs.batch)
    clip = str(places.clip(out))
    return Plan(places.samples(out), str(places.painter(out)), clip=clip, settings=settings, kind=PICTURE, threads=1)
