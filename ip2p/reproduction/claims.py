"""From a run's verdicts to what its report says: claims, curves and tables as JSON values."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from . import painted
from .agreement import with_disagreements
from .blocks import JUDGED, Block, Blocks, blocks, measured, plain
from .config import CONDITIONS, Config
from .edits import ANCHORS, BASELINES, OWN_SCALE, middle
from .hypotheses import hypotheses
from .judged import rows

FULL = CONDITIONS[0]
AXES = ("direction", "similarity", *JUDGED)
"""What is told of a setting."""


def findings(out: Path, config: Config) -> dict[str, Any]:
    """All that a run's verdicts say, as JSON values. Raises ValueError where stages have not run."""
    found = blocks(rows(out, config))
    if FULL in found:
        found[FULL] = with_disagreements(found[FULL], found["anchors"])
    every = (*painted.claims(out, config), *hypotheses(config))
    tested = [claim.found(found) for claim in every if set(claim.needs) <= set(found)]
    return {
        "claims": tested,
        "curves": [_curve(name, found[name]) for name in (*config.editors.conditions, OWN_SCALE, *BASELINES) if name in found],
        "anchors": _anchors(found["anchors"], found[BASELINES[0]].tasks),
        "grid": _grid(found),
        "chains": _chains(found),
        "limits": _limits(found),
        "kinds": _kinds(found, config),
        "kinds_at": {"text": config.evaluation.text_scale, "image": middle(config.evaluation)},
    }


def _told(block: Block, columns: Sequence[str] = AXES) -> dict[str, Any]:
    return {column: plain(mean) for column, mean in measured(block, columns).items()}


def _curve(name: str, block: Block) -> dict[str, Any]:
    points = [{"at": at[-1], **_told(block.at_places([place]))} for place, at in enumerate(block.at)]
    return {"name": name, "by": "strength" if name in BASELINES else "image_scale", "points": points}


def _anchors(block: Block, tasks: Sequence[str]) -> dict[str, Any]:
    """On the tasks of Figure 8."""
    own = block.some(tasks)
    return {anchor: _told(own.at_places([own.at.index((anchor,))])) for anchor in ANCHORS}


def _grid(found: Blocks) -> list[dict[str, Any]]:
    block = found.get("grid")
    cells = enumerate(block.at) if block else ()
    return [{"text": at[0], "image": at[1], **_told(block.at_places([place]))} for place, at in cells if block]


def _chains(found: Blocks) -> list[dict[str, Any]]:
    """Of each stage: is its own change there when it is made ("own"), and at the end of the chain ("end"); is all else as it should be as
    well ("own_right", "end_right")? How far is the picture then from the start ("direction", "similarity")?"""
    block = found.get("chains")
    if block is None:
        return []
    stages = sorted({int(at[0]) for at in block.at})
    out: list[dict[str, Any]] = []
    for stage in stages:
        own, end = (block.at_places([block.at.index((when, stage))]) for when in (stage, stages[-1]))
        told = {name: plain(measured(one, ["done"])["done"]) for name, one in (("own", own), ("end", end))}
        told |= {f"{name}_right": plain(measured(one, ["right"])["right"]) for name, one in (("own", own), ("end", end))}
        out.append({"stage": stage, **told, **_told(own, ("direction", "similarity"))})
    return out


def _limits(found: Blocks) -> list[dict[str, Any]]:
    """Over all image scales that were tried."""
    block = found.get("limits")
    kinds = dict.fromkeys(block.kinds.tolist()) if block else ()
    return [{"kind": kind, "editor": FULL, **_told(block.of_kinds([kind]))} for kind in kinds if block]


def _kinds(found: Blocks, config: Config) -> list[dict[str, Any]]:
    """By kind of edit at the image scale in the middle, with the shares in which CLIP and the judge disagree."""
    block = found.get(FULL)
    if block is None:
        return []
    at = block.at_places([block.at.index((config.evaluation.text_scale, middle(config.evaluation)))])
    out = []
    for kind in dict.fromkeys(block.kinds.tolist()):
        own = at.of_kinds([kind])
        told = _told(own, (*AXES, "clip_only", "judge_only"))
        told["direction_not_done"], told["done_not_direction"] = told.pop("clip_only"), told.pop("judge_only")
        out.append({"kind": kind, **told})
    return out
