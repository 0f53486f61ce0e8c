"""The judge on pictures that are right, and on pictures that are wrong in a known way. Larger numbers: `bench/judge.py`."""

import numpy as np
import pytest
from scipy import ndimage

from ip2p.worlds.alternatives import alternatives, strays
from ip2p.worlds.drawing import draw
from ip2p.worlds.edits import KINDS, LIMITS, Add, Recolour, Remove, Replace, Several, Swap, Whole, Zoom
from ip2p.worlds.judge import judge, tellable
from ip2p.worlds.scene import Scene, Thing
from ip2p.worlds.tasks import Task, random_task

SIZE = 128
SCENE = Scene(
    "meadow",
    "summer",
    "sunny",
    "day",
    things=(Thing("ball", "red", "plain", "large", "left"), Thing("cube", "blue", side="right"), Thing("balloon", "yellow", side="middle")),
    seed=11,
)
BALL, CUBE = (False, "left"), (False, "right")
EDITS = (
    Recolour(BALL, "green"),
    Replace(BALL, "cone"),
    Remove(CUBE),
    Add(Thing("kite", "purple", "plain", "large", "right")),
    Whole("time", "night"),
    Whole("season", "winter"),
    Whole("background", "beach"),
    Whole("style", "pencil_sketch"),
    Several((Recolour(BALL, "green"), Whole("weather", "snowy"))),
    Swap(BALL, CUBE),
    Zoom(2.0),
)


def task_of(edit, size=SIZE):
    return Task(SCENE, edit, "", size)


@pytest.mark.parametrize("edit", EDITS, ids=lambda edit: edit.kind)
def test_right_and_wrong(edit):
    task = task_of(edit)
    right = task.answer()
    assert judge(right, task).right
    assert judge(right, task).reason == "edited as asked, and all else kept"
    assert not judge(right, task).where.any()
    missing = judge(task.source(), task)
    assert (missing.done, missing.kept) == (False, True)
    assert missing.reason
    sigma = 0.015 * SIZE
    assert not judge(ndimage.gaussian_filter(right, (sigma, sigma, 0)), task).right
    assert not judge(np.roll(right, 4, axis=1), task).right
    assert not judge(np.random.default_rng(0).random(right.shape), task).right


def test_the_wrong_thing_and_more_than_asked():
    task = task_of(Recolour(BALL, "green"))
    elsewhere = judge(draw(Recolour(CUBE, "green").apply(SCENE), SIZE).picture, task)
    assert (elsewhere.done, elsewhere.kept) == (False, False)
    both = judge(draw(Several((task.edit, Recolour(CUBE, "white"))).apply(SCENE), SIZE).picture, task)
    assert (both.done, both.kept) == (True, False)
    assert "blue cube" in both.reason
    rows, columns = np.nonzero(both.where > 0.5)
    assert columns.mean() > SIZE / 2
    assert rows.mean() > SIZE / 2


def test_where_and_mask_agree_with_the_edit():
    task = task_of(Recolour(BALL, "green"))
    mask = task.mask()
    assert set(np.unique(mask)) == {0, 1}
    changed = np.abs(task.answer() - task.source()).max(-1) > 0
    assert 0.01 < mask.mean() < 0.2
    assert (mask[np.abs(task.answer() - task.source()).max(-1) > 2 / 255] == 1).all()
    assert changed[:, : SIZE // 2].any()
    assert task_of(Whole("time", "night")).mask().mean() > 0.95


def test_any_right_answer_will_do_when_things_are_counted():
    task = next(task for seed in range(30) if len((task := random_task(seed, ("count",), SIZE)).answers) > 1)
    for scene in task.answers:
        assert judge(draw(scene, SIZE).picture, task).right


def test_sizes_other_than_the_task_are_brought_to_it():
    task = task_of(Recolour(BALL, "green"))
    assert judge(draw(task.answers[0], 256).picture, task).right
    assert judge(task.answer(), task_of(Recolour(BALL, "green"), 256)).done


@pytest.mark.parametrize("picture", [np.zeros((8, 8)), np.full((8, 8, 3), np.nan), np.zeros((1, 8, 8, 3))])
def test_what_is_no_picture_is_refused(picture):
    with pytest.raises(ValueError, match="one picture"):
        judge(picture, task_of(Remove(CUBE)))


@pytest.mark.parametrize("kind", [*KINDS, *LIMITS])
def test_tasks_are_reproducible_and_complete(kind):
    task = random_task(7, (kind,), 64)
    assert task == random_task(7, (kind,), 64)
    assert task.kind == kind
    assert task.instruction
    assert task.caption != task.edited_caption
    assert task.id == f"{kind}-7"
    assert task.source().shape == task.answer().shape == (64, 64, 3)
    assert np.abs(task.source() - task.answer()).max() > 0.05
    assert task.mask().any()


def test_alternatives_and_strays_are_wrong_and_named():
    for edit in EDITS:
        right = edit.apply(SCENE)
        wrong = alternatives(SCENE, edit)
        assert len(wrong) >= 2 or isinstance(edit, Remove)
        more = [one for scenes in strays(right, edit).values() for one in scenes]
        assert all(reason and scene != right for reason, scene in [*wrong, *more])
    assert not any(reason.startswith("the large") for scenes in strays(EDITS[0].apply(SCENE), EDITS[0]).values() for reason, _ in scenes)


def test_what_cannot_be_seen_is_not_asked():
    dark = Scene("forest", "winter", "foggy", "night", things=(Thing("ball", "black", "glass", "small", "left"),))
    assert not tellable(dark, Recolour(BALL, "black"))
    with pytest.raises(ValueError, match="unknown"):
        random_task(0, ("teleport",))
    with pytest.raises(ValueError, match="No kind"):
        random_task(0, ())
