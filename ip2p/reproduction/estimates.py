"""The numbers that are estimated: how two curves differ, what a scale does, what becomes of a chain of edits."""

from collections.abc import Callable

import numpy as np

from .blocks import Block, Statistic

PLACES = 40
"""Where along the range that they share two curves are compared."""
USUAL_TEXT, USUAL_IMAGE = (5.0, 10.0), (1.0, 1.5)
"""The scales that typically gave the paper its best results."""


def difference(column: str) -> Statistic:
    """The first block's mean less the second's."""
    return lambda one, other: float(one[column].mean() - other[column].mean())


def best(column: str) -> Statistic:
    """The first block's highest mean over its settings less the second's."""
    return lambda one, other: float(one[column].mean((0, 1)).max() - other[column].mean((0, 1)).max())


def gap(x: str, y: str) -> Statistic:
    """How far the first block's curve lies above the second's: their mean distance in ``y`` over the values of ``x`` that both reach.

    A curve goes straight from setting to setting, and counts as the highest ``y`` that it has at this ``x`` or a greater one, as more of
    both is better. Where they reach no ``x`` in common they are compared at the end of the one that reaches less, but not in its favour:
    then it is not a number, since to do less of one is no merit.
    """

    def statistic(one: Block, other: Block) -> float:
        curves = [(block[x].mean((0, 1)), block[y].mean((0, 1))) for block in (one, other)]
        last = min(float(curve[0].max()) for curve in curves)
        first = max(float(curve[0].min()) for curve in curves)
        above = float(np.mean([highest(*curves[0], at) - highest(*curves[1], at) for at in np.linspace(min(first, last), last, PLACES)]))
        reaches_less = curves[0][0].max() < curves[1][0].max()
        return float("nan") if first > last and (above > 0 if reaches_less else above < 0) else above

    return statistic


def highest(x: np.ndarray, y: np.ndarray, at: float) -> float:
    """The highest ``y`` of the straight lines from point to point where ``x`` is ``at`` (or its greatest, if that is less) or more."""
    reached = y[x >= min(at, float(x.max()))]
    start, end = x[:-1] - at, x[1:] - at
    crossed = start * end < 0
    share = start[crossed] / (start - end)[crossed]
    return float(np.concatenate([reached, y[:-1][crossed] * (1 - share) + y[1:][crossed] * share]).max())


def along(scale: int, column: str) -> Callable[[Block], float]:
    """The mean of a column at the highest text (0) or image (1) scale of a grid less that at the lowest."""

    def statistic(block: Block) -> float:
        means = by_scale(block, scale, column)
        return means[max(means)] - means[min(means)]

    return statistic


def by_scale(block: Block, scale: int, column: str) -> dict[float, float]:
    """The mean of a column at each text (0) or image (1) scale of a grid."""
    values = sorted({float(at[scale]) for at in block.at})
    places = {value: [place for place, at in enumerate(block.at) if at[scale] == value] for value in values}
    return {value: float(block[column][:, :, own].mean()) for value, own in places.items()}


def usual_against_others(block: Block) -> float:
    """The share of right edits at the usual pairs of scales less that at the other pairs; not a number where a grid has one sort only."""
    scales = [(float(at[0]), float(at[1])) for at in block.at]
    inside = np.array([USUAL_TEXT[0] <= text <= USUAL_TEXT[1] and USUAL_IMAGE[0] <= image <= USUAL_IMAGE[1] for text, image in scales])
    if inside.all() or not inside.any():
        return float("nan")
    means = block["right"].mean((0, 1))
    return float(means[inside].mean() - means[~inside].mean())


def compounded(block: Block) -> float:
    """How many more of a chain's edits are right at its end than after its first stage, on average."""
    last = max(at[0] for at in block.at)
    right = dict(zip(block.at, block["right"].mean((0, 1)), strict=True))
    return float(sum(share for at, share in right.items() if at[0] == last) - right[1, 1])


def lasting(block: Block) -> float:
    """Of the edits before the last that were right after their own stage, the share that is right at the end of the chain."""
    last = int(max(at[0] for at in block.at))
    made = np.stack([block["right"][:, :, block.at.index((stage, stage))] for stage in range(1, last)])
    left = np.stack([block["right"][:, :, block.at.index((last, stage))] for stage in range(1, last)])
    return float((made * left).sum() / made.sum()) if made.any() else float("nan")


def spoilt(block: Block) -> float:
    """Of the edits that are done, the share that changed something else; not a number where none is done."""
    done = block["done"].sum()
    return float(1 - block["right"].sum() / done) if done else float("nan")
