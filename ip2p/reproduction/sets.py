"""The data sets of a reproduction, one for each condition of Figure 10 and one of right answers; `train` opens them as they are.

full: the paper's filter (appendix A.2). tenth: the pairs of a tenth of full's prompts. unfiltered: as many pairs as full, drawn by
chance from all samples of all prompts. true: full's prompts, as many pairs of each, drawn as the world knows them.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import torch

from ..data.encoded import encoded
from ..data.record import Record
from ..data.records import records
from ..data.samples import Samples
from ..data.writers import open_writer
from ..ids import seed_of
from ..pairs.filter_run import Wish, filter_into
from . import places, prompts, thresholds
from .config import Config
from .samples import PICTURE

FULL, TENTH, UNFILTERED, TRUE = "full", "tenth", "unfiltered", "true"
SHARE = 10
"""One in so many prompts is in the smaller set."""
LAYOUT = "authors"


def sets(out: Path, config: Config) -> None:
    """Write all data sets, or go on with them. Raises ValueError or DataError where samples are missing or none passes the filter."""
    asked = wish(out, config)
    found = filter_into(asked, places.pairs(out, FULL), LAYOUT)
    if not found.kept:
        raise ValueError("No sample passes the filter: train the painter and the CLIP longer, or make more samples ('pairs.samples').")
    others: dict[str, Callable[[], Iterator[Record]]] = {
        TENTH: lambda: tenth(out),
        UNFILTERED: lambda: unfiltered(out, found.kept),
        TRUE: lambda: true(out, config),
    }
    for name, pairs in others.items():
        with open_writer(places.pairs(out, name), LAYOUT, {"made_by": "ip2p reproduce", "set": name, "full": asked.told()}) as writer:
            for pair in pairs():
                writer.write(pair)


def wish(out: Path, config: Config) -> Wish:
    """The filter of the full set. Raises ValueError where triplets or the CLIP are missing."""
    return Wish(str(places.samples(out)), thresholds.rules(out, config), config.pairs.keep)


def full(out: Path) -> Iterator[Record]:
    """The filtered pairs. Raises DataError."""
    return records(str(places.pairs(out, FULL)))


def tenth(out: Path) -> Iterator[Record]:
    """Those of a tenth of the prompts, at least one, chosen by their names alone."""
    names = sorted({record.prompt for record in full(out)}, key=lambda name: seed_of(TENTH, name))
    chosen = set(names[: max(1, round(len(names) / SHARE))])
    return (record for record in full(out) if record.prompt in chosen)


def unfiltered(out: Path, count: int) -> Iterator[Record]:
    """So many of all samples, whatever their scores, by chance."""
    made = Samples(places.samples(out))
    there = [(name, seed) for name in made.names() for seed in made.known(name) if made.has_pictures(name, seed)]
    chosen = set(sorted(there, key=lambda one: seed_of(UNFILTERED, *one))[:count])
    return (made.record(*one) for one in there if one in chosen)


def true(out: Path, config: Config) -> Iterator[Record]:
    """Full's prompts, each sample's pictures drawn anew: the scene that the caption describes and the one of the edited caption."""
    for record in full(out):
        seed = int(record.sample)
        image, edited = (
            encoded(torch.from_numpy(prompts.drawn(caption, seed, config.painter.size)), PICTURE)
            for caption in (record.caption, record.edited_caption)
        )
        about = {name: record.facts[name] for name in ("prompt",) if name in record.facts}
        words = record.prompt, record.sample, record.caption, record.instruction, record.edited_caption
        yield Record(*words, image, edited, facts={"seed": seed, **about})
