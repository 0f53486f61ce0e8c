"""What Prompt-to-Prompt is asked to do, and what that means for the attention of one network call; hosts and diffusers ask it alike."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from .. import attention
from ..attention import CrossEdit
from .prompt_to_prompt_words import Words, changed, find, mapper

MODES = ("self", "replace", "refine", "reweight")
"""InstructPix2Pix's own way, which shares self-attention alone, and the edits of the original: word swap, added words, weights."""
CHANGED = "changed"
"""Stands for the words that only one of the two captions has."""
MAP_SIDE = 4
"""Local blend reads the cross-attention maps whose sides are nearest to a quarter of the latent's, as the original does (16 of 64)."""
LEAST_PLACES = 64
"""Of small latents it reads larger maps; fewer places than these say little."""
Numbers = tuple[tuple[str, float], ...]


@dataclass(frozen=True)
class PromptToPrompt:
    """An edit of attention. How long self-attention is shared is each sample's own ``p``; it is shared in every layer, as in
    InstructPix2Pix, where the original's code leaves maps of more than 32 x 32 places alone.

    ``cross_share``: the share of the steps, 0 to 1, in which cross-attention is edited; ``word_shares``: the same for words of the edited
    caption. ``weights``: factors of the maps of its words. ``blend``: words of either caption outside whose places the pictures are
    the same, or (`CHANGED`,); none: they may differ everywhere. A place belongs to a word from ``threshold`` of its map's maximum on;
    the pictures are blended after the share ``blend_from`` of the steps. ``lenient``: words that a pair's captions don't have are passed
    over, for runs over many captions; otherwise they are a mistake. Raises ValueError with one sentence.
    """

    mode: str = "self"
    cross_share: float = 0.8
    word_shares: Numbers = ()
    weights: Numbers = ()
    blend: tuple[str, ...] = ()
    threshold: float = 0.3
    blend_from: float = 0.2
    lenient: bool = False

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise ValueError(f"The mode {self.mode!r} is unknown; use {', '.join(MODES)}.")
        shares = {"cross share": self.cross_share, "threshold": self.threshold, "start of blending": self.blend_from}
        for name, value in [*shares.items(), *((f"share of {word!r}", value) for word, value in self.word_shares)]:
            if not 0 <= value <= 1:
                raise ValueError(f"The {name} is {value}; use a number from 0 to 1.")
        for word, value in self.weights:
            if not math.isfinite(value):
                raise ValueError(f"The weight of {word!r} is {value}; use a number such as 2, or -1 to turn the word around.")
        if self.mode == "reweight" and not self.weights:
            raise ValueError("Reweighting needs words and their weights, such as 'snow: 2'.")
        if self.mode == "self" and (self.weights or self.word_shares):
            raise ValueError("The mode 'self' leaves the words alone; use reweight, refine or replace for weights and shares of words.")

    @property
    def edits_words(self) -> bool:
        """Whether cross-attention is edited."""
        return self.mode != "self"

    def edit(self, texts: Sequence[tuple[Words, Words]]) -> CrossEdit:
        """The edit of the cross-attention of pairs with these captions. Raises ValueError for words that a caption doesn't have."""
        length = math.lcm(*(words.length for pair in texts for words in pair))
        return stacked([self._edit(first, second, length) for first, second in texts])

    def _edit(self, first: Words, second: Words, length: int) -> CrossEdit:
        matrix, taken = mapper(first, second, self.mode == "replace")
        weights, shares = torch.ones(second.length), torch.full((second.length,), self.cross_share)
        for values, numbers in ((weights, self.weights), (shares, self.word_shares)):
            for word, value in numbers:
                values[self._found(word, second)] = value
        marks = self._marks(first, second)
        copies = length // first.length, length // second.length
        rows = matrix.repeat(copies[0], 1)
        matrix = torch.cat([rows, torch.zeros(length, length - second.length)], dim=1)
        taken, weights, shares = (each.repeat(copies[1])[None] for each in (taken, weights, shares))
        both = torch.stack([mark.repeat(n) for mark, n in zip(marks, copies, strict=True)])
        return CrossEdit(matrix[None], taken, weights, shares, both[None])

    def _found(self, word: str, words: Words) -> list[int]:
        places = find(word, words)
        if not places and not self.lenient:
            raise ValueError(f"The word {word!r} is not in the edited caption; write it as it stands there.")
        return places

    def _marks(self, first: Words, second: Words) -> tuple[Tensor, Tensor]:
        marks = torch.zeros(first.length, dtype=torch.bool), torch.zeros(second.length, dtype=torch.bool)
        for phrase in self.blend:
            places = changed(first, second) if phrase == CHANGED else (find(phrase, first), find(phrase, second))
            if phrase != CHANGED and not any(places) and not self.lenient:
                raise ValueError(f"The word {phrase!r} is in neither caption; write it as it stands there, or '{CHANGED}'.")
            for mark, where in zip(marks, places, strict=True):
                mark[where] = True
        return marks


def stacked(edits: Sequence[CrossEdit]) -> CrossEdit:
    """Edits of single pairs as that of all of them."""
    return CrossEdit(*(torch.cat(each) for each in zip(*edits, strict=True)))


def numbers(written: str) -> Numbers:
    """Words with their numbers from a text such as "snow: 2, red car: 0.5". Raises ValueError with one sentence."""
    found = []
    for part in (part.strip() for part in written.replace("\n", ",").split(",")):
        word, _, value = part.rpartition(":")
        try:
            found += [(word.strip(), float(value))] if part else []
        except ValueError:
            word = ""
        if part and not word.strip():
            raise ValueError(f"'{part}' is no word with a number; write them as 'snow: 2, red car: 0.5'.")
    return tuple(found)


