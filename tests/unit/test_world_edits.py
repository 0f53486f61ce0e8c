"""Scenes, edits and their words."""

import re

import numpy as np
import pytest

from ip2p.worlds.chance import random_edit, random_scene
from ip2p.worlds.edits import (
    KINDS,
    LIMITS,
    Add,
    Count,
    Recolour,
    Rematerial,
    Remove,
    Replace,
    Several,
    Swap,
    Whole,
    Zoom,
    answers,
    applicable,
    touched,
)
from ip2p.worlds.language import caption, described, instructions, names
from ip2p.worlds.scene import COLOURS, Scene, SceneError, Thing

BALL = Thing("ball", "red", "striped", "large", "left")
CUBE = Thing("cube", "blue", "plain", "small", "right")
KITE = Thing("kite", "red", "plain", "medium", "left")
SCENE = Scene("meadow", "summer", "sunny", "day", things=(BALL, CUBE, KITE), seed=3)
GROUND, SKY = (False, "left"), (True, "left")


@pytest.mark.parametrize(
    ("edit", "expected"),
    [
        (Replace(GROUND, "cone"), Thing("cone", "red", "striped", "large", "left")),
        (Replace(GROUND, "cone", "green", "metal"), Thing("cone", "green", "metal", "large", "left")),
        (Recolour(GROUND, "pink"), Thing("ball", "pink", "striped", "large", "left")),
        (Rematerial(GROUND, "glass"), Thing("ball", "red", "glass", "large", "left")),
        (Remove(GROUND), None),
    ],
)
def test_an_edit_of_one_thing_leaves_the_others(edit, expected):
    edited = edit.apply(SCENE)
    assert [thing for thing in edited.things if thing.slot != GROUND] == [CUBE, KITE]
    assert [thing for thing in edited.things if thing.slot == GROUND] == ([expected] if expected else [])
    assert edited == Scene("meadow", "summer", "sunny", "day", things=edited.things, seed=3)


def test_whole_edits_change_one_attribute():
    for edit, name in ((Whole("background", "city"), "place"), (Whole("season", "winter"), "season"), (Whole("time", "night"), "time")):
        edited = edit.apply(SCENE)
        assert getattr(edited, name) == edit.value
        assert edited.things == SCENE.things
        changed = [field for field in ("place", "season", "weather", "time", "style") if getattr(edited, field) != getattr(SCENE, field)]
        assert changed == [name]


def test_several_do_all_in_any_order():
    one, other = Recolour(GROUND, "green"), Whole("time", "night")
    assert Several((one, other)).apply(SCENE) == Several((other, one)).apply(SCENE)
    assert touched(Several((one, other))) == {GROUND, "time"}


def test_swap_and_count_and_zoom():
    swapped = Swap(GROUND, (False, "right")).apply(SCENE)
    assert {(thing.shape, thing.side) for thing in swapped.things} == {("ball", "right"), ("cube", "left"), ("kite", "left")}
    assert Zoom(2.0).apply(SCENE).zoom == 2
    two = answers(SCENE, Count(SKY, 2))
    assert [sorted(thing.side for thing in scene.things if thing.shape == "kite") for scene in two] == [
        ["left", "middle"],
        ["left", "right"],
    ]


@pytest.mark.parametrize(
    "edit",
    [
        Replace(GROUND, "balloon"),
        Remove((False, "middle")),
        Add(Thing("ball", side="left")),
        Count(GROUND, 3),
        Replace(GROUND, "unicorn"),
    ],
)
def test_what_a_scene_does_not_allow_is_refused_in_a_sentence(edit):
    with pytest.raises(SceneError, match=r"\w+ .*[.:]"):
        edit.apply(SCENE)


def test_every_listed_edit_applies_and_changes_the_scene():
    rng = np.random.default_rng(0)
    for _ in range(3):
        scene = random_scene(rng)
        edits = applicable(scene)
        assert len(edits) > 1000
        assert len(set(edits)) == len(edits)
        for edit in edits:
            assert edit.apply(scene) != scene


@pytest.mark.parametrize("kind", [*KINDS, *LIMITS])
def test_random_edits_of_every_kind_and_their_words(kind):
    rng = np.random.default_rng(1)
    made = [(scene, edit) for scene in (random_scene(rng) for _ in range(40)) if (edit := random_edit(scene, kind, rng))]
    assert len(made) >= 10
    for scene, edit in made:
        assert edit.kind == kind
        texts = instructions(scene, edit)
        assert len(set(texts)) == len(texts) >= 10
        assert not any(re.search(r"[{}_]|  ", text) for text in texts)
        assert caption(edit.apply(scene)) != caption(scene)


def test_random_things_are_reproducible():
    assert random_scene(np.random.default_rng(5)) == random_scene(np.random.default_rng(5)) != random_scene(np.random.default_rng(6))
    with pytest.raises(ValueError, match="unknown"):
        random_edit(SCENE, "teleport", np.random.default_rng(0))


def test_names_mean_one_thing_only():
    rng = np.random.default_rng(2)
    for _ in range(300):
        scene = random_scene(rng)
        for thing in scene.things:
            for other in scene.things:
                if other is not thing:
                    assert not set(names(scene, thing.slot)) & set(names(scene, other.slot))
    assert names(SCENE, GROUND)[0] == "the ball"
    twins = Scene(things=(BALL, Thing("ball", "blue", "striped", "large", "right")))
    assert "the ball" not in names(twins, GROUND)
    assert "the red ball" in names(twins, GROUND)
    assert "the striped ball" not in names(twins, GROUND)


def test_captions_and_descriptions_read_well():
    assert described(BALL) == "large red striped ball"
    assert caption(SCENE) == (
        "a large red striped ball on the left, a small blue cube on the right and a red kite in the sky on the left, "
        "in a meadow on a sunny day in summer"
    )
    assert caption(Scene("lake", "autumn", "foggy", "sunset")) == "a lake at a foggy sunset in autumn"
    assert caption(Whole("style", "oil_painting").apply(Scene())).endswith(", as an oil painting")
    three = Count(SKY, 3).apply(SCENE)
    assert "three red kites in the sky" in caption(three)


def test_bad_scenes_are_refused():
    with pytest.raises(SceneError, match="same slot"):
        Scene(things=(BALL, Thing("cube", side="left")))
    with pytest.raises(SceneError, match="unknown; use one of red"):
        Thing("ball", "beige")
    with pytest.raises(SceneError, match="zoom"):
        Scene(zoom=9)
    assert len(COLOURS) == 10
