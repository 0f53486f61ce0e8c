"""The tiny autoencoder that teaches ours the Stable Diffusion latent space. Its weights are read, never shipped."""

from pathlib import Path

import torch
from diffusers import AutoencoderTiny
from safetensors.torch import load_file
from torch import Tensor

ENCODER_FILE = "taesd_encoder.safetensors"


class TeacherError(ValueError):
    """The teacher's file is missing or is not a tiny encoder for SD 1.x; the message says what to do."""


class Teacher:
    """TAESD's encoder: pictures in, latents on the scaled range out."""

    def __init__(self, folder: Path | str) -> None:
        """``folder`` holds ``taesd_encoder.safetensors``. Raises TeacherError."""
        path = Path(folder) / ENCODER_FILE
        if not path.is_file():
            raise TeacherError(f"There is no {ENCODER_FILE} in {folder}; name the folder of the TAESD files with 'teacher' in the config.")
        self._encoder = AutoencoderTiny().encoder
        state = {f"layers.{key}": value.float() for key, value in load_file(path).items()}
        try:
            self._encoder.load_state_dict(state)
        except RuntimeError as error:
            raise TeacherError(f"{path} is not TAESD's encoder for SD 1.x; take the file of that name from its release.") from error
        self._encoder.requires_grad_(False).eval().to(memory_format=torch.channels_last)

    @torch.no_grad()
    def encode(self, pictures: Tensor) -> Tensor:
        """(B, 3, H, W) in [-1, 1] to scaled latents (B, 4, H/8, W/8), float32."""
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return self._encoder(pictures.contiguous(memory_format=torch.channels_last)).float()
