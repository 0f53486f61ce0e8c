"""Which pair a coarse sweep picks: by CLIP where it is there, else by where the instruction works and how far the rest drifts."""

import pytest
import torch

from ip2p.auto_scales import Evidence, around, choose, evidence, notes, standing, with_clip
from ip2p.sweep import Grid

USUAL = (5.0, 1.5)
GRID = around(*USUAL)


def test_the_grid_lies_around_the_usual_pair():
    assert Grid((3.0, 5.0, 8.0), (1.0, 1.5, 2.0)) == GRID
    assert USUAL in GRID.pairs
    assert around(7.5, 1.0) == Grid((4.5, 7.5, 12.0), (1.0, 1.25, 1.5))
    assert (7.5, 0.8) in around(7.5, 0.8).pairs


def place_of_the_edit(inside, outside):
    """Maps (N, 1, 8, 8) whose left half is the place of the edit."""
    maps = torch.tensor(outside).view(-1, 1, 1, 1).repeat(1, 1, 8, 8)
    maps[..., :4] = torch.tensor(inside).view(-1, 1, 1, 1)
    return maps


def test_evidence_of_contrast_and_drift():
    source = torch.zeros(32, 32, 3)
    pictures = torch.zeros(2, 32, 32, 3)
    pictures[0, :, :16] = 1.0  # all the change is in the place of the edit
    pictures[1] = 0.5
    found = evidence(place_of_the_edit([3.0, 4.0], [1.0, 2.0]), pictures, source)
    torch.testing.assert_close(found.contrast, torch.tensor([3.0, 2.0], dtype=torch.float64))
    assert found.drift[0] < 0.06
    assert found.drift[1] == pytest.approx(0.5, abs=1e-6)


def test_maps_without_a_place_of_the_edit_say_nothing():
    found = evidence(torch.ones(9, 1, 8, 8), torch.rand(9, 16, 16, 3), torch.rand(16, 16, 3))
    assert found.contrast.isfinite().all()
    assert found.drift.isfinite().all()


def numbers(**changes):
    """Nine cells that are all alike but for the given ones."""
    rows = {name: torch.full((9,), 0.5, dtype=torch.float64) for name in ("contrast", "drift", "direction", "similarity")}
    for name, at in changes.items():
        for cell, value in at.items():
            rows[name][cell] = value
    return rows


def without_clip(**changes):
    rows = numbers(**changes)
    return Evidence(rows["contrast"], rows["drift"])


def test_where_all_are_alike_the_usual_pair_stays():
    assert torch.equal(standing(torch.ones(9)), torch.zeros(9))
    for found in (without_clip(), Evidence(**numbers())):
        choice = choose(GRID, USUAL, found)
        assert (choice.text_scale, choice.image_scale) == USUAL
        assert "No other pair" in str(choice)


def test_a_clear_winner_by_clip_is_taken_and_told():
    choice = choose(GRID, USUAL, Evidence(**numbers(direction={2: 0.9})))
    assert (choice.cell, choice.text_scale, choice.image_scale) == (2, 8.0, 1.0)
    told = "There CLIP direction 0.900, CLIP image 0.500; with the usual pair CLIP direction 0.500, CLIP image 0.500."
    assert str(choice) == f"text scale 8, image scale 1. {told}"


def test_the_text_scale_is_that_of_the_largest_contrast():
    every = dict.fromkeys((0, 3, 6), 0.6)  # the cells of text scale 3
    assert choose(GRID, USUAL, without_clip(contrast=every)).text_scale == 3.0
    assert choose(GRID, USUAL, without_clip(contrast=dict.fromkeys((0, 3, 6), 0.51))).text_scale == 5.0, "not by enough"


def test_a_text_scale_that_drifts_more_than_it_gains_is_not_taken():
    gains = dict.fromkeys((2, 5, 8), 0.6)
    assert choose(GRID, USUAL, without_clip(contrast=gains, drift=dict.fromkeys((2, 5, 8), 0.55))).text_scale == 8.0
    assert choose(GRID, USUAL, without_clip(contrast=gains, drift=dict.fromkeys((2, 5, 8), 0.65))).text_scale == 5.0


def test_the_image_scale_is_that_of_the_least_drift_at_that_text_scale():
    choice = choose(GRID, USUAL, without_clip(drift={7: 0.4, 0: 0.1}))
    assert (choice.cell, choice.text_scale, choice.image_scale) == (7, 5.0, 2.0)
    assert "There contrast 0.50, drift 0.400" in str(choice)
    both = without_clip(contrast=dict.fromkeys((0, 3, 6), 0.6), drift={7: 0.45, 0: 0.4})
    assert (choose(GRID, USUAL, both).text_scale, choose(GRID, USUAL, both).image_scale) == (3.0, 1.0)
    assert choose(GRID, USUAL, without_clip(drift={7: 0.49})).image_scale == 1.5, "not by enough"


def test_a_pair_that_ruins_the_picture_is_not_taken():
    assert choose(GRID, USUAL, Evidence(**numbers(similarity={2: 0.1}))).cell == GRID.pairs.index(USUAL)
    assert choose(GRID, USUAL, without_clip(drift={2: 0.9, 1: 0.9})).cell == GRID.pairs.index(USUAL)


def test_clip_counts_only_where_it_measured_every_cell():
    plain = without_clip()
    rows = [{"clip_direction": 0.1 * cell, "clip_image": 0.9} for cell in range(9)]
    found = with_clip(plain, rows)
    assert found.direction is not None
    assert found.direction.tolist() == pytest.approx([0.1 * cell for cell in range(9)])
    assert notes(found)[3] == ("CLIP direction 0.300", "CLIP image 0.900")
    assert with_clip(plain, [*rows[:-1], {"clip_image": 0.9}]) is plain
    assert notes(plain)[0] == ("contrast 0.50", "drift 0.500")


def test_the_usual_pair_must_be_in_the_grid():
    with pytest.raises(ValueError, match="not in the grid"):
        choose(Grid((1.0,), (1.0,)), USUAL, without_clip())
