"""The scenes stage: scenes of the world and edits of single things in them, encoded once, with instructions to choose from."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..training.cpu import quicken
from ..worlds import language
from ..worlds.chance import random_edit, random_scene
from ..worlds.drawing import draw
from ..worlds.edits import Edit
from ..worlds.scene import Scene
from . import files
from .autoencoder import Encoder
from .config import Scenes

SHARES = {"replace": 0.3, "recolour": 0.17, "material": 0.16, "add": 0.22, "remove": 0.15}
"""How often each kind of edit is drawn."""
INSTRUCTIONS = 24
CHANGED = 4 / 255


@dataclass(frozen=True)
class Edited:
    """Encoded scenes: ``source`` (N, 4, h, w), their ``edited`` versions (N, K, 4, h, w), the share of each latent's pixels that
    change ``changed`` (N, K, h, w), unscaled means in float16; and the ``instructions`` of each edit."""

    source: Tensor
    edited: Tensor
    changed: Tensor
    kinds: list[list[str]]
    instructions: list[list[list[str]]]


def write(encoder: Encoder, config: Scenes, folder: Path) -> None:
    """Draw and encode all scenes, a file at a time; files that are there are kept."""
    quicken(encoder.eval())
    files.write(folder, config.files, lambda number: _file(encoder, config, np.random.default_rng([config.seed, number])))


def _file(encoder: Encoder, config: Scenes, rng: np.random.Generator) -> dict[str, Any]:
    rows = [_one(encoder, config, rng) for _ in range(config.scenes)]
    latents, changed, kinds, instructions = zip(*rows, strict=True)
    stacked = torch.stack(latents)
    return {
        "source": stacked[:, 0].clone(),
        "edited": stacked[:, 1:].clone(),
        "changed": torch.stack(changed),
        "kinds": list(kinds),
        "instructions": list(instructions),
    }


@torch.no_grad()
def _one(encoder: Encoder, config: Scenes, rng: np.random.Generator) -> tuple[Tensor, Tensor, list[str], list[list[str]]]:
    """(1 + edits, 4, h, w) latents of a scene and its edits, (edits, h, w) shares of changed pixels, the kinds, the instructions."""
    scene = random_scene(rng)
    chosen = [edit for edit, _ in zip(_edits(scene, rng), range(config.edits), strict=False)]
    pictures = np.stack([draw(one, config.size).picture for one in (scene, *(edit.apply(scene) for edit in chosen))])
    batch = torch.from_numpy(pictures).permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mean, _ = encoder(batch * 2 - 1)
    changed = ((batch[1:] - batch[:1]).abs().amax(1, keepdim=True) > CHANGED).float()
    said = [_instructions(scene, edit, rng) for edit in chosen]
    return mean.half(), F.avg_pool2d(changed, 8)[:, 0].half(), [edit.kind for edit in chosen], said


def _edits(scene: Scene, rng: np.random.Generator) -> Iterator[Edit]:
    while True:
        kind = str(rng.choice(list(SHARES), p=list(SHARES.values())))
        edit = random_edit(scene, kind, rng)
        if edit is not None:
            yield edit


def _instructions(scene: Scene, edit: Edit, rng: np.random.Generator) -> list[str]:
    options = language.instructions(scene, edit)
    return [options[number] for number in rng.permutation(len(options))[:INSTRUCTIONS]]


def read(folder: Path) -> Edited:
    """All files of a folder, in order. Raises DataError."""
    parts = files.read(folder)
    source, edited, changed = (torch.cat([part[name] for part in parts]) for name in ("source", "edited", "changed"))
    kinds, instructions = ([row for part in parts for row in part[name]] for name in ("kinds", "instructions"))
    return Edited(source, edited, changed, kinds, instructions)
