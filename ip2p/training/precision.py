"""The numbers that a run computes with."""

import torch

from .config import TrainConfig

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def autocast(config: TrainConfig, device: torch.device) -> torch.autocast:
    """The precision of a run, as a context."""
    return torch.autocast(device.type, DTYPES[config.run.precision], enabled=config.run.precision != "fp32")
