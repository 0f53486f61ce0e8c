"""Unseen instructions: really unseen, for every kind, and judged by all that they say."""

import sys
from collections import Counter
from pathlib import Path

import pytest

from ip2p.worlds.photo_operators import KINDS
from ip2p.worlds.phrasings import phrasings

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "bench"))
import reading


def test_there_are_many_for_every_kind_and_training_has_none_of_them():
    unseen = reading.read_unseen()
    counts = Counter(one.section for one in unseen)
    assert len(unseen) == len({one.text for one in unseen}) >= 200
    assert min(counts[kind] for kind in KINDS) >= 5
    assert sum(len(one.kinds) == 2 for one in unseen) >= 30
    assert counts["world"] >= 40
    assert not {one.text for one in unseen} & {text for both in phrasings().values() for text in both.training}


def test_an_instruction_is_read_right_only_when_all_that_it_says_is_found(tmp_path):
    path = tmp_path / "unseen.txt"
    path.write_text("# head\n[night+snow]\nwinter night\n\n[world]\nswap the ball | replace | red ball | car\n")
    pair, world = reading.read_unseen(path)
    photo = {"does": "photo", "old_shape": "", "new_shape": ""}
    assert reading.right(pair, ("night", "snow"), photo)
    assert not reading.right(pair, ("night",), photo)
    assert not reading.right(pair, ("night", "snow"), photo | {"does": "add"})
    said = {"does": "replace", "old_shape": "ball", "old_colour": "red", "new_shape": "car", "new_colour": ""}
    assert reading.right(world, (), said)
    assert not reading.right(world, ("night",), said)
    assert not reading.right(world, (), said | {"new_colour": "red"})


@pytest.mark.parametrize("line", ["[gloomy]\ndark", "[world]\nadd it | add | | red dragon"])
def test_kinds_and_words_that_nobody_knows_are_named(line, tmp_path):
    path = tmp_path / "unseen.txt"
    path.write_text(line + "\n")
    with pytest.raises(ValueError, match=r"gloomy|dragon"):
        reading.read_unseen(path)
