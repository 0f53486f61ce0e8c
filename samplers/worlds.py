"""The small world's questions and judgements as the host's IMAGE and MASK."""

from typing import Any, NamedTuple

import comfy.model_management
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..ip2p.fit import rgb
from ..ip2p.worlds.edits import KINDS
from ..ip2p.worlds.judge import Verdict, judge
from ..ip2p.worlds.tasks import Task, random_task


class Question(NamedTuple):
    """A task's pictures (1, size, size, 3), mask (1, size, size) and texts, and the task itself."""

    source: Tensor
    answer: Tensor
    mask: Tensor
    instruction: str
    caption: str
    edited_caption: str
    task: Task


def scene(seed: int, kind: str = "", size: int = 256) -> Question:
    """The question of a seed; ``kind`` "" is any of ``edits.KINDS``. Raises ValueError for an unknown kind."""
    task = random_task(seed, (kind,) if kind else KINDS, size)
    pictures = (_tensor(task.source()), _tensor(task.answer()), _tensor(task.mask()))
    return Question(*pictures, task.instruction, task.caption, task.edited_caption, task)


def verdicts(image: Tensor, task: Any) -> tuple[bool, str, Tensor]:
    """Whether every picture of a batch (B, H, W, C) is right, a line about each, and where they are wrong (B, H, W), at their size."""
    if not isinstance(task, Task):
        raise ValueError("There is no task here; wire the task of a 'Scene with a known answer' node.")
    found = [judge(picture.detach().float().cpu().numpy(), task) for picture in rgb(image)]
    lines = [_said(one) for one in found]
    where = torch.from_numpy(np.stack([one.where for one in found]))
    where = F.interpolate(where[:, None], image.shape[1:3], mode="bilinear", align_corners=False)[:, 0]
    text = "\n".join(lines) if len(lines) == 1 else "\n".join(f"{number}. {line}" for number, line in enumerate(lines, start=1))
    return all(one.right for one in found), text, where.to(comfy.model_management.intermediate_device())


def _said(verdict: Verdict) -> str:
    """The verdict and its reason in a line."""
    if verdict.right:
        return f"right: {verdict.reason}"
    if verdict.done:
        return f"wrong: the edit was made, but not all else was kept: {verdict.reason}"
    return f"wrong: the edit was not made{'' if verdict.kept else ', and not all else was kept'}: {verdict.reason}"


def _tensor(array: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(array))[None].to(comfy.model_management.intermediate_device())
