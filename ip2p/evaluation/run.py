"""A run: every example edited with every setting and measured, one line each, resumable at any point."""

import hashlib
import json
import logging
import time
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence, Sized
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from ..data.example import Example
from ..pictures import save_picture
from . import rows as record
from .rows import Key, Row, RunError
from .settings import Setting

log = logging.getLogger(__name__)

EditFunction = Callable[[Example, Setting], Tensor]
"""Edits an example (its picture (H, W, 3) in, the edited one (H, W, 3) out). Raises ValueError with one sentence where it can't."""
OnProgress = Callable[[int, int, Row], None]
"""(edits done, edits in all, the newest)."""
RESULTS, CONDITIONS = "results.jsonl", "run.json"


class Measure(Protocol):
    """What `ip2p.metrics.measures.Measures` does for one edit."""

    def __call__(
        self,
        source: Tensor,
        result: Tensor,
        target: Tensor | None = None,
        mask: Tensor | None = None,
        caption: str = "",
        edited_caption: str = "",
    ) -> dict[str, float]: ...


def evaluate(
    examples: Iterable[Example],
    settings: Sequence[Setting],
    editors: Mapping[str, EditFunction],
    measures: Measure,
    out: Path,
    on_progress: OnProgress | None = None,
    stop: Callable[[], bool] | None = None,
    conditions: Mapping[str, Any] | None = None,
    pictures: bool = False,
) -> list[Row]:
    """Edit and measure; the rows of these examples and settings, example by example.

    Every row is appended to `out`/results.jsonl as soon as it is known, and what stands there is not done again, so that a run that was
    killed goes on where it was. An example that fails becomes a row with its reason, which the next run tries again. `conditions` say
    what else decides the numbers (data, model, metrics); they are stored, and a folder with others is refused. `stop` is asked before
    each edit. `pictures` keeps each result as PNG beside the lines. Raises RunError.
    """
    if missing := sorted({setting.editor for setting in settings} - set(editors)):
        raise RunError(f"There is no editor for {missing[0]!r}: name the model it needs, or leave it out.")
    done = _resumed(out, dict(conditions or {}))
    total = len(examples) * len(settings) if isinstance(examples, Sized) else 0
    found: list[Row] = []
    seen: set[str] = set()
    told: set[str] = set()
    for example in examples:
        if example.id in seen:
            raise RunError(f"Two examples have the id {example.id!r}: give each its own.")
        seen.add(example.id)
        for row in _each(example, settings, editors, measures, out, done, pictures, stop):
            found.append(row)
            if row.error and row.error not in told:  # a broken picture fails once for each setting and instruction
                log.warning("%s, %s: %s", row.example, row.setting.label, row.error)
                told.add(row.error)
            if on_progress:
                on_progress(len(found), total, row)
        if stop and stop():
            break
    return found


def _resumed(out: Path, conditions: dict[str, Any]) -> dict[Key, Row]:
    """The good rows that are there already, after the check that they were made under the same conditions."""
    conditions = json.loads(json.dumps(conditions))
    try:
        out.mkdir(parents=True, exist_ok=True)
        stored = json.loads((out / CONDITIONS).read_text(encoding="utf-8")) if (out / CONDITIONS).exists() else None
        if not isinstance(stored, dict | None):
            raise ValueError(f"{CONDITIONS} holds something else")
    except (OSError, ValueError) as error:
        raise RunError(f"The folder {out} can't be used ({error}): choose another.") from error
    if stored is None:
        part = out / f".{CONDITIONS}.{uuid.uuid4().hex[:8]}"
        with record.using(out / CONDITIONS):
            part.write_text(json.dumps(conditions, indent=1, ensure_ascii=False), encoding="utf-8")
            part.replace(out / CONDITIONS)
    elif changed := sorted(name for name in {*stored, *conditions} if stored.get(name) != conditions.get(name)):
        name = changed[0]
        was, now = (json.dumps(side.get(name), ensure_ascii=False) for side in (stored, conditions))
        raise RunError(f"The results in {out} were made with {name} {was}, not {now}: use a new folder, or the same {name}.")
    record.mend(out / RESULTS)
    return {row.key: row for row in record.read(out / RESULTS) if not row.error}


