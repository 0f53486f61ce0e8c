"""The stages of a chain of instructions, as one writes them: an instruction a line, with its own scales and seed where it needs them."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

BETWEEN = ("latent", "picture")
"""What a stage hands on: what it has sampled, as it is; or its finished picture, encoded again."""
SETTING = re.compile(r"(text|image|seed)\s*=?\s*([-+.\w]+)")
"""One setting after the ``|`` of a line."""


@dataclass(frozen=True)
class Stage:
    """One instruction of a chain, and what is its own; None: what the whole chain uses."""

    instruction: str
    text_scale: float | None = None
    image_scale: float | None = None
    seed: int | None = None


def parse(text: str) -> list[Stage]:
    """The stages of a text: an instruction a line; empty lines are skipped.

    After a ``|`` a line may set its own scales and seed: ``make it night | text 5 image 1.2 seed 7``. Raises ValueError, in a sentence,
    for anything else there.
    """
    return [_stage(number, line) for number, line in enumerate(text.splitlines(), start=1) if line.strip()]


def _stage(number: int, line: str) -> Stage:
    instruction, bar, settings = (part.strip() for part in line.partition("|"))
    if not instruction:
        raise ValueError(f"Line {number} has no instruction before its '|'; write for example: make it night | text 5 image 1.2 seed 7.")
    found: dict[str, str] = dict(SETTING.findall(settings))
    rest = SETTING.sub("", settings).replace(",", "").strip()
    if rest or (bar and not found):
        raise ValueError(f"Line {number} has '{settings}' after its '|'; write for example: make it night | text 5 image 1.2 seed 7.")
    try:
        text, image = (float(found[name]) if name in found else None for name in ("text", "image"))
        seed = int(found["seed"]) if "seed" in found else None
    except ValueError as error:
        raise ValueError(f"Line {number} sets '{settings}'; scales are numbers such as 1.5, a seed is a whole number.") from error
    if not all(value is None or (math.isfinite(value) and value >= 0) for value in (text, image, seed)) or (seed or 0) >= 2**64:
        raise ValueError(f"Line {number} sets '{settings}'; scales and seeds are at least 0, a seed below {2**64}.")
    return Stage(instruction, text, image, seed)


def check_between(between: str) -> None:
    """Raise ValueError, in a sentence, for anything but one of ``BETWEEN``."""
    if between not in BETWEEN:
        raise ValueError(f"Between two stages a chain can't hand on {between!r}; choose {' or '.join(BETWEEN)}.")


def seed_of(stages: Sequence[Stage], number: int, seed: int) -> int:
    """The seed of stage ``number`` (from 0): its own, or the chain's seed and one more for each stage, so that no two share their noise."""
    own = stages[number].seed
    return (seed + number) % 2**64 if own is None else own


def scales_of(stage: Stage, text_scale: float, image_scale: float) -> tuple[float, float]:
    """The two scales of a stage: its own, or the chain's."""
    return (
        text_scale if stage.text_scale is None else stage.text_scale,
        image_scale if stage.image_scale is None else stage.image_scale,
    )
