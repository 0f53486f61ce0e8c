"""SDEdit (Meng et al. 2022, section 3), the paper's baseline: noise a picture part of the way, denoise it under a new caption."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from PIL import Image
from torch import Tensor

from . import checkpoint, fit, guidance, pictures
from .latent_model import STEPS, TEXT_SCALE, LatentModel, check
from .sampling import OnStep, stacked
from .sdedit import WHOLE, partial_schedule

log = logging.getLogger(__name__)


@dataclass
class TextToImage(LatentModel):
    """A loaded text-to-image model, or an editor that is shown an empty picture and so behaves as one."""

    check_file = staticmethod(checkpoint.check_text_to_image)

    @torch.no_grad()
    def generate(
        self,
        prompt: str,
        seeds: Sequence[int],
        width: int,
        height: int,
        steps: int | None = None,
        scale: float | None = None,
        negative: str = "",
        sampler: str = "euler_ancestral",
        on_step: OnStep | None = None,
    ) -> Tensor:
        """Pictures (B, height, width, 3) in [0, 1] after a prompt, one for each seed, all at once; the sides are multiples of 8.

        `steps` and `scale`, that of classifier-free guidance, default to the model's own. Raises ValueError with one sentence.
        """
        steps = int(self.default("steps", STEPS) if steps is None else steps)
        scale = guidance.check_scale("guidance", self.default("text_scale", TEXT_SCALE) if scale is None else scale)
        for seed in seeds:
            check(steps, seed, scale, 1.0, max(width, height), sampler)
        if width % 8 or height % 8:
            raise ValueError(f"A picture of {width} x {height} pixels can't be made: use multiples of 8.")
        device = next(self.unet.parameters()).device
        latent = torch.zeros(len(seeds), 4, height // 8, width // 8, device=device)
        conditions = self.told(prompt, negative, latent)
        return self.decode(self.denoise(conditions, self.schedule(steps), list(seeds), scale, 1.0, sampler, on_step))

    @torch.no_grad()
    def sdedit(
        self,
        image: Tensor | Image.Image,
        prompt: str | Sequence[str],
        strength: float = 0.6,
        steps: int | None = None,
        scale: float | None = None,
        seed: int | Sequence[int] = 0,
        negative: str = "",
        size: int = 0,
        sampler: str = "euler_ancestral",
        on_step: OnStep | None = None,
    ) -> Tensor:
        """Bring a picture, or a batch (B, H, W, 3) in [0, 1], nearer to a caption of the edited picture; returns it at its own size.

        `strength` in 0.01..1 is the part of the schedule's time that the picture is noised to and then denoised from, in `steps` steps
        (see :mod:`.sdedit`); the paper compares 0.3 to 0.9. At 1 the picture gives only its size: text-to-image. `scale` is
        that of classifier-free guidance. `steps` and `scale` default to the model's own (30 and 7.5 where it says none), `size` 0 to
        the size it was made for. The same seed gives the same picture, alone or in a batch; pictures of a batch may have a prompt and
        a seed each. Raises ValueError with one sentence.
        """
        original = fit.rgb(pictures.from_pil(image) if isinstance(image, Image.Image) else image.float())
        steps = int(self.default("steps", STEPS) if steps is None else steps)
        scale = self.default("text_scale", TEXT_SCALE) if scale is None else scale
        guidance.check_scale("guidance", scale)
        prompts, seeds = _listed(prompt, seed, len(original))
        for one in seeds:
            check(steps, one, scale, 1.0, size or self.size, sampler)
        schedule = partial_schedule(self.schedule, steps, strength)
        how = fit.plan(original.shape[2], original.shape[1], size or self.size)
        log.info("SDEdit at %s", how)
        latent = self.mode(fit.apply(original, how)) * self.latent_scale
        told = [self.told(text, negative, torch.zeros_like(latent)) for text in prompts]
        conditions = told[0]._replace(text=stacked([one.text for one in told]))
        start = None if strength > WHOLE else latent
        edited = self.decode(self.denoise(conditions, schedule, seeds if seeds[1:] else seeds[0], scale, 1.0, sampler, on_step, start))
        return fit.restore(edited.to(original), how, original)


def _listed(prompt: str | Sequence[str], seed: int | Sequence[int], count: int) -> tuple[list[str], list[int]]:
    """The prompts and the seeds of so many pictures: one, or one for each. Raises ValueError."""
    prompts, seeds = [prompt] if isinstance(prompt, str) else list(prompt), [seed] if isinstance(seed, int) else list(seed)
    if not {len(prompts), len(seeds)} <= {1, count}:
        raise ValueError(f"{count} pictures can't have {len(prompts)} prompts and {len(seeds)} seeds: give one, or one for each.")
    return prompts, seeds
