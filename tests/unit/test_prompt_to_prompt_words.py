"""Which token of one caption belongs to which of the other."""

import pytest
import torch

from ip2p import text
from ip2p.attention import CrossEdit
from ip2p.pairs.prompt_to_prompt_control import Control, PromptToPrompt, numbers, phrases
from ip2p.pairs.prompt_to_prompt_words import aligned, changed, find, grouped, mapper, words_of


def said(words, places):
    """The tokens at some places of a text, as text."""
    flat = {place: one for ids, where in zip(words.ids, words.places, strict=True) for one, place in zip(ids, where, strict=True)}
    return text.tokenizer().decode([flat[place] for place in places]).strip()


def test_words_are_whole_and_stand_where_the_encoder_reads_them():
    words = words_of("A photograph of hippogriffs, at night")
    assert words.places[0] == (0,)
    assert [said(words, where) for where in words.places[1:-1]] == ["a", "photograph", "of", "hippogriffs", ",", "at", "night"]
    assert len(words.ids[4]) > 1, "a rare word has several tokens"
    assert [place for where in words.places for place in where] == list(range(words.places[-1][0] + 1))
    ids = text.tokenize("A photograph of hippogriffs, at night")[0]
    assert [one for each in words.ids for one in each] == ids[: words.places[-1][0] + 1].tolist()


def test_long_and_empty_captions():
    assert len(words_of("").ids) == 2
    long = words_of("tree " * 100)
    assert len(long.ids) == 77
    matrix, taken = mapper(words_of(""), long, swap=False)
    assert matrix.shape == (77, 77)
    assert taken.sum() == 2  # begin and end


def test_what_is_no_token_is_a_word_of_its_own():
    words = grouped([49406, -1, 2368, 49407], [0, 1, 2, 3])
    assert words.ids == [(49406,), (-1,), (2368,), (49407,)]


def test_added_words_have_no_counterpart():
    before, after = words_of("a house on a hill"), words_of("a red house in snow on a hill")
    matrix, taken = mapper(before, after, swap=False)
    new = [place for where in (find("red", after), find("in snow", after)) for place in where]
    assert sorted(torch.where(~taken)[0].tolist()) == sorted([*new])
    for word in ("house", "hill"):
        (source,), (target,) = find(word, before), find(word, after)
        assert matrix[source, target] == 1
        assert matrix[:, target].sum() == 1
    assert matrix[6, 9] == 1, "end stands for end"
    assert matrix[60, 60] == 1, "padding for padding"


def test_removed_words_have_no_weight():
    before, after = words_of("a red house in snow on a hill"), words_of("a house on a hill")
    matrix, taken = mapper(before, after, swap=False)
    assert matrix[find("red", before)].sum() == 0
    assert matrix[find("house", before)[0], find("house", after)[0]] == 1
    lost = torch.where(~taken)[0].tolist()
    assert lost == [7, 8, 9], "where the longer text still had words, the shorter one's padding keeps its own maps"


def test_a_word_is_swapped_for_one_of_other_length():
    before, after = words_of("a cat on a chair"), words_of("a hippogriff on a chair")
    matrix, taken = mapper(before, after, swap=True)
    (source,), targets = find("cat", before), find("hippogriff", after)
    assert len(targets) > 1
    torch.testing.assert_close(matrix[source, targets], torch.full((len(targets),), 1 / len(targets)))
    assert taken[targets].all()
    back, _ = mapper(after, before, swap=True)
    torch.testing.assert_close(back[targets, source], torch.ones(len(targets)))
    kept, taken = mapper(before, after, swap=False)
    assert not taken[targets].any()
    assert kept[:, targets].sum() == 0


def test_equally_many_words_are_swapped_place_by_place():
    first, second = words_of("red ball blue box").ids, words_of("blue ball red box").ids
    runs = aligned(first, second, swap=True)
    assert [(list(run.first), list(run.second), run.equal) for run in runs[1:3]] == [([1], [1], False), ([2], [2], True)]
    assert len(runs) == 6


def test_swapping_phrases_of_different_length():
    before, after = words_of("a cat on grass"), words_of("a very big dog on grass")
    matrix, _ = mapper(before, after, swap=True)
    targets = find("very big dog", after)
    torch.testing.assert_close(matrix[find("cat", before)[0], targets], torch.full((3,), 1 / 3))


def test_changed_words():
    before, after = words_of("a red car in town"), words_of("a blue car in town at night")
    first, second = changed(before, after)
    assert said(before, first) == "red"
    assert said(after, second) == "blue at night"
    assert changed(before, before) == ([], [])


def test_find_takes_phrases_case_and_every_occurrence():
    words = words_of("A red car and a Red Car")
    assert find("red car", words) == [2, 3, 6, 7]
    assert find("RED", words) == [2, 6]
    assert find("green", words) == []
    assert find("", words) == []


