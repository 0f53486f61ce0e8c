"""Relative places in a config: looked for in a folder first, so that a run's folder can move."""

import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .config import TrainConfig

HEAD = re.compile(r"\s*([0-9.]+\s*\*\s*)?(photos:)?")
"""What may stand before a folder in a spec of data."""


def placed(config: "TrainConfig", folder: Path) -> "TrainConfig":
    """The config with its relative places of the base and of data looked for in ``folder`` first."""
    return replace(
        config,
        model=replace(config.model, base=located(config.model.base, folder)),
        data=replace(config.data, source=located(config.data.source, folder)),
        validation=replace(config.validation, source=located(config.validation.source, folder)),
        distil=replace(config.distil, start=located(config.distil.start, folder)),
    )


def located(spec: str, folder: Path) -> str:
    """A place, or data by their spec, with each relative path that is in ``folder`` made absolute; what is not there stays."""
    if " + " in spec:
        return " + ".join(located(part, folder) for part in spec.split(" + "))
    head, place = next((spec[: match.end()], spec[match.end() :]) for match in [HEAD.match(spec)] if match)
    found = folder / place
    return f"{head}{found}" if place and not Path(place).is_absolute() and found.exists() else spec
