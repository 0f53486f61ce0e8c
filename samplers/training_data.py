"""Pairs to learn from, as a node shows them before any time is spent on training."""

from typing import NamedTuple

import comfy.model_management
import comfy.utils
from torch import Tensor

from ..ip2p.data.check import EACH, Checked, check_pairs
from ..ip2p.data.example import DataError, Example
from ..ip2p.data.pairs import PairSet, open_pairs
from ..ip2p.evaluation.sheet import Panel, Strip, sheet

PAIRS = 4
"""Pairs on the sheet."""
CELL = 200
"""Longest side in pixels of a picture on the sheet."""


def mixed(spec: str, share: float, others: str | None) -> str:
    """The spec of pairs of two kinds: ``share`` of them by ``spec``, the rest by ``others``, which may be a mixture itself."""
    if not others:
        return spec
    return " + ".join([f"{share:g}*{spec}", *(_scaled(part, 1 - share) for part in others.split(" + "))])


def _scaled(part: str, share: float) -> str:
    weight, star, source = part.partition("*")
    return f"{float(weight) * share:g}*{source}" if star else f"{share:g}*{part}"


class Shown(NamedTuple):
    """The sheet (1, H, W, 3), the report as Markdown, and its gist in a line."""

    sheet: Tensor
    report: str
    gist: str


def shown(spec: str, check: int) -> Shown:
    """What there is to learn from; ``check`` prompts are opened and their faults named. Raises DataError where nothing can be used."""
    pairs, held_out = opened(spec)
    gist = f"{pairs.length:,} prompts to learn from, {held_out:,} held out"
    if not check:
        left = [f"left out: {reason}" for reason in pairs.skipped]
        return Shown(sheet_of(pairs), "\n\n".join([f"{pairs.name}: {gist}", *left]), gist)
    found = checked(pairs, check)
    verdict = "no fault found" if found.clean else "look at the report"
    return Shown(sheet_of(pairs), f"{gist}\n\n" + _listed(str(found)), f"{gist}; {found.prompts:,} looked at: {verdict}")


def checked(pairs: PairSet, prompts: int) -> Checked:
    """The faults of so many prompts, with a bar of progress; the host's exception on cancel."""
    bar = comfy.utils.ProgressBar(min(prompts, pairs.length) * EACH)

    def show(done: int) -> None:
        comfy.model_management.throw_exception_if_processing_interrupted()
        bar.update_absolute(done)

    return check_pairs(pairs, limit=prompts, on_pair=show)


def _listed(text: str) -> str:
    """The lines of a report as Markdown: the first, and a list of the others."""
    first, *rest = text.splitlines()
    return "\n".join([first, "", *(f"- {line.strip()}" for line in rest)]).strip()


def opened(spec: str) -> tuple[PairSet, int]:
    """What is learnt from, and how many prompts are held out to look at. Raises DataError."""
    pairs = open_pairs(spec, "train")
    try:
        return pairs, open_pairs(spec, "val").length
    except DataError:  # too few for a part of their own
        return pairs, 0


def sheet_of(pairs: PairSet) -> Tensor:
    """Some pairs with their instructions, as (1, H, W, 3). Raises DataError where none can be opened."""
    strips = [strip for example in pairs.examples(PAIRS) for strip in _strip(example)]
    if not strips:
        raise DataError(f"Not one pair of {pairs.name} can be used; look at its files.")
    return sheet(strips, CELL)[None].to(comfy.model_management.intermediate_device())


def _strip(example: Example) -> list[Strip]:
    try:
        edited = example.edited() if example.edited else None
        return [Strip(example.instruction, (Panel(example.image()), Panel(edited)))]
    except ValueError:  # told in the report
        return []
