"""AdamW, in full or with its state in 8 bits."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from ..configs import ConfigError
from .config import OptimizerConfig


def make(parameters: Sequence[nn.Parameter], config: OptimizerConfig) -> torch.optim.Optimizer:
    """The optimiser of a config; its rate is set step by step. Raises ConfigError where bitsandbytes or its GPU is missing."""
    settings: dict[str, Any] = {"lr": config.rate, "betas": config.betas, "weight_decay": config.weight_decay}
    if config.name == "adamw":
        return torch.optim.AdamW(parameters, fused=True, **settings)
    if not torch.cuda.is_available():
        raise ConfigError("The optimiser adamw8bit needs an NVIDIA GPU: set optimizer.name to adamw.")
    try:
        from bitsandbytes.optim import AdamW8bit
    except ImportError as error:
        raise ConfigError("The optimiser adamw8bit needs bitsandbytes: `pip install bitsandbytes`, or use adamw.") from error
    return AdamW8bit(parameters, **settings)
