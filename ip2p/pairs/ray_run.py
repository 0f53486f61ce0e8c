"""Who runs the stages on many workers and machines: Ray Data, with a pool of actors that each hold the models on a device of their own.

Every prompt is made by one worker, straight into the working folder, which all machines see. A worker that dies is started again and its
prompts are given out again: what it had kept is not made again, and the folder ends with the same bytes as that of a single process.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from ..captions.triplet import Triplet
from .build import Plan, build, opened
from .loop import Tally, make

STORE = 128 << 20
"""Bytes of shared memory that a Ray of our own takes: only captions and counts go through it."""
BLOCK = 16
"""Prompts that a worker is given at a time, at most: so many are looked through again where it dies."""
SHARES = 4
"""At least so many such portions for each worker, so that none is left waiting at the end."""
Row = dict[str, Any]


@dataclass(frozen=True)
class Cluster:
    """Which workers: how many, on what. ``address`` of a running Ray ("auto": this machine's; "": a Ray of our own, for this run)."""

    workers: int = 2
    address: str = ""
    gpus: float = 0.0

    def __post_init__(self) -> None:
        if self.workers < 1:
            raise ValueError(f"The number of workers is {self.workers}; use at least 1.")


class Worker:
    """An actor: models built once, then prompt after prompt."""

    def __init__(self, plan: Plan, settings: dict[str, Any]) -> None:
        """Raises ValueError where this machine has other weights than the run was begun with."""
        self.kind = plan.kind
        self.generate, own = build(plan)
        if own != settings:
            names = ", ".join(name for name in settings if own.get(name) != settings[name])
            raise ValueError(f"This worker's {names} differ from those that the run was begun with: give all machines the same files.")
        self.samples = opened(plan, settings)

    def __call__(self, batch: Row) -> Row:
        """Prompts as columns, and what was made of each as columns."""
        rows = [dict(zip(batch, values, strict=True)) for values in zip(*batch.values(), strict=True)]
        made = [make(Triplet(**{name: str(value) for name, value in row.items()}), self.generate, self.samples, self.kind) for row in rows]
        return {"id": [row["id"] for row in rows], **{name: [getattr(one, name) for one in made] for name in vars(Tally())}}


def run(
    triplets: Sequence[Triplet],
    plan: Plan,
    settings: dict[str, Any],
    cluster: Cluster,
    on_prompt: Callable[[str, Tally], None] | None = None,
) -> Tally:
    """Make the samples of all prompts; `on_prompt` is told of each (id, what was made). Raises ValueError in a sentence."""
    if not triplets:
        return Tally()
    ray = _started(cluster)
    opened(plan, settings)  # refuses a folder of another run before any worker starts
    blocks = max(-(-len(triplets) // BLOCK), min(len(triplets), SHARES * cluster.workers))
    prompts = ray.data.from_items([asdict(triplet) for triplet in triplets], override_num_blocks=blocks)
    made = prompts.map_batches(
        Worker,
        fn_constructor_kwargs={"plan": plan, "settings": settings},
        batch_size=1,
        concurrency=cluster.workers,
        num_cpus=1,
        num_gpus=cluster.gpus or None,
    )  # actors that die are started again, and what they were at is tried again, without end: Ray Data's defaults
    tally = Tally()
    try:
        for row in made.iter_rows():
            one = Tally(**{name: int(row[name]) for name in vars(tally)})
            tally.add(one)
            if on_prompt:
                on_prompt(str(row["id"]), one)
    except ray.exceptions.RayError as error:
        raise _plain(error) from error
    finally:
        if not cluster.address:
            ray.shutdown()
    return tally


def with_threads(plan: Plan) -> Plan:
    """The plan with the number of threads of this process, which every worker then takes."""
    import torch

    return replace(plan, threads=plan.threads or torch.get_num_threads())


def _started(cluster: Cluster) -> Any:
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise ValueError("Several workers need Ray: run `pip install 'ray[data]'`, or leave out --workers and --ray.") from error
    if not ray.is_initialized():
        own: dict[str, Any] = {"num_cpus": cluster.workers + 1, "include_dashboard": False, "object_store_memory": STORE}
        ray.init(**({"address": cluster.address} if cluster.address else own), log_to_driver=False, logging_level=logging.ERROR)
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.execution_options.preserve_order = False
    return ray


def _plain(error: BaseException) -> ValueError:
    """The sentence that a worker's own refusal ends in, or what Ray says."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    told = next((line for line in reversed(lines) if line.startswith(("ValueError: ", "ip2p."))), lines[-1] if lines else str(error))
    return ValueError(told.partition(": ")[2] or told)
