"""Chance that depends on the seed and on what is drawn, never on which process or worker draws it: nothing to store, nothing to lose."""

from dataclasses import dataclass

import numpy as np
import torch


@dataclass(frozen=True)
class Randomness:
    """All chance of one sample of one step (or of a whole step), as two generators that need not agree with each other."""

    numpy: np.random.Generator
    torch: torch.Generator
    step: int
    index: int = 0

    @classmethod
    def of(cls, seed: int, step: int, index: int | None = None) -> "Randomness":
        """The chance of sample ``index`` (0, 1, ... in the global batch) of ``step``; without an index, that of the step as a whole."""
        rng = np.random.default_rng([seed, step] if index is None else [seed, step, index])
        return cls(rng, torch.Generator().manual_seed(int(rng.integers(2**62))), step, index or 0)
