"""The last stage: what a run has found, as report.json, report.md and figures.

Nothing in them tells of the time or the machine: the same run, however often it was killed, gives the same bytes.
"""

import json
import logging
import math
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..configs import to_table
from ..data.disk import write_file
from .config import Config

log = logging.getLogger(__name__)

TEXT = "report.md"
DIGITS = 6
"""Decimals of the report's numbers."""


def make(out: Path, config: Config) -> None:
    """Write the figures, report.md and, last, report.json into the run's folder. Raises ValueError in a sentence for what is missing."""
    from . import claims, figures, page

    found = claims.findings(out, config)
    about = {"schema": page.SCHEMA, "settings": to_table(config), "networks": networks(out), "data": data(out, config)}
    report = rounded({**about, **found})
    report["figures"] = figures.draw(out, config, report)
    page.save(out / TEXT, report, page.FIGURES)
    write(out / page.REPORT, report)
    log.info("wrote %s", out / page.REPORT)


def write(path: Path, report: Mapping[str, Any]) -> None:
    """Write a report: keys sorted, no number that is not finite. Raises DataError."""
    write_file(path, (json.dumps(report, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n").encode())


def rounded(found: Any) -> Any:
    """JSON values with their numbers rounded; a number that is not finite becomes null."""
    if isinstance(found, Mapping):
        return {str(key): rounded(value) for key, value in found.items()}
    if isinstance(found, list | tuple):
        return [rounded(value) for value in found]
    if isinstance(found, float):
        return round(found, DIGITS) + 0.0 if math.isfinite(found) else None  # + 0.0: no negative zero
    return found


def networks(out: Path) -> dict[str, int]:
    """How many weights each network has: of the painter's file the UNet, the autoencoder and the text encoder."""
    from ..files import read_tensors
    from . import places

    counts: Counter[str] = Counter()
    for name, tensor in read_tensors(places.painter(out))[0].items():
        counts[_part(name)] += tensor.numel()
    return dict(sorted(counts.items()))


def _part(name: str) -> str:
    """Whose a tensor of a single-file model is."""
    parts = {"model.diffusion_model.": "painter", "first_stage_model.": "autoencoder", "cond_stage_model.": "text"}
    return next((part for start, part in parts.items() if name.startswith(start)), "other")


def data(out: Path, config: Config) -> dict[str, Any]:
    """How many triplets, samples and pairs there are. Raises DataError where a data set has no manifest."""
    from ..data.example import DataError
    from ..data.manifest import read_manifest
    from . import places, prompts

    sets = {}
    for condition in config.editors.conditions:
        manifest = read_manifest(places.pairs(out, condition))
        if manifest is None:
            raise DataError(f"The data set '{condition}' of {out} is not finished: run `python -m ip2p reproduce` there once more.")
        sets[condition] = {"pairs": manifest["pairs"], "prompts": manifest["prompts"], "rejected": manifest["rejected"]}
    kinds = Counter(triplet.kind for triplet in prompts.read(out))
    return {"sets": sets, "triplets": {"count": kinds.total(), "kinds": dict(sorted(kinds.items()))}, "samples": samples(out)}


def samples(out: Path) -> dict[str, int]:
    """How many samples were made, of how many prompts."""
    from ..data.samples import Samples
    from . import places

    made = Samples(places.samples(out))
    names = made.names()
    return {"prompts": len(names), "made": sum(len(made.known(name)) for name in names)}
