"""Every reason to throw a triplet away, on its own, and what is not a reason."""

import sys
from collections import Counter

import pytest

from ip2p.captions import filters
from ip2p.captions.filters import REASONS, Filters, filtered, tokens_of, unsafe_words, words_in
from ip2p.captions.seen import Keys, Near
from ip2p.captions.source import Refused
from ip2p.captions.triplet import Triplet

GOOD = Triplet("a man riding a brown horse on the beach", "make the horse white", "a man riding a white horse on the beach")
LONG = "a " + "very " * 80 + "long caption"


def triplet(caption="a red ball", instruction="make the ball blue", edited="a blue ball"):
    return Triplet(caption, instruction, edited)


def reasons(*triplets, **settings):
    counts = Counter()
    found = list(filtered(triplets, Filters(**settings), counts))
    assert len(found) + sum(counts.values()) == len(triplets), "each is kept or counted once"
    return dict(counts)


REJECTED = {
    "empty": [triplet(instruction=" "), triplet(edited=""), triplet(caption=" ?!")],
    "broken format": [
        triplet(edited="a blue ball\nEND"),
        triplet(instruction="make it blue ## now"),
        triplet(caption='{"caption": "a red ball"}'),
        triplet(edited="a blue ball END"),
        triplet(edited="a bl\ufffde ball"),
    ],
    "unchanged": [triplet(edited="A red ball."), triplet(edited=" a red BALL ?! ")],
    "repeats the caption": [
        triplet(instruction="A blue ball."),
        triplet(instruction="a red ball"),
        triplet(GOOD.caption, f"make {GOOD.caption} a cat", "a cat"),
    ],
    "unsafe": [triplet(edited="a Naked ball"), triplet(caption="red gore"), triplet(instruction="make it NSFW!")],
    "too long": [triplet(LONG, edited="a short one"), triplet(edited=LONG), triplet(instruction=LONG)],
}


@pytest.mark.parametrize("reason", REJECTED)
def test_each_reason_is_counted_and_can_be_switched_off(reason):
    for one in REJECTED[reason]:
        assert reasons(one, GOOD) == {reason: 1}, one
        assert reason not in reasons(one, GOOD, off=frozenset([reason]))


def test_what_a_source_refused_is_counted_by_its_reason():
    assert reasons(GOOD, Refused("a dog", "broken format", "hm"), Refused("a dog", "no answer")) == {"broken format": 1, "no answer": 1}


def test_ordinary_triplets_are_kept():
    sussex = triplet("a farm in Sussex", "make it winter", "a farm in Sussex in winter")
    assert reasons(GOOD, sussex, triplet(), triplet("a cat", "a 50% bigger cat", "a big cat")) == {}


def test_the_same_again_is_a_duplicate_whatever_its_case():
    again = Triplet(GOOD.caption.upper() + ".", "Make the horse white!", GOOD.edited_caption)
    assert reasons(GOOD, again) == {"duplicate": 1}
    assert reasons(GOOD, again, off=frozenset(["duplicate", "near duplicate"])) == {}


NEARLY = [
    ("the same change asked for in other words", GOOD.caption, "paint the horse white", GOOD.edited_caption),
    (
        "a word of nine changed",
        "a man riding a brown horse along the beach",
        "make the horse white",
        "a man riding a white horse along the beach",
    ),
    ("other articles", "the man riding the brown horse on a beach", "white horse", "the man riding the white horse on a beach"),
]
DIFFERENT = [
    ("another change", GOOD.caption, "make the horse black", "a man riding a black horse on the beach"),
    ("another caption", "a girl leading a brown horse through the snow", "make it white", "a girl leading a white horse through the snow"),
]


@pytest.mark.parametrize(("_", "caption", "instruction", "edited"), NEARLY)
def test_nearly_the_same_is_told(_, caption, instruction, edited):
    assert reasons(GOOD, Triplet(caption, instruction, edited), likeness=0.7) == {"near duplicate": 1}


@pytest.mark.parametrize(("_", "caption", "instruction", "edited"), DIFFERENT)
def test_what_differs_is_kept(_, caption, instruction, edited):
    assert reasons(GOOD, Triplet(caption, instruction, edited), likeness=0.7) == {}


def test_likeness_decides():
    words = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]
    first = Triplet(" ".join(words), "x y", " ".join([*words, "snow"]))
    other = Triplet(" ".join([*words[:-1], "zehn"]), "x z", " ".join([*words[:-1], "zehn", "snow"]))  # 9 of 11 words: 0.82
    assert reasons(first, other, likeness=0.8) == {"near duplicate": 1}
    assert reasons(first, other, likeness=0.9) == {}


def test_near_duplicates_are_found_in_nearly_all_cases():
    """At a likeness of 0.82 the minimal hashes miss few."""
    near, found = Near(0.8), 0
    for number in range(300):
        words = [f"w{number}x{part}" for part in range(10)]
        assert not near.again(Triplet(" ".join(words), "x", " ".join([*words, "snow"])))
        words[3] = "other"
        found += near.again(Triplet(" ".join(words), "y", " ".join([*words, "snow"])))
    assert found > 285


def test_tokens_are_those_of_clip():
    assert tokens_of("a photo of a cat") == 7
    assert tokens_of("a photo of a cat", 77) <= 77
    words = " ".join(["cat"] * 75)
    assert tokens_of(words) == 77
    assert reasons(triplet(caption=words)) == {}
    assert reasons(triplet(caption=words + " cat")) == {"too long": 1}
    assert reasons(GOOD, tokens=5) == {"too long": 1}


def test_a_list_of_ones_own_takes_the_place_of_the_packs(tmp_path):
    path = tmp_path / "words.txt"
    path.write_text("# mine\nBall\nriding a brown\n", encoding="utf8")
    assert unsafe_words(path) == ("ball", "riding a brown")
    mine = unsafe_words(path)
    assert reasons(triplet(), GOOD, triplet("a nude", "make it stone", "a statue"), unsafe=mine) == {"unsafe": 2}
    assert reasons(triplet("a nude", "make it stone", "a statue"), unsafe=()) == {}
    assert reasons(triplet("a football", "make it blue", "a blue football"), unsafe=mine) == {}, "whole words only"
    assert words_in("a\n\n# b\n C c ") == ("a", "c c")


def test_settings_that_make_no_sense_are_told():
    with pytest.raises(ValueError, match="no reason 'dull'"):
        Filters(off=frozenset(["dull"]))
    with pytest.raises(ValueError, match="likeness of near duplicates is 0"):
        Filters(likeness=0)
    with pytest.raises(ValueError, match="3 to 77"):
        Filters(tokens=100)
    assert set(REJECTED) | {"duplicate", "near duplicate"} == set(REASONS)


def test_keys_remember_the_first_in_little_memory():
    keys = Keys()
    numbers = [hash((number, "x")) & (2**64 - 1) for number in range(5000)]
    for number, key in enumerate(numbers):
        assert keys.first(key, number) is None
    assert [keys.first(key, 9) for key in numbers] == list(range(5000))
    assert keys.get(12345) is None
    assert sum(sys.getsizeof(table) for table in (keys._keys, keys._numbers)) < 5000 * 45


def test_the_list_of_the_pack_says_what_it_should():
    assert {"nude", "naked", "nsfw", "gore"} <= set(unsafe_words())
    assert filters.UNSAFE_WORDS.is_file()
