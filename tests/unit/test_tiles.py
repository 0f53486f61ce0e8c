"""Tiles: a local map comes out as it does whole, however many tiles there are; what a tile costs does not grow with the picture."""

from itertools import pairwise

import pytest
import torch

from ip2p import tiles


@pytest.mark.parametrize(("length", "count"), [(96, 1), (97, 2), (176, 2), (177, 3), (1000, 13)])
def test_tiles_cover_a_side_and_overlap(length, count):
    begun = tiles.places(length, 96, 16)
    assert len(begun) == count
    assert begun[0] == 0
    assert begun[-1] == max(0, length - 96)
    assert all(here + 96 - after >= 16 for here, after in pairwise(begun))


@pytest.mark.parametrize("shape", [(2, 4, 40, 56), (1, 4, 16, 200), (1, 4, 9, 9)])
def test_a_map_of_single_pixels_is_the_same_in_tiles(shape):
    latent = torch.randn(shape, generator=torch.Generator().manual_seed(0))

    def enlarge(part):
        return part[:, :3].repeat_interleave(8, 2).repeat_interleave(8, 3) * 2

    assert torch.allclose(tiles.tiled(enlarge, latent, 16, 4, 8), enlarge(latent), atol=1e-5)


def test_a_map_that_makes_smaller_is_the_same_in_tiles():
    picture = torch.rand(1, 3, 8 * 37, 8 * 52, generator=torch.Generator().manual_seed(0))

    def reduce(part):
        return torch.nn.functional.avg_pool2d(part, 8)

    assert torch.allclose(tiles.tiled(reduce, picture, 128, 32, 1 / 8), reduce(picture), atol=1e-5)


def test_tiles_that_disagree_are_faded_into_each_other():
    shown = iter([0.0, 1.0])
    row = tiles.tiled(lambda part: torch.full_like(part, next(shown)), torch.zeros(1, 1, 4, 28), 16, 4, 1)[0, 0, 0]
    assert row[:12].eq(0).all()
    assert row[16:].eq(1).all()
    assert (row[1:] >= row[:-1]).all()
    assert (row[1:] - row[:-1]).max() < 0.5


def test_no_tile_is_larger_than_asked():
    seen = []
    tiles.decode(
        lambda part: (seen.append(part.shape[-2:]), part.repeat_interleave(8, 2).repeat_interleave(8, 3))[1], torch.zeros(1, 3, 200, 300)
    )
    assert set(seen) == {(tiles.TILE // 8, tiles.TILE // 8)}


def test_only_large_pictures_need_them():
    assert not tiles.are_needed(1024, 1024)
    assert not tiles.are_needed(768, 1152)
    assert tiles.are_needed(1024, 1032)
