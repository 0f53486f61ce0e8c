"""LPIPS (Zhang et al. 2018, version 0.1) on AlexNet, VGG16 or SqueezeNet; no weights are shipped here.

`Perceptual.load` takes "alex", "vgg" or "squeeze", and finds the weights in what is installed (`perceptual_weights`), or the name of a
``.safetensors`` file with ``features.N.weight`` and ``features.N.bias`` (the backbone's convolutions in their order: 5 of AlexNet, 13 of
VGG16, 25 of SqueezeNet 1.1) and ``linear.N`` (the vectors of channel weights, one for each layer compared: 5, 5 or 7).
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..files import read_tensors

SMALLEST = {"alex": 31, "vgg": 16, "squeeze": 17}
"""Pixels a side below which a pooling has nothing left."""
CONVOLUTIONS = {5: "alex", 13: "vgg", 25: "squeeze"}
STRIDES = ((4, 2), (1, 2), (1, 1), (1, 1), (1, 1))
"""(stride, padding) of AlexNet's convolutions; a 3 x 3 max-pool of stride 2 precedes the second and third."""
VGG_POOLED, VGG_COMPARED = (2, 4, 7, 10), (1, 3, 6, 9, 12)
"""VGG16's convolutions after a 2 x 2 max-pool, and those whose output is compared."""
FIRES_POOLED, FIRES_COMPARED = (0, 2, 4), (1, 3, 4, 5, 6, 7)
"""SqueezeNet's fire modules after a 3 x 3 max-pool, and those whose output is compared, besides the first convolution's."""

Convolve = Callable[..., Tensor]


class Perceptual(nn.Module):
    """Distance of two batches; 0 for equal pictures, about 1 for unrelated ones."""

    shift: Tensor
    scale: Tensor

    def __init__(self, weights: Path | str | Mapping[str, Tensor]) -> None:
        """From a file or from its tensors. Raises ValueError where they are no LPIPS weights."""
        super().__init__()
        state = dict(weights) if isinstance(weights, Mapping) else read_tensors(Path(weights))[0]
        self.net = _architecture(state, "these weights" if isinstance(weights, Mapping) else Path(weights).name)
        self.weights = nn.ParameterDict({_safe(name): nn.Parameter(tensor.float(), requires_grad=False) for name, tensor in state.items()})
        self.compared = sum(name.startswith("linear.") for name in state)
        self.register_buffer("shift", torch.tensor([-0.030, -0.088, -0.188]).view(1, 3, 1, 1))
        self.register_buffer("scale", torch.tensor([0.458, 0.448, 0.450]).view(1, 3, 1, 1))

    @classmethod
    def load(cls, name: str, device: torch.device | str = "cpu") -> "Perceptual":
        """By "alex", "vgg", "squeeze" or a file. Raises ValueError where the weights aren't found, with what to install."""
        from .perceptual_weights import find

        return cls(find(name) if name in SMALLEST else name).to(device)

    def features(self, pictures: Tensor) -> list[Tensor]:
        """Unit-length features (B, C, h, w) of (B, 3, H, W) pictures in [-1, 1], after each layer that is compared."""
        if min(pictures.shape[2:]) < SMALLEST[self.net]:
            width, height = pictures.shape[3], pictures.shape[2]
            raise ValueError(
                f"A picture of {width} x {height} pixels is too small for LPIPS: enlarge it to at least {SMALLEST[self.net]} a side."
            )
        layers = BACKBONES[self.net]((pictures - self.shift) / self.scale, self._convolve)
        return [x / (x.pow(2).sum(1, keepdim=True) + 1e-10).sqrt() for x in layers]

    def between(self, a: list[Tensor], b: list[Tensor]) -> Tensor:
        """The distance of each pair of two batches' features; shape (B,)."""
        pairs = enumerate(zip(a, b, strict=True))
        parts = [torch.einsum("bchw,c->bhw", (p - q) ** 2, self.weights[_safe(f"linear.{i}")]).mean((1, 2)) for i, (p, q) in pairs]
        return torch.stack(parts).sum(0)

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """The distance of each pair of (B, 3, H, W) pictures in [-1, 1], at least `SMALLEST` pixels a side; shape (B,)."""
        return self.between(self.features(a), self.features(b))

    def _convolve(self, x: Tensor, index: int, **more: Any) -> Tensor:
        """The convolution of that number and its ReLU."""
        weight, bias = (self.weights[_safe(f"features.{index}.{part}")] for part in ("weight", "bias"))
        return F.relu(F.conv2d(x, weight, bias, **more))


def _alex(x: Tensor, convolve: Convolve) -> list[Tensor]:
    out = []
    for i, (stride, padding) in enumerate(STRIDES):
        x = F.max_pool2d(x, 3, 2) if i in (1, 2) else x
        x = convolve(x, i, stride=stride, padding=padding)
        out.append(x)
    return out


def _vgg(x: Tensor, convolve: Convolve) -> list[Tensor]:
    out = []
    for i in range(13):
        x = F.max_pool2d(x, 2, 2) if i in VGG_POOLED else x
        x = convolve(x, i, padding=1)
        if i in VGG_COMPARED:
            out.append(x)
    return out


def _squeeze(x: Tensor, convolve: Convolve) -> list[Tensor]:
    x = convolve(x, 0, stride=2)
    out = [x]
    for fire in range(8):
        x = F.max_pool2d(x, 3, 2, ceil_mode=True) if fire in FIRES_POOLED else x
        x = convolve(x, 3 * fire + 1)
        x = torch.cat([convolve(x, 3 * fire + 2), convolve(x, 3 * fire + 3, padding=1)], 1)
        if fire in FIRES_COMPARED:
            out.append(x)
    return out


BACKBONES: dict[str, Callable[[Tensor, Convolve], list[Tensor]]] = {"alex": _alex, "vgg": _vgg, "squeeze": _squeeze}


def _architecture(state: Mapping[str, Tensor], name: str) -> str:
    """Which backbone the weights are of, by the number of its convolutions. Raises ValueError for none, or for gaps."""
    count = sum(key.startswith("features.") and key.endswith(".weight") for key in state)
    net = CONVOLUTIONS.get(count, "")
    needed = {f"features.{i}.{part}" for i in range(count) for part in ("weight", "bias")}
    needed |= {f"linear.{i}" for i in range(7 if net == "squeeze" else 5)}
    if not net or not needed <= state.keys():
        raise ValueError(f"{name} hold no whole LPIPS weights: use alex, vgg or squeeze, or a file that was saved from one of these.")
    return net


def _safe(name: str) -> str:
    """torch forbids dots in a parameter's name."""
    return name.replace(".", "_")
