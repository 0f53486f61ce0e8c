"""Whether a run may go on with other settings than it began with, and what is other."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from ..checkpoint import Checkpoint
from ..configs import ConfigError
from .checkpoints import Checkpoints, ResumeError
from .validation import LOWER_IS_BETTER, Validated

BASE = "base_identity"
NETWORK = ("objective.kind", "optimizer.name", "model.train")
OF_LORA = ("model.rank", "model.alpha", "model.targets")
OF_DISTIL = ("distil.text_scales", "distil.image_scales")
FREE = ("preset", "model.base", BASE)
"""Other names for the same."""
SAMPLE = 64


def compared(store: Checkpoints, config: Mapping[str, Any]) -> tuple[str, ...]:
    """What is other than in the newest checkpoint, in words. Raises ResumeError for what changes the network."""
    before = next((manifest.config for step in store.steps() if (manifest := store.manifest(step))), None)
    if not before:
        return ()
    old, new = flat(before), flat(config)
    other = [name for name in new if old.get(name) != new[name]]
    fixed = NETWORK + (OF_LORA if old.get("model.train") == "lora" or old.get("objective.kind") == "distil" else ())
    fixed += OF_DISTIL if old.get("objective.kind") == "distil" else ()
    for name in other:
        if name in fixed:
            raise ResumeError(
                f"The run in {folder_of(store)} began with {name} {old.get(name)}, and {new[name]} makes another network of it: "
                "use another folder, or the setting it began with."
            )
    if BASE in other:
        raise ResumeError(f"The run in {folder_of(store)} began from another base model: use another folder, or that model.")
    return tuple(f"{name} {old.get(name)} → {new[name]}" for name in other if name not in FREE)


def folder_of(store: Checkpoints) -> Path:
    """The run's folder."""
    return store.folder.parent


def flat(table: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    """Nested tables as one, with names such as "run.steps"."""
    out: dict[str, Any] = {}
    for name, value in table.items():
        out |= flat(value, f"{above}{name}.") if isinstance(value, Mapping) else {f"{above}{name}": value}
    return out


def identity(base: Checkpoint) -> str:
    """Says which model it is, from a few values of each weight: quick, and another for any other model."""
    digest = hashlib.blake2b(digest_size=16)
    for name in sorted(base.state):
        tensor = base.state[name].detach().flatten()
        some = torch.cat([tensor[:SAMPLE], tensor[-SAMPLE:]]).float().cpu().contiguous()
        digest.update(f"{name}{tuple(base.state[name].shape)}".encode() + some.numpy().tobytes())
    return digest.hexdigest()


def score_of(found: Validated, name: str) -> float:
    """The number of that name, so that higher is better. Raises ConfigError where it is not measured."""
    if name not in found.numbers:
        known = ", ".join(found.numbers)
        raise ConfigError(f"The number '{name}' of validation.best is not measured: use {known}, or leave it empty.")
    value = found.numbers[name]
    return -value if name.split()[0] in LOWER_IS_BETTER else value
