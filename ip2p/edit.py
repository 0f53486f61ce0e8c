"""One edit, whole, without a host: a picture and an instruction in, the edited picture out."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from . import fit, one_pass, pictures, presets
from .engine import Engine
from .isolate import Isolate, restored
from .latent_model import IMAGE_SCALE, SDXL_SCALE, STEPS, TEXT_SCALE, LatentModel, check
from .sampling import Conditions, OnStep
from .spatial import Masked

log = logging.getLogger(__name__)


@dataclass
class Editor(LatentModel):
    """A loaded InstructPix2Pix model."""

    @classmethod
    def load(
        cls,
        path: Path | str = "embedded",
        weights: str = "ema",
        device: str = "auto",
        lora: Path | str | None = None,
        adapter: Path | str | None = None,
    ) -> "Editor":
        """See LatentModel.load; ``adapter`` is a one-pass adapter's file ("embedded": the pack's own), which saves two passes of three."""
        editor = super().load(path, weights, device, lora)
        return editor.with_adapter(adapter) if adapter else editor

    def with_adapter(self, path: Path | str) -> "Editor":
        """This editor with the one-pass adapter in a file; this one stays as it is. Raises CheckpointError for one that doesn't fit."""
        return replace(self, unet=one_pass.adapted(self.unet, path))

    @torch.no_grad()
    def edit(
        self,
        image: Tensor | Image.Image,
        instruction: str,
        negative: str = "",
        steps: int | None = None,
        seed: int = 0,
        text_scale: float | None = None,
        image_scale: float | None = None,
        size: int | None = None,
        sampler: str = "euler_ancestral",
        on_step: OnStep | None = None,
        engine: Engine | None = None,
        speed: str = "exact",
        isolate: float = 0.0,
        mask: Tensor | None = None,
    ) -> Tensor:
        """Edit a picture, or a batch (B, H, W, 3) in [0, 1], after an instruction; returns it at its own size, (B, H, W, 3).

        An empty instruction returns the input unchanged. `steps` and the scales default to the model's own (30, 7.5 and 1.5 where it
        says none); `size` (the long side while editing, 64..4096; 0 or None: the model's own). The same seed gives the same picture,
        alone or in a batch. `engine` brings parts of the guidance, and knows afterwards what they found. `speed` is one of
        `presets.SPEEDS`: a faster one makes fewer passes, and takes its own number of steps where none is given. `isolate`, 0 (off) to 1
        (strict), keeps the edit where it belongs (`isolate.Isolate`); where a drawn `mask` (N, H, W) is 0 every pixel stays the
        input's own. Raises ValueError with one sentence for what can't be done.
        """
        original = fit.rgb(pictures.from_pil(image) if isinstance(image, Image.Image) else image.float())
        steps, text_scale, image_scale = self.settled(steps, text_scale, image_scale, speed)
        engine = (engine or Engine()).add(presets.find(speed).refresh, *self._isolation(isolate))
        check(steps, seed, text_scale, image_scale, size or self.size, sampler)
        if not instruction.strip() or (mask is not None and not mask.any()):
            return original
        how = fit.plan(original.shape[2], original.shape[1], size or self.size)
        log.info("editing at %s", how)
        if mask is not None:
            engine.add(Masked(fit.apply_mask(mask, how)))
        conditions = self.told(instruction, negative, self.encode(fit.apply(original, how)))
        edited = self.decode(self.sample(conditions, steps, seed, text_scale, image_scale, sampler, on_step, engine))
        return restored(engine, edited.to(original), how, original, mask)[0]

    def _isolation(self, strength: float) -> list[Isolate]:
        part = Isolate(strength=strength)
        if strength and one_pass.is_adapted(self.unet):
            raise ValueError("A one-pass adapter can't isolate, as it tells no place: set isolating to 0, or edit without the adapter.")
        return [part] if strength else []

    def sample(
        self,
        conditions: Conditions,
        steps: int,
        seed: int | Sequence[int],
        text_scale: float,
        image_scale: float,
        sampler: str = "euler_ancestral",
        on_step: OnStep | None = None,
        engine: Engine | None = None,
    ) -> Tensor:
        """The edited latent (B, 4, h, w), on the network's scale, after `steps` steps of guided sampling; see `denoise` for seeds."""
        return self.denoise(conditions, self.schedule(steps), seed, text_scale, image_scale, sampler, on_step, engine=engine)

    def encode(self, picture: Tensor) -> Tensor:
        """The conditioning latent (B, 4, H/8, W/8) of a picture (B, H, W, 3): the posterior's mode, unscaled (CosXL scales it)."""
        return self._conditioning(self.mode(picture))

    def as_picture(self, sampled: Tensor) -> Tensor:
        """A sampled latent (B, 4, h, w) as the conditioning latent of a further edit: its own picture, without decoding and encoding it."""
        return self._conditioning(sampled / self.latent_scale)

    def _conditioning(self, mode: Tensor) -> Tensor:
        return mode * SDXL_SCALE if self.family == "cosxl" else mode

    def settled(
        self, steps: int | None, text_scale: float | None, image_scale: float | None, speed: str = "exact"
    ) -> tuple[int, float, float]:
        """The steps and the two scales, with what is None as the speed or the model's file has it (30, 7.5 and 1.5 where it says none)."""
        preset = presets.find(speed)
        steps = preset.steps if steps is None and speed != "exact" else steps
        return (
            int(self.default("steps", STEPS) if steps is None else steps),
            self.default("text_scale", TEXT_SCALE) if text_scale is None else text_scale,
            self.default("image_scale", IMAGE_SCALE) if image_scale is None else image_scale,
        )