def _each(
    example: Example,
    settings: Sequence[Setting],
    editors: Mapping[str, EditFunction],
    measures: Measure,
    out: Path,
    done: Mapping[Key, Row],
    pictures: bool,
    stop: Callable[[], bool] | None,
) -> Iterable[Row]:
    """The rows of one example, old ones first met as they are; its pictures are opened once, and only if something is left to do."""
    opened: dict[str, Tensor | None] = {}
    for setting in settings:
        if row := done.get((example.id, setting.key)):
            if (row.instruction, row.kind) != (example.instruction, example.kind):
                raise RunError(f"The results in {out} are of other data ({example.id} was {row.instruction!r}): use a new folder.")
            yield row
            continue
        if stop and stop():
            return
        prepare(editors[setting.editor])
        row = _measured(example, setting, editors[setting.editor], measures, opened, out if pictures else None)
        record.append(out / RESULTS, [row])
        yield row


def prepare(edit: EditFunction) -> None:
    """Let an editor load its model, where it has one to load. Raises what loading raises."""
    if hasattr(edit, "prepare"):
        edit.prepare()


def _measured(
    example: Example, setting: Setting, edit: EditFunction, measures: Measure, opened: dict[str, Tensor | None], out: Path | None
) -> Row:
    started = time.perf_counter()
    row: dict[str, Any] = {"kind": example.kind, "instruction": example.instruction}
    try:
        if not opened:
            opened.update(source=example.image(), target=example.edited and example.edited(), mask=example.mask and example.mask())
        started = time.perf_counter()
        result = in_turn(edit, example, setting).detach().float().cpu()
        seconds = time.perf_counter() - started
        numbers = score(example, opened, result, measures)
    except (ValueError, OSError, RuntimeError) as error:
        log.debug("%s, %s", example.id, setting.label, exc_info=error)
        reason = " ".join(str(error).split()) or type(error).__name__
        return Row(example.id, setting, error=reason, seconds=time.perf_counter() - started, **row)
    if out:
        save_picture(result, picture_path(out, example.id, setting))
    return Row(example.id, setting, numbers, seconds=seconds, **row)


def in_turn(edit: EditFunction, example: Example, setting: Setting) -> Tensor:
    """The edit of an example, after those that come before it, each of them on the result of the last."""
    result: Tensor | None = None
    for turn in (*example.before, example):
        result = edit(turn if result is None else replace(turn, image=_held(result)), setting)
    assert result is not None
    return result


def _held(picture: Tensor) -> Callable[[], Tensor]:
    return lambda: picture


@torch.no_grad()
def score(example: Example, opened: Mapping[str, Tensor | None], result: Tensor, measures: Measure) -> dict[str, float]:
    """Everything that can be said of a result (H, W, 3): the measures, and the judgement where the answer is known."""
    source = opened["source"]
    assert source is not None
    known = {"caption": example.caption, "edited_caption": example.edited_caption}
    numbers = dict(measures(source, result, opened["target"], opened["mask"], **known))
    if example.judge:
        numbers |= {name: float(value) for name, value in example.judge(result).items()}
    return numbers


def picture_path(out: Path, example_id: str, setting: Setting) -> Path:
    """Where a run keeps the picture of an edit."""
    return out / "pictures" / _file_name(setting.key) / f"{_file_name(example_id)}.png"


def _file_name(text: str) -> str:
    """A name that every file system takes, another for every text."""
    plain = "".join(letter if letter.isalnum() or letter in "-_.=" else "_" for letter in text)[:80]
    return plain if plain == text else f"{plain}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"
