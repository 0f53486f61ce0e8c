# ruff: noqa: T201 - a command speaks to its user
"""`python -m ip2p pairs TRIPLETS --out DIR` and `python -m ip2p filter DIR --out DATASET`.

Results go to stdout, progress and messages to stderr. Exit codes: 0 done, 2 a mistake in the command, 130 stopped; run again, it goes on.
"""

import argparse
import json
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import options as known

if TYPE_CHECKING:
    from ..captions.triplet import Triplet
    from .build import Plan
    from .loop import Tally

log = logging.getLogger(__name__)

Line = Callable[[dict[str, Any]], None]


def add_arguments(name: str, parser: argparse.ArgumentParser) -> None:
    """The options of `pairs` or of `filter`."""
    known.pairs(parser) if name == "pairs" else known.filtering(parser)
    parser.set_defaults(run=run_pairs if name == "pairs" else run_filter)


def run_pairs(options: argparse.Namespace) -> int:
    """`pairs`. Raises ValueError with one sentence for what the user can mend."""
    if bool(options.source) == bool(options.triplets):
        raise ValueError("Name a file of edit triplets (see `python -m ip2p captions`), or photos with --source photos:FOLDER.")
    if options.source:
        return _photos(options)
    from ..captions.files import read
    from .loop import once

    plan = known.plan_of(options)
    triplets = once(read(options.triplets, lambda reason: log.warning("left out: %s", reason)))
    if not triplets:
        raise ValueError(f"{options.triplets} has no edit triplets: make some with `python -m ip2p captions`.")
    if options.dry_run:
        return _estimated(plan, triplets, options.json)
    with _lines(options.log) as line:
        tally = _shared_out(options, plan, triplets, line) if options.workers > 1 or options.ray else _alone(plan, triplets, line)
    print(json.dumps({"out": str(plan.out), **tally.told()}) if options.json else _said(plan.out, tally))
    return 0


def _alone(plan: "Plan", triplets: "list[Triplet]", line: Line) -> "Tally":
    from tqdm import tqdm

    from .build import build, opened
    from .loop import Watch, run

    generate, settings = build(plan)
    samples = opened(plan, settings)
    with tqdm(total=len(triplets), unit="prompt", disable=None) as bar, tqdm(unit="step", leave=False, disable=None) as steps:

        def on_step(done: int, total: int, _: object) -> None:
            steps.total = total
            steps.update(done - steps.n)

        def on_prompt(triplet: "Triplet", tally: "Tally") -> None:
            bar.update()
            line({"id": triplet.id, **tally.told()})

        return run(triplets, generate, samples, plan.kind, Watch(on_step=on_step, on_prompt=on_prompt))


def _shared_out(options: argparse.Namespace, plan: "Plan", triplets: "list[Triplet]", line: Line) -> "Tally":
    import torch
    from tqdm import tqdm

    from . import ray_run
    from .build import build

    gpus = options.gpus if options.gpus >= 0 else float(torch.cuda.is_available() and options.device in ("auto", "cuda"))
    cluster = ray_run.Cluster(options.workers, "" if options.ray == "local" else options.ray, gpus)
    plan = ray_run.with_threads(plan)
    settings = build(plan)[1]  # what every worker must find too
    with tqdm(total=len(triplets), unit="prompt", disable=None) as bar:

        def on_prompt(name: str, tally: "Tally") -> None:
            bar.update()
            line({"id": name, **tally.told()})

        return ray_run.run(triplets, plan, settings, cluster, on_prompt)


def _said(out: Path, tally: "Tally") -> str:
    before = f", {tally.before:,} of them done before" if tally.before else ""
    dropped = f", {tally.dropped:,} of them dropped midway" if tally.dropped else ""
    return f"{out}: {tally.prompts:,} prompts{before}; {tally.samples:,} samples{dropped}; {tally.passes:,} network passes"


def _estimated(plan: "Plan", triplets: "list[Triplet]", as_json: bool) -> int:
    from .estimate import estimate

    found = estimate(plan, triplets)
    print(json.dumps(found.told()) if as_json else found)
    return 0


def _photos(options: argparse.Namespace) -> int:
    """Pairs by formulas on photos, straight into a data set."""
    from ..data.convert import convert
    from ..data.made_records import Made

    with _counting("pair") as count:
        found = convert(options.source, options.out, options.layout, made=Made(options.each, options.size, options.format), on_pair=count)
    print(json.dumps({"out": str(found.folder), "pairs": found.counts.pairs}) if options.json else found)
    return 0


def run_filter(options: argparse.Namespace) -> int:
    """`filter`. Raises ValueError with one sentence for what the user can mend."""
    from .filter_run import Wish, filter_into, own_rules

    rules = known.rules_of(options, own_rules(options.pairs, options.clip))
    wish = Wish(options.pairs, rules, options.keep, None if options.keep_duplicates else options.near, options.clip)
    with _lines(options.log) as line, _counting("prompt") as count:
        done = 0

        def on_prompt(prompt: Any, choice: Any) -> None:
            nonlocal done
            done += 1
            count(done)
            kept = [prompt.facts[place].get("seed", place) for place in choice.kept]
            line({"prompt": prompt.name, "kept": kept, "left_out": sorted(choice.rejected.values())})

        found = filter_into(wish, options.out, options.layout, options.replace, on_prompt, options.device)
    print(json.dumps(found.told()) if options.json else found)
    return 0


@contextmanager
def _counting(unit: str) -> Iterator[Callable[[int], None]]:
    """A bar that is told how much is done."""
    from tqdm import tqdm

    with tqdm(unit=unit, disable=None) as bar:

        def count(done: int) -> None:
            bar.update(done - bar.n)

        yield count


@contextmanager
def _lines(path: Path | None) -> Iterator[Line]:
    """What writes a line of JSON, with the time, to the end of a file; to nothing where there is none. Raises ValueError."""
    if path is None:
        yield lambda _: None
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("a", encoding="utf-8")
    except OSError as error:
        raise ValueError(f"The log {path} can't be written ({error.strerror or error}): choose another place.") from error
    with file:

        def line(told: dict[str, Any]) -> None:
            print(json.dumps({"time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), **told}), file=file, flush=True)

        yield line
