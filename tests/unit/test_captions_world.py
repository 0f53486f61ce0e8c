"""The world's captions: read into their parts, edited, and said again in exactly the world's words."""

from dataclasses import replace

import numpy as np
import pytest

from ip2p.captions.grammar import world
from ip2p.captions.grammar.source import KINDS, Grammar
from ip2p.small.captioned import caption, some_scene
from ip2p.worlds import language
from ip2p.worlds.phrasings import phrasings
from ip2p.worlds.scene import Scene, Thing

RED = "a red ball on the left, in a meadow at a snowy sunset in spring"


@pytest.fixture(scope="module")
def captions():
    """The world's captions in both wordings, whole and with parts left out."""
    rng = np.random.default_rng(0)
    scenes = [some_scene(rng) for _ in range(150)]
    return [caption(scene, rng) for scene in scenes] + [language.caption(scene) for scene in scenes]


def test_every_caption_of_the_world_is_read(captions):
    assert [text for text in captions if world.read(text) is None] == []


def test_other_captions_are_not_the_worlds():
    for text in (
        "a red ball",
        "a dog on the left",
        RED + ".",
        RED.capitalize(),
        "",
        "a meadow",
        "in a meadow",
        "a red ball on a farm at a",
    ):
        scene = world.read(text)
        assert scene is None or scene.words() == text
    assert world.read(RED + ".") is None
    assert world.read("a red balls on the left") is None


def test_parts_are_what_the_scene_says():
    things = Thing("kite", "green", "metal", "large", "right"), Thing("ball", "red", side="left")
    scene = Scene("lake", "winter", "foggy", "night", "sepia", (things[1], things[0]), zoom=2.0)
    read = world.read(language.caption(scene))
    assert (read.place, read.season, read.weather, read.time, read.style, read.near) == ("lake", "winter", "foggy", "night", "sepia", True)
    ball, kite = read.things
    assert (ball.shape, ball.colour, ball.where, ball.flies) == ("ball", "red", "on the left", False)
    assert (kite.shape, kite.colour, kite.material, kite.size, kite.flies) == ("kite", "green", "metal", "large", True)
    assert world.read(language.caption(replace(scene, things=()))).things == ()


def test_edited_captions_stay_in_the_worlds_words(captions):
    grammar = Grammar()
    for text in captions:
        triplets = grammar.edits(text, 6, 0)
        assert len(triplets) == 6
        for triplet in triplets:
            assert triplet.caption == text
            assert world.read(triplet.edited_caption) is not None, triplet


def test_the_plans_example_can_be_asked():
    found = {(t.instruction, t.edited_caption) for seed in range(4000) for t in Grammar(["recolour"]).edits(RED, 1, seed)}
    assert ("turn the red ball blue", "a blue ball on the left, in a meadow at a snowy sunset in spring") in found


WORDS = {
    "recolour": {"ball", "left", "meadow", "snowy", "sunset", "spring"},
    "season": {"red", "ball", "left", "meadow", "snowy", "sunset"},
    "weather": {"red", "ball", "left", "meadow", "sunset", "spring"},
    "time": {"red", "ball", "left", "meadow", "snowy", "spring"},
    "place": {"red", "ball", "left", "snowy", "sunset", "spring"},
    "style": {"red", "ball", "left", "meadow", "snowy", "sunset", "spring"},
    "medium": {"red", "ball", "left", "meadow", "snowy", "sunset", "spring"},
    "add": {"red", "ball", "left", "meadow", "snowy", "sunset", "spring"},
    "material": {"red", "ball", "left", "meadow", "snowy", "sunset", "spring"},
    "replace": {"left", "meadow", "snowy", "sunset", "spring"},
    "remove": {"meadow", "snowy", "sunset", "spring"},
}


@pytest.mark.parametrize("kind", KINDS)
def test_an_edit_changes_what_it_says_and_nothing_else(kind):
    for seed in range(20):
        (triplet,) = Grammar([kind]).edits(RED, 1, seed)
        assert WORDS[kind] <= set(triplet.edited_caption.replace(",", "").split())
        before, after = world.read(RED), world.read(triplet.edited_caption)
        same = {"place", "season", "weather", "time"} - {kind}
        assert all(getattr(before, name) == getattr(after, name) for name in same)
        assert len(after.things) == {"add": 2, "remove": 0}.get(kind, 1)


def test_what_a_caption_leaves_out_can_be_asked_for():
    bare = "a red ball"
    assert world.read("a red ball on a day") is not None
    found = {kind: Grammar([kind]).edits("a red ball on a day", 1, 0)[0].edited_caption for kind in ("season", "weather", "time", "place")}
    assert found["season"].startswith("a red ball on a day in ")
    assert found["weather"].endswith(" day")
    assert found["place"].startswith("a red ball ")
    added = Grammar(["add"]).edits(bare, 1, 0)[0]
    assert " on the " not in added.edited_caption, "no place is said where the caption says none"


def test_a_thing_is_named_so_that_no_other_is_meant():
    text = "a red ball on the left and a blue ball on the right, on a farm on a sunny day in summer"
    for seed in range(60):
        (triplet,) = Grammar(["recolour"]).edits(text, 1, seed)
        kept = "a blue ball on the right" in triplet.edited_caption
        assert ("red ball" if kept else "blue ball") in triplet.instruction


def test_two_alike_are_edited_together():
    text = "two red kites in the sky, on a farm on a sunny day in summer"
    assert world.read(text) is not None
    (triplet,) = Grammar(["recolour"]).edits(text, 1, 3)
    assert "kites" in triplet.instruction
    assert triplet.edited_caption.startswith("two ")


def test_the_worlds_editor_knows_the_wordings():
    """What is asked of the whole picture is asked in words of the world's own tables."""
    known = {word for kind in phrasings().values() for text in kind.training for word in text.lower().split()}
    for kind in ("weather", "time", "style", "medium"):
        for seed in range(15):
            (triplet,) = Grammar([kind]).edits(RED, 1, seed)
            unknown = {word.strip("?,.") for word in triplet.instruction.lower().split()} - known
            assert len(unknown) <= 2, triplet.instruction
