# ruff: noqa: T201 - a command speaks to its user
"""``python -m ip2p reproduce [--quick] [--out DIR] [--config FILE] [--workers N] [--again STAGE] [--list]``."""

import argparse
import logging
from pathlib import Path

from ..data.disk import writing
from . import places
from .config import Config, load
from .marks import Marks

log = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``reproduce``."""
    add = parser.add_argument
    add("--out", type=Path, metavar="DIR", help="the run's folder; what is there is continued (default: reproduction, or quick)")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--quick", action="store_true", help="a few minutes instead of hours: tiny networks and a small part of the world")
    what.add_argument("--config", metavar="FILE", help="other settings: full, quick, or a .toml, .yaml or .json file")
    add("--workers", type=int, default=0, metavar="N", help="stages at once, each on one core (default: as many as cores, at most 8)")
    add("--again", action="append", default=[], metavar="STAGE", help="make a stage anew, and all that follow it (repeatable)")
    add("--list", action="store_true", help="name the stages and say which are done, or made with other settings; run nothing")
    add("--only", metavar="STAGE", help="run this stage alone, in this process; the others that it needs must be done")
    add("--page", action="store_true", help="write docs/reproduction.md from the report that is kept there, or from that of --out")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Reproduce; returns 0, 1 where a stage failed, or 130 where it was stopped. Raises ValueError for what the user can mend."""
    if options.page:
        from .page import write

        write(options.out)
        return 0
    out = options.out or Path("quick" if options.quick else "reproduction")
    marks = Marks(out, _config(options, out))
    if options.list:
        for name in marks.stages:
            print(f"{marks.state(name):6} {name}")
        return 0
    if options.workers < 0:
        raise ValueError(f"{options.workers} workers can't work: give --workers 1 or more.")
    if options.only:
        marks.stage(options.only)
    anew = marks.following(options.again)
    with marks.held():
        return _made(marks, anew, options)


def _made(marks: Marks, anew: list[str], options: argparse.Namespace) -> int:
    """Run the stages, or one of them, in a folder that no other command works on."""
    from ..stopping import stopping
    from . import schedule, tasks

    edits = {name for name in marks.stages if name.startswith("edits/")}
    if not options.only and edits <= {*marks.waiting(), *anew}:
        log.info("Drawing what editors will be asked.")  # what the part of the world doesn't allow is told before hours of work
        tasks.every(marks.config)
    marks.begin(anew)
    if options.only:
        schedule.alone(marks.out, options.only)
        return 0
    with stopping() as should_stop:
        code = schedule.run(marks, options.workers or schedule.workers_here(), should_stop)
    if code == 0:
        print(marks.out / "report.md")
    return code


def _config(options: argparse.Namespace, out: Path) -> Config:
    """The settings that are asked for; else those with which the run began; else the full ones. Raises ValueError."""
    begun = out / places.CONFIG
    with writing(out):
        file = next((place for place in (out, *out.parents) if place.exists() and not place.is_dir()), None)
        named = "quick" if options.quick else options.config or (begun if begun.is_file() else "full")
    if file:
        raise ValueError(f"{file} is a file: name a folder with --out.")
    return load(named)
