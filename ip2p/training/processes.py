"""The processes of a run: one alone, or those that `accelerate launch` started."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from ..configs import ConfigError
from ..devices import pick_device

BUCKET = 25_000_000
"""Numbers that are sent at once."""


@dataclass(frozen=True)
class Processes:
    """Which of how many this one is, and the device that it computes on. Only the main one (0) writes files."""

    index: int = 0
    count: int = 1
    device: torch.device = torch.device("cpu")  # noqa: RUF009 (it can't be changed)

    @property
    def main(self) -> bool:
        return self.index == 0

    def share(self, batch: int) -> range:
        """The samples of a global batch that are this process's."""
        return range(batch * self.index // self.count, batch * (self.index + 1) // self.count)

    def sum_(self, tensors: Sequence[Tensor]) -> None:
        """Add up each tensor over the processes, in place."""
        for bucket in _buckets(tensors) if self.count > 1 else ():
            flat = torch.cat([tensor.reshape(-1) for tensor in bucket])
            dist.all_reduce(flat)
            for tensor, part in zip(bucket, flat.split([tensor.numel() for tensor in bucket]), strict=True):
                tensor.copy_(part.view_as(tensor))

    def same_(self, tensors: Sequence[Tensor]) -> None:
        """Give every process the main one's tensors, in place."""
        for tensor in tensors if self.count > 1 else ():
            dist.broadcast(tensor, 0)

    def gather(self, value: Any) -> list[Any]:
        """Every process's value, in order."""
        if self.count == 1:
            return [value]
        values: list[Any] = [None] * self.count
        dist.all_gather_object(values, value)
        return values

    @contextmanager
    def main_first(self) -> Iterator[None]:
        """The main process goes through first, the others when it is done."""
        if not self.main:
            self.told(None)
        yield
        if self.main:
            self.told(None)

    def told(self, value: Any) -> Any:
        """The main process's value; others wait for it."""
        return self.gather(value)[0]


def _buckets(tensors: Sequence[Tensor]) -> list[list[Tensor]]:
    """Tensors of one type together, up to `BUCKET` numbers."""
    out: list[list[Tensor]] = []
    for tensor in tensors:
        if not out or out[-1][0].dtype != tensor.dtype or sum(one.numel() for one in out[-1]) + tensor.numel() > BUCKET:
            out.append([])
        out[-1].append(tensor)
    return out


def start(device: str | torch.device = "auto") -> Processes:
    """This process alone on a device, or its place among those that were launched. Raises ConfigError where accelerate is missing."""
    if not dist.is_available() or not dist.is_torchelastic_launched():
        return Processes(device=device if isinstance(device, torch.device) else pick_device(device))
    try:
        from accelerate import PartialState
    except ImportError as error:
        raise ConfigError("Training on several processes needs accelerate: `pip install accelerate`.") from error
    state = PartialState(cpu=str(device) == "cpu")
    return Processes(state.process_index, state.num_processes, state.device)


def end() -> None:
    """Leave the group of processes, where there is one."""
    if dist.is_available() and dist.is_torchelastic_launched() and dist.is_initialized():
        dist.destroy_process_group()
