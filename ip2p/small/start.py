"""Training that goes on from the weights of an earlier file."""

from collections.abc import Mapping

from torch import Tensor, nn

from ..checkpoint import CheckpointError


def fill(module: nn.Module, state: Mapping[str, Tensor], path: str) -> None:
    """Give a module the weights of a file. Raises CheckpointError where they don't fit."""
    try:
        module.load_state_dict({name: tensor.float() for name, tensor in state.items()})
    except RuntimeError as error:
        raise CheckpointError(
            f"The weights in {path} have other shapes than the config describes: start from a file that it made."
        ) from error