def test_settings_become_numbers_of_tokens():
    edit = PromptToPrompt("replace", 0.6, (("dog", 0.2),), (("grass", 2.0),), ("cat", "grass"))
    before, after = words_of("a cat on grass"), words_of("a dog on grass")
    made = edit.edit([(before, after)])
    assert isinstance(made, CrossEdit)
    (dog,), (grass,) = find("dog", after), find("grass", after)
    assert made.shares[0, dog] == pytest.approx(0.2)
    assert made.shares[0, grass] == pytest.approx(0.6)
    assert made.weights[0, grass] == 2
    assert made.weights[0].sum() == 78
    assert torch.where(made.marks[0, 0])[0].tolist() == [*find("cat", before), grass]
    assert torch.where(made.marks[0, 1])[0].tolist() == [grass]
    marked = PromptToPrompt(blend=("changed",)).edit([(before, after)]).marks
    assert torch.where(marked[0, 0])[0].tolist() == find("cat", before)
    assert torch.where(marked[0, 1])[0].tolist() == [dog]


def test_captions_of_several_lengths_are_edited_over_their_common_length():
    """As a host has them: 77 tokens for one text, 154 for a longer one."""
    before, after = words_of("a cat"), words_of("a dog")
    longer = after._replace(length=154)
    made = PromptToPrompt("replace").edit([(before, longer)])
    assert made.mapper.shape == (1, 154, 154)
    (cat,), (dog,) = find("cat", before), find("dog", after)
    assert made.mapper[0, cat, dog] == 1
    assert made.mapper[0, cat + 77, dog] == 1, "both copies of the first text's word"
    assert not made.aligned[0, 77:].any(), "the second half of the longer text has no counterpart"


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"mode": "swap"}, "The mode 'swap' is unknown; use self, replace"),
        ({"cross_share": 1.5}, "The cross share is 1.5; use a number from 0 to 1"),
        ({"mode": "refine", "word_shares": (("dog", -1.0),)}, "The share of 'dog' is -1.0"),
        ({"threshold": 2.0}, "The threshold is 2.0"),
        ({"mode": "refine", "weights": (("dog", float("nan")),)}, "The weight of 'dog' is nan"),
        ({"mode": "reweight"}, "Reweighting needs words and their weights"),
        ({"weights": (("dog", 2.0),)}, "The mode 'self' leaves the words alone"),
    ],
)
def test_impossible_settings_are_named(change, sentence):
    with pytest.raises(ValueError, match=sentence):
        PromptToPrompt(**change)


def test_words_that_are_not_there_are_named():
    pair = [(words_of("a cat"), words_of("a dog"))]
    with pytest.raises(ValueError, match="The word 'bird' is not in the edited caption"):
        PromptToPrompt("refine", weights=(("bird", 2.0),)).edit(pair)
    with pytest.raises(ValueError, match="The word 'cat' is not in the edited caption"):
        PromptToPrompt("refine", word_shares=(("cat", 0.5),)).edit(pair)
    with pytest.raises(ValueError, match="The word 'bird' is in neither caption"):
        PromptToPrompt(blend=("cat", "bird")).edit(pair)


def test_runs_over_many_captions_pass_over_words_that_some_do_not_have():
    """The pair that has them is edited as alone, the other as if they had not been named."""
    pairs = [(words_of("a cat"), words_of("a dog in snow")), (words_of("a cat"), words_of("a bird"))]
    told = {"weights": (("snow", 2.0),), "word_shares": (("snow", 0.3),), "blend": ("snow",)}
    both = PromptToPrompt("refine", lenient=True, **told).edit(pairs)
    for each, alone in zip(both, PromptToPrompt("refine", **told).edit(pairs[:1]), strict=True):
        assert torch.equal(each[:1], alone)
    for each, alone in zip(both, PromptToPrompt("refine").edit(pairs[1:]), strict=True):
        assert torch.equal(each[1:], alone)


def test_written_words_and_numbers():
    assert numbers(" snow: 2, red car:0.5 \n dog : -1 ,") == (("snow", 2.0), ("red car", 0.5), ("dog", -1.0))
    assert numbers("") == ()
    assert phrases("cat, red car\n, ") == ("cat", "red car")
    for written in ("snow", "snow: much", ": 2"):
        with pytest.raises(ValueError, match="is no word with a number"):
            numbers(written)


def test_pairs_that_are_kept_take_their_shares_words_and_maps_along():
    texts = [(words_of("a cat"), words_of("a dog")), (words_of("a cat"), words_of("a bird in snow")), (words_of("x"), words_of("x"))]
    control = Control.of(PromptToPrompt("refine"), [0.1, 0.5, 0.9], texts)
    control.remember(torch.arange(3.0)[:, None, None].expand(3, 2, 4))
    kept = control.kept([2, 0])
    assert kept.p.tolist() == [0.9, 0.1]
    assert torch.equal(kept.edit.mapper, control.edit.mapper[[2, 0]])
    kept.remember(torch.ones(2, 2, 4))
    assert kept._maps[4][:, 0, 0].tolist() == [3.0, 1.0]
    assert control._maps[4][:, 0, 0].tolist() == [0.0, 1.0, 2.0]
