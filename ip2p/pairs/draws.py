"""What a sample of a prompt is, before any picture is made: drawn from the triplet's id and the sample's number, never from its place,
the time or the worker."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from ..captions.triplet import Triplet
from ..ids import chance_of, seed_of
from ..latent_model import SAMPLERS

Range = tuple[float, float]


@dataclass(frozen=True)
class Settings:
    """How the samples of every prompt are made; the defaults are the paper's (section 3.1.2, appendix A.2).

    ``samples`` of a prompt at most, numbered from 0; ``steps`` of the sampler, 1 to 1000; ``size`` in pixels, the side of the square
    pictures (0: the model's own); ``p``, the range of the share of steps in which the second picture takes the first one's attention;
    ``guidance``, the range of the scale of classifier-free guidance; ``batch``, the pairs that are made at once. Every sample is made
    in the same company, ``batch`` neighbours by number, because rounding depends on it. Raises ValueError with one sentence.
    """

    samples: int = 100
    steps: int = 100
    size: int = 0
    sampler: str = "euler_ancestral"
    p: Range = (0.1, 0.9)
    guidance: Range = (7.5, 15.0)
    batch: int = 4

    def __post_init__(self) -> None:
        for name, least, most in (("samples", 1, 100_000), ("steps", 1, 1000), ("batch", 1, 1024)):
            if not least <= (value := getattr(self, name)) <= most:
                raise ValueError(f"The number of {name} is {value}; use {least} to {most}.")
        if self.size and (self.size % 8 or not 64 <= self.size <= 4096):
            raise ValueError(f"The size is {self.size} pixels; use a multiple of 8 from 64 to 4096, or 0 for the model's own.")
        if self.sampler not in SAMPLERS:
            raise ValueError(f"The sampler {self.sampler!r} is unknown; use {' or '.join(SAMPLERS)}.")
        for name, largest in (("p", 1.0), ("guidance", 1000.0)):
            low, high = getattr(self, name)
            if not (math.isfinite(low) and math.isfinite(high) and 0 <= low <= high <= largest):
                raise ValueError(f"The range of {name} is {low} to {high}; use two numbers from 0 to {largest:g}, the smaller one first.")


@dataclass(frozen=True)
class Sample:
    """One pair to be made: ``seed`` of all its noise, 0 to 2^53 - 1; ``p`` and ``guidance`` as `Settings` has their ranges."""

    triplet: Triplet
    number: int
    seed: int
    p: float
    guidance: float


def draw(triplet: Triplet, number: int, settings: Settings | None = None) -> Sample:
    """The sample of a number. Its seed, p and guidance are uniform and depend on the triplet's id and the number alone."""
    settings, chance = settings or Settings(), chance_of(triplet.id, number, "draws")
    p, guidance = (round(float(chance.uniform(*limits)), 6) for limits in (settings.p, settings.guidance))
    return Sample(triplet, number, seed_of(triplet.id, number), p, guidance)


def chunks(triplet: Triplet, settings: Settings) -> Iterator[tuple[Sample, ...]]:
    """All samples of a prompt in the groups that are made at once, in order."""
    for first in range(0, settings.samples, settings.batch):
        numbers = range(first, min(first + settings.batch, settings.samples))
        yield tuple(draw(triplet, number, settings) for number in numbers)
