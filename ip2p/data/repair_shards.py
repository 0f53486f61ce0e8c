"""Mends tar and Parquet files: those that are damaged are written anew with the pairs that can be read."""

import io
import tarfile
from collections.abc import Callable
from pathlib import Path

from .disk import beside, writing
from .example import DataError
from .opening import decoded
from .parquet import opened_file
from .read_shards import grouped, record_in
from .read_tables import pairs_of_tables
from .record import Record
from .shards import Member, members, read_at
from .tables import files_of


def mend_files(folder: Path, layout: str, changed: set[str], set_aside: Callable[[Path], None]) -> None:
    """Write each file anew of which a pair can't be read, is there twice or, where the file has `changed`, shows no picture.

    The damaged file is set aside; one without a single good pair is not written anew. Raises DataError.
    """
    seen: set[tuple[str, str]] = set()
    for path in sorted(folder.glob("*.tar")) if layout == "webdataset" else files_of(folder):
        (_mend_tar if layout == "webdataset" else _mend_table)(path, path.name in changed, seen, set_aside)


def _good(record: Record, seen: set[tuple[str, str]], strict: bool) -> bool:
    """Whether a pair is the first of its name and, if that is in doubt, its pictures can be opened."""
    name = (record.prompt, record.sample)
    if name in seen:
        return False
    if strict:
        try:
            for data in filter(None, (record.image, record.edited, record.mask)):
                decoded(data, "A picture")
        except DataError:
            return False
    seen.add(name)
    return True


def _mend_tar(path: Path, strict: bool, seen: set[tuple[str, str]], set_aside: Callable[[Path], None]) -> None:
    try:
        inside, why = members(path)
    except DataError:
        set_aside(path)
        return
    kept: list[Member] = []
    whole = not why
    for key, parts in grouped(inside).items():
        try:
            good = _good(record_in(path, key, parts), seen, strict)
        except DataError:
            good = False
        whole &= good
        kept += parts.values() if good else []
    if whole:
        return
    with writing(path):
        if kept:
            with tarfile.open(beside(path), "w", format=tarfile.GNU_FORMAT) as out:
                for member in kept:
                    head = tarfile.TarInfo(member.name)
                    head.size = member.size
                    out.addfile(head, io.BytesIO(read_at(path, member.start, member.size)))
        set_aside(path)
        if kept:
            beside(path).replace(path)


def _mend_table(path: Path, strict: bool, seen: set[tuple[str, str]], set_aside: Callable[[Path], None]) -> None:
    import pyarrow.parquet

    good: list[bool] = []
    for make in pairs_of_tables([path]):
        try:
            good.append(_good(make(), seen, strict))
        except DataError:
            good.append(False)
    if all(good):
        return
    if not any(good):
        set_aside(path)
        return
    with writing(path):
        with (
            opened_file(path) as file,  # closed before it is moved: Windows moves no open file
            pyarrow.parquet.ParquetWriter(beside(path), file.schema_arrow, use_dictionary=False, write_statistics=False) as out,
        ):
            for number, batch in enumerate(file.iter_batches(batch_size=1)):
                if number >= len(good):
                    break
                if good[number]:
                    out.write_batch(batch)
        set_aside(path)
        beside(path).replace(path)
