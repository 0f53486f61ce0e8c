"""Who runs the stages in one process: prompt after prompt into a working folder, which it can be killed over and go on with."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from ..captions.triplet import Triplet
from ..data.encoded import encoded
from ..data.samples import Samples
from ..ids import id_of
from ..sampling import OnStep
from .generate import DROPPED, PASSES, Generate, Made
from .score import Facts

PLAIN = re.compile(r"(?!(?i:con|prn|aux|nul|(com|lpt)\d)$)[0-9A-Za-z_-]{1,64}")


def name_of(triplet: Triplet) -> str:
    """The prompt's name in the working folder: from the triplet's id, so that neither order nor sharing out changes it."""
    return triplet.id if PLAIN.fullmatch(triplet.id) else id_of(triplet.id)


def once(triplets: Iterable[Triplet]) -> list[Triplet]:
    """Every triplet once. One whose id stands for other words already gets an id of its own words."""
    found: dict[str, Triplet] = {}
    for triplet in triplets:
        known = found.get(triplet.id, triplet)
        own = triplet if known.texts == triplet.texts else replace(triplet, id="")
        found.setdefault(own.id, own)
    return list(found.values())


@dataclass
class Tally:
    """What a folder has after a run: prompts, those of them that were finished before, all samples, how many of them were dropped midway,
    and the network passes that they took."""

    prompts: int = 0
    before: int = 0
    samples: int = 0
    dropped: int = 0
    passes: int = 0

    def add(self, other: "Tally") -> "Tally":
        """Count another one in; returns itself."""
        for name, value in vars(other).items():
            setattr(self, name, getattr(self, name) + value)
        return self

    def told(self) -> dict[str, Any]:
        """As JSON values."""
        return dict(vars(self))


@dataclass(frozen=True)
class Watch:
    """Who looks on: `on_sample` after each sample is kept, `on_step` after each step of a group, `on_prompt` after each prompt. What they
    raise ends the run, which loses nothing that was kept."""

    on_sample: Callable[[Made], None] | None = None
    on_step: OnStep | None = None
    on_prompt: Callable[[Triplet, Tally], None] | None = None


def run(triplets: Iterable[Triplet], generate: Generate, samples: Samples, kind: str = "jpg", watch: Watch | None = None) -> Tally:
    """Make the samples of all prompts; what the folder has is not made again. Pictures are kept as ``kind``, "jpg" or "png".

    Raises ValueError or DataError in a sentence for what can't be done.
    """
    tally, watch = Tally(), watch or Watch()
    for triplet in triplets:
        one = make(triplet, generate, samples, kind, watch)
        tally.add(one)
        if watch.on_prompt:
            watch.on_prompt(triplet, one)
    return tally


def make(triplet: Triplet, generate: Generate, samples: Samples, kind: str = "jpg", watch: Watch | None = None) -> Tally:
    """Make, or go on with, one prompt."""
    name, watch = name_of(triplet), watch or Watch()
    finished = samples.finished(name)
    samples.prompt(name, triplet)
    known = samples.known(name)
    if finished:
        return _tally(known, 1)
    for made in generate(triplet, known, watch.on_step):
        pictures = () if made.pictures is None else (encoded(picture, kind) for picture in made.pictures)
        samples.add(name, made.sample.seed, made.facts, *pictures)
        known[made.sample.seed] = made.facts
        if watch.on_sample:
            watch.on_sample(made)
    samples.finish(name)
    return _tally(known, 0)


def _tally(known: Mapping[int, Facts], before: int) -> Tally:
    dropped = sum(DROPPED in facts for facts in known.values())
    return Tally(1, before, len(known), dropped, sum(int(facts.get(PASSES, 0)) for facts in known.values()))
