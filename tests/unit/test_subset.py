"""A part of the world: what its scenes show, and which edits stay within it."""

from dataclasses import replace

import numpy as np
import pytest

from ip2p.worlds.edits import KINDS, LIMITS
from ip2p.worlds.scene import Scene, SceneError, Thing
from ip2p.worlds.subset import Subset

PART = Subset(
    places=("beach", "city"),
    seasons=("summer",),
    weathers=("sunny", "snowy"),
    times=("day", "night"),
    styles=("plain", "sepia"),
    shapes=("ball", "car", "kite"),
    colours=("red", "blue", "green"),
    materials=("plain",),
    sizes=("large",),
    things=2,
    styled=0.5,
)


def test_scenes_show_all_that_is_named_and_nothing_else() -> None:
    rng = np.random.default_rng(0)
    scenes = [PART.scene(rng) for _ in range(300)]
    assert all(PART.holds(scene) for scene in scenes)
    assert {scene.place for scene in scenes} == {"beach", "city"}
    assert {scene.season for scene in scenes} == {"summer"}
    assert {thing.shape for scene in scenes for thing in scene.things} == {"ball", "car", "kite"}
    assert {len(scene.things) for scene in scenes} == {1, 2}
    assert 0.4 < np.mean([scene.style == "sepia" for scene in scenes]) < 0.6
    assert all((thing.shape in ("kite",)) == thing.flies for scene in scenes for thing in scene.things)


def test_the_same_chance_gives_the_same_scenes() -> None:
    first, second = ([PART.scene(rng) for _ in range(20)] for rng in (np.random.default_rng(3), np.random.default_rng(3)))
    assert first == second


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in ("several", "material")])
def test_edits_stay_within_the_part(kind: str) -> None:
    rng = np.random.default_rng(1)
    made = 0
    for _ in range(40):
        scene = PART.scene(rng)
        edit = PART.edit(scene, kind, rng)
        if edit is not None:
            made += 1
            assert edit.kind == kind
            assert PART.holds(edit.apply(scene))
    assert made > 5 or kind == "season"  # there is but one season


def test_known_failures_may_leave_it() -> None:
    rng = np.random.default_rng(2)
    found = [PART.edit(PART.scene(rng), kind, rng) for kind in LIMITS for _ in range(20)]
    assert any(edit is not None for edit in found)


def test_what_it_does_not_have_is_not_held() -> None:
    scene = Scene("beach", "summer", "sunny", "day", "plain", (Thing("ball", "red", "plain", "large"),))
    assert PART.holds(scene)
    for other in (
        replace(scene, place="desert"),
        replace(scene, weather="rainy"),
        replace(scene, style="cartoon"),
        replace(scene, things=(Thing("ball", "red", "plain", "small"),)),
        replace(scene, things=(Thing("ball", "pink", "plain", "large"),)),
    ):
        assert not PART.holds(other)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"places": ("moon",)}, "'moon' is unknown: use some of meadow"),
        ({"colours": ()}, "Of the colours of the world's part, none is named"),
        ({"things": 5}, "scenes of 1 to 4 things"),
        ({"styled": 2.0}, "share of 0 to 1"),
    ],
)
def test_a_part_that_the_world_does_not_have_is_refused(wrong: dict[str, object], said: str) -> None:
    with pytest.raises(SceneError, match=said):
        Subset(**wrong)  # type: ignore[arg-type]
