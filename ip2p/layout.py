"""The names of the one form that every model is read into: a state dict in LDM layout."""

from collections.abc import Mapping

import torch
from torch import Tensor

from .files import CheckpointError, State
from .keys import unet_to_ldm

UNET = "model.diffusion_model."
VAE = "first_stage_model."
TEXT = "cond_stage_model.transformer."
TEXT_SDXL = "conditioner.embedders.0.transformer."
SECOND_TEXT_SDXL = "conditioner.embedders.1.model."
EMA = "model_ema."
FIRST_CONV = UNET + "input_blocks.0.0.weight"
TURN = "load an InstructPix2Pix checkpoint or turn it into one"
"""The cure for a model that is no editor."""


def part(state: Mapping[str, Tensor], prefix: str) -> State:
    """The tensors whose name begins with `prefix`, named without it."""
    return {key[len(prefix) :]: tensor for key, tensor in state.items() if key.startswith(prefix)}


def prefixed(state: Mapping[str, Tensor], prefix: str) -> State:
    """The same tensors with `prefix` before each name."""
    return {prefix + key: tensor for key, tensor in state.items()}


def convert_unet(unet: Mapping[str, Tensor], name: str) -> State:
    """A diffusers UNet in LDM names, or a CheckpointError that names the first weight which no Stable Diffusion UNet has."""
    try:
        return unet_to_ldm(unet)
    except KeyError as error:
        raise CheckpointError(f"{name} has a UNet of another kind (its weight {error.args[0]} is unknown): {TURN}.") from error


def with_picture_input(state: Mapping[str, Tensor]) -> State:
    """A text-to-image model (4 input channels) made ready to be trained as an editor (8), in LDM layout (section 3.2).

    The first conv's weights for the four channels of the picture's latent are zero, the others and the bias stay: before training
    it predicts what the base model does, whatever the picture. Raises CheckpointError if the first conv does not take 4 channels.
    """
    weight = state[FIRST_CONV]
    if weight.shape[1] != 4:
        raise CheckpointError(f"This model takes {weight.shape[1]} channels, not 4; start from a text-to-image model.")
    return {**state, FIRST_CONV: torch.cat([weight, torch.zeros_like(weight)], dim=1)}
