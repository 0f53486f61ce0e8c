"""Instructions: many for each kind, none for two kinds, and what is kept out of training stays out."""

from pathlib import Path

import numpy as np
import pytest

from ip2p.worlds.asking import ask, ask_two, ask_two_held_out, neutral
from ip2p.worlds.photo_operators import KINDS, PAIRS
from ip2p.worlds.phrasings import PhrasingError, phrasings, read_wordings


def test_every_kind_has_many_wordings() -> None:
    wordings = read_wordings()
    assert tuple(wordings) == KINDS
    for kind, words in wordings.items():
        assert len(words.whole) + len(words.adjectives) + len(words.nouns) >= 40, kind
        assert len(words.held_out) >= 3, kind


def test_no_instruction_stands_twice_and_the_split_is_disjoint() -> None:
    seen: set[str] = set()
    for kind, both in phrasings().items():
        instructions = both.training + both.held_out
        assert len(set(instructions)) == len(instructions), kind
        assert not seen & set(instructions), kind
        assert len(both.held_out) >= 0.1 * len(instructions), kind
        seen |= set(instructions)


def test_training_never_asks_in_a_held_out_way() -> None:
    chance = np.random.default_rng(0)
    for kind, both in phrasings().items():
        asked = {ask(kind, chance, []) for _ in range(300)}
        assert not asked & set(both.held_out)
        assert len(asked) > 100


def test_training_never_asks_for_two_as_the_held_out_instructions_do() -> None:
    chance = np.random.default_rng(0)
    for pair in PAIRS:
        held_out = {ask_two_held_out(*pair, chance) for _ in range(40)}
        asked = {ask_two(*pair, chance, []) for _ in range(40)}
        assert len(held_out) > 30
        assert len(asked) > 30
        assert not asked & held_out
        assert not any("{" in text for text in asked | held_out)


def test_asking_repeats_itself_for_the_same_seed() -> None:
    captions = ["two children play ball near a wall"]
    one, other = (ask("night", np.random.default_rng(5), captions) for _ in range(2))
    assert one == other


def test_captions_that_ask_for_an_edit_are_not_neutral() -> None:
    assert neutral(["Two people play ball .", "A dog runs through the snow ."]) == ["two people play ball"]


def test_a_malformed_line_is_named(tmp_path: Path) -> None:
    path = tmp_path / "wordings.txt"
    path.write_text("[night]\n= make it night\nmake it dark\n")
    with pytest.raises(PhrasingError, match="Line 3"):
        read_wordings(path)
