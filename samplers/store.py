"""Data sets on the disk as nodes handle them: pairs of any graph added to one, layouts changed, faults named and mended."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import comfy.model_management
import comfy.utils
from torch import Tensor

from ..ip2p.data.collect import collect
from ..ip2p.data.convert import Converted, convert, expected
from ..ip2p.data.encoded import encoded, encoded_mask
from ..ip2p.data.lint import Linted, lint
from ..ip2p.data.made_records import Made
from ..ip2p.data.record import Record
from ..ip2p.data.write_shards import Limits

MEGABYTE = 1_000_000


@dataclass(frozen=True)
class Pairs:
    """Pairs as they are wired to a node: pictures (N, H, W, 3), of which an alpha channel is left out, a mask (N or 1, H, W) or none, and
    texts, a line each or one for all."""

    image: Tensor
    edited: Tensor
    instruction: str
    caption: str = ""
    edited_caption: str = ""
    mask: Tensor | None = None

    def records(self, kind: str) -> list[Record]:
        """Each pair, its pictures stored as a ``kind`` (png, jpg, webp). Raises ValueError for numbers that don't match."""
        count = max(len(self.image), len(self.edited))
        image, edited = (_spread(batch[..., :3], count, name) for batch, name in ((self.image, "image"), (self.edited, "edited")))
        if not self.instruction.strip():
            raise ValueError("There is no instruction: write what was done to the picture.")
        texts = [_lines(text, count, name) for name, text in self._texts()]
        masks: Any = [None] * count if self.mask is None else _spread(self.mask, count, "mask")
        return [
            Record("", "", caption, instruction, edited_caption, encoded(one, kind), encoded(other, kind), _mask(mask, one))
            for one, other, mask, instruction, caption, edited_caption in zip(image, edited, masks, *texts, strict=True)
        ]

    def _texts(self) -> list[tuple[str, str]]:
        return [(name, getattr(self, name)) for name in ("instruction", "caption", "edited_caption")]


def _spread(batch: Tensor, count: int, name: str) -> Tensor:
    if len(batch) not in (1, count):
        raise ValueError(f"There are {len(batch)} of '{name}' and {count} pairs: wire as many, or one for all.")
    return batch.expand(count, *batch.shape[1:])


def _lines(text: str, count: int, name: str) -> list[str]:
    lines = [line.strip() for line in text.splitlines() if line.strip()] or [""]
    if len(lines) not in (1, count):
        raise ValueError(f"'{name}' has {len(lines)} lines and there are {count} pairs: write a line for each, or one for all.")
    return lines if len(lines) == count else lines * count


def _mask(mask: Tensor | None, picture: Tensor) -> bytes | None:
    if mask is None:
        return None
    if mask.shape != picture.shape[:2]:
        sizes = (f"{side.shape[1]} x {side.shape[0]}" for side in (mask, picture))
        raise ValueError("The mask is {} pixels and the picture {}: make both one size.".format(*sizes))
    return encoded_mask(mask)


def saved(pairs: Pairs, kind: str, out: Path) -> tuple[int, int]:
    """Add pairs to a data set; (how many are new, how many there were). Raises ValueError, and the host's exception on cancel."""
    records = pairs.records(kind)
    show = watched(len(records))
    new = 0
    for number, record in enumerate(records, start=1):
        new += collect(out, record)
        show(number)
    return new, len(records)


def converted(spec: str, out: Path, layout: str, shard_mb: int, count: int, replace: bool, made: Made | None = None) -> Converted:
    """The pairs of a spec in another layout. Raises ValueError, and the host's exception on cancel; queued again it goes on."""
    made = made or Made()
    show = watched(expected(spec, made, count))
    return convert(spec, out, layout, Limits(size=shard_mb * MEGABYTE), made, count, replace, show)


def linted(spec: str, repair: bool, hashes: bool, limit: int) -> Linted:
    """What is wrong with a data set, after mending where that is asked for. Raises ValueError, and the host's exception on cancel."""
    return lint(spec, repair, hashes, limit, on_step=watched(0))


def watched(total: int) -> Callable[[int], None]:
    """The node's bar, told how many of ``total`` (0: unknown) are done; raises the host's exception on cancel."""
    bar = comfy.utils.ProgressBar(total or 1)

    def show(done: int) -> None:
        comfy.model_management.throw_exception_if_processing_interrupted()
        if total:
            bar.update_absolute(min(done, total), total)

    return show
