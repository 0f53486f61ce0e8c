"""The names of the one form that every model is read into: a state dict in LDM layout."""

from collections.abc import Mapping

from torch import Tensor

from .files import CheckpointError, State
from .keys import unet_to_ldm

UNET = "model.diffusion_model."
VAE = "first_stage_model."
TEXT = "cond_stage_model.transformer."
TEXT_SDXL = "conditioner.embedders.0.transformer."
SECOND_TEXT_SDXL = "conditioner.embedders.1.model."
EMA = "model_ema."
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
