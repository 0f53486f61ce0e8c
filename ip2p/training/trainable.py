"""A model made ready to be trained: a text-to-image model becomes an editor, an editor goes on; whole, by LoRA or in its first conv."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from .. import checkpoint
from ..checkpoint import Checkpoint, CheckpointError
from ..layout import with_picture_input
from . import lora
from .config import ModelConfig

if TYPE_CHECKING:
    from diffusers import UNet2DConditionModel

FIRST_CONV = "conv_in.weight"
"""Where not everything is trained, this is, without its bias: LoRA files that all readers know carry none."""


@dataclass
class Trainable:
    """A network in training.

    ``unet`` is diffusers' module, ``parameters`` are those that are trained, named, in a fixed order, float32; ``prediction`` is
    "epsilon" or "v_prediction"; ``base`` is the model as it was read; ``scale`` is the LoRA's, alpha / rank.
    """

    unet: "UNet2DConditionModel"
    parameters: list[tuple[str, nn.Parameter]]
    prediction: str
    base: Checkpoint
    scale: float = 1.0

    def predict(self, noisy: Tensor, t: Tensor, text: Tensor, image: Tensor) -> Tensor:
        """The network's prediction (B, 4, h, w); one of 4 input channels sees no picture."""
        joined = torch.cat([noisy, image], dim=1)[:, : self.unet.config.in_channels]
        said: Tensor = self.unet(joined, t, text).sample
        return said


def prepare(
    base: Checkpoint,
    config: ModelConfig,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
    picture: bool = True,
) -> Trainable:
    """The UNet of a checkpoint, in train mode on a device, with what `config.train` names ("full", "lora" or "conv") as parameters.

    A text-to-image model's first conv gets four zero channels for the picture, its bias stays (section 3.2); with ``picture`` off it is
    left as it is (DreamBooth). Trained weights are float32 copies, frozen ones are in ``dtype``: another than float32 needs autocast.
    Raises CheckpointError for a model that can't be trained here, ValueError for settings that don't fit it.
    """
    from .. import networks  # heavy: diffusers and transformers

    check(base)
    ready = base
    if picture and checkpoint.unet_in_channels(base.state) == 4:
        ready = replace(base, state=with_picture_input(base.state))
    unet = networks.build_unet(ready, torch.float32 if config.train == "full" else dtype)
    unet.get_parameter(FIRST_CONV).requires_grad_(True)
    if config.train == "full":
        unet.requires_grad_(True)
    scale = lora.inject(unet, config.rank, config.alpha, config.targets) if config.train == "lora" else 1.0
    unet.to(device)
    named = [(name, parameter) for name, parameter in unet.named_parameters() if parameter.requires_grad]
    for _, parameter in named:
        parameter.data = parameter.data.float().clone()  # never the file's own
    if config.gradient_checkpointing:
        unet.enable_gradient_checkpointing()
    unet.train()
    return Trainable(unet, named, checkpoint.prediction(base.state), base, scale)


def check(base: Checkpoint) -> None:
    """Raise CheckpointError, one sentence with the cure, for a model other than SD 1.x with 4 or 8 input channels."""
    if base.family != "sd15":
        raise CheckpointError(
            f"This is a model of the {base.family.upper()} family, which can't be trained here: start from an SD 1.x model."
        )
    checkpoint.check_text_to_image(base.state)
    if "ztsnr" in base.state:
        raise CheckpointError("This model has a noise schedule of its own (zero terminal SNR), which is not trained here: use another.")
