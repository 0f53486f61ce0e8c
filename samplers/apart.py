"""Long private work inside the host: room on the device, tensors that autograd may save, progress, and a stop when the user cancels."""

import gc
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import comfy.model_management
import comfy.utils
import torch
from comfy.model_management import InterruptProcessingException
from PIL import Image

Tell = Callable[[str], None]
PREVIEW = 1024
"""Longest side of a preview in pixels."""
TELL_EVERY = 0.5
"""Seconds between two texts on the node."""


@contextmanager
def apart(needed: int) -> Iterator[torch.device]:
    """The host's device with ``needed`` bytes free on it, outside inference mode; all of it is undone, and given back, at the end.

    Nodes run in inference mode, whose tensors can't be saved for backward: only tensors that are made in here can be trained.
    """
    device = comfy.model_management.get_torch_device()
    comfy.model_management.free_memory(needed, device)
    own = [device] if device.type == "cuda" else []
    try:
        with torch.inference_mode(False), torch.enable_grad(), torch.random.fork_rng(own):
            yield device
    finally:
        gc.collect()
        comfy.model_management.soft_empty_cache()


class Watch:
    """The node's bar, picture and text; and whether the user has cancelled, which is remembered though the host forgets it."""

    def __init__(self, total: int, tell: Tell) -> None:
        self._bar = comfy.utils.ProgressBar(total)
        self._tell, self._told = tell, 0.0
        self._cancelled = False

    def cancelled(self) -> bool:
        """Whether to stop; quick, so that it may be asked often."""
        self._cancelled = self._cancelled or comfy.model_management.processing_interrupted()
        return self._cancelled

    def show(self, done: int, total: int, text: str = "", picture: Image.Image | None = None) -> None:
        """So much is done. Never raises: whoever works is told by :meth:`cancelled`, saves, and stops."""
        if self.cancelled():
            return
        try:
            self._bar.update_absolute(done, total, ("JPEG", picture, PREVIEW) if picture else None)
        except InterruptProcessingException:
            self._cancelled = True
        if text and (picture or time.monotonic() - self._told > TELL_EVERY or done == total):
            self._told = time.monotonic()
            self._tell(text)

    def raise_if_cancelled(self) -> None:
        """The host's own exception, when all is saved."""
        if self.cancelled():
            comfy.model_management.interrupt_current_processing(False)
            raise InterruptProcessingException
