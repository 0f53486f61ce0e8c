"""Before a run: is the data sound, does the run fit into the device's memory, and how long will it take."""

import logging
import math
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from ..checkpoint import Checkpoint
from ..data.check import LIMIT, Checked, check_pairs
from ..data.pairs import PairSet
from ..devices import pick_device
from .batches import MANY, pairs_of
from .config import TrainConfig
from .estimate import PASSES, TOKENS, Activations, Memory, activations, alternatives, gigabytes, memory
from .objective import Batch, Draws
from .presets import PRESETS

log = logging.getLogger(__name__)

SPARE = 0.95
"""Of the free memory so much may be planned with."""
EFFICIENCY = 0.4
"""Of the speed of a large matrix product that a UNet reaches."""
QUICK = 5e11
"""Operations of a step that is timed on a processor; a longer one is worked out."""
TIMED = 2


@dataclass(frozen=True)
class Report:
    """What is known before a run. Bytes and seconds; `room` is (all, free) of the device's memory; `timed` tells whether `step_seconds`
    was measured."""

    data: Checked | None
    memory: Memory
    room: tuple[float, float]
    device: str
    samples: int
    step_seconds: float
    timed: bool
    steps: int
    advice: tuple[str, ...] = ()

    @property
    def fits(self) -> bool:
        """Whether the memory is enough."""
        return self.memory.total <= SPARE * self.room[1]

    def __str__(self) -> str:
        verdict = "enough" if self.fits else "too little"
        lines = [f"data: {self.data}"] if self.data else []
        lines.append(f"memory with {self.samples} at once: {self.memory}")
        lines.append(f"{self.device}: {gigabytes(self.room[1])} of {gigabytes(self.room[0])} GB are free: {verdict}")
        how = "timed" if self.timed else "estimated from the number of operations"
        whole = duration(self.step_seconds * self.steps)
        lines.append(f"time: {duration(self.step_seconds)} a step ({how}), {whole} for {self.steps:,} steps")
        return "\n".join([*lines, *(f"advice: {line}" for line in self.advice)])


def preflight(
    config: TrainConfig,
    base: Checkpoint,
    device: str | torch.device = "auto",
    pairs: PairSet | None = None,
    everything: bool = False,
    out: Path | None = None,
    on_pair: Callable[[int], None] | None = None,
) -> Report:
    """Look through the data (a sample of it, or `everything`) and work out memory and time, without training anything.

    `out` is the run's folder, of whose disk the room for what is kept is told. Raises ValueError where the data can't be opened or the
    model can't be trained.
    """
    place = torch.device(pick_device(device)) if isinstance(device, str) else device
    found = None
    if config.objective.kind != "dreambooth":
        found = check_pairs(pairs or pairs_of(config.data), config.data.crop, 0 if everything else LIMIT, on_pair=on_pair)
    samples = config.run.micro_batch or config.run.batch
    used, available = activations(base, config), room(place)
    needed = memory(base, config, used, place.type, samples)
    advice = _advice(base, config, samples, place.type, available, needed)
    seconds, timed = _step_seconds(base, config, used, place, samples, needed.total <= SPARE * available[1])
    kept = _kept(config, found, out)
    return Report(found, needed, available, place.type, samples, seconds, timed, config.run.steps, (*advice, *kept))


def room(device: torch.device) -> tuple[float, float]:
    """(all, free) bytes of a device's memory; infinite where it can't be told."""
    if device.type == "cuda":
        free, total = torch.cuda.mem_get_info(device)
        return float(total), float(free)
    if device.type == "mps":
        most = float(torch.mps.recommended_max_memory())
        return most, most - torch.mps.driver_allocated_memory()
    try:
        lines = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
        return tuple(1024.0 * int(lines[name].split()[0]) for name in ("MemTotal", "MemAvailable"))  # type: ignore[return-value]
    except (OSError, ValueError, KeyError):
        return math.inf, math.inf


def _advice(
    base: Checkpoint, config: TrainConfig, samples: int, device: str, available: tuple[float, float], needed: Memory
) -> tuple[str, ...]:
    """What to change so that it fits, or nothing."""
    limit = SPARE * available[1]
    if needed.total <= limit:
        return ()
    shapes: dict[tuple[str, str], Activations] = {}
    for changes, other, at_once in alternatives(config, samples, device):
        about = (other.model.train, other.run.precision)
        if about not in shapes:
            shapes[about] = activations(base, other)
        total = memory(base, other, shapes[about], device, at_once).total
        if total <= limit:
            told = ", ".join(f"{name}={str(value).lower()}" for name, value in changes.items())
            return (f"set {told}: it then takes {gigabytes(total)} GB.", *_preset(available[0]))
    return ("no setting of this model fits: use a smaller data.crop or a larger device.", *_preset(available[0]))


