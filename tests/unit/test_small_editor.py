"""The small editor's recipe: what instructions say, windows around what changes, and how places count."""

import numpy as np
import pytest
import torch

from ip2p.small.config import TextEncoder
from ip2p.small.text import Reader, TextLoss, read
from ip2p.small.unet import around, focused
from ip2p.small.wishes import READ, photo_wish, read_wish, world_wish
from ip2p.training.chance import Randomness
from ip2p.worlds import language
from ip2p.worlds.edits import Add, Recolour, Rematerial, Remove, Replace
from ip2p.worlds.photo_operators import KINDS, PAIRS
from ip2p.worlds.scene import Scene, Thing

SCENE = Scene(things=(Thing("ball", "red", "striped", "large", "left"), Thing("kite", "blue", side="right"), Thing("ball", "green")))
LEFT, SKY = (False, "left"), (True, "right")


@pytest.mark.parametrize(
    ("edit", "text", "said"),
    [
        (Remove(LEFT), "remove the red ball", {"old_shape": "ball", "old_colour": "red"}),
        (Remove(SKY), "let the kite disappear", {"old_shape": "kite"}),
        (Recolour(SKY, "pink"), "paint the blue kite pink", {"old_shape": "kite", "old_colour": "blue", "new_colour": "pink"}),
        (
            Rematerial(LEFT, "metal"),
            "make the red striped ball on the left metal",
            {"old_shape": "ball", "old_colour": "red", "old_material": "striped", "old_side": "left", "new_material": "metal"},
        ),
        (
            Replace(LEFT, "cube", "white"),
            "replace the striped ball with a white cube",
            {"old_shape": "ball", "old_material": "striped", "new_shape": "cube", "new_colour": "white"},
        ),
        (
            Add(Thing("star", "yellow", size="small", side="middle")),
            "add a small yellow star in the sky in the middle",
            {"new_shape": "star", "new_colour": "yellow", "new_size": "small", "new_side": "middle", "new_row": "sky"},
        ),
    ],
)
def test_what_an_instruction_says_is_known_word_by_word(edit, text, said) -> None:
    assert text in language.instructions(SCENE, edit) or isinstance(edit, Remove)
    wish = read_wish(text, SCENE, edit)
    assert {name: value for name, value in wish.said.items() if value} == {"does": edit.kind} | said
    assert wish.labels()[0] == READ["does"].index(edit.kind)
    assert not any(wish.asked())


def test_photo_wishes_are_of_one_kind_or_of_a_pair() -> None:
    rng = np.random.default_rng(0)
    wishes = [photo_wish(rng, []) for _ in range(300)]
    pairs = [wish for wish in wishes if len(wish.kinds) == 2]
    assert 45 <= len(pairs) <= 110
    assert all(wish.kinds in PAIRS for wish in pairs)
    assert all(sum(wish.asked()) == len(wish.kinds) and wish.labels() == [0] * len(READ) for wish in wishes)


@pytest.mark.whole
def test_a_small_reader_learns_to_read() -> None:
    """After a few hundred steps it tells photos' edits from the world's, and what is done to a thing."""
    torch.manual_seed(0)
    reader = Reader(TextEncoder(width=32, layers=1, heads=2, hidden=64))
    loss, optimizer = TextLoss(reader, [], 48), torch.optim.AdamW(reader.parameters(), lr=5e-3)
    first = None
    for step in range(90):
        optimizer.zero_grad()
        value = loss(Randomness.of(0, step))
        value.backward()
        optimizer.step()
        first = first or float(value.detach())
    assert float(value.detach()) < 0.5 * first
    rng = np.random.default_rng(1)
    wishes = [world_wish(rng) if number % 2 else photo_wish(rng, []) for number in range(120)]
    right = [
        said["does"] == wish.said.get("does", "photo")
        for wish, (_, said) in zip(wishes, read(reader.eval(), [w.text for w in wishes]), strict=True)
    ]
    assert np.mean(right) > 0.6  # chance: one in six


def test_windows_lie_inside_and_half_of_them_hold_what_changes() -> None:
    changed = torch.zeros(32, 32)
    changed[3:6, 20:24] = 1
    rng = np.random.default_rng(0)
    windows = [changed[around(changed, 12, rng)] for _ in range(400)]
    assert {tuple(window.shape) for window in windows} == {(12, 12)}
    held = np.mean([bool(window.any()) for window in windows])
    assert 0.5 <= held < 0.85


def test_what_changes_counts_more_and_all_together_as_much() -> None:
    changed = torch.zeros(2, 8, 8)
    changed[0, :2] = 1
    weight = focused(changed, 4.0)
    assert weight.mean((2, 3)).flatten().tolist() == pytest.approx([1, 1])
    assert float(weight[0, 0, 0, 0] / weight[0, 0, 7, 0]) == pytest.approx(5)
    assert len(KINDS) >= 25
