"""Guidance distilled inside the host: one pass learns to say what three say."""

from pathlib import Path

from ..ip2p.training.config import TrainConfig
from . import one_pass
from .apart import Tell
from .families import check_instruct_pix2pix
from .training import Found, Wired, found, worked


def distil(wired: Wired, config: TrainConfig, out: Path, tell: Tell) -> Found:
    """Train the adapter of an editor, or go on, or look at it where it is finished; the MODEL has the adapter attached.

    Raises ValueError in a sentence for what can't be done, and the host's exception on cancel, after what is learnt is saved.
    """
    check_instruct_pix2pix(wired.model)
    if one_pass.is_attached(wired.model):
        raise ValueError("This model has a one-pass adapter already; wire the editor without it.")
    (adapter,) = worked(wired, config, out, tell, lambda done: done.files)
    return found(one_pass.attach(wired.model, adapter), out)