def phrases(written: str) -> tuple[str, ...]:
    """Words or phrases from a text that has commas between them."""
    return tuple(part.strip() for part in written.replace("\n", ",").split(",") if part.strip())


@dataclass
class Control:
    """One run over N pairs: ``p`` (N,) are the shares of the steps in which self-attention is shared, ``edit`` what happens to words.

    Blending remembers the maps of the marked words, the sum over all layers and steps, by their number of places.
    """

    settings: PromptToPrompt
    p: Tensor
    edit: CrossEdit | None = None
    _maps: dict[int, Tensor] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, settings: PromptToPrompt, p: Sequence[float], texts: Sequence[tuple[Words, Words]]) -> "Control":
        """The control of pairs with these shares and captions."""
        wanted = settings.edits_words or settings.blend
        return cls(settings, torch.tensor(p, dtype=torch.float64), settings.edit(texts) if wanted else None)

    def kept(self, pairs: Sequence[int]) -> "Control":
        """The same run with only some of its pairs."""
        chosen = list(pairs)
        edit = None if self.edit is None else CrossEdit(*(each[chosen] for each in self.edit))
        return Control(self.settings, self.p[chosen], edit, {places: maps[chosen] for places, maps in self._maps.items()})

    def call(self, step: int, steps: int, conditional: Sequence[bool]) -> "Call":
        """What happens in a network call at 0 <= ``step`` < ``steps`` whose batch is made of chunks of all pairs, each with the captions
        (True) or with the empty text."""
        return Call(self, step, steps, tuple(conditional))

    def remember(self, maps: Tensor) -> None:
        """Add to the maps (N, 2, places) of the marked words."""
        places = maps.shape[-1]
        self._maps[places] = self._maps[places] + maps if places in self._maps else maps

    def blended(self, denoised: Tensor, step: int, steps: int) -> Tensor:
        """Latents (2 N, C, h, w) of a step, with the second ones as the first where they may not differ.

        The original blends the noisy latents between steps; here it is the prediction, which every sampler has. As the last step ends
        at the prediction, what is outside the mask then equals the first picture just so.
        """
        if not self.settings.blend or not self._maps or step < self.settings.blend_from * steps:
            return denoised
        height, width = denoised.shape[-2:]
        wanted = max(LEAST_PLACES, height * width / MAP_SIDE**2)
        places = min(self._maps, key=lambda each: abs(math.log(each / wanted)))
        maps = self._maps[places].unflatten(-1, attention.grid(places, height, width))
        return attention.blended(denoised, attention.blend_mask(maps, (height, width), self.settings.threshold))


class Call:
    """One network call. Its batch has the rows of all N pairs once for each chunk, first and second pictures in turn."""

    def __init__(self, control: Control, step: int, steps: int, conditional: tuple[bool, ...]) -> None:
        self.control, self.step, self.steps, self.conditional = control, step, steps, conditional
        lasting = attention.active(control.p, step, steps)
        everywhere = not control.settings.edits_words  # the original leaves the empty text's half alone, InstructPix2Pix does not
        self._edits: dict[tuple[int, torch.device], CrossEdit] = {}
        self.pairs = torch.cat([lasting & (told or everywhere) for told in conditional])
        self._there: dict[torch.device, Tensor] = {}

    @property
    def reads_words(self) -> bool:
        """Whether there is anything to do in cross-attention."""
        settings, edit = self.control.settings, self.control.edit
        if edit is None or not any(self.conditional):
            return False
        return bool(settings.blend) or bool(attention.active(edit.shares, self.step, self.steps).any())

    def shared(self, x: Tensor) -> Tensor:
        """Queries or keys of self-attention, or what they are made of (B, ...), with those of the second rows taken from the first."""
        return attention.shared(x, self.pairs)

    def cross(self, q: Tensor, k: Tensor, v: Tensor, out: Tensor) -> Tensor:
        """The result of cross-attention (B, heads, places, d), given ``out``, whatever made it: the second rows have the difference that
        their edited maps make. q, k, v: (B, heads, places or tokens, d)."""
        edit = self._fitted(k.shape[2], q.device)
        now = attention.active(edit.shares, self.step, self.steps)
        out, rows = out.clone(), 2 * len(self.control.p)
        for start in (index * rows for index, told in enumerate(self.conditional) if told):
            first, own = (attention.attention_maps(q[each], k[each]) for each in (slice(start + i, start + rows, 2) for i in (0, 1)))
            second = slice(start + 1, start + rows, 2)
            new = attention.edited(first, own, edit, now) if self.control.settings.edits_words else own
            out[second] += ((new - own) @ v[second].float()).to(out)
            if self.control.settings.blend:
                marked = [attention.marked(maps, edit.marks[:, i]) for i, maps in enumerate((first, new))]
                self.control.remember(torch.stack(marked, dim=1))
        return out

    def _fitted(self, tokens: int, device: torch.device) -> CrossEdit:
        """The edit for so many tokens, made once for all layers."""
        if (tokens, device) not in self._edits:
            assert self.control.edit is not None
            self._edits[tokens, device] = CrossEdit(*(each.to(device) for each in attention.fitted(self.control.edit, tokens)))
        return self._edits[tokens, device]
