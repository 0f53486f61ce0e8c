"""Captions alone: text files with one a line, JSON Lines, Parquet, webdataset shards, and folders of pictures with a text each."""

import os
import tarfile
from collections.abc import Iterator
from pathlib import Path

from .files import NAMES, Bad, lines_of, parquet, rows, unreadable

LISTS = (".jsonl", ".parquet")
CAPTION_COLUMNS = (*NAMES["caption"], "prompt", "title", "TITLE")


def captions(path: Path, bad: Bad | None = None) -> Iterator[str]:
    """The captions of a file or folder, one after the other, as they stream.

    `.jsonl` and `.parquet`: the column caption, input, text or prompt. `.tar` (webdataset): every line of its `.txt` and `.caption`
    members. A folder: such files, else every line of its `.txt` and `.caption` files, by name. Anything else: one caption a line.
    Empty lines are passed over. Raises ValueError for what can't be read; `bad` is told instead where a line is bad.
    """
    if path.is_dir():
        yield from _folder(path, bad)
    elif path.suffix.lower() in LISTS:
        yield from _rows(path, bad)
    elif path.suffix.lower() == ".tar":
        yield from _shard(path, bad)
    else:
        if not path.exists():
            raise ValueError(f"There is no file {path}: check the name.")
        yield from (text for _, text in lines_of(path, bad))


def _rows(path: Path, bad: Bad | None) -> Iterator[str]:
    if path.suffix.lower() == ".parquet":
        yield from _column(path)
        return
    for where, row in rows(path, bad):
        text = next((row[name] for name in CAPTION_COLUMNS if isinstance(row.get(name), str)), None)
        if text is None:
            sentence = f"{where}, has no caption: call it caption or input, or skip the line."
            if bad is None:
                raise ValueError(sentence)
            bad(sentence)
        elif text.strip():
            yield " ".join(text.split())


def _column(path: Path) -> Iterator[str]:
    module, name = parquet(), ""
    try:
        file = module.ParquetFile(path)
        name = next((name for name in CAPTION_COLUMNS if name in file.schema_arrow.names), "")
        for batch in file.iter_batches(batch_size=4096, columns=[name]) if name else ():
            yield from (" ".join(text.split()) for text in batch.column(0).to_pylist() if isinstance(text, str) and text.strip())
    except FileNotFoundError as error:
        raise unreadable(path, error) from error
    except (OSError, ValueError) as error:
        raise ValueError(f"{path.name} is damaged or not all there ({str(error).splitlines()[0]}): get it again.") from error
    if not name:
        raise ValueError(f"{path.name} has no column of captions: call it caption or text.")


def _folder(path: Path, bad: Bad | None) -> Iterator[str]:
    names = sorted(os.listdir(path))  # noqa: PTH208 (half a million names)
    lists = [name for name in names if name.lower().endswith((*LISTS, ".tar"))]
    texts = [name for name in names if name.lower().endswith((".txt", ".caption"))]
    if not lists and not texts:
        raise ValueError(f"{path} has no captions: put a .txt beside each picture, or name a file with one caption a line.")
    for name in lists:
        yield from captions(path / name, bad)
    for name in [] if lists else texts:
        yield from (text for _, text in lines_of(path / name, bad))


def _shard(path: Path, bad: Bad | None) -> Iterator[str]:
    try:
        with tarfile.open(path, "r|*") as shard:
            for member in shard:
                file = shard.extractfile(member) if member.isfile() and member.name.lower().endswith((".txt", ".caption")) else None
                if file is None:
                    continue
                try:
                    text = file.read().decode("utf-8-sig")
                except UnicodeDecodeError:
                    sentence = f"{path.name}, {member.name}, is no UTF-8 text: save it as UTF-8, or skip it."
                    if bad is None:
                        raise ValueError(sentence) from None
                    bad(sentence)
                    continue
                yield from (line.strip() for line in text.splitlines() if line.strip())
    except tarfile.TarError as error:
        raise ValueError(f"{path.name} is damaged or not all there ({error}): get it again.") from error
    except OSError as error:
        raise unreadable(path, error) from error


def of_the_world(count: int, first: int = 0) -> Iterator[str]:
    """Captions of scenes of the small world by number, worded as its text-to-image network learnt them."""
    from ..ids import chance_of
    from ..small.captioned import caption, some_scene

    for number in range(first, first + count):
        rng = chance_of("captions of the world", number)
        yield caption(some_scene(rng), rng)
