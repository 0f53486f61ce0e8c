"""Everything a stopped training run needs to go on, in one file that is never half written."""

import os
from pathlib import Path

import torch
from torch import Tensor, nn


class ResumeError(ValueError):
    """A checkpoint does not fit the network that should continue from it; the message says what to do."""


def save(path: Path, module: nn.Module, optimizer: torch.optim.Optimizer, average: list[Tensor], step: int) -> None:
    """Write the state after ``step`` steps beside ``path``, then rename it into place."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    torch.save({"module": module.state_dict(), "optimizer": optimizer.state_dict(), "average": average, "step": step}, partial)
    os.replace(partial, path)  # noqa: PTH105


def load(path: Path, module: nn.Module, optimizer: torch.optim.Optimizer, average: list[Tensor]) -> int:
    """Restore all of it in place; returns the number of steps done. Raises ResumeError."""
    state = torch.load(path, weights_only=True)
    try:
        module.load_state_dict(state["module"])
        optimizer.load_state_dict(state["optimizer"])
    except (KeyError, RuntimeError, ValueError) as error:
        raise ResumeError(f"{path} is of another network than the config describes; use another --out, or drop --resume.") from error
    for mean, saved in zip(average, state["average"], strict=True):
        mean.copy_(saved)
    return int(state["step"])


def load_average(path: Path, module: nn.Module) -> nn.Module:
    """Fill a module with a checkpoint's averaged parameters and freeze it. Raises ResumeError."""
    if not path.is_file():
        raise ResumeError(f"There is no {path.name} in {path.parent}; train that stage first.")
    state = torch.load(path, weights_only=True)
    try:
        module.load_state_dict(state["module"])
    except RuntimeError as error:
        raise ResumeError(f"{path} is of another network than the config describes; train that stage again.") from error
    with torch.no_grad():
        for parameter, mean in zip(module.parameters(), state["average"], strict=True):
            parameter.copy_(mean)
    return module.eval().requires_grad_(False)
