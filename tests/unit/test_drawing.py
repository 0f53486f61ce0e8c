"""Drawn scenes: the same at every size, local in their edits, and every attribute plain to see in every light."""

import ast
import random
from dataclasses import replace
from itertools import combinations, product
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from ip2p.metrics.colour_edge import lab
from ip2p.worlds import drawing, photo_operators
from ip2p.worlds.drawing import draw
from ip2p.worlds.drawing.things import place
from ip2p.worlds.scene import (
    COLOURS,
    FLYING,
    MATERIALS,
    PLACES,
    SEASONS,
    SHAPES,
    SIDES,
    SIZES,
    STANDING,
    TIMES,
    WEATHERS,
    Scene,
    SceneError,
    Thing,
)

CROWD = Scene(
    things=(
        Thing("house", "red", "striped", "large", "left"),
        Thing("ball", "blue", "glass", "medium", "middle"),
        Thing("boat", "green", "wooden", "small", "right"),
        Thing("heart", "purple", "metal", "large", "left"),
        Thing("kite", "orange", "dotted", "medium", "right"),
    ),
    seed=11,
)
BLUR = 0.015
"""Of the side: what is finer is not counted as a difference between two pictures."""


def blurred_lab(scene: Scene, size: int = 64) -> np.ndarray:
    sigma = BLUR * size
    return lab(ndimage.gaussian_filter(draw(scene, size).picture, (sigma, sigma, 0)))


def apart(first: np.ndarray, second: np.ndarray) -> float:
    """Mean CIELAB difference."""
    return float(np.linalg.norm(first - second, axis=-1).mean())


def with_thing(scene: Scene, index: int, **changes: str) -> Scene:
    things = list(scene.things)
    things[index] = replace(things[index], **changes)
    return replace(scene, things=tuple(things))


@pytest.mark.parametrize("name", PLACES)
def test_a_drawing_is_deterministic_and_bounded(name: str) -> None:
    scene = replace(CROWD, place=name, weather="rainy", season="autumn")
    first = draw(scene, 96)
    draw(replace(scene, seed=5), 96)
    second = draw(scene, 96)
    assert np.array_equal(first.picture, second.picture)
    assert np.array_equal(first.masks, second.masks)
    assert first.picture.shape == (96, 96, 3)
    assert first.masks.shape == (5, 96, 96)
    assert first.picture.dtype == first.masks.dtype == np.float32
    assert first.picture.min() >= 0
    assert first.picture.max() <= 1


@pytest.mark.parametrize(("name", "weather"), list(zip(PLACES, WEATHERS + WEATHERS[:3], strict=True)))
def test_a_larger_drawing_is_a_finer_version_of_the_same(name: str, weather: str) -> None:
    scene = replace(CROWD, place=name, weather=weather)
    coarse, fine = draw(scene, 128), draw(scene, 256)
    halved = fine.picture.reshape(128, 2, 128, 2, 3).mean((1, 3))
    assert np.abs(coarse.picture - halved).mean() < 0.02
    assert np.abs(ndimage.gaussian_filter(coarse.picture - halved, (2, 2, 0))).max() < 0.12
    assert np.abs(coarse.masks - fine.masks.reshape(5, 128, 2, 128, 2).mean((2, 4))).mean() < 0.001


def test_zoom_shows_the_middle_at_a_finer_scale() -> None:
    whole, near = draw(CROWD, 256), draw(replace(CROWD, zoom=2.0), 128)
    middle = slice(64, 192)
    assert np.abs(near.picture - whole.picture[middle, middle]).mean() < 0.005
    assert np.abs(near.masks - whole.masks[:, middle, middle]).max() < 0.01


@pytest.mark.parametrize("shape", SHAPES)
def test_a_thing_is_wholly_visible_and_never_meets_another(shape: str) -> None:
    for seed, side in product(range(2), SIDES):
        others = [Thing("cube" if shape in FLYING else "star", size="large", side=other) for other in SIDES]
        others += [Thing(shape, size="large", side=other) for other in SIDES if other != side]
        masks = draw(Scene(things=(Thing(shape, size="large", side=side), *others), seed=seed), 96).masks
        border = np.concatenate([masks[:, [0, -1]].ravel(), masks[:, :, [0, -1]].ravel()])
        assert border.max() == 0
        assert masks.sum(0).max() <= 1.001
        assert masks[0].max() > 0.99


@pytest.mark.parametrize("shape", SHAPES)
def test_sizes_grow_and_what_stands_keeps_its_foot(shape: str) -> None:
    drawn = [draw(Scene(things=(Thing(shape, size=size),), seed=2), 128).masks[0] for size in SIZES]
    areas = [mask.sum() for mask in drawn]
    assert areas[0] * 1.5 < areas[1]
    assert areas[1] * 1.3 < areas[2]
    if shape in STANDING:
        feet = [np.nonzero(mask.max(1) > 0.5)[0].max() for mask in drawn]
        assert max(feet) - min(feet) <= 3


def test_a_thing_keeps_its_place_whatever_becomes_of_it_and_the_others() -> None:
    thing = Thing("ball", side="left")
    assert place(thing, 3) == place(Thing("ball", "green", "metal", "medium", "left"), 3)
    alone = draw(Scene(things=(thing,), seed=3)).masks[0]
    among = draw(Scene(things=(Thing("cube", side="right"), thing, Thing("kite", side="left")), seed=3)).masks[1]
    assert np.array_equal(alone, among)


