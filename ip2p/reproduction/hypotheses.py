"""What is tested of the paper, written down before results were seen.

After a look at pictures of editors that had learnt too little, and before the edits were made that are tested here, four things changed.
Three can only weaken a verdict: of limits nothing is said where usual edits fail as well; an edit of a chain counts only with all else as
it should be, since a spoilt picture passes as done; and what spoils more than the edit is measured against right answers, which the
autoencoder spoils a little too. The fourth adds: both methods are also compared at the painter's own text scale. A fifth changed when
CLIP's numbers of the edits were known, and no verdict: of curves that share no direction the one that reaches less can't win. The first
rule let it, so this too can only weaken what is said for it. Each interval is for its claim alone: of twenty claims at the edge one is
decided wrongly by chance.
"""

from collections.abc import Iterator
from functools import partial
from typing import Any

from ..evaluation.intervals import Mean
from .blocks import Block, Blocks, estimated, share
from .checks import checks
from .claim import COSINE, POINTS, SHARE, Claim, of_statistic
from .config import CONDITIONS, Config
from .edits import BASELINES, OWN_SCALE
from .estimates import along, best, by_scale, compounded, difference, gap, lasting, spoilt, usual_against_others

FULL = CONDITIONS[0]

FAILS = 1 / 3
"""What is right less often than this counts as something the method can't do."""
SOMETIMES = 0.05
"""What happens more often than this happens sometimes."""
LOCAL = ("replace", "add", "remove", "recolour")
"""Kinds of edit that name one thing."""


def hypotheses(config: Config) -> Iterator[Claim]:
    """All of them, figure by figure. Those of which a run has not made what they need are for the caller to leave out."""
    for baseline in BASELINES:
        yield from _figure_8(baseline)
    yield from _figure_10()
    yield from _figure_4()
    yield from _figure_11()
    for kind in config.evaluation.limit_kinds:
        yield from _figure_13(kind)
    yield from _isolating(config)
    yield from checks()


def _figure_8(baseline: str) -> Iterator[Claim]:
    """Against one of `edits.BASELINES`, at its text scale."""
    usual = baseline == BASELINES[0]
    paper = "compared with SDEdit, notably higher image consistency (CLIP image similarity) for the same directional similarity values"
    claim = partial(of_statistic, figure="8", section="4.1", paper=paper, needs=(FULL if usual else OWN_SCALE, baseline))
    start, than = ("8", "SDEdit's") if usual else ("8-own", "SDEdit's, both at the painter's own text scale")
    yield claim(
        f"{start}-similarity",
        f"At equal CLIP direction the CLIP image similarity is higher than {than}, on average over the directions that both reach, or at "
        "the end of the curve that reaches less.",
        COSINE,
        gap("direction", "similarity"),
    )
    yield claim(
        f"{start}-second",
        f"By a CLIP that had no part in the run: at equal direction the image similarity is higher than {than}.",
        COSINE,
        gap("second_direction", "second_similarity"),
    )
    yield claim(
        f"{start}-kept",
        f"By the judge: where as many edits are done, more of the pictures keep all else than {than}, on average over the shares done that "
        "both reach.",
        POINTS,
        gap("done", "kept"),
    )
    yield claim(f"{start}-right", f"By the judge: at the best setting of each, more edits are right than {than}.", POINTS, best("right"))


def _figure_10() -> Iterator[Claim]:
    less = "with a smaller dataset decreased ability to perform larger edits: a high image similarity score, but a low directional score"
    unfiltered = "without the CLIP filtering, the overall image consistency with the input image is reduced"
    ours = "our proposed configuration performs best"
    tenth = partial(of_statistic, figure="10", section="4.2", paper=less, needs=(FULL, "tenth"))
    yield tenth("10-tenth-direction", "CLIP direction is higher with all data than with a tenth of it.", COSINE, difference("direction"))
    yield tenth(
        "10-tenth-similarity",
        "CLIP image similarity is higher with a tenth of the data than with all.",
        COSINE,
        difference("similarity"),
        below=True,
    )
    yield tenth(
        "10-tenth-second",
        "By a CLIP that had no part in the run: direction is higher with all data than with a tenth of it.",
        COSINE,
        difference("second_direction"),
    )
    yield tenth("10-tenth-done", "By the judge: more edits are done with all data than with a tenth of it.", POINTS, difference("done"))
    filtered = partial(of_statistic, figure="10", section="4.2", paper=unfiltered, needs=(FULL, "unfiltered"))
    yield filtered(
        "10-unfiltered-similarity",
        "CLIP image similarity is higher with the CLIP filter than without it.",
        COSINE,
        difference("similarity"),
    )
    yield filtered(
        "10-unfiltered-second",
        "By a CLIP that had no part in the run: image similarity is higher with the filter than without it.",
        COSINE,
        difference("second_similarity"),
    )
    yield filtered("10-unfiltered-kept", "By the judge: more edits keep all else with the filter than without.", POINTS, difference("kept"))
    yield from _whole_recipe(ours)


def _whole_recipe(ours: str) -> Iterator[Claim]:
    """Figure 10's two curves against that of all: what the paper says of ``ours``."""
    for other, words in (("tenth", "a tenth of the data"), ("unfiltered", "no CLIP filter")):
        whole = partial(of_statistic, figure="10", section="4.2", paper=ours, needs=(FULL, other))
        yield whole(
            f"10-{other}-best",
            f"At equal CLIP direction the CLIP image similarity is higher with the full recipe than with {words}.",
            COSINE,
            gap("direction", "similarity"),
        )
        yield whole(
            f"10-{other}-right",
            f"By the judge: at the best setting of each, more edits are right than with {words}.",
            POINTS,
            best("right"),
        )


