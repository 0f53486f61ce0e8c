"""Sheets of pairs: what the filter keeps, what it leaves out and why, with captions and scores."""

from collections.abc import Callable, Sequence
from itertools import islice
from typing import NamedTuple

from torch import Tensor

from ..data.example import DataError
from ..data.opening import picture_of
from ..data.record import Record
from ..evaluation.sheet import Panel, Strip, sheet
from .filter import Choice, Prompt, choose, prompts_of
from .filter_run import Wish
from .hashes import Seen
from .score import CAPTION, DIRECTION, EDITED, IMAGE, Facts

KEPT, LEFT_OUT, BOTH = "kept", "left out", "both"
SCORES = {DIRECTION: "direction", IMAGE: "pictures", CAPTION: "caption", EDITED: "edited caption"}
PAGE = 512
"""Width in pixels of a page that says why there are no pictures."""


class Browsed(NamedTuple):
    """The sheet (H, W, 3), and a report as Markdown with a line for each pair that was gone through."""

    sheet: Tensor
    report: str


def browse(
    wish: Wish,
    show: str = BOTH,
    first: int = 0,
    count: int = 4,
    each: int = 4,
    cell: int = 160,
    on_prompt: Callable[[], None] | None = None,
) -> Browsed:
    """Pairs of ``count`` prompts from number ``first`` on, ``each`` at most, the best first: what ``wish`` keeps, leaves out, or both.

    ``cell`` is the longest side of a picture in pixels. Look-alikes are told among the prompts gone through. Raises ValueError or DataError
    in a sentence.
    """
    if show not in (KEPT, LEFT_OUT, BOTH):
        raise ValueError(f"'{show}' can't be shown; choose {KEPT}, {LEFT_OUT} or {BOTH}.")
    strips: list[Strip] = []
    lines: list[str] = []
    seen = None if wish.near is None else Seen(wish.near)
    for number, prompt in enumerate(islice(prompts_of(wish.spec, wish.score()), first, first + count), start=first):
        choice = choose(prompt, wish.rules, wish.keep, seen)
        shown = _order(prompt, choice, show)
        strips += _strip(prompt, choice, shown[:each], number)
        lines += [f"**{number}. {prompt.name}**", *(f"- {_said(prompt, choice, place)}" for place in shown)]
        if on_prompt:
            on_prompt()
    if not lines:
        raise ValueError(f"There is no prompt number {first}; begin with a smaller one.")
    page = sheet(strips, 2 * cell) if strips else sheet([Strip("There are no pictures of these pairs to be shown.", (Panel(None),))], PAGE)
    return Browsed(page, "\n".join(lines))


def _order(prompt: Prompt, choice: Choice, show: str) -> list[int]:
    """What is shown: the kept ones as they are ranked, then the others, the nearest misses first."""
    others = sorted(choice.rejected, key=lambda place: -float(prompt.facts[place].get(DIRECTION, -1.0)))
    return (choice.kept if show != LEFT_OUT else []) + (others if show != KEPT else [])


def _strip(prompt: Prompt, choice: Choice, places: Sequence[int], number: int) -> list[Strip]:
    """The prompt's pairs side by side, each picture left of the edited one; none where no picture is there."""
    pairs = [(place, record) for place in places if (record := _record(prompt, place))]
    if not pairs:
        return []
    _, record = pairs[0]
    heading = f"{number}. {record.instruction}: {record.caption}; then: {record.edited_caption}"
    panels = [panel for place, record in pairs if (panel := _panel(prompt.facts[place], choice, place, record))]
    return [Strip(heading, tuple(panels))] if panels else []


def _record(prompt: Prompt, place: int) -> Record | None:
    try:
        return prompt.read(place)
    except DataError:
        return None


def _panel(facts: Facts, choice: Choice, place: int, record: Record) -> Panel | None:
    import torch

    try:
        before, after = (picture_of(data, record.sample) for data in (record.image, record.edited))
    except DataError:
        return None
    if before.shape != after.shape:
        after = torch.nn.functional.interpolate(after.movedim(-1, 0)[None], before.shape[:2], mode="area")[0].movedim(0, -1)
    reason = choice.rejected.get(place, "")
    return Panel(torch.cat([before, after], dim=1), reason or "kept", _numbers(facts), not reason)


def _numbers(facts: Facts) -> tuple[str, ...]:
    return tuple(f"{said} {float(facts[name]):.2f}" for name, said in SCORES.items() if name in facts)


def _said(prompt: Prompt, choice: Choice, place: int) -> str:
    facts = prompt.facts[place]
    numbers = ", ".join(_numbers(facts))
    return f"{facts.get('seed', place)}: {choice.rejected.get(place, 'kept')}" + (f" ({numbers})" if numbers else "")
