"""Editors of the host, or of a training run, as files."""

from pathlib import Path
from typing import Any

import torch
from comfy.model_patcher import ModelPatcher

from ..ip2p.checkpoint import check_editor
from ..ip2p.training import export
from .runs import steps_of
from .states import checkpoint_of


def export_model(path: Path, form: str, precision: str, model: ModelPatcher, clip: Any = None, vae: Any = None, base: Any = None) -> None:
    """Write a MODEL as it is wired: "ldm", "diffusers", or a "delta" against ``base``. Raises ValueError, in a sentence."""
    found = checkpoint_of(model, clip, vae)
    check_editor(found.state)
    if form == "lora":
        raise ValueError("A LoRA can be written of a training run only; take the wire off 'model' and name the run, or choose delta.")
    if form == "ldm":
        export.write_ldm(path, found, precision)
    elif form == "diffusers":
        export.write_diffusers(path, found, precision)
    elif base is None:
        raise ValueError("A delta is the difference to another model: wire the model that this editor was made from into 'base'.")
    else:
        export.write_delta(path, found, checkpoint_of(base), precision)


def export_run(path: Path, form: str, precision: str, weights: str, folder: Path) -> None:
    """Write what a training run has learnt, from its newest checkpoint. Raises ValueError, in a sentence."""
    if steps_of(folder) is None:
        raise ValueError(f"There is no training run in {folder}; write the name of one, or wire the editor into 'model'.")
    with torch.inference_mode(False), torch.no_grad():
        export.of_run(folder, path, form, weights, precision)
