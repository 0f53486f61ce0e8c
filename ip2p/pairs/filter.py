"""The paper's filter (section 3.1.2, appendix A.2): of each prompt's pairs those that pass every threshold, no duplicates, the best few by
direction; every other one is counted with the reason."""

import logging
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

from ..data.convert import UNSTORABLE
from ..data.example import DataError
from ..data.prompt_folder import ABOUT
from ..data.record import PairError, Record
from ..data.records import records
from ..data.samples import SETTINGS, Samples
from ..data.writers import Writer
from .generate import DROPPED, PASSES
from .hashes import NEAR, Seen
from .score import DIRECTION, HASHES, Facts
from .thresholds import Rules

log = logging.getLogger(__name__)

KEEP = 4
DUPLICATE = "looks like another pair"
NO_PICTURES = "its pictures are gone"
AUTHORS_PASSES = 100 * 100 * 4
"""Network passes of the authors' procedure over a prompt: 100 samples, 100 steps, two pictures with their caption and without."""

AUTHORS_LEAST = AUTHORS_PASSES // KEEP
"""Of them for a kept pair, where 4 are kept, which is the most."""


class Prompt(NamedTuple):
    """A prompt's candidates: its name, kind of edit, the facts of each sample, and how to read one's pair."""

    name: str
    kind: str
    facts: Sequence[Facts]
    read: Callable[[int], Record]


@dataclass
class Choice:
    """Places of the candidates that are kept, the best first, and why each other one is not."""

    kept: list[int] = field(default_factory=list)
    rejected: dict[int, str] = field(default_factory=dict)


@dataclass
class Filtered:
    """What a filter run found. ``direction`` is the sum over the kept pairs."""

    prompts: int = 0
    with_pairs: int = 0
    candidates: int = 0
    kept: int = 0
    passes: int = 0
    direction: float = 0.0
    reasons: Counter[str] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)

    def add(self, prompt: Prompt, choice: Choice) -> None:
        """Count a prompt in."""
        self.prompts += 1
        self.with_pairs += bool(choice.kept)
        self.candidates += len(prompt.facts)
        self.kept += len(choice.kept)
        self.passes += sum(int(facts.get(PASSES, 0)) for facts in prompt.facts)
        self.direction += sum(float(prompt.facts[place].get(DIRECTION, 0.0)) for place in choice.kept)
        self.reasons.update(choice.rejected.values())
        self.kinds[prompt.kind] += len(choice.kept)

    def told(self) -> dict[str, Any]:
        """As JSON values. Network passes are over single pictures."""
        there = {"prompts": self.prompts, "prompts_with_pairs": self.with_pairs, "candidates": self.candidates, "kept": self.kept}
        found = {"mean_direction": round(self.direction / self.kept, 6) if self.kept else None, "passes": self.passes}
        each = {"passes_per_kept": round(self.passes / self.kept, 1) if self.kept and self.passes else None}
        kinds = {kind: count for kind, count in sorted(self.kinds.items()) if kind}
        rejected = dict(sorted(self.reasons.items(), key=lambda item: (-item[1], item[0])))
        return {**there, **found, **each, "rejected": rejected, "kinds": kinds}

    def __str__(self) -> str:
        lines = [f"{self.kept:,} of {self.candidates:,} pairs kept, from {self.with_pairs:,} of {self.prompts:,} prompts"]
        if self.kept:
            lines.append(f"  mean direction {self.direction / self.kept:.3f}")
        if self.kept and self.passes:
            lines.append(
                f"  {self.passes / self.kept:,.0f} network passes per kept pair ({AUTHORS_LEAST:,} at least by the authors' procedure)"
            )
        return "\n".join(lines + [f"  left out: {reason}: {count:,}" for reason, count in self.reasons.most_common()])


