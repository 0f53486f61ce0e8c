"""A loaded latent diffusion model without a host: network, autoencoder and text encoders, and what editing and text-to-image share."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from . import changes, one_pass, sampling, sigmas, text, tiles
from . import checkpoint as files
from .checkpoint import Checkpoint
from .devices import pick_device
from .engine import Engine
from .guidance import check_scale
from .noising import SCALE
from .sampling import Conditions, Denoise, OnStep, Text

SIZES = {"sd15": 512, "sdxl": 1024, "cosxl": 1024}  # the long side in pixels each family was trained at
SDXL_SCALE = 0.13025
STEPS = 30
TEXT_SCALE, IMAGE_SCALE = 7.5, 1.5
SAMPLERS = ("euler_ancestral", "euler")
SMALLEST, LARGEST = 64, 4096
Own = TypeVar("Own", bound="LatentModel")


@dataclass
class LatentModel:
    """A loaded model. `sizes`, `heads` and default scales come from the checkpoint's settings."""

    unet: Any  # diffusers' UNet2DConditionModel
    vae: Any  # diffusers' AutoencoderKL
    encoders: list[nn.Module]
    family: str
    settings: dict[str, str] = field(default_factory=dict)
    edm_range: tuple[float, float] = (0.002, 120.0)
    prediction: str = "epsilon"  # what the UNet says; "v_prediction" for a few SD 1.x models and all of CosXL

    check_file = staticmethod(files.check_editor)  # raises CheckpointError for a state that this class can't use

    @classmethod
    def load(
        cls: type[Own], path: Path | str = "embedded", weights: str = "ema", device: str = "auto", lora: Path | str | None = None
    ) -> Own:
        """Read a model file or diffusers folder ("embedded" and "painter": the pack's own) and place it on a device.

        ``lora`` is the file of a LoRA or delta that is added to its UNet; ``device`` is "auto", "cpu", "cuda" or "mps".

        On the CPU everything runs in float32; elsewhere the UNet and the text encoders run in float16 and the autoencoder, which
        can overflow there, in float32. Raises CheckpointError with one sentence that names the cause and the cure.
        """
        place = pick_device(device)
        found = files.read(files.located(path), weights, editor=False)
        if lora:
            found = changes.applied(found, lora)
        cls.check_file(found.state)
        return cls.build(found, place)

    @classmethod
    def build(cls: type[Own], checkpoint: Checkpoint, device: torch.device) -> Own:
        """The model of a checkpoint that is already read."""
        from . import networks  # heavy: diffusers and transformers

        half = torch.float32 if device.type == "cpu" else torch.float16
        unet = networks.build_unet(checkpoint, half).to(device, memory_format=torch.channels_last)  # the quicker layout for convolutions
        vae = networks.build_vae(checkpoint).to(device, memory_format=torch.channels_last)
        encoders = [encoder.to(device) for encoder in networks.build_text_encoders(checkpoint, half)]
        low, high = (checkpoint.state.get(f"edm_vpred.sigma_{end}") for end in ("min", "max"))
        edm_range = (0.002 if low is None else float(low), 120.0 if high is None else float(high))
        return cls(unet, vae, encoders, checkpoint.family, dict(checkpoint.settings), edm_range, files.prediction(checkpoint.state))

    @property
    def size(self) -> int:
        """The long side in pixels that the model was made for."""
        return int(self.settings.get("size", SIZES[self.family]))

    @property
    def latent_scale(self) -> float:
        """What latents on the network's scale are divided by before the autoencoder decodes them."""
        return SCALE if self.family == "sd15" else SDXL_SCALE

    def schedule(self, steps: int) -> Tensor:
        """(steps + 1,) falling sigmas of the family, the last 0."""
        return sampling.exponential(steps, *self.edm_range) if self.family == "cosxl" else sigmas.normal(steps)

    def denoise(
        self,
        conditions: Conditions,
        schedule: Tensor,
        seed: int | Sequence[int],
        text_scale: float,
        image_scale: float,
        sampler: str = "euler_ancestral",
        on_step: OnStep | None = None,
        start: Tensor | None = None,
        engine: Engine | None = None,
    ) -> Tensor:
        """The latent (B, 4, h, w), on the network's scale, at the end of `schedule`: noise at its first sigma, around `start` if given.

        One `seed` gives every picture of the batch the same noise, several give each its own. `engine` has the parts of the guidance
        and afterwards what they found.
        """
        denoise = self.denoiser(conditions, text_scale, image_scale, engine)
        noise = sampling.noise_stream(tuple(conditions.image.shape), seed)
        x = noise().to(conditions.image.device) * schedule[0]
        x = x if start is None else start + x
        if sampler == "euler":
            return sampling.euler(denoise, x, schedule, on_step)
        return sampling.euler_ancestral(denoise, x, schedule, noise, on_step)

    def denoiser(self, conditions: Conditions, text_scale: float, image_scale: float, engine: Engine | None = None) -> Denoise:
        """The network with its guidance, as samplers call it."""
        guided = one_pass.guided if one_pass.is_adapted(self.unet) else sampling.guided
        if one_pass.is_adapted(self.unet):
            self.unet.class_embedding.check(text_scale, image_scale)
        told = (engine, self.source(conditions.image), self._progress)
        return guided(self.predict, conditions, text_scale, image_scale, self._denoised, *told)

    @property
    def _denoised(self) -> Callable[..., Tensor]:
        by_v = sampling.edm_denoised if self.family == "cosxl" else sampling.v_denoised
        return by_v if self.prediction == "v_prediction" else sampling.eps_denoised

    def _progress(self, sigma: float) -> float:
        return sampling.exponential_progress(sigma, *self.edm_range) if self.family == "cosxl" else sigmas.progress_of(sigma)

    def source(self, image: Tensor) -> Tensor:
        """A conditioning latent on the network's own scale, the one that is sampled."""
        return image if self.family == "cosxl" else image * self.latent_scale

    def predict(self, z_t: Tensor, t: Tensor, text: Text, image_latent: Tensor, scales: Tensor | None = None) -> Tensor:
        """The UNet's raw prediction, float32 (B, 4, h, w), for a latent and its conditionings. One of 4 channels sees no picture.

        One with a one-pass adapter also takes the text scale and the image scale, (B, 2).
        """
        dtype = next(self.unet.parameters()).dtype
        joined = torch.cat([z_t, image_latent], dim=1)[:, : self.unet.config.in_channels].to(dtype)
        extra = None
        if text.pooled is not None:  # SDXL also reads the picture's size: original, crop corner, target
            height, width = (8.0 * side for side in z_t.shape[-2:])
            places = torch.tensor([[height, width, 0.0, 0.0, height, width]], device=z_t.device, dtype=dtype)
            extra = {"text_embeds": text.pooled.to(dtype), "time_ids": places.expand(len(z_t), -1)}
        told = {"class_labels": scales, "added_cond_kwargs": extra}
        return self.unet(joined, t.to(joined.device), text.context.to(dtype), **told).sample.float()

    def mode(self, picture: Tensor) -> Tensor:
        """The autoencoder's most likely latent (B, 4, H/8, W/8) of a picture (B, H, W, 3), unscaled; a large one goes through in tiles."""

        def encode(part: Tensor) -> Tensor:
            mode: Tensor = self.vae.encode(part).latent_dist.mode()
            return mode

        pixels = picture.to(next(self.vae.parameters())).permute(0, 3, 1, 2) * 2 - 1
        return tiles.encode(encode, pixels) if tiles.are_needed(*pixels.shape[-2:]) else encode(pixels)

    def decode(self, latent: Tensor) -> Tensor:
        """The picture (B, H, W, 3) in [0, 1] of a latent on the network's scale; a large one comes in tiles."""

        def decode(part: Tensor) -> Tensor:
            pixels: Tensor = self.vae.decode(part).sample
            return pixels

        latent = latent / self.latent_scale
        large = tiles.are_needed(latent.shape[-2] * 8, latent.shape[-1] * 8)
        pixels = tiles.decode(decode, latent) if large else decode(latent)
        return (pixels / 2 + 0.5).clamp(0, 1).permute(0, 2, 3, 1)

    def told(self, words: str, negative: str, image_latent: Tensor) -> Conditions:
        """The conditionings of a text, a negative text and a picture's latent. ValueError for a negative text that one pass can't mind."""
        if negative.strip() and one_pass.is_adapted(self.unet):
            raise ValueError("A one-pass adapter takes no negative text: leave the text out, or edit without the adapter.")
        return Conditions(text.encode(self.encoders, words), text.encode(self.encoders, negative), image_latent)

    def default(self, name: str, otherwise: float) -> float:
        """A number that the model's file recommends, or `otherwise`."""
        return float(self.settings.get(name, otherwise))


def check(steps: int, seed: int, text_scale: float, image_scale: float, size: int, sampler: str) -> None:
    """Raise ValueError, one sentence with the cause and the cure, for settings that no edit can have."""
    check_scale("text", text_scale)
    check_scale("image", image_scale)
    if not 1 <= steps <= 1000:
        raise ValueError(f"The number of steps is {steps}; use 1 to 1000.")
    if not 0 <= seed < 2**64:
        raise ValueError(f"The seed is {seed}; use a whole number from 0 to {2**64 - 1}.")
    if not math.isfinite(size) or not SMALLEST <= size <= LARGEST:
        raise ValueError(f"The size is {size} pixels; use {SMALLEST} to {LARGEST}, or 0 for the model's own.")
    if sampler not in SAMPLERS:
        raise ValueError(f"The sampler {sampler!r} is unknown; use {' or '.join(SAMPLERS)}.")
