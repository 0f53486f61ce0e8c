"""SDEdit (Meng et al. 2022, section 3), the paper's baseline: noise a picture part of the way, denoise it under a new caption."""

import logging
import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from PIL import Image
from torch import Tensor

from . import checkpoint, fit, guidance, pictures
from .latent_model import STEPS, TEXT_SCALE, LatentModel, check
from .sampling import OnStep

log = logging.getLogger(__name__)

WHOLE = 0.9999
"""Strengths above this count as 1, as in the host."""
SMALLEST = 0.01


@dataclass
class TextToImage(LatentModel):
    """A loaded text-to-image model, or an editor that is shown an empty picture and so behaves as one."""

    check_file = staticmethod(checkpoint.check_text_to_image)

    @torch.no_grad()
    def sdedit(
        self,
        image: Tensor | Image.Image,
        prompt: str,
        strength: float = 0.6,
        steps: int | None = None,
        scale: float | None = None,
        seed: int = 0,
        negative: str = "",
        size: int = 0,
        sampler: str = "euler_ancestral",
        on_step: OnStep | None = None,
    ) -> Tensor:
        """Bring a picture, or a batch (B, H, W, 3) in [0, 1], nearer to a caption of the edited picture; returns it at its own size.

        `strength` in 0.01..1 is the part of the schedule's time that the picture is noised to and then denoised from, in `steps` steps
        (see :func:`partial_schedule`); the paper compares 0.3 to 0.9. At 1 the picture gives only its size: text-to-image. `scale` is
        that of classifier-free guidance. `steps` and `scale` default to the model's own (30 and 7.5 where it says none), `size` 0 to
        the size it was made for. The same seed gives the same picture, alone or in a batch. Raises ValueError with one sentence.
        """
        original = fit.rgb(pictures.from_pil(image) if isinstance(image, Image.Image) else image.float())
        steps = int(self.default("steps", STEPS) if steps is None else steps)
        scale = self.default("text_scale", TEXT_SCALE) if scale is None else scale
        guidance.check_scale("guidance", scale)
        check(steps, seed, scale, 1.0, size or self.size, sampler)
        schedule = partial_schedule(self.schedule, steps, strength)
        how = fit.plan(original.shape[2], original.shape[1], size or self.size)
        log.info("SDEdit at %s", how)
        latent = self.mode(fit.apply(original, how)) * self.latent_scale
        conditions = self.told(prompt, negative, torch.zeros_like(latent))
        start = None if strength > WHOLE else latent
        edited = self.decode(self.denoise(conditions, schedule, seed, scale, 1.0, sampler, on_step, start))
        return fit.restore(edited.to(original), how, original)


def partial_schedule(schedule: Callable[[int], Tensor], steps: int, strength: float) -> Tensor:
    """(steps + 1,) sigmas: the last `steps` steps of a whole schedule of `int(steps / strength)`, as the host's `denoise` takes them.

    diffusers counts the other way: it runs the last `int(whole * strength)` of `whole` steps. Both are the same where
    `steps = whole * strength` is a whole number. Raises ValueError for a strength outside 0.01..1.
    """
    if not math.isfinite(strength) or not SMALLEST <= strength <= 1:
        raise ValueError(f"The strength is {strength}; use 0.01 (nearly the picture) to 1 (the text alone), such as 0.6.")
    whole = steps if strength > WHOLE else int(steps / strength)
    return schedule(whole)[-(steps + 1) :]
