"""Thresholds for a CLIP from pairs of drawn scenes that are known to be right or wrong, for CLIPs whose cosines are not those of the
paper's (whose thresholds, appendix A.2, were set by looking at pairs)."""

from collections.abc import Sequence

import numpy as np
import torch

from .score import CAPTION, DIRECTION, EDITED, IMAGE, Facts, Scorer
from .thresholds import Thresholds

SORTS = ("right", "wrong", "same", "other", "reversed")
"""A scene with its edit's answer, with another edit's, with itself, with another scene's answer; and the answer with the scene."""
STEPS = np.arange(-0.5, 1.0, 0.05)
LEAST = 2.5
"""Percentage of right pairs that may fail a threshold of pictures or captions."""
Rows = dict[str, list[Facts]]


def scored(scorer: Scorer, captions: Sequence[tuple[str, str]], source: np.ndarray, answer: np.ndarray, other: np.ndarray) -> Rows:
    """The scores of each sort of pair under captions before and after an edit. Pictures (N, H, W, 3) in [0, 1]: scenes, their right
    answers, and the scenes after other edits."""
    before, after, otherwise = (torch.from_numpy(each) for each in (source, answer, other))
    seconds = {"right": after, "wrong": otherwise, "same": before, "other": after.roll(-1, 0)}
    pairs = {sort: torch.stack([before, second], dim=1) for sort, second in seconds.items()}
    pairs["reversed"] = pairs["right"].flip(1)
    return {sort: scorer(pairs[sort], captions, rough=True) for sort in SORTS}


def thresholds(rows: Rows) -> Thresholds:
    """The direction at which right pairs are told best from wrong ones; of the pictures and captions, what nearly all right pairs reach."""
    right = rows["right"]
    return Thresholds(lowest(right, IMAGE), lowest(right, CAPTION), lowest(right, EDITED), youden(rows))


def youden(rows: Rows) -> float:
    """The direction at which the shares of right pairs and of wrong, missing and reversed edits that pass are furthest apart (Youden
    1950); of several the least."""
    right = column(rows["right"], DIRECTION)
    wrong = np.concatenate([column(rows[sort], DIRECTION) for sort in ("wrong", "same", "reversed")])
    return round(float(max(STEPS, key=lambda step: (right >= step).mean() - (wrong >= step).mean())), 2)


def lowest(rows: Sequence[Facts], name: str) -> float:
    """What all but `LEAST` per cent of some pairs reach in a score."""
    return round(float(np.percentile(column(rows, name), LEAST)), 2)


def column(rows: Sequence[Facts], name: str) -> np.ndarray:
    """A score of all rows (N,)."""
    return np.array([row[name] for row in rows])