def choose(prompt: Prompt, rules: Rules, keep: int = KEEP, seen: Seen | None = None) -> Choice:
    """Which candidates of a prompt to keep. ``seen`` has the pairs kept before, to which those of this prompt are added."""
    thresholds, choice, seen = rules.of(prompt.kind), Choice(), seen if seen is not None else Seen()
    reasons = [str(facts.get(DROPPED) or thresholds.failed(facts)) for facts in prompt.facts]
    choice.rejected = {place: reason for place, reason in enumerate(reasons) if reason}
    passing = [place for place, reason in enumerate(reasons) if not reason]
    for place in sorted(passing, key=lambda place: -float(prompt.facts[place].get(DIRECTION, 0.0))):  # equal ones stay in order
        pair = prompt.facts[place].get(HASHES)
        if len(choice.kept) == keep:
            choice.rejected[place] = f"not among the best {keep} of its prompt"
        elif pair and seen.has(pair):
            choice.rejected[place] = DUPLICATE
        else:
            choice.kept.append(place)
            if pair:
                seen.add(pair)
    return choice


def filtered(
    prompts: Iterator[Prompt],
    rules: Rules,
    keep: int = KEEP,
    writer: Writer | None = None,
    near: int | None = NEAR,
    on_prompt: Callable[[Prompt, Choice], None] | None = None,
) -> Filtered:
    """Filter all prompts, and write what is kept. ``near`` bits make a duplicate (see `hashes.Seen`), None: nothing does.

    Raises ValueError in a sentence.
    """
    if keep < 1:
        raise ValueError(f"The number of pairs to keep of a prompt is {keep}; use at least 1.")
    found, seen = Filtered(), None if near is None else Seen(near)
    for prompt in prompts:
        choice = choose(prompt, rules, keep, _Never() if seen is None else seen)
        if writer is not None:
            _write(writer, prompt, choice)
        found.add(prompt, choice)
        if on_prompt:
            on_prompt(prompt, choice)
    return found


def _write(writer: Writer, prompt: Prompt, choice: Choice) -> None:
    """Store what is kept; a pair that can't be read any more, or that holds what can't be stored, is left out."""
    for place in list(choice.kept):
        try:
            record = prompt.read(place)
        except DataError as reason:
            _left_out(choice, place, NO_PICTURES, reason)
            continue
        try:
            writer.write(record)
        except PairError as reason:
            _left_out(choice, place, UNSTORABLE, reason)
    for told, count in sorted(Counter(choice.rejected.values()).items()):
        writer.reject(told, count)


def _left_out(choice: Choice, place: int, why: str, reason: DataError) -> None:
    log.warning("%s", reason)
    choice.kept.remove(place)
    choice.rejected[place] = why


class _Never(Seen):
    """Nothing is a duplicate."""

    def has(self, pair: Any) -> bool:
        return False

    def add(self, pair: Any) -> None:
        pass


def is_run(place: str | Path) -> bool:
    """Whether a folder is the working folder of a run."""
    return (Path(place) / SETTINGS).is_file()


def prompts_of(spec: str, score: Callable[[Record], Mapping[str, Any]] | None = None) -> Iterator[Prompt]:
    """The candidates in a run's working folder, or in a data set of any layout, prompt by prompt.

    Pairs of a data set that has no scores are scored by ``score``; without it they are left out as not scored. What can't be read is passed
    over and told in the log. Raises DataError for a place that holds no pairs.
    """
    return _of_run(Samples(Path(spec))) if is_run(spec) else _of_records(spec, score)


def _of_run(samples: Samples) -> Iterator[Prompt]:
    for name in samples.names():
        known = samples.known(name)
        seeds = list(known)
        yield Prompt(name, samples.triplet(name).kind, list(known.values()), _reader(samples, name, seeds))


def _reader(samples: Samples, name: str, seeds: Sequence[int]) -> Callable[[int], Record]:
    return lambda place: samples.record(name, seeds[place])


def _of_records(spec: str, score: Callable[[Record], Mapping[str, Any]] | None) -> Iterator[Prompt]:
    readable = records(spec, on_bad=lambda reason: log.warning("left out: %s", reason))
    for name, group in groupby(readable, key=lambda record: record.prompt):
        pairs = list(group)
        facts = [dict(pair.facts) if DIRECTION in pair.facts or score is None else {**pair.facts, **score(pair)} for pair in pairs]
        told = [Record(**{**vars(pair), "facts": known}) for pair, known in zip(pairs, facts, strict=True)]
        yield Prompt(name, _kind(facts[0]), facts, told.__getitem__)


def _kind(facts: Facts) -> str:
    about = facts.get(ABOUT)
    return str(facts.get("kind") or (about.get("kind", "") if isinstance(about, Mapping) else ""))
