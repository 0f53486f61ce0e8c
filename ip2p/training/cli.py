# ruff: noqa: T201 - a command speaks to its user
"""``python -m ip2p train --config run.yaml [--out DIR] [--preset NAME] [--set KEY=VALUE ...] [--check]``, alone or on several processes:
`accelerate launch -m ip2p train ...`."""

import argparse
import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ..stopping import STOPPED, stopping
from .config import TrainConfig, load
from .presets import PRESETS

if TYPE_CHECKING:
    from .run import Event, Trained

log = logging.getLogger(__name__)

TELL_EVERY = 30.0
"""Seconds between two lines where there is no bar."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``train``."""
    add = parser.add_argument
    add("--config", type=Path, required=True, metavar="FILE", help="settings: a .yaml, .toml or .json file")
    add("--out", type=Path, metavar="DIR", help="the run's folder (default: as the config, without its ending); what is there is continued")
    add(
        "--preset",
        default="",
        choices=list(PRESETS),
        help="settings below those of the file: GB of the card's memory, small, or the paper's",
    )
    add("--set", action="append", default=[], metavar="KEY=VALUE", dest="changes", help="a setting over the file's, such as run.steps=1000")
    add("--device", default="auto", help="auto (default), cpu, cuda or mps")
    add("--threads", type=int, default=0, help="processor threads to use (0: torch's own choice)")
    add(
        "--check",
        action="store_true",
        help="train nothing: say what the run would take and what is wrong with its data",
    )
    add("--check-all", action="store_true", help="the same, looking at every pair instead of a sample")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Train; returns 0, or 130 where it was stopped. Raises ValueError with one sentence for what the user can mend."""
    config = load(options.config, options.preset, options.changes)
    out = options.out or options.config.with_suffix("")
    if options.check or options.check_all:
        return _checked(config, out, options.device, options.check_all)
    return train(config, out, options.device, options.threads)


def _checked(config: TrainConfig, out: Path, device: str, everything: bool) -> int:
    """Print the preflight; 1 where the run does not fit or its data has faults."""
    from .preflight import preflight
    from .run import read_base

    report = preflight(config, read_base(config), device, everything=everything, out=out)
    print(report)
    return 0 if report.fits and (report.data is None or report.data.clean) else 1


def train(config: TrainConfig, out: Path, device: str = "auto", threads: int = 0) -> int:
    """Run a config in a folder, shown on the terminal; returns 0, or 130 where it was stopped. Raises ValueError."""
    if out.exists() and not out.is_dir():
        raise ValueError(f"{out} is a file: name a folder with --out.")
    import torch

    from . import processes
    from . import run as runs

    if threads:
        torch.set_num_threads(threads)
    main = processes.start(device).main
    if not main:
        logging.getLogger("ip2p").setLevel(logging.ERROR)  # what the main process says is enough
    base = runs.read_base(config)
    if main and not runs.progress_of(out):
        from .preflight import preflight

        print(preflight(config, base, device, out=out), file=sys.stderr)
    with _bar(config, main) as show, stopping() as should_stop:
        trained = runs.train(config, out, base, device=device, on_event=show, should_stop=should_stop)
    if main:
        _told(trained, config)
    return 0 if trained.finished else STOPPED


@contextmanager
def _bar(config: TrainConfig, shown: bool) -> "Iterator[Callable[[Event], None]]":
    """A bar of progress on stderr, with the loss, the rate and the time that is left; a line now and then where stderr is a file."""
    from tqdm import tqdm

    told = 0.0
    with tqdm(total=config.run.steps, unit="step", disable=None if shown else True) as bar:

        def show(event: "Event") -> None:
            nonlocal told
            numbers = f"loss {event.loss:.4f}, rate {event.rate:.2e}, {event.images_per_s:.1f} images/s"
            if event.validated:
                means = [f"{name} {value:.3f}" for name, value in event.validated.numbers.items() if " " not in name]
                tqdm.write(f"step {event.step}: {', '.join(means)}", file=sys.stderr)
            elif not bar.disable:
                bar.initial = bar.initial or event.step - 1
                bar.set_postfix_str(numbers, refresh=False)
                bar.update(event.step - bar.n)
            elif time.monotonic() - told > TELL_EVERY or event.step == event.steps:
                told = time.monotonic()
                log.info("step %d of %d: %s, %s left", event.step, event.steps, numbers, tqdm.format_interval(event.seconds_left))

        yield show


def _told(trained: "Trained", config: TrainConfig) -> None:
    """Where everything is, and how to go on."""
    for path in trained.files:
        print(path)
    print(f"{trained.folder}: {trained.step} of {config.run.steps} steps done", file=sys.stderr)
    if not trained.finished:
        print("The same command again goes on from here.", file=sys.stderr)
