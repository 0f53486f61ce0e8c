"""Features kept by content: in memory, and in a folder where one is named, so that a source's features are made once for a whole sweep."""

import hashlib
import logging
import uuid
from collections import OrderedDict
from contextlib import suppress
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

log = logging.getLogger(__name__)

MEMORY = 256 * 2**20
"""Bytes of features kept in memory."""
LARGEST = 2**20
"""Bytes of a feature that is still worth a file: class tokens are, a picture's keys are not."""
DIGEST = 16


def content(picture: Tensor) -> str:
    """A digest of a picture's shape and values."""
    picture = picture.detach().to("cpu", torch.float32).contiguous()
    digest = hashlib.blake2b(str(tuple(picture.shape)).encode(), digest_size=DIGEST)
    digest.update(picture.numpy().tobytes())
    return digest.hexdigest()


class Cache:
    """Tensors by key. A key says everything that the tensor depends on; entries never change, so several processes may share a folder.

    A file is a digest of its content and the content in the safetensors format. It is written beside its place and renamed in; one that
    doesn't match its digest counts as absent and is written again. Not being able to write is not an error: the next run computes again.
    """

    def __init__(self, folder: Path | str | None = None, memory: int = MEMORY) -> None:
        self.folder = Path(folder) if folder else None
        self.memory, self.used = memory, 0
        self.hits = self.misses = 0
        self.full = False
        """Could a feature not be written? Then no more are tried."""
        self._kept: OrderedDict[str, Tensor] = OrderedDict()

    def get(self, key: str) -> Tensor | None:
        """The tensor on the CPU, or None."""
        name = _name(key)
        found = self._kept.get(name)
        if found is not None:
            self._kept.move_to_end(name)
        elif self.folder:
            found = _read(self._file(name))
            if found is not None:
                self._keep(name, found)
        self.hits, self.misses = self.hits + (found is not None), self.misses + (found is None)
        return found

    def put(self, key: str, tensor: Tensor) -> None:
        """Keep a tensor; the least used leave the memory where there is no room."""
        tensor, name = tensor.detach().cpu().contiguous(), _name(key)
        self._keep(name, tensor)
        if self.folder and tensor.nbytes <= LARGEST and not self.full:
            self.full = not _write(self._file(name), tensor)

    def _keep(self, name: str, tensor: Tensor) -> None:
        if tensor.nbytes > self.memory or name in self._kept:
            return
        self._kept[name] = tensor
        self.used += tensor.nbytes
        while self.used > self.memory:
            self.used -= self._kept.popitem(last=False)[1].nbytes

    def _file(self, name: str) -> Path:
        assert self.folder is not None
        return self.folder / name[:2] / f"{name}.features"


def _name(key: str) -> str:
    return hashlib.blake2b(key.encode(), digest_size=DIGEST).hexdigest()


def _read(file: Path) -> Tensor | None:
    try:
        data = file.read_bytes()
    except OSError:
        return None
    if hashlib.blake2b(data[DIGEST:], digest_size=DIGEST).digest() != data[:DIGEST]:
        log.warning("%s is damaged and is made again.", file.name)
        return None
    try:
        return load(data[DIGEST:])["features"]
    except (SafetensorError, KeyError, ValueError) as error:
        log.debug("%s: %s", file, error)
        return None


def _write(file: Path, tensor: Tensor) -> bool:
    """Whether it could be written; why not is told."""
    data = save({"features": tensor})
    part = file.with_name(f".{file.name}.{uuid.uuid4().hex[:8]}")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(hashlib.blake2b(data, digest_size=DIGEST).digest() + data)
        part.replace(file)
        return True
    except OSError as error:
        why = error.strerror or error
        log.warning("No more features are kept in %s (%s): the next run makes them again; name another folder.", file.parent.parent, why)
        with suppress(OSError):
            part.unlink()
        return False
