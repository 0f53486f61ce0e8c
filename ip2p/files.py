"""Tensors in files: safetensors and torch's own format, told apart by their first bytes, read without ever running code from a file.

Each failure is one sentence with the file's name, the cause and the cure (`CheckpointError`).
"""

import logging
import pickle
import uuid
import zipfile
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

log = logging.getLogger(__name__)

State = dict[str, Tensor]


class CheckpointError(ValueError):
    """A model that can't be used; the message is one sentence for the user, naming the cause and the cure."""


def read_tensors(path: Path) -> tuple[State, dict[str, str]]:
    """(tensors, metadata) of a weights file. Tensors may be mapped from disk. Raises CheckpointError for anything that is not one."""
    kind = sniff(path)
    if kind == "safetensors":
        return _read_safetensors(path)
    if kind in ("zip", "pickle"):
        return _read_torch(path, mapped=kind == "zip"), {}
    raise CheckpointError(f"{path.name} {REFUSALS[kind]}.")


REFUSALS = {
    "empty": "is empty (0 bytes): download it again",
    "html": "is a web page, not a model: download the file itself, not the page about it",
    "pointer": "is a Git LFS pointer, not the model: run `git lfs pull` or download the file itself",
    "unknown": "is not a model file: choose a .safetensors, .ckpt, .pt or .bin file with Stable Diffusion weights",
}


def sniff(path: Path) -> str:
    """What a file is by its first bytes: "safetensors", "zip" or "pickle" (torch), "html", "pointer", "empty" or "unknown"."""
    try:
        with path.open("rb") as file:
            head = file.read(64)
    except OSError as error:
        raise CheckpointError(f"{path} can't be read ({error.strerror or error}): check the name and its permissions.") from error
    if not head:
        return "empty"
    if head.lstrip().lower().startswith((b"<!doctype", b"<html", b"<?xml")):
        return "html"
    if head.startswith(b"version https://git-lfs"):
        return "pointer"
    if head[8:9] == b"{":
        return "safetensors"
    if head.startswith(b"PK\x03\x04"):
        return "zip"
    return "pickle" if head[:1] == b"\x80" and head[1:2] in b"\x02\x03\x04\x05" else "unknown"


def _read_safetensors(path: Path) -> tuple[State, dict[str, str]]:
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, dict(file.metadata() or {})  # noqa: SIM118 (not a dict)
    except (SafetensorError, OSError, ValueError) as error:
        log.debug("safetensors: %s", error)
        raise CheckpointError(f"{path.name} is damaged or was only partly downloaded: download it again.") from error


def _read_torch(path: Path, mapped: bool) -> State:
    known = getattr(torch.serialization, "safe_globals", None)  # torch 2.5; before it such a file is refused instead
    try:
        with known(_harmless()) if known else nullcontext():
            loaded = torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
    except pickle.UnpicklingError as error:
        log.debug("torch: %s", error)
        if "WeightsUnpickler" in str(error) or "Unsupported" in str(error) or "GLOBAL" in str(error):
            raise CheckpointError(
                f"{path.name} holds program code besides weights and is not opened, because it could run anything: "
                "get the .safetensors version of this model or convert it where you trust it."
            ) from error
        raise _damaged(path) from error
    except (RuntimeError, EOFError, OSError, ValueError, KeyError, IndexError, zipfile.BadZipFile) as error:
        log.debug("torch: %s", error)
        raise _damaged(path) from error
    return _unwrapped(path, loaded)


def _damaged(path: Path) -> CheckpointError:
    return CheckpointError(f"{path.name} is damaged or was only partly downloaded: download it again.")


def _unwrapped(path: Path, loaded: Any) -> State:
    """The dict of tensors inside `state_dict` (Lightning) or a single outer key. Entries that are not tensors are dropped."""
    if isinstance(loaded, Mapping):
        inner = loaded.get("state_dict", next(iter(loaded.values()), None) if len(loaded) == 1 else None)
        names = inner if isinstance(inner, Mapping) else loaded
        state = {str(name): value for name, value in names.items() if isinstance(value, Tensor)}
        if state:
            return state
    raise CheckpointError(f"{path.name} holds no weights: choose a Stable Diffusion model file.")


def _harmless() -> list[Any]:
    """Inert stand-ins for what Lightning leaves in the authors' .ckpt files beside the weights: callback names and numpy scalars."""
    import _codecs

    import numpy

    callback = type("ModelCheckpoint", (), {"__module__": "pytorch_lightning.callbacks.model_checkpoint"})
    numbers = [type(numpy.dtype(name)) for name in ("float64", "float32", "int64")]
    return [callback, _scalar("numpy.core.multiarray"), _scalar("numpy._core.multiarray"), numpy.dtype, *numbers, _codecs.encode]


def _scalar(module: str) -> Callable[..., float]:
    """Stands for numpy's function that rebuilds a scalar; here only ever a logged loss, never a weight."""

    def scalar(*_: Any) -> float:
        return 0.0

    scalar.__module__, scalar.__qualname__ = module, "scalar"
    return scalar


def write_tensors(path: Path, state: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write a safetensors file beside its place and rename it in, so that a reader never sees half of one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.part")
    # a copy, because the format refuses tensors that share storage
    copies = {name: tensor.detach().cpu().clone(memory_format=torch.contiguous_format) for name, tensor in state.items()}
    try:
        part.touch()
        mode = part.stat().st_mode  # what a new file gets here; some versions of the library make it private
        save_file(copies, part, dict(metadata))
        part.chmod(mode)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
