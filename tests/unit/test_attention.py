"""Prompt-to-Prompt's mathematics on plain tensors."""

from itertools import pairwise

import pytest
import torch

from ip2p import attention, sigmas
from ip2p.attention import CrossEdit


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def plain_edit(pairs, tokens, **change):
    """An edit that takes over every map as it is."""
    edit = CrossEdit(
        torch.eye(tokens).repeat(pairs, 1, 1),
        torch.ones(pairs, tokens, dtype=torch.bool),
        torch.ones(pairs, tokens),
        torch.ones(pairs, tokens),
        torch.zeros(pairs, 2, tokens, dtype=torch.bool),
    )
    return edit._replace(**change)


@pytest.mark.parametrize(
    ("share", "steps", "shared"),
    [
        (0.0, 5, []),
        (0.1, 5, [0]),
        (0.25, 5, [0]),
        (0.26, 5, [0, 1]),
        (0.9, 5, [0, 1, 2, 3]),
        (1.0, 5, [0, 1, 2, 3, 4]),
        (0.0, 1, []),
        (0.01, 1, [0]),
        (1.0, 1, [0]),
        (0.5, 2, [0]),
    ],
)
def test_a_share_lasts_while_it_is_more_than_the_steps_part(share, steps, shared):
    assert [i for i in range(steps) if attention.active(torch.tensor([share]), i, steps)] == shared


def test_only_named_pairs_share_and_the_first_rows_never_change():
    x = random(6, 3, 4)
    out = attention.shared(x, torch.tensor([True, False, True]))
    assert torch.equal(out[::2], x[::2])
    assert torch.equal(out[1::2], torch.stack([x[0], x[3], x[4]]))
    assert attention.shared(x, torch.zeros(3, dtype=torch.bool)) is x


def test_calls_between_noise_levels_belong_to_the_step_that_began():
    levels = sigmas.normal(6)
    assert [attention.step_of(float(level), levels) for level in levels[:-1]] == list(range(6))
    between = [float((a * b).sqrt()) for a, b in pairwise(levels[:-1])]
    assert [attention.step_of(level, levels) for level in between] == list(range(5))
    assert attention.step_of(float(levels[0]) * 2, levels) == 0
    assert attention.step_of(0.0, levels) == 5
    assert [attention.step_of(float(level) * (1 + 1e-6), levels) for level in levels[:-1]] == list(range(6))


def test_maps_are_those_of_softmax_attention():
    q, k, v = random(2, 3, 5, 4), random(2, 3, 7, 4, seed=1), random(2, 3, 7, 4, seed=2)
    expected = torch.nn.functional.scaled_dot_product_attention(q, k, v)
    torch.testing.assert_close(attention.attention_maps(q, k) @ v, expected, atol=1e-6, rtol=0)


def test_an_edit_takes_maps_over_weighs_them_and_leaves_the_rest():
    first, own = random(2, 3, 5, 4).softmax(-1), random(2, 3, 5, 4, seed=1).softmax(-1)
    mapper = torch.zeros(2, 4, 4)
    mapper[:, 0, 0], mapper[:, 1, 2], mapper[:, 1, 3] = 1, 0.5, 0.5
    aligned = torch.tensor([[True, False, True, True]] * 2)
    weights = torch.tensor([[1.0, 3.0, 1.0, 2.0]] * 2)
    now = torch.tensor([[True] * 4, [True, True, True, False]])
    out = attention.edited(first, own, plain_edit(2, 4, mapper=mapper, aligned=aligned, weights=weights), now)
    torch.testing.assert_close(out[..., 0], first[..., 0])
    torch.testing.assert_close(out[..., 1], 3 * own[..., 1])
    torch.testing.assert_close(out[..., 2], first[..., 1] / 2)
    torch.testing.assert_close(out[0, ..., 3], first[0, ..., 1])
    assert torch.equal(out[1, ..., 3], own[1, ..., 3])
    assert torch.equal(attention.edited(first, own, plain_edit(2, 4), torch.zeros(2, 4, dtype=torch.bool)), own)


def test_a_text_repeated_as_a_whole_is_edited_alike():
    """Attention over k copies of a text is that over the text; so are its edits."""
    q, k, v = random(2, 1, 5, 4), random(2, 1, 3, 4, seed=1), random(2, 1, 3, 4, seed=2)
    mapper = torch.tensor([[[1.0, 0, 0], [0, 0.5, 0.5], [0, 0, 0]]])
    edit = plain_edit(1, 3, mapper=mapper, aligned=torch.tensor([[True, True, False]]), weights=torch.tensor([[1.0, 2.0, 4.0]]))

    def result(copies):
        keys, values = k.repeat(1, 1, copies, 1), v.repeat(1, 1, copies, 1)
        maps = attention.attention_maps(q, keys)
        fitted = attention.fitted(edit, 3 * copies)
        return attention.edited(maps[:1], maps[1:], fitted, fitted.shares > 0) @ values[1:]

    torch.testing.assert_close(result(1), result(3), atol=1e-6, rtol=0)


def test_what_is_appended_to_a_text_keeps_its_own_maps():
    first, own = random(1, 2, 5, 6).softmax(-1), random(1, 2, 5, 6, seed=1).softmax(-1)
    fitted = attention.fitted(plain_edit(1, 4), 6)
    out = attention.edited(first, own, fitted, fitted.shares > 0)
    assert torch.equal(out[..., 4:], own[..., 4:])
    assert torch.equal(out[..., :4], first[..., :4])
    with pytest.raises(ValueError, match="3 tokens long here"):
        attention.fitted(plain_edit(1, 4), 3)


@pytest.mark.parametrize(
    ("places", "size", "sides"), [(64, (8, 8), (8, 8)), (16, (8, 8), (4, 4)), (35, (9, 13), (5, 7)), (1, (4, 4), (1, 1))]
)
def test_an_attention_map_knows_its_sides(places, size, sides):
    assert attention.grid(places, *size) == sides


def test_a_map_of_another_latent_is_named():
    with pytest.raises(ValueError, match="An attention map of 15 places"):
        attention.grid(15, 8, 8)


def test_pictures_differ_where_either_looks_at_the_words():
    maps = torch.zeros(3, 2, 6, 6)
    maps[0, 0, 1, 1], maps[0, 1, 4, 4], maps[0, 0, 5, 0] = 2.0, 1.0, 0.1
    maps[1, 1, 3, 3] = 1.0
    mask = attention.blend_mask(maps, (12, 12), 0.3)
    assert mask.shape == (3, 1, 12, 12)
    expected = torch.zeros(6, 6)
    expected[0:3, 0:3] = expected[3:6, 3:6] = 1
    assert torch.equal(mask[0, 0], expected.repeat_interleave(2, 0).repeat_interleave(2, 1))
    assert mask[1].sum() == 4 * 9
    assert mask[2].all(), "a pair without marked words may differ everywhere"
    x = random(6, 4, 12, 12)
    out = attention.blended(x, mask)
    assert torch.equal(out[::2], x[::2])
    assert torch.equal(out[1], torch.where(mask[0] > 0, x[1], x[0]))
    assert torch.equal(out[5], x[5])
