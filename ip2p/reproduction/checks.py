"""What is measured besides the paper's figures: whether editors learn at all, true pairs, and where CLIP and the judge disagree."""

import math
from collections.abc import Callable, Iterator
from functools import partial

from ..evaluation.intervals import Mean
from .agreement import chosen_by_clip, chosen_by_judge, over_settings, scale_apart, separation
from .blocks import Blocks, estimated, share
from .claim import COSINE, POINTS, SHARE, Claim, estimate, of_statistic
from .config import CONDITIONS
from .estimates import best, difference, gap

FULL = CONDITIONS[0]


def checks() -> Iterator[Claim]:
    """All of them, those first of which the paper says something."""
    yield from _learning()
    yield from _true_pairs()
    yield from _axes()


def _learning() -> Iterator[Claim]:
    paper = "given an input image and a written instruction, our model follows these instructions to edit the image"
    claim = partial(Claim, figure="learning", section="abstract", paper=paper, needs=(FULL, "other"))
    rate = "By the judge: an edit is {} more often with its own instruction than with another task's, at the image scale in the middle."
    yield claim("learning-done", statement=rate.format("done"), unit=POINTS, estimate=partial(_own_less_other, "done"))
    yield claim("learning-right", statement=rate.format("right"), unit=POINTS, estimate=partial(_own_less_other, "right"))
    yield claim(
        "learning-direction",
        statement="CLIP direction is higher with the own instruction than with another task's, at the image scale in the middle.",
        unit=COSINE,
        estimate=partial(_own_less_other, "direction"),
    )
    yield claim(
        "learning-distance",
        statement="The picture is nearer to the right answer with its own instruction than with another task's, at the same scale.",
        unit="mean difference",
        estimate=partial(_own_less_other, "distance"),
        below=True,
    )


def _own_less_other(column: str, blocks: Blocks) -> Mean:
    own, other = blocks[FULL], blocks["other"]
    return estimated(difference(column), own.at_places([own.at.index(other.at[0])]), other)


def _true_pairs() -> Iterator[Claim]:
    claim = partial(of_statistic, figure="true", section="", paper="", needs=("true", FULL))
    yield claim(
        "true-right",
        "At the best setting of each, share of right edits with true pairs less that with generated ones.",
        POINTS,
        best("right"),
    )
    yield claim(
        "true-similarity",
        "CLIP image similarity at equal CLIP direction with true pairs less that with generated ones.",
        COSINE,
        gap("direction", "similarity"),
    )
    yield claim(
        "true-done",
        "Share of edits done with true pairs less that with generated ones, over Figure 8's scales.",
        POINTS,
        difference("done"),
    )
    yield claim("true-kept", "Share of edits that keep all else with true pairs less that with generated ones.", POINTS, difference("kept"))


def _axes() -> Iterator[Claim]:
    claim = partial(Claim, figure="axes", section="", paper="", needs=(FULL, "sdedit"))
    for x, y, one, which in (
        ("direction", "done", "CLIP direction and the share done", "done by the judge has the higher CLIP direction than one that is not"),
        (
            "similarity",
            "kept",
            "CLIP image similarity and the share kept",
            "with all else kept has the higher image similarity than one without",
        ),
    ):
        yield claim(
            f"axes-{y}-rank",
            statement=f"Rank correlation of {one} over the settings of all editors and of SDEdit.",
            unit="correlation",
            estimate=partial(over_settings, x, y),
        )
        yield claim(
            f"axes-{y}-each",
            statement=f"How often, of two edits of the full recipe, one {which}.",
            unit=SHARE,
            estimate=partial(estimate, partial(separation, x, y), (FULL,)),
        )
    yield from _disagreements(claim)


def _disagreements(claim: Callable[..., Claim]) -> Iterator[Claim]:
    yield claim(
        "axes-clip-only",
        statement="Share of edits with at least half of the right answer's CLIP direction that are not done by the judge.",
        unit=SHARE,
        estimate=lambda blocks: share(blocks[FULL], "clip_only"),
    )
    yield claim(
        "axes-judge-only",
        statement="Share of edits that are done by the judge with less than half of the right answer's CLIP direction.",
        unit=SHARE,
        estimate=lambda blocks: share(blocks[FULL], "judge_only"),
    )
    yield claim(
        "axes-scale",
        statement="The image scale at which CLIP's two axes are highest together less that at which the most edits are right by the judge.",
        unit="image scale",
        estimate=lambda blocks: Mean(scale_apart(blocks[FULL]), -math.inf, math.inf, blocks[FULL]["done"].size),
        detail=lambda blocks: {
            "clip": blocks[FULL].at[chosen_by_clip(blocks[FULL])][1],
            "judge": blocks[FULL].at[chosen_by_judge(blocks[FULL])][1],
        },
    )
