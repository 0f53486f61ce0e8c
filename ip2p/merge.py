"""A custom model turned into an editor: custom + strength * (editor - base), with the first conv's channels for the picture kept."""

import logging
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from . import changes, checkpoint
from .changes import matching
from .checkpoint import Checkpoint
from .files import CheckpointError, State
from .layout import EMA, TEXT, UNET, VAE

log = logging.getLogger(__name__)

PARTS = {VAE: "autoencoder", TEXT: "text encoder", "conditioner.": "pair of text encoders"}
"""By the beginning of their names; a model has one of the last two, as SD 1.x or SDXL does."""


def merge(custom: Mapping[str, Tensor], editor: Mapping[str, Tensor], base: Mapping[str, Tensor], strength: float = 1.0) -> State:
    """The state, in LDM layout, of a custom text-to-image model with an editor's skill, from states in LDM layout.

    Each UNet weight is ``custom + strength * (editor - base)``, where ``base`` is the text-to-image model that the editor was made from;
    in the first conv that holds for the latent's four channels, and the picture's four are ``strength`` times the editor's. Computed in
    float64, each weight in the editor's precision: merging with the base itself gives the editor back to the bit. Autoencoder, text
    encoder and all else are the custom model's, or the editor's where it has none. Raises CheckpointError for models of different kinds.
    """
    checkpoint.check_editor(editor)
    check(custom, editor, base)
    ours, below = matching(custom, editor, "custom model"), matching(base, editor, "base model")
    unet = {name: _merged(ours[name], tensor, below[name], strength) for name, tensor in editor.items() if name.startswith(UNET)}
    rest = {name: tensor for name, tensor in custom.items() if not name.startswith((UNET, EMA))}
    for prefix, owner in sources(custom, editor).items():
        log.info("the %s is the %s's", PARTS[prefix], owner)
        if owner == "editor":
            rest |= {name: tensor for name, tensor in editor.items() if name.startswith(prefix)}
    return {**unet, **rest}


def _merged(custom: Tensor, editor: Tensor, base: Tensor, strength: float) -> Tensor:
    wide, edited, below = custom.double(), editor.double(), base.double()
    if strength != 1:
        return (wide + strength * (edited - below)).to(editor.dtype)
    moved = edited + (wide - below)  # in this order, the editor's own weight where the custom model is the base
    return torch.where(wide == below, editor, moved.to(editor.dtype))


def sources(custom: Mapping[str, Tensor], editor: Mapping[str, Tensor]) -> dict[str, str]:
    """Whose part the merged model has, "custom model" or "editor", by the part's prefix; parts that neither has are left out."""
    found: dict[str, str] = {}
    for prefix in PARTS:
        for owner, state in (("custom model", custom), ("editor", editor)):
            if any(name.startswith(prefix) for name in state):
                found.setdefault(prefix, owner)
    return found


def check(custom: Mapping[str, Tensor], editor: Mapping[str, Tensor], base: Mapping[str, Tensor]) -> None:
    """Raise CheckpointError unless the three models are of one family and predict the same, and the base has no picture to lose."""
    states = {"custom model": custom, "editor": editor, "base model": base}
    for told, of in (("family", checkpoint.detect_family), ("prediction type", checkpoint.prediction)):
        kinds = {name: of(state) for name, state in states.items()}
        if len(set(kinds.values())) > 1:
            said = ", ".join(f"the {name} {kind}" for name, kind in kinds.items())
            raise CheckpointError(f"The models differ in their {told} ({said}): merge models of one kind.")
    channels = {name: checkpoint.unet_in_channels(state) for name, state in states.items()}
    for name, count in channels.items():
        if count not in (4, 8):
            raise CheckpointError(f"The {name}'s UNet takes {count} channels, as inpainting models do: use the text-to-image model.")
    if channels["base model"] == 8 and channels["custom model"] == 4:
        raise CheckpointError(
            "The base model is an editor already, so the difference lacks what a text-to-image model needs: "
            "name the text-to-image model that the editor was made from, such as SD 1.5."
        )


def merge_files(custom: Path | str, editor: Path | str, base: Path | str, strength: float = 1.0, weights: str = "ema") -> Checkpoint:
    """`merge` of models in files or diffusers folders; ``weights`` ("ema" or "raw") of those that have both. Raises CheckpointError."""
    ours, theirs, below = (checkpoint.read(path, weights, editor=False) for path in (custom, editor, base))
    settings = theirs.settings | {name: value for name, value in ours.settings.items() if name == "text_heads"}
    state = merge(ours.state, theirs.state, below.state, strength)
    return Checkpoint(state, theirs.family, theirs.weights, settings)


def add(model: Checkpoint, change: Path | str, strength: float = 1.0) -> Checkpoint:
    """A model with a LoRA or delta file of an editor added to its UNet. Raises CheckpointError, also where no editor comes of it."""
    found = changes.applied(model, change, strength)
    if checkpoint.unet_in_channels(found.state) == 4:
        raise CheckpointError(
            f"{Path(change).name} makes no editor of a text-to-image model: choose a LoRA or delta that was trained as one."
        )
    checkpoint.check_editor(found.state)
    return found


def add_file(custom: Path | str, change: Path | str, strength: float = 1.0, weights: str = "ema") -> Checkpoint:
    """`add` for a model in a file or diffusers folder; ``weights`` ("ema" or "raw") where it has both. Raises CheckpointError."""
    return replace(add(checkpoint.read(custom, weights, editor=False), change, strength), weights="only")
