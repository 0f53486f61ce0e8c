"""Batches of encoded pairs. Sample `index` of `step` is the same whatever process, thread or micro-batch it is made for."""

import hashlib
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..data.example import DataError, Example
from ..data.pairs import Group, PairSet, open_pairs
from .chance import Randomness
from .config import DataConfig
from .cutting import Cut, as_pictures, cut_pair, names_a_side
from .encoders import Encoders
from .latents_cache import Latents, LatentsCache
from .objective import Batch, Draws
from .order import Buckets, Order

log = logging.getLogger(__name__)

TRIES = 100
"""So many groups after one another that can't be used end the training."""
MANY = 1_000_000
"""Of more pairs than this that are made by program none is kept: a run meets each once, if at all."""
AHEAD = 128 * 2**20
"""Bytes of pictures that are prepared ahead, about."""


@dataclass(frozen=True)
class Prepared:
    """A sample before it is encoded: `pixels` (2, H, W, 3) in bytes, or the `latents` that were kept under its `key` ("": they are not).

    `repeated`: the instruction will be met again, in the same words.
    """

    id: str
    instruction: str
    repeated: bool
    key: str
    chance: Randomness
    latents: Latents | None
    pixels: np.ndarray | None


class Batches:
    """Makes the batches of a run: `batches(step, indices)`.

    A pair that can't be used is told once and another takes its place (the next group that can). `cache` is the folder in which latents
    and text states are kept. Pictures are opened in `config.threads` threads, one step ahead; `close` stops them. `on_sample` is called
    before each pair that must be encoded; what it raises ends the batch. `offset`: see `Draws.of`.
    """

    def __init__(
        self,
        pairs: PairSet,
        encode: Encoders,
        config: DataConfig,
        seed: int,
        batch: int,
        cache: Path | None = None,
        on_sample: Callable[[], None] | None = None,
        offset: float = 0.0,
    ) -> None:
        self.pairs, self.config, self.seed, self.offset = pairs, config, seed, offset
        self.on_sample = on_sample or (lambda: None)
        self.cache = LatentsCache(encode, cache)
        self.order = Order(pairs.length, seed, batch)
        self.buckets = Buckets(self._shape, seed, batch, config.crop) if config.buckets else None
        self.left_out: set[str] = set()
        """Why pairs could not be used."""
        self._threads = ThreadPoolExecutor(config.threads, "ip2p-batches") if config.threads else None
        self._ahead: dict[tuple[int, int], Future[Prepared]] = {}

    def __call__(self, step: int, indices: Sequence[int]) -> Batch:
        """Those samples of the step's global batch, encoded, on the CPU. Raises DataError where no pair can be used."""
        self._prepare_ahead(step, indices)
        prepared = [self._taken(step, index) for index in indices]
        self._prepare_ahead(step + 1, indices)
        latents = [self._encoded(sample) for sample in prepared]
        mean, deviation, image = (torch.stack([one[part] for one in latents]) for part in range(3))
        return Batch(
            mean=mean,
            deviation=deviation,
            image=image,
            text=torch.cat([self.cache.text(sample.instruction, sample.repeated) for sample in prepared]),
            empty=self.cache.text(""),
            draws=Draws.join([Draws.of((1, *mean.shape[1:]), sample.chance.torch, self.offset) for sample in prepared]),
            ids=tuple(sample.id for sample in prepared),
        )

    def close(self) -> None:
        """Stop the threads; what was prepared ahead is dropped."""
        if self._threads:
            self._threads.shutdown(wait=True, cancel_futures=True)
        self._threads, self._ahead = None, {}

    def __enter__(self) -> "Batches":
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def _taken(self, step: int, index: int) -> Prepared:
        ahead = self._ahead.pop((step, index), None)
        return ahead.result() if ahead else self._prepare(step, index)

    def _prepare_ahead(self, step: int, indices: Sequence[int]) -> None:
        if self._threads is None:
            return
        for old in [place for place in self._ahead if not step - 1 <= place[0] <= step + 1]:
            self._ahead.pop(old).cancel()
        most = max(1, AHEAD // (6 * self.config.crop**2))
        for index in indices:
            if len(self._ahead) < most and (step, index) not in self._ahead:
                self._ahead[step, index] = self._threads.submit(self._prepare, step, index)

    def _encoded(self, sample: Prepared) -> Latents:
        if sample.latents is not None:
            return sample.latents
        self.on_sample()
        assert sample.pixels is not None
        latents = self.cache.latents(as_pictures(sample.pixels))
        if sample.key:
            self.cache.keep(sample.key, latents)
        return latents

    def _prepare(self, step: int, index: int) -> Prepared:
        size = self.buckets.size(step) if self.buckets else (self.config.crop, self.config.crop)
        origin = self.buckets.origin(step, index) if self.buckets else (step, index)
        first = self.order.group(*origin)
        reason = ""
        for number in range(first, first + TRIES):
            try:
                return self._sample(number % self.pairs.length, size, Randomness.of(self.seed, *origin))
            except ValueError as error:
                reason = str(error)
                self._leave_out(reason)
        raise DataError(f"{TRIES} pairs of {self.pairs.name} after one another can't be used; the last: {reason}")

    def _leave_out(self, reason: str) -> None:
        """Note and tell each reason once."""
        if reason not in self.left_out:
            self.left_out.add(reason)
            log.warning("A pair is left out: %s", reason)

    def _sample(self, number: int, size: tuple[int, int], chance: Randomness) -> Prepared:
        rng = chance.numpy
        group = self.pairs.group(number)
        pair = _one_of(group, rng)
        example = group[pair]
        instruction = self._instruction(example, rng)
        met_once = example.ask is not None and self.pairs.length * len(group) > MANY
        cut, name = self._cut(_digest(self.pairs.key(number, pair)).hex(), size, instruction, rng, 0 if met_once else self.config.variants)
        latents = self.cache.kept(name) if name else None
        pixels = None if latents is not None else _opened(example, cut)
        return Prepared(example.id, instruction, example.ask is None, name, chance, latents, pixels)

    def _instruction(self, example: Example, rng: np.random.Generator) -> str:
        """The pair's own words, or, in the configured share of cases, those of another pair."""
        if rng.random() < self.config.misaligned:
            other = self.pairs.group(int(rng.integers(self.pairs.length)))
            example = other[_one_of(other, rng)]
        words = example.ask(rng) if example.ask else example.instruction
        if not words.strip():
            raise DataError(f"{example.id} has an empty instruction: write one, or take the pair out.")
        return words

    def _cut(self, key: str, size: tuple[int, int], instruction: str, rng: np.random.Generator, variants: int) -> tuple[Cut, str]:
        """The part of a pair that is used, and the name under which its latents are kept ("": they are not).

        With `variants` it is one of so many, which depend on the pair and the settings alone: other runs meet the same ones.
        """
        config = self.config
        if variants:
            which = f"{key}|{size}|{config.sizes}|{int(rng.integers(variants))}"
            rng = np.random.default_rng(list(_digest(which)))
        short = int(rng.integers(config.sizes[0], config.sizes[-1] + 1))
        left, top, coin = (float(value) for value in rng.random(3))
        flip = coin < config.flip and (config.mirror_sides or not names_a_side(instruction))
        cut = Cut(*size, max(1.0, short / config.crop), left, top, flip)
        return cut, f"{key}|{cut}" if variants else ""

    def _shape(self, step: int, index: int) -> float:
        """The width over the height of a sample's source; 1 for one that can't be opened, which another will replace."""
        rng = Randomness.of(self.seed, step, index).numpy
        try:
            group = self.pairs.group(self.order.group(step, index))
            example = group[_one_of(group, rng)]
            height, width = example.shape() if example.shape else example.image().shape[:2]
            return width / height
        except ValueError:
            return 1.0


def pairs_of(config: DataConfig, cache: Path | None = None) -> PairSet:
    """The training set of a config; what is made by program is made at the size to which pictures are resized. Raises DataError."""
    found = open_pairs(config.source, config.split, config.size or config.sizes[0], cache)
    return found.part(0, config.count) if config.count else found


def _digest(text: str) -> bytes:
    """Of a text that may have a file's name in it, which need not be UTF-8."""
    return hashlib.blake2b(text.encode("utf-8", "surrogateescape"), digest_size=16).digest()


def _one_of(group: Group, rng: np.random.Generator) -> int:
    return int(rng.integers(len(group)))


def _opened(example: Example, cut: Cut) -> np.ndarray:
    if example.edited is None:
        raise DataError(f"{example.id} has no edited picture: add it, or take the pair out.")
    return cut_pair(example.image(), example.edited(), cut, example.id)
