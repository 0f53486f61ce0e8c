"""Where CLIP's axes and the judge disagree about the same edits."""

from dataclasses import replace

import numpy as np

from ..evaluation.intervals import Mean
from .blocks import Block, Blocks, estimated

HALF = 0.5
"""An edit whose CLIP direction is at least this part of the right answer's counts as done by CLIP."""


def with_disagreements(block: Block, anchors: Block) -> Block:
    """The block with two columns more, 0 or 1: ``clip_only``, done by CLIP and not by the judge, and ``judge_only``, the other way round.

    The right answer's direction is that of its round trip through the autoencoder, task by task.
    """
    place = {task: number for number, task in enumerate(anchors.tasks)}
    answer = anchors["direction"][0, [place[task] for task in block.tasks], anchors.at.index(("encoded",))]
    by_clip, by_judge = block["direction"] >= HALF * answer[None, :, None], block["done"] > 0
    more = {"clip_only": by_clip & ~by_judge, "judge_only": by_judge & ~by_clip}
    return replace(block, values={**block.values, **{name: found.astype(float) for name, found in more.items()}})


def rank_correlation(x: str, y: str, *given: Block) -> float:
    """Spearman's correlation of the means of two columns over all settings of some blocks; not a number where either never varies."""
    from scipy.stats import rankdata

    means = [np.concatenate([block[column].mean((0, 1)) for block in given]) for column in (x, y)]
    ranks = [rankdata(values) for values in means]
    return float(np.corrcoef(*ranks)[0, 1]) if all(np.ptp(values) > 0 for values in ranks) else float("nan")


def separation(score: str, truth: str, block: Block) -> float:
    """How likely an edit that is true by the judge has the higher score than one that is not (the area under the ROC curve), over all
    pictures of a block; not a number where all are the same."""
    from scipy.stats import rankdata

    ranks, true = rankdata(block[score].ravel()), block[truth].ravel() > 0
    count = int(true.sum())
    others = len(true) - count
    return float((ranks[true].sum() - count * (count + 1) / 2) / (count * others)) if count and others else float("nan")


def chosen_by_judge(block: Block) -> int:
    """The setting with the highest share of right edits."""
    return int(np.argmax(block["right"].mean((0, 1))))


def chosen_by_clip(block: Block) -> int:
    """The setting where CLIP's axes together are highest, each between its own lowest and highest mean of the curve: its knee."""
    total = np.zeros(len(block.at))
    for column in ("direction", "similarity"):
        means = block[column].mean((0, 1))
        total += (means - means.min()) / max(float(np.ptp(means)), 1e-9)
    return int(np.argmax(total))


def scale_apart(block: Block) -> float:
    """The image scale that CLIP would choose less the one that the judge would."""
    return float(block.at[chosen_by_clip(block)][1]) - float(block.at[chosen_by_judge(block)][1])


def over_settings(x: str, y: str, blocks: Blocks) -> Mean:
    """The rank correlation over the settings of all curves there are."""
    curves = [block for block in blocks.values() if block.asked == "tasks" and len(block.at) > 1]
    return estimated(lambda *given: rank_correlation(x, y, *given), *curves)
