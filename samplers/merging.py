"""Any Stable Diffusion 1.x model turned into an editor without training: custom + (editor - base), or + a LoRA, as the host's MODELs."""

from pathlib import Path

from comfy.model_patcher import ModelPatcher

from ..ip2p.checkpoint import Checkpoint
from ..ip2p.merge import add, merge
from .loading import build
from .states import checkpoint_of


def merged(custom: ModelPatcher, editor: ModelPatcher, base: ModelPatcher, strength: float = 1.0) -> ModelPatcher:
    """An editor that paints in the manner of ``custom``; ``base`` is what ``editor`` was trained from. Raises CheckpointError."""
    ours, theirs, below = (checkpoint_of(model) for model in (custom, editor, base))
    state = merge(ours.state, theirs.state, below.state, strength)
    return build(Checkpoint(state, theirs.family, "only", theirs.settings)).model


def with_change(model: ModelPatcher, path: Path, strength: float = 1.0) -> ModelPatcher:
    """A text-to-image model or editor with the LoRA or delta of an editor worked in. Raises CheckpointError, also if none comes of it."""
    return build(add(checkpoint_of(model), path, strength)).model