def _preset(total: float) -> tuple[str, ...]:
    """The preset for a card of this size."""
    sizes = [int(name) for name in PRESETS if name.isdecimal() and int(name) <= total / 2**30 + 1]
    return (f"the preset {max(sizes)} is made for a card like this.",) if sizes and math.isfinite(total) else ()


def _step_seconds(
    base: Checkpoint, config: TrainConfig, used: Activations, device: torch.device, samples: int, fits: bool
) -> tuple[float, bool]:
    """(seconds of a step, whether they were measured)."""
    passes = PASSES + config.model.gradient_checkpointing
    rounds = math.ceil(config.run.batch / samples)
    if fits and (device.type != "cpu" or passes * used.operations * samples <= QUICK):
        return rounds * _timed(base, config, device, samples), True
    return passes * used.operations * config.run.batch / (EFFICIENCY * speed(device, config.run.precision)), False


def speed(device: torch.device, precision: str) -> float:
    """Floating-point operations a second in a large matrix product."""
    side = 512 if device.type == "cpu" else 4096
    dtype = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[precision]
    square = torch.ones(side, side, device=device, dtype=dtype)
    best: float = math.inf
    for _ in range(4):
        start = _now(device)
        square @ square
        best = min(best, _now(device) - start)
    return 2 * side**3 / best


def _now(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def _timed(base: Checkpoint, config: TrainConfig, device: torch.device, samples: int) -> float:
    """Seconds of one micro-batch, forward and backward, on random latents: the best of two after one to warm up."""
    from .kinds import kind_of
    from .precision import autocast
    from .run import prepared

    kind = kind_of(config)
    with torch.inference_mode(False), torch.enable_grad():
        model = prepared(kind, base, config, device)
        batch = random_batch(samples, config.data.crop // 8, int(model.unet.config.cross_attention_dim)).to(device)
        seconds = []
        for _ in range(1 + TIMED):
            start = _now(device)
            with autocast(config, device):
                kind.losses(model, batch, config).mean().backward()
            seconds.append(_now(device) - start)
    return min(seconds[1:])


def random_batch(samples: int, side: int, width: int) -> Batch:
    """Noise in the form of a batch: latents of `side` x `side`, text states of `width`."""
    generator = torch.Generator().manual_seed(0)
    latents = torch.randn(3, samples, 4, side, side, generator=generator)
    text = torch.randn(samples, TOKENS, width, generator=generator)
    draws = Draws.of((samples, 4, side, side), generator)
    return Batch(latents[0], latents[1].abs(), latents[2], text, text[:1], draws, tuple(f"noise {n}" for n in range(samples)))


def _kept(config: TrainConfig, found: Checked | None, out: Path | None) -> tuple[str, ...]:
    """A word on the disk where the latents that will be kept may not fit."""
    if not found or not config.data.variants:
        return ()
    there = found.length * found.pairs_each
    if found.made and there > MANY:
        return ()
    pairs = min(there * config.data.variants, float(config.run.batch) * config.run.steps)
    size = pairs * 3 * 4 * (config.data.crop / 8) ** 2 * 2
    folder = Path(config.data.cache or out or ".").absolute()
    place = next(parent for parent in (folder, *folder.parents) if parent.is_dir())
    free = shutil.disk_usage(place).free
    if size <= SPARE * free:
        return ()
    return (
        f"up to {gigabytes(size)} GB of latents are kept and {place} has {gigabytes(free)} GB: name a data.cache on a larger disk, "
        "or set data.variants to 0.",
    )


def duration(seconds: float) -> str:
    """A time in words: "0.4 s", "12 min", "3.5 h", "2.1 days"."""
    for limit, unit, name in ((60, 1, "s"), (3600, 60, "min"), (48 * 3600, 3600, "h")):
        if seconds < limit:
            return f"{seconds / unit:.2g} {name}" if seconds / unit < 10 else f"{seconds / unit:.0f} {name}"
    return f"{seconds / 86400:.1f} days"
