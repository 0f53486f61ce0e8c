"""The photo operators: deterministic, bounded, told apart by the judge, and free of position and of the picture's size."""

from itertools import combinations

import numpy as np
import pytest

from ip2p.metrics import colour_edge
from ip2p.worlds.photo_operators import BLOCK, EDITS, KINDS, PAIRS, apply, apply_all, in_order

BORDER = 32


def picture(height: int = 96, width: int = 120, seed: int = 0) -> np.ndarray:
    """Smooth random shapes with some hard edges and grain, like a photo's statistics."""
    rng = np.random.default_rng(seed)
    out = np.zeros((height, width, 3), dtype=np.float32)
    rows, columns = np.mgrid[:height, :width]
    for _ in range(12):
        y, x, radius = rng.uniform(0, height), rng.uniform(0, width), rng.uniform(10, 40)
        inside = (rows - y) ** 2 + (columns - x) ** 2 < radius**2
        out[inside] = 0.3 * out[inside] + 0.7 * rng.uniform(0, 1, 3)
    shade = 0.6 + 0.4 * rows[..., None] / height
    return np.clip(out * shade + rng.normal(0, 0.02, out.shape), 0, 1).astype(np.float32)


@pytest.mark.parametrize("kind", KINDS)
def test_an_edit_is_deterministic_bounded_and_leaves_its_input_alone(kind: str) -> None:
    source = picture()
    before = source.copy()
    first, second = apply(kind, source), apply(kind, source)
    assert np.array_equal(first, second)
    assert np.array_equal(source, before)
    assert first.shape == source.shape
    assert first.dtype == np.float32
    assert first.min() >= 0
    assert first.max() <= 1


def test_the_right_answers_are_distinct() -> None:
    answers = {kind: colour_edge.features(apply(kind, picture())) for kind in KINDS}
    for a, b in combinations(KINDS, 2):
        assert colour_edge.between(answers[a], answers[b]) > 0.02, (a, b)


@pytest.mark.parametrize("kind", KINDS)
def test_the_edit_of_a_crop_is_the_crop_of_the_edit(kind: str) -> None:
    whole = picture(160, 176)
    top, left = 2 * BLOCK, 3 * BLOCK
    window = slice(top, top + 128), slice(left, left + 128)
    inner = slice(BORDER, -BORDER), slice(BORDER, -BORDER)
    np.testing.assert_allclose(apply(kind, whole[window])[inner], apply(kind, whole)[window][inner], atol=1e-3)


def test_there_are_enough_kinds_and_one_changes_nothing() -> None:
    assert len(EDITS) >= 24
    assert np.array_equal(apply("unchanged", picture()), picture())


def test_a_pair_is_the_same_in_any_order_and_another_than_each_alone() -> None:
    source = picture(64, 72)
    for first, second in PAIRS:
        one, other = apply(first, source), apply(second, source)
        both = apply_all((second, first), source)
        assert np.array_equal(both, apply(second, one))
        for alone in (source, one, other):
            assert colour_edge.distance(both, alone) > 0.03, (first, second)


def test_of_several_edits_only_pairs_have_an_order() -> None:
    assert in_order(()) == ()
    assert in_order(["relief"]) == ("relief",)
    assert len({frozenset(pair) for pair in PAIRS}) == len(PAIRS) >= 50
    assert np.array_equal(apply_all((), picture()), picture())
    with pytest.raises(ValueError, match="not made together"):
        apply_all(("thermal", "x_ray"), picture())


def test_unknown_kinds_and_shapes_are_refused_with_a_sentence() -> None:
    with pytest.raises(ValueError, match="unknown; use one of"):
        apply("louder", picture())
    with pytest.raises(ValueError, match="convert it to RGB"):
        apply("blur", np.zeros((8, 8, 4), dtype=np.float32))


def test_the_distance_is_zero_for_equal_pictures_and_refuses_unequal_sizes() -> None:
    assert colour_edge.distance(picture(), picture()) == 0
    assert colour_edge.distance(np.zeros((16, 16, 3)), np.ones((16, 16, 3))) == pytest.approx(1.0, abs=0.01)
    with pytest.raises(ValueError, match="bring them to one size"):
        colour_edge.distance(np.zeros((8, 8, 3)), np.zeros((8, 9, 3)))