def _figure_4() -> Iterator[Claim]:
    text = "increasing s_T results in a stronger edit applied to the image (the output agrees more with the instruction)"
    image = "increasing s_I can help preserve the spatial structure of the input image (the output agrees more with the input image)"
    usual = "values of s_T in the range 5-10 and values of s_I in the range 1-1.5 typically produce the best results"
    of_text = partial(of_statistic, figure="4", section="4.2", paper=text, needs=("grid",))
    of_image = partial(of_statistic, figure="4", section="4.2", paper=image, needs=("grid",))
    yield of_text(
        "4-text-direction",
        "CLIP direction is higher at the highest text scale than at the lowest.",
        COSINE,
        along(0, "direction"),
        **_by(0, "direction"),
    )
    yield of_text(
        "4-text-done",
        "By the judge: more edits are done at the highest text scale than at the lowest.",
        POINTS,
        along(0, "done"),
        **_by(0, "done"),
    )
    yield of_image(
        "4-image-similarity",
        "CLIP image similarity is higher at the highest image scale than at the lowest.",
        COSINE,
        along(1, "similarity"),
        **_by(1, "similarity"),
    )
    yield of_image(
        "4-image-kept",
        "By the judge: more edits keep all else at the highest image scale than at the lowest.",
        POINTS,
        along(1, "kept"),
        **_by(1, "kept"),
    )
    yield from _usual_scales(usual)


def _usual_scales(paper: str) -> Iterator[Claim]:
    yield of_statistic(
        "4-usual-right",
        "By the judge: more edits are right with a text scale of 5 to 10 and an image scale of 1 to 1.5 than with the other pairs tried.",
        POINTS,
        usual_against_others,
        figure="4",
        section="4.2",
        paper=paper,
        needs=("grid",),
    )


def _figure_11() -> Iterator[Claim]:
    paper = "applying our model recurrently with different instructions results in compounded edits"
    claim = partial(of_statistic, figure="11", section="4", paper=paper, needs=("chains",))
    yield claim(
        "11-compounded",
        "By the judge: after three instructions more of their edits are right than after the first.",
        "edits",
        compounded,
        margin=0.1,
    )
    yield claim(
        "11-lasting",
        "By the judge: more than half of the first two edits that are right when they are made are still right at the end.",
        SHARE,
        lasting,
        null=0.5,
    )


def _figure_13(kind: str) -> Iterator[Claim]:
    from ..evaluation.probes import LIMITS

    paper = next(probe.claim for probe in LIMITS if kind in probe.kinds)
    claim = partial(Claim, figure="13", section="5", paper=paper)
    yield claim(
        f"13-{kind}",
        statement=f"By the judge: fewer than a third of the edits of the kind “{kind}” are right, and more of those of Figure 8.",
        unit=SHARE,
        needs=(FULL, "limits"),
        estimate=lambda blocks: share(blocks["limits"].of_kinds([kind]), "right"),
        null=FAILS,
        below=True,
        empty=lambda blocks: _usual(blocks).low <= FAILS,
        detail=lambda blocks: {"usual": _usual(blocks).value},
    )
    yield claim(
        f"13-{kind}-less",
        statement=f"By the judge: edits of the kind “{kind}” are right less often than those of Figure 8, at the same scales.",
        unit=POINTS,
        needs=(FULL, "limits"),
        estimate=partial(_less_than_usual, kind),
    )


def _usual(blocks: Blocks) -> Mean:
    """The share of Figure 8's edits that are right at the scales of the limits."""
    return share(_at_scales_of(blocks["limits"], blocks[FULL]), "right")


def _at_scales_of(limits: Block, usual: Block) -> Block:
    return usual.at_places([usual.at.index(at) for at in limits.at])


def _less_than_usual(kind: str, blocks: Blocks) -> Mean:
    limits = blocks["limits"].of_kinds([kind])
    return estimated(difference("right"), _at_scales_of(limits, blocks[FULL]), limits)


def _isolating(config: Config) -> Iterator[Claim]:
    kinds = [kind for kind in LOCAL if kind in config.evaluation.kinds]
    if kinds:
        yield Claim(
            "13-isolate",
            "13",
            "5",
            "can make undesired excessive changes to the image, can sometimes fail to isolate the specified object",
            "By the judge: of edits of one thing that are done, the share in which something else changed as well is more than five points "
            "above that of right answers after the autoencoder; and more than a third of all edits are right.",
            POINTS,
            (FULL, "anchors"),
            partial(_not_isolated, kinds),
            null=SOMETIMES,
            empty=lambda blocks: share(blocks[FULL], "right").low <= FAILS,
        )


def _not_isolated(kinds: list[str], blocks: Blocks) -> Mean:
    own, anchors = blocks[FULL].of_kinds(kinds), blocks["anchors"].some(blocks[FULL].tasks).of_kinds(kinds)
    encoded = anchors.at_places([anchors.at.index(("encoded",))])
    return estimated(lambda one, answer: spoilt(one) - spoilt(answer), own, encoded)


def _by(scale: int, column: str) -> dict[str, Any]:
    """The detail of a claim about a scale: the mean at each of its values."""
    return {"detail": lambda blocks: {f"{value:g}": one for value, one in by_scale(blocks["grid"], scale, column).items()}}
