"""A data set in another layout: nothing is decoded, nothing is lost, and it goes on where it was stopped."""

import logging
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from .example import DataError
from .journal import digest_of
from .made_records import Made
from .manifest import Counts, read_manifest
from .photo_files import find_photos
from .record import PairError
from .records import makes, parts_of, place_of, records
from .replacing import MADE_BY, check_apart, remove_earlier, state_of
from .write_shards import Limits
from .writers import Writer, open_writer

log = logging.getLogger(__name__)

UNREADABLE, UNSTORABLE = "can't be read", "can't be stored"
"""Reasons in the manifest; the log tells each pair's own."""


@dataclass(frozen=True)
class Converted:
    """What became of a conversion; `before`: how many pairs and rejections were there already when it went on."""

    folder: Path
    layout: str
    counts: Counts
    before: int

    def __str__(self) -> str:
        left = "; ".join(f"{count:,} left out: {reason}" for reason, count in sorted(self.counts.rejected.items()))
        told = f"{self.folder}: {self.counts.pairs:,} pairs of {self.counts.prompts:,} prompts as {self.layout}"
        return told + (f" ({left})" if left else "")


def convert(
    spec: str,
    out: Path,
    layout: str,
    limits: Limits | None = None,
    made: Made | None = None,
    count: int = 0,
    replace: bool = False,
    on_pair: Callable[[int], None] | None = None,
) -> Converted:
    """Write the pairs of a spec (see `records.records`) into a folder in another layout. Run again, it goes on.

    Pairs that can't be read are left out, counted in the manifest, and told to the log. `count` takes the first so many (0: all; scenes
    of the world need one). `replace` removes what an earlier conversion of other data left there. `on_pair` is told how many are done;
    what it raises ends it for now. Raises DataError.
    """
    made, sources = made or Made(), parts_of(spec)
    if count < 0:
        raise DataError(f"A count of {count} can't be had: use 0 (all) or more.")
    if not count and any(part.partition(":")[0] == "world" for part in sources):
        raise DataError("The world never ends: say how many scenes are wanted (--count).")
    if next(makes(spec, made), None) is None:
        raise DataError(f"There are no pairs in {spec}: name a folder with pairs, or photos:FOLDER for a folder of photos.")
    check_apart(spec, out)
    names = [_named(part) for part in sources]
    settings: dict[str, Any] = {MADE_BY: "ip2p convert", "source": names, "count": count, "source_files": state_of(spec)}
    if any(place_of(part) is None for part in sources):
        settings["made"] = asdict(made)
    if before := [told for part in sources if (told := _told_before(part))]:
        settings["from"] = before
    if replace:
        remove_earlier(out, layout, settings)
    with open_writer(out, layout, settings, limits) as writer:
        done = writer.done
        if not writer.complete:
            _go_on(writer, spec, made, count, on_pair)
    return Converted(out, layout, writer.counts, done)


def expected(spec: str, made: Made, count: int = 0) -> int:
    """About how many pairs there are, for a bar; 0 where that would take a look at all of them. Raises DataError."""
    total = 0
    for part in parts_of(spec):
        place, (name, _, rest) = place_of(part), part.partition(":")
        if name == "photos" and rest:
            total += made.each * len(find_photos(rest.partition("|")[0])[0])
            continue
        found = read_manifest(place) if place and place.is_dir() else None
        if found is None:
            return count
        total += int(found.get("pairs") or 0)
    return min(count, total) if count else total


def _go_on(writer: Writer, spec: str, made: Made, count: int, on_pair: Callable[[int], None] | None) -> None:
    """Write the pairs that are not there yet."""
    done = writer.done
    if writer.last:
        place, digest = writer.last
        if [digest_of(record) for record in records(spec, log.debug, place, 1, made)] != [digest]:
            raise DataError(f"{writer.folder.name} was begun from other data than {spec} has now: choose another folder, or delete it.")
    writer.skip()
    if count and done >= count:
        return

    def unreadable(reason: DataError) -> None:
        log.warning("left out: %s", reason)
        writer.reject(UNREADABLE)

    for record in records(spec, unreadable, done, count - done if count else 0, made):
        try:
            writer.write(record)
        except PairError as reason:
            log.warning("left out: %s", reason)
            writer.reject(UNSTORABLE)
        if on_pair:
            on_pair(writer.done)


def _named(part: str) -> str:
    """A source without the place where it lies on this machine."""
    place = place_of(part)
    name, colon, rest = part.partition(":")
    return place.name if place else f"{name}{colon}{Path(rest).name if name == 'photos' else rest}"


def _told_before(part: str) -> dict[str, Any] | None:
    """What the source's own manifest says of how it was made; None where it has none."""
    place = place_of(part)
    found = read_manifest(place) if place and place.is_dir() else None
    return {name: found.get(name) for name in ("layout", "settings", "rejected")} if found else None
