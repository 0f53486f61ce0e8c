"""Triplets in files: JSON Lines, Parquet and the authors' folders, read as they stream and written beside their place.

Reading holds one line, or one batch of rows, at a time. Captions alone are read by `plain`.
"""

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from .triplet import Triplet

NAMES = {
    "caption": ("caption", "input", "input_caption", "source_caption", "original_caption", "original_prompt", "text", "TEXT"),
    "instruction": ("instruction", "edit", "edit_prompt", "edit_instruction"),
    "edited_caption": ("edited_caption", "output", "edited_prompt", "output_caption", "target_caption"),
    "id": ("id", "img_id"),
    "source": ("source",),
    "kind": ("kind", "task", "category", "edit_type"),
}
"""What a value may be called. The authors' generator writes `caption`, their trainer reads `input`."""
TEXTS = ("caption", "instruction", "edited_caption")
COLUMNS = ("id", *TEXTS, "kind", "source")
SPELLINGS = {"ours": TEXTS, "authors": ("input", "edit", "output")}
"""What the three texts are called in a JSON Lines file: as in this pack, or as the authors' trainer reads them."""
ROWS = 4096
"""Rows of one group of a Parquet file."""
PROMPT = "prompt.json"

Bad = Callable[[str], None]
"""Is told what can't be read, in a sentence; without one the sentence is raised as ValueError."""


def read(path: Path, bad: Bad | None = None) -> Iterator[Triplet]:
    """The triplets of a file, or of the files of a folder by name, one after the other.

    JSON Lines (`.jsonl`, also the authors' lists and their `prompt`/`completion` lines for fine-tuning), `.parquet`, or the authors'
    dataset (a folder with a `prompt.json` in each folder). Raises ValueError for what can't be read at all.
    """
    for where, row in rows(path, bad):
        try:
            yield triplet_of(row, where)
        except ValueError as error:
            _refuse(str(error), bad)


def rows(path: Path, bad: Bad | None = None) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """(where it stands, the row as it is) for every row of a file or folder, see `read`."""
    for file in files_of(path):
        if file.name.lower().endswith(".parquet"):
            yield from _parquet(file, bad)
        elif file.name == PROMPT:
            yield from _prompt(file, bad)
        else:
            yield from _lines(file, bad)


def files_of(path: Path) -> Iterator[Path]:
    """The files that a path stands for, by name. Raises ValueError where there are none."""
    if not path.is_dir():
        if not path.exists():
            raise ValueError(f"There is no file {path}: check the name.")
        yield path
        return
    names = sorted(os.listdir(path))  # noqa: PTH208 (half a million names)
    lists = [path / name for name in names if name.lower().endswith((".jsonl", ".parquet"))]
    if not lists and not any((path / name / PROMPT).is_file() for name in names[:64]):
        raise ValueError(
            f"{path} has no triplets: name a .jsonl or .parquet file, or a folder with such files or with the authors' prompts."
        )
    yield from lists or (found for name in names if (found := path / name / PROMPT).is_file())


def triplet_of(row: Mapping[str, Any], where: str) -> Triplet:
    """The triplet of a row, whatever its values are called. Raises ValueError where a text is missing or is none."""
    row = {**row, **_completed(row, where)}
    values = {name: next((row[key] for key in keys if row.get(key) is not None), "") for name, keys in NAMES.items()}
    for name in TEXTS:
        if not any(row.get(key) is not None for key in NAMES[name]):
            raise ValueError(f"{where}, has no {name}: call it {' or '.join(NAMES[name][:2])}, or skip the line.")
        if not isinstance(values[name], str):
            raise ValueError(f"{where}, has {values[name]!r} as its {name}: write a text, or skip the line.")
    return Triplet(**{name: str(value) for name, value in values.items()})


def _completed(row: Mapping[str, Any], where: str) -> dict[str, str]:
    """The texts of a line for fine-tuning: prompt `caption\\n##\\n`, completion `instruction\\n%\\nedited caption\\nEND` (appendix A.1)."""
    prompt, completion = row.get("prompt"), row.get("completion")
    if not isinstance(prompt, str) or not isinstance(completion, str):
        return {}
    parts = [part.strip() for part in completion.replace("\n%%\n", "\n%\n").split("\n%\n")]
    if len(parts) != 2:
        raise ValueError(f"{where}, has no line with % between the instruction and the edited caption: mend it, or skip the line.")
    return {"caption": prompt.split("\n##\n")[0].strip(), "instruction": parts[0], "edited_caption": parts[1].removesuffix("END").strip()}


def _refuse(sentence: str, bad: Bad | None, cause: Exception | None = None) -> None:
    if bad is None:
        raise ValueError(sentence) from cause
    bad(sentence)


def lines_of(path: Path, bad: Bad | None = None) -> Iterator[tuple[str, str]]:
    """(where it stands, the line) for every line of a text file that isn't empty."""
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                where = f"{path.name}, line {number}"
                try:
                    text = line.decode("utf-8-sig" if number == 1 else "utf-8").strip()
                except UnicodeDecodeError:
                    _refuse(f"{where}, is no UTF-8 text: save the file as UTF-8, or skip the line.", bad)
                    continue
                if text:
                    yield where, text
    except OSError as error:
        raise unreadable(path, error) from error


