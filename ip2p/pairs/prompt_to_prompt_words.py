"""Which token of one caption belongs to which of the other (Hertz et al. 2022, section 3.3), with CLIP's own tokens."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from .. import text

END_OF_WORD = "</w>"


class Words(NamedTuple):
    """A text as the network reads it: the token ids of each word, begin and end among them, where they stand, and the whole length."""

    ids: list[tuple[int, ...]]
    places: list[tuple[int, ...]]
    length: int = text.TOKENS


class Run(NamedTuple):
    """Words ``first`` of one text that stand for words ``second`` of the other; equal words come alone, and either may be empty."""

    first: range
    second: range
    equal: bool


def words_of(caption: str) -> Words:
    """The words of a caption; what is beyond the 77 tokens that CLIP reads is left out."""
    ids = [int(one) for one in text.tokenize(caption)[0]]
    return grouped(ids[: ids.index(text.tokenizer().eos_token_id) + 1], range(text.TOKENS))


def grouped(ids: Sequence[int], places: Sequence[int], length: int = text.TOKENS) -> Words:
    """Tokens, without padding, as whole words. An id below 0 stands for what is none of CLIP's tokens, and is a word of its own."""
    words: list[tuple[int, ...]] = []
    where: list[tuple[int, ...]] = []
    open_word = False
    for one, place in zip(ids, places, strict=False):
        name = text.tokenizer().convert_ids_to_tokens(one) if one >= 0 else ""
        special = one < 0 or one in text.tokenizer().all_special_ids
        if open_word and not special:
            words[-1], where[-1] = (*words[-1], one), (*where[-1], place)
        else:
            words.append((one,))
            where.append((place,))
        open_word = not special and not name.endswith(END_OF_WORD)
    return Words(words, where, length)


def aligned(first: Sequence[tuple[int, ...]], second: Sequence[tuple[int, ...]], swap: bool = False) -> list[Run]:
    """The longest common subsequence of the words, with what stands between as runs of their own.

    For a word ``swap``, texts of equally many words belong together word by word, as in the original.
    """
    if swap and len(first) == len(second):
        return [Run(range(i, i + 1), range(i, i + 1), first[i] == second[i]) for i in range(len(first))]
    runs, i, j = [], 0, 0
    for at, to in [*_common(first, second), (len(first), len(second))]:
        if (at, to) != (i, j):
            runs.append(Run(range(i, at), range(j, to), False))
        if at < len(first):
            runs.append(Run(range(at, at + 1), range(to, to + 1), True))
        i, j = at + 1, to + 1
    return runs


def _common(first: Sequence[tuple[int, ...]], second: Sequence[tuple[int, ...]]) -> Iterator[tuple[int, int]]:
    """The longest common subsequence as pairs of indices (Needleman and Wunsch 1970 with a match of 1 and nothing else)."""
    best = [[0] * (len(second) + 1) for _ in range(len(first) + 1)]
    for i in reversed(range(len(first))):
        for j in reversed(range(len(second))):
            best[i][j] = 1 + best[i + 1][j + 1] if first[i] == second[j] else max(best[i + 1][j], best[i][j + 1])
    i = j = 0
    while i < len(first) and j < len(second):
        if first[i] == second[j]:
            yield i, j
            i, j = i + 1, j + 1
        elif best[i + 1][j] >= best[i][j + 1]:
            i += 1
        else:
            j += 1


def mapper(first: Words, second: Words, swap: bool) -> tuple[Tensor, Tensor]:
    """(first tokens, second tokens) weights of the first text's tokens in the second's, and which of the second's have any, as bool.

    Equal words take each other's maps; with ``swap`` other words take those of the words in whose place they stand, evenly where the
    numbers of tokens differ. Padding takes the padding of the same place.
    """
    weights = torch.zeros(first.length, second.length)
    for run in aligned(first.ids, second.ids, swap):
        if run.equal or swap:
            _spread(weights, _places(first, run.first), _places(second, run.second))
    taken = [{place for word in one.places for place in word} for one in (first, second)]
    for place in range(min(first.length, second.length)):
        if not any(place in each for each in taken):
            weights[place, place] = 1
    return weights, weights.any(dim=0)


def _spread(weights: Tensor, sources: list[int], targets: list[int]) -> None:
    if len(sources) == len(targets):
        weights[sources, targets] = 1
    elif sources and targets:
        weights[torch.tensor(sources)[:, None], targets] = 1 / len(targets)


def _places(words: Words, which: range) -> list[int]:
    return [place for index in which for place in words.places[index]]


def find(phrase: str, words: Words) -> list[int]:
    """The tokens of a word or phrase, wherever it stands in a text; none where it doesn't."""
    wanted = words_of(phrase).ids[1:-1]
    starts = [at for at in range(len(words.ids)) if wanted and words.ids[at : at + len(wanted)] == wanted]
    return [place for at in starts for place in _places(words, range(at, at + len(wanted)))]


def changed(first: Words, second: Words) -> tuple[list[int], list[int]]:
    """The tokens of both texts that the other one lacks."""
    runs = [run for run in aligned(first.ids, second.ids) if not run.equal]
    return [at for run in runs for at in _places(first, run.first)], [at for run in runs for at in _places(second, run.second)]
