"""transformers models and what their folders say of preparing pictures, with one sentence for each way that can fail."""

import hashlib
import logging
import pickle
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from torch import Tensor, nn

log = logging.getLogger(__name__)

Colours = tuple[float, float, float]
BROKEN = (
    OSError,
    ValueError,
    KeyError,
    TypeError,
    AttributeError,
    ImportError,
    RuntimeError,
    EOFError,
    IndexError,
    struct.error,
    SafetensorError,
    pickle.PickleError,
)
"""What loading a model that is missing, cut off, or something else altogether ends in."""
PREPARATION = "preprocessor_config.json"
NOT_USED = ("pooler.", "mask_token")
"""Weights that DINO's files lack, as nobody needs them."""


def from_pretrained(loader: Callable[..., Any], name: str, what: str, holds: str = "config.json") -> Any:
    """What ``loader`` makes of a name or folder; what was downloaded before is taken without asking the network.

    Code that comes with a model is never run. Raises ValueError that says what is wrong.
    """
    if _looks_like_folder(name):
        folder = Path(name).expanduser()
        if not (folder / holds).is_file():
            raise ValueError(f"{name} is not {what}: choose a folder that holds {holds} and its weights, or a model's public name.")
        return _quietly(loader, str(folder), name, what, True)
    try:
        return _quietly(loader, name, name, what, True)
    except ValueError:
        return _quietly(loader, name, name, what, False)


def model_from(name: str, what: str) -> Any:
    """A whole model by its public name or folder, in float32, for use alone. Raises ValueError, also where weights are missing."""
    from transformers import AutoModel

    model, told = from_pretrained(partial(AutoModel.from_pretrained, output_loading_info=True), name, what)
    missing = sorted(key for key in told["missing_keys"] if not any(part in key for part in NOT_USED))
    if missing:
        raise ValueError(f"{name} lacks {len(missing)} of its weights ({missing[0]}): download the whole folder.")
    return model.float().eval().requires_grad_(False)


def _quietly(loader: Callable[..., Any], place: str, name: str, what: str, local: bool) -> Any:
    if not local:
        log.info("%s is not on this machine: asking the hub for it.", name)
    try:
        with _silence():
            return loader(place, local_files_only=local, trust_remote_code=False)
    except BROKEN as error:
        log.debug("%s: %s", name, error)
        raise ValueError(f"{name} can't be loaded as {what}: check the name, download the whole folder, or go online once.") from error


@contextmanager
def _silence() -> Iterator[None]:
    """Without the libraries' own bars and warnings: what matters of them is told in our own words."""
    from transformers.utils import logging as theirs

    hub, shown, told = logging.getLogger("huggingface_hub"), theirs.is_progress_bar_enabled(), theirs.get_verbosity()
    level = hub.level
    theirs.disable_progress_bar()
    theirs.set_verbosity_error()
    hub.setLevel(logging.ERROR)
    try:
        yield
    finally:
        theirs.set_verbosity(told)
        hub.setLevel(level)
        if shown:
            theirs.enable_progress_bar()


def _looks_like_folder(name: str) -> bool:
    return Path(name).expanduser().exists() or name.startswith((".", "/", "~")) or "\\" in name or name.count("/") > 1


def colours(name: str, default: tuple[Colours, Colours]) -> tuple[Colours, Colours]:
    """(mean, deviation) per channel of pictures in [0, 1], from the folder's own picture preparation, else the default.

    Raises ValueError for a preparation that is there and can't be read.
    """
    from transformers import ImageProcessingMixin

    place = str(Path(name).expanduser()) if _looks_like_folder(name) else name
    try:
        settings = ImageProcessingMixin.get_image_processor_dict(place)[0]
    except BROKEN as error:
        if (Path(place) / PREPARATION).is_file():
            raise ValueError(f"{name} has a broken {PREPARATION}: download it again.") from error
        log.debug("%s has no picture preparation of its own: %s", name, error)
        return default
    mean, deviation = (_per_channel(settings.get(key)) for key in ("image_mean", "image_std"))
    if mean == () or deviation == () or (deviation and min(deviation) <= 0):
        raise ValueError(f"{name} has an image_mean or image_std that is not three numbers in its {PREPARATION}: download it again.")
    return mean or default[0], deviation or default[1]


def _per_channel(values: Any) -> Any:
    """Three numbers, None for no value, () for anything else."""
    if values is None:
        return None
    good = isinstance(values, list | tuple) and len(values) == 3 and all(isinstance(value, int | float) for value in values)
    return tuple(float(value) for value in values) if good else ()


def identity(module: nn.Module) -> str:
    """A digest of all weights and of the module's settings: another model, or the same folder trained on, has another one."""
    digest = hashlib.blake2b(digest_size=16)
    config: Any = getattr(module, "config", None)
    digest.update(type(module).__name__.encode())
    digest.update(config.to_json_string().encode() if hasattr(config, "to_json_string") else b"")
    for name, tensor in sorted(module.state_dict().items()):
        digest.update(f"{name}{tuple(tensor.shape)}{tensor.dtype}".encode())
        digest.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy())
    return digest.hexdigest()


def device_of(module: nn.Module) -> torch.device:
    """Where the module's weights are at this moment, as a host may move them."""
    return next(module.parameters()).device


def squared(pictures: Tensor, size: int, crop: bool, scale: float = 1.0) -> Tensor:
    """(B, 3, H, W) in [0, 1] as (B, 3, size, size), antialiased bicubic, kept in [0, 1].

    Without ``crop`` the whole picture is stretched to the square; with it the short side is brought to ``size`` x ``scale`` pixels and
    the middle is cut out. Both are the same for square pictures at a scale of 1.
    """
    if not crop:
        return F.interpolate(pictures, (size, size), mode="bicubic", antialias=True, align_corners=False).clamp(0, 1)
    height, width = pictures.shape[2:]
    short = round(size * scale)
    target = (short, short * width // height) if height <= width else (short * height // width, short)
    pictures = F.interpolate(pictures, target, mode="bicubic", antialias=True, align_corners=False).clamp(0, 1)
    top, left = round((target[0] - size) / 2), round((target[1] - size) / 2)
    return pictures[..., top : top + size, left : left + size]


def normalised(pictures: Tensor, mean: Colours, deviation: Colours) -> Tensor:
    """(B, 3, H, W) less the mean, over the deviation, per channel."""
    shift, scale = (pictures.new_tensor(values).view(1, 3, 1, 1) for values in (mean, deviation))
    return (pictures - shift) / scale