def unreadable(path: Path, error: OSError) -> ValueError:
    """Why a file can't be read, in a sentence."""
    from ..data.disk import unreadable as told

    return told(path, error)


def _lines(path: Path, bad: Bad | None) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for where, text in lines_of(path, bad):
        try:
            row = json.loads(text)
        except (ValueError, RecursionError) as error:
            _refuse(f"{where}, is not JSON ({getattr(error, 'msg', error)}): write one object a line, or skip the line.", bad, error)
            continue
        if isinstance(row, dict):
            yield where, row
        else:
            _refuse(f"{where}, is no JSON object: write caption, instruction and edited_caption, or skip the line.", bad)


def _prompt(path: Path, bad: Bad | None) -> Iterator[tuple[str, Mapping[str, Any]]]:
    where = f"{path.parent.name}/{PROMPT}"
    try:
        row = json.loads(path.read_text(encoding="utf-8-sig"))
        if not isinstance(row, dict):
            raise ValueError("it is no object")
    except (OSError, ValueError) as error:
        _refuse(f"{where} can't be read ({error}): unpack the data again, or skip it.", bad, error)
        return
    yield where, row


def _parquet(path: Path, bad: Bad | None) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Only the columns that a triplet has, so that pictures beside them cost nothing."""
    module = parquet()
    try:
        file = module.ParquetFile(path)
        known = {name for names in NAMES.values() for name in names} | {"prompt", "completion"}
        columns = [name for name in file.schema_arrow.names if name in known]
        number = 0
        for batch in file.iter_batches(batch_size=ROWS, columns=columns):
            for row in batch.to_pylist():
                number += 1
                yield f"{path.name}, row {number}", row
    except (OSError, ValueError) as error:
        _refuse(f"{path.name} is damaged or not all there ({str(error).splitlines()[0]}): get it again, or skip it.", bad, error)


def parquet() -> Any:
    """pyarrow's Parquet module. Raises ValueError where it isn't installed."""
    try:
        import pyarrow.parquet
    except ImportError as error:
        raise ValueError("Parquet files need pyarrow: install it with `pip install pyarrow`, or use .jsonl.") from error
    return pyarrow.parquet


def write(path: Path, triplets: Iterable[Triplet], spelling: str = "ours") -> int:
    """Write triplets as `.jsonl` or `.parquet`, and say how many; what was there is replaced only when all is written.

    `spelling` is how JSON Lines call the texts: "ours", or "authors" (input, edit, output). Raises ValueError for a place that can't
    be written.
    """
    if spelling not in SPELLINGS:
        raise ValueError(f"The spelling {spelling!r} is unknown: choose {' or '.join(SPELLINGS)}.")
    writable(path)
    with beside(path) as part:
        return _write_parquet(part, triplets) if path.suffix.lower() == ".parquet" else _write_lines(part, triplets, spelling)


def writable(path: Path) -> None:
    """Raises ValueError for a name that `write` doesn't know what to do with, or where a package is missing."""
    if path.suffix.lower() not in (".jsonl", ".parquet"):
        raise ValueError(f"{path.name} ends in neither .jsonl nor .parquet: name it so.")
    if path.suffix.lower() == ".parquet":
        parquet()


@contextmanager
def beside(path: Path) -> Iterator[Path]:
    """A name beside a file to write to; when all went well it takes the file's place, else it is gone."""
    part = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield part
        part.replace(path)
    except OSError as error:
        raise unwritable(path, error) from error
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)


def unwritable(path: Path, error: OSError) -> ValueError:
    """Why a file can't be written, in a sentence."""
    from ..data.disk import refusal

    return refusal(path, error)


def line_of(triplet: Triplet, spelling: str = "ours") -> str:
    """A triplet as a line of JSON; what isn't known is left out."""
    texts = dict(zip(SPELLINGS[spelling], (triplet.caption, triplet.instruction, triplet.edited_caption), strict=True))
    known = {name: value for name in ("kind", "source") if (value := getattr(triplet, name))}
    return json.dumps({"id": triplet.id, **texts, **known}, ensure_ascii=False)


def _write_lines(path: Path, triplets: Iterable[Triplet], spelling: str) -> int:
    count = 0
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for triplet in triplets:
            file.write(line_of(triplet, spelling) + "\n")
            count += 1
        file.flush()
        os.fsync(file.fileno())
    return count


def _write_parquet(path: Path, triplets: Iterable[Triplet]) -> int:
    import pyarrow

    count, rows = 0, []
    schema = pyarrow.schema([(name, pyarrow.string()) for name in COLUMNS])
    with parquet().ParquetWriter(path, schema) as writer:
        for triplet in triplets:
            rows.append({name: getattr(triplet, name) for name in COLUMNS})
            count += 1
            if len(rows) == ROWS:
                writer.write_table(pyarrow.Table.from_pylist(rows, schema))
                rows.clear()
        if rows:
            writer.write_table(pyarrow.Table.from_pylist(rows, schema))
    return count