@pytest.mark.parametrize("weather", ["sunny", "snowy", "foggy"])
@pytest.mark.parametrize("changes", [{"colour": "white"}, {"material": "checkered"}])
def test_another_look_of_a_thing_changes_its_own_pixels_only(weather: str, changes: dict[str, str]) -> None:
    scene = replace(CROWD, weather=weather)
    for index in range(len(scene.things)):
        before, after = draw(scene), draw(with_thing(scene, index, **changes))
        changed = np.abs(before.picture - after.picture).max(2) > 0
        assert not (changed & (before.masks[index] == 0)).any()
        assert changed.sum() > 0.3 * (before.masks[index] > 0.5).sum()
        assert np.array_equal(before.masks, after.masks)


def test_adding_a_thing_changes_its_surroundings_only() -> None:
    rows, columns = np.mgrid[:128, :128] / 128
    for seed in range(3):
        scene = Scene(things=CROWD.things[1:], seed=seed)
        at = place(CROWD.things[0], seed)
        changed = np.abs(draw(scene).picture - draw(replace(scene, things=CROWD.things)).picture).max(2) > 0
        near = (np.abs(columns - at.x) < 2.5 * at.radius) & (np.abs(rows - at.y) < 1.7 * at.radius)
        assert not (changed & ~near).any()


def test_the_composition_depends_on_the_place_and_the_seed_alone() -> None:
    for name in PLACES[::2]:
        mask = [
            draw(replace(CROWD, place=name, season=season, weather=weather)).masks
            for season, weather in (("spring", "sunny"), ("winter", "foggy"))
        ]
        assert np.array_equal(*mask)
        cloudy = [draw(Scene(place=name, season=season, weather="cloudy", seed=4)).picture[:24] for season in ("summer", "autumn")]
        assert np.corrcoef(*[picture.mean(2).ravel() for picture in cloudy])[0, 1] > 0.8
    assert apart(blurred_lab(Scene(seed=1)), blurred_lab(Scene(seed=2))) > 2


@pytest.mark.parametrize(("name", "options"), [("season", SEASONS), ("weather", WEATHERS), ("time", TIMES)])
def test_every_attribute_of_the_backdrop_is_plain_to_see(name: str, options: tuple[str, ...]) -> None:
    chosen = random.Random(name)
    tries = [
        Scene(chosen.choice(PLACES), chosen.choice(SEASONS), chosen.choice(WEATHERS), chosen.choice(TIMES), seed=chosen.randrange(1000))
        for _ in range(12)
    ]
    tries += [
        Scene(place, weather=weather, time="night", seed=3)
        for place, weather in (("farm", "rainy"), ("city", "foggy"), ("forest", "snowy"))
    ]
    for scene in tries:
        pictures = {value: blurred_lab(replace(scene, **{name: value})) for value in options}
        for first, second in combinations(options, 2):
            assert apart(pictures[first], pictures[second]) > 5.5, (first, second, scene)


def test_places_differ() -> None:
    for season, weather, time in (("summer", "sunny", "day"), ("autumn", "cloudy", "sunset"), ("spring", "rainy", "night")):
        pictures = [blurred_lab(Scene(name, season, weather, time, seed=3)) for name in PLACES]
        assert min(apart(first, second) for first, second in combinations(pictures, 2)) > 2.5


@pytest.mark.parametrize(
    ("time", "weather"),
    [("day", "sunny"), ("day", "foggy"), ("sunset", "cloudy"), ("night", "sunny"), ("night", "foggy"), ("night", "snowy")],
)
@pytest.mark.parametrize("shape", ["ball", "house", "car"])
def test_colours_can_be_told_apart_in_every_light(time: str, weather: str, shape: str) -> None:
    pixels = []
    for colour in COLOURS:
        drawn = draw(Scene(time=time, weather=weather, things=(Thing(shape, colour),), seed=3))
        pixels.append(lab(drawn.picture)[drawn.masks[0] > 0.5])
    assert min(apart(first, second) for first, second in combinations(pixels, 2)) > 11


@pytest.mark.parametrize("colour", COLOURS)
def test_materials_can_be_told_apart(colour: str) -> None:
    for shape in ("ball", "cube", "vase", "heart"):
        pixels = []
        for material in MATERIALS:
            drawn = draw(Scene(things=(Thing(shape, colour, material),), seed=3))
            pixels.append(lab(drawn.picture)[drawn.masks[0] > 0.5])
        assert min(apart(first, second) for first, second in combinations(pixels, 2)) > 6


def test_shapes_have_outlines_of_their_own() -> None:
    masks = {shape: draw(Scene(things=(Thing(shape, size="large"),))).masks[0] for shape in SHAPES}
    for group in (STANDING, FLYING):
        for first, second in combinations(group, 2):
            common = np.minimum(masks[first], masks[second]).sum()
            assert common < 0.93 * np.maximum(masks[first], masks[second]).sum(), (first, second)


@pytest.mark.parametrize(("style", "operator"), [("pencil_sketch", "sketch"), ("sepia", "sepia"), ("pixel_art", "pixel_art")])
def test_a_style_is_the_photo_operator_over_the_plain_picture(style: str, operator: str) -> None:
    plain, styled = draw(CROWD), draw(replace(CROWD, style=style))
    assert np.array_equal(styled.picture, photo_operators.apply(operator, plain.picture))
    assert np.array_equal(styled.masks, plain.masks)


def test_a_scene_without_things_has_no_masks() -> None:
    assert draw(Scene(), 64).masks.shape == (0, 64, 64)


@pytest.mark.parametrize("size", [0, 63, 513])
def test_other_sizes_are_refused(size: int) -> None:
    with pytest.raises(SceneError, match="64 to 512"):
        draw(Scene(), size)


def test_drawing_needs_numpy_and_scipy_alone() -> None:
    folder = Path(drawing.__file__).parent
    for file in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) and not node.level and node.module else []
            assert {name.split(".")[0] for name in names} <= {
                "numpy",
                "scipy",
                "dataclasses",
                "functools",
                "collections",
                "typing",
                "zlib",
            }, file
