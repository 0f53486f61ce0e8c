"""Every layout as a stream of records: the bytes of pictures as they are stored, one pair in memory at a time."""

from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

from .disk import unreadable
from .example import DataError
from .made_records import Made, made_records
from .read_shards import Make
from .record import Record

MADE = ("world", "photos")
"""Specs of pairs that are made by program."""


def records(
    spec: str, on_bad: Callable[[DataError], None] | None = None, start: int = 0, count: int = 0, made: Made | None = None
) -> Iterator[Record]:
    """The pairs of a spec, in an order that never changes.

    A folder in any layout that `pairs.open_pairs` reads, a single .tar or .parquet file, "photos:FOLDER" and "world" or
    "world:recolour,add" (pictures made and encoded on the way, as `made` says), or several joined by " + ". `on_bad` is told of each
    pair that can't be read, which is passed over; without it the first one raises DataError. `start` passes over so many (readable or
    not) without reading them, `count` ends after so many more (0: never). Raises DataError for a spec that is none.
    """
    for make in islice(makes(spec, made), start, start + count if count else None):
        try:
            yield make()
        except DataError as reason:
            if on_bad is None:
                raise
            on_bad(reason)


def makes(spec: str, made: Made | None = None) -> Iterator[Make]:
    """A reader for each pair of a spec; nothing is read before it is called. Raises DataError for a spec that is none."""
    for part in parts_of(spec):
        place = place_of(part)
        if place is None:
            name, _, rest = part.partition(":")
            yield from made_records(name, rest, made)
            continue
        try:
            yield from _stored(place, layout_of(place))
        except OSError as error:
            raise unreadable(place, error) from error


def parts_of(spec: str) -> list[str]:
    """The sources of a spec. Raises DataError where there is none."""
    if not spec.strip():
        raise DataError("No data is named: name a folder, world, or photos:FOLDER.")
    whole = " + " not in spec or Path(spec).expanduser().exists()
    return [spec.strip()] if whole else [part.strip() for part in spec.split(" + ")]


def place_of(part: str) -> Path | None:
    """Where a source lies; None for one that is made."""
    return None if part.partition(":")[0] in MADE else Path(part).expanduser()


def layout_of(place: Path) -> str:
    """The layout of a folder or file: authors, webdataset, parquet, magicbrush or plain. Raises DataError where there is none."""
    from . import authors, magicbrush, tables

    if not place.exists():
        raise DataError(f"There is no data at {place}: name a folder, world, or photos:FOLDER.")
    if (place / authors.SEEDS).is_file():
        return "authors"
    if place.suffix.lower() == ".tar" or (place.is_dir() and next(place.glob("*.tar"), None)):
        return "webdataset"
    if tables.files_of(place):
        return "parquet"
    if not place.is_dir():
        raise DataError(f"{place} is no folder, .tar or .parquet file: name one that is.")
    if magicbrush.fits(place):
        return "magicbrush"
    return "authors" if authors.fits(place) else "plain"


def _stored(place: Path, layout: str) -> Iterator[Make]:
    from . import read_folders, read_shards, read_tables, tables

    if layout == "webdataset":
        return read_shards.pairs_of_shards([place] if place.is_file() else sorted(place.glob("*.tar")))
    if layout == "parquet":
        return read_tables.pairs_of_tables(tables.files_of(place))
    if layout == "magicbrush":
        return read_folders.pairs_of_magicbrush(place)
    return read_folders.pairs_of_authors(place) if layout == "authors" else read_folders.pairs_of_plain(place)
