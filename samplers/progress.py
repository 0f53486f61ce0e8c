"""One progress bar over many edits, with the host's previews."""

import comfy.utils
import latent_preview
from comfy.model_patcher import ModelPatcher
from PIL import Image
from torch import Tensor

from .edit import Callback

UNITS = 100
"""Parts of the bar for one edit."""
PREVIEW = 512
"""Longest side of a preview in pixels."""


class Progress:
    """The node's bar. Every update raises the host's own exception when the user has cancelled."""

    def __init__(self, edits: int) -> None:
        self.edits, self.done = max(1, edits), 0
        self._bar = comfy.utils.ProgressBar(self.edits * UNITS)

    def steps_of(self, model: ModelPatcher, edits: int = 1) -> Callback:
        """What a sampler calls after each step of the edits that are being made, ``edits`` of them at once."""
        previewer = latent_preview.get_previewer(model.load_device, model.model.latent_format)

        def step(number: int, denoised: Tensor, _: Tensor, steps: int) -> None:
            preview = previewer.decode_latent_to_preview_image("JPEG", denoised) if previewer else None
            self._show(self.done + edits * (number + 1) / steps, preview)

        return step

    def made(self, picture: Image.Image, edits: int = 1) -> None:
        """An edit of those that are being made, ``edits`` of them at once, is there to be seen."""
        self._show(self.done + edits, ("JPEG", picture, PREVIEW))

    def finished(self, done: int) -> None:
        """So many edits are made and measured."""
        self.done = done
        self._show(done, None)

    def _show(self, edits: float, preview: tuple[str, Image.Image, int] | None) -> None:
        self._bar.update_absolute(min(int(edits * UNITS), self.edits * UNITS), self.edits * UNITS, preview)
