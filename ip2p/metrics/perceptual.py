"""LPIPS on AlexNet features (Zhang et al. 2018, version 0.1), from a file of its weights; none is shipped here.

The file is a ``.safetensors`` with ``features.N.weight``, ``features.N.bias`` (the five convolutions of AlexNet) and ``linear.N``
(the five vectors of channel weights).
"""

from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn

STRIDES = ((4, 2), (1, 2), (1, 1), (1, 1), (1, 1))
"""(stride, padding) of the five convolutions; a 3 x 3 max-pool of stride 2 precedes the second and third."""


class Perceptual(nn.Module):
    """Distance of two batches; 0 for equal pictures, about 1 for unrelated ones."""

    shift: Tensor
    scale: Tensor

    def __init__(self, weights: Path | str) -> None:
        super().__init__()
        self._weights = load_file(weights)
        self.register_buffer("shift", torch.tensor([-0.030, -0.088, -0.188]).view(1, 3, 1, 1))
        self.register_buffer("scale", torch.tensor([0.458, 0.448, 0.450]).view(1, 3, 1, 1))

    def features(self, pictures: Tensor) -> list[Tensor]:
        """Unit-length features of (B, 3, H, W) pictures in [-1, 1] after each of the five convolutions."""
        x, out = (pictures - self.shift) / self.scale, []
        for i, (stride, padding) in enumerate(STRIDES):
            x = F.max_pool2d(x, 3, 2) if i in (1, 2) else x
            x = F.relu(F.conv2d(x, self._weights[f"features.{i}.weight"], self._weights[f"features.{i}.bias"], stride, padding))
            out.append(x / (x.pow(2).sum(1, keepdim=True) + 1e-10).sqrt())
        return out

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """The distance of each pair of (B, 3, H, W) pictures in [-1, 1], at least 32 pixels a side; shape (B,)."""
        pairs = zip(self.features(a), self.features(b), strict=True)
        parts = [torch.einsum("bchw,c->bhw", (p - q) ** 2, self._weights[f"linear.{i}"]).mean((1, 2)) for i, (p, q) in enumerate(pairs)]
        return torch.stack(parts).sum(0)
