"""MagicBrush (Zhang et al. 2023, arXiv 2306.10012): edits of photos by hand, with masks, in turns on one picture.

Two published layouts: the Parquet files of the hub (dev and train), and the unpacked test set (or dev set) with `edit_turns.json`,
`edit_sessions.json`, `global_descriptions.json` and `local_descriptions.json` beside `images/ID/ID-input.png`, `ID-mask1.png`,
`ID-output1.png`. Every turn is an edit of its own, of the right picture of the turn before ("single turn" in the paper), or, as sessions,
all turns of a picture are made one after another and the last result is compared with the last right picture ("multi-turn").
"""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..pictures import from_pil
from .example import DataError, Dataset, Example, Open
from .folder import leave_out
from .opening import decoded, file_image, file_key, grey_mask, limited, picture_file, same_size
from .pairs import Lazily, PairSet
from .parquet import Rows, column_names

BENCHMARK, SESSIONS = "magicbrush", "magicbrush_sessions"
TURNS = "edit_turns.json"
TEXTS, PICTURES = ("img_id", "turn_index", "instruction"), ("source_img", "mask_img", "target_img")
WHITE = 0.99


def fits(folder: Path) -> bool:
    """Whether a folder has one of the layouts."""
    return home_of(folder) is not None or bool(_tables(folder))


def opened(folder: Path, size: int = 0, skip: bool = False) -> Dataset:
    """All turns of a folder. Raises DataError."""
    home = home_of(folder)
    return _unpacked(home, size, skip) if home else _hub(folder, size, skip)


def sessions(folder: Path, size: int = 0, skip: bool = False) -> Dataset:
    """The turns of each picture as one example. Raises DataError."""
    if not fits(folder):
        raise DataError(f"{folder} is not laid out as MagicBrush, the only data with sessions: name its folder.")
    turns = opened(folder, size, skip)
    numbers: dict[str, list[int]] = {}
    for number, turn in enumerate(turns):
        numbers.setdefault(turn.id.split("-")[0], []).append(number)
    names = list(numbers)

    def make(number: int) -> Example:
        *before, last = (turns[turn] for turn in numbers[names[number]])
        first = before[0] if before else last
        name, kind = f"{names[number]}-session", f"{len(before) + 1} turns"
        return replace(last, id=name, kind=kind, image=first.image, caption=first.caption, mask=None, before=tuple(before))

    return Dataset(f"{turns.name}, sessions", len(names), make, SESSIONS, turns.skipped)


def pairs(folder: Path) -> PairSet:
    """The turns of each picture of the unpacked layout as a group of a training set. Raises DataError."""
    turns = opened(folder, skip=True)
    groups: dict[str, list[int]] = {}
    for number, turn in enumerate(turns):
        groups.setdefault(turn.id.split("-")[0], []).append(number)
    names = sorted(groups)

    def group(number: int) -> Lazily:
        found = groups[names[number]]
        return Lazily(len(found), lambda pair: turns[found[pair]])

    def key(number: int, pair: int) -> str:
        home = home_of(folder) or folder
        files = sorted((home / "images" / names[number]).iterdir())
        return f"{home}|{turns[groups[names[number]][pair]].id}|{file_key(*files)}"

    return PairSet(turns.name, len(names), group, key, turns.skipped)


def home_of(folder: Path) -> Path | None:
    """The folder of the unpacked layout, which may be in a folder of its split; None where there is none."""
    return next((place for place in (folder, folder / "test", folder / "dev") if (place / TURNS).is_file()), None)


def _tables(folder: Path) -> list[Path]:
    """The Parquet files: those of the dev split where there are any, else all."""
    files = [path for path in (*sorted(folder.glob("*.parquet")), *sorted((folder / "data").glob("*.parquet"))) if _is_ours(path)]
    return [path for path in files if path.name.startswith("dev")] or files


def _is_ours(path: Path) -> bool:
    """By the names of its columns, or of the file where these can't be read."""
    try:
        return set(column_names(path)) >= {"img_id", "source_img", "instruction"}
    except DataError:
        return path.name.startswith(("dev-", "train-"))


def load_json(path: Path, kind: type = dict) -> Any:
    """The value in a JSON file, which is a `kind` (dict or list) of objects. Raises DataError that names the file."""
    try:
        found: Any = json.loads(path.read_text(encoding="utf-8-sig"))
        values = found.values() if isinstance(found, dict) else found
        if not isinstance(found, kind) or not all(isinstance(value, dict) for value in values):
            raise ValueError("it holds something else")
    except (OSError, ValueError) as error:
        raise DataError(f"{path.name} is missing or broken ({error}): unpack the data again.") from error
    return found


def _unpacked(home: Path, size: int, skip: bool) -> Dataset:
    turns = load_json(home / TURNS, list)
    captions = load_json(home / "global_descriptions.json") if (home / "global_descriptions.json").is_file() else {}
    local = load_json(home / "local_descriptions.json") if (home / "local_descriptions.json").is_file() else {}
    found: list[Example] = []
    skipped: list[str] = []
    ids: set[str] = set()
    for number, turn in enumerate(turns):
        try:
            example = _turn(home, turn, number, captions, local, size)
            _once(example.id, ids, f"{TURNS}, entry {number},")
            found.append(example)
        except DataError as reason:
            leave_out(reason, skip, skipped, reason)
    return Dataset(f"MagicBrush {home.name}", len(found), found.__getitem__, BENCHMARK, tuple(skipped))


def _once(name: str, ids: set[str], where: str) -> None:
    """Raise DataError for an id that was there before."""
    if name in ids:
        raise DataError(f"{where} repeats the edit {name}: keep one copy of the data, or skip it.")
    ids.add(name)


def _turn(home: Path, turn: dict[str, str], number: int, captions: dict[str, Any], local: dict[str, Any], size: int) -> Example:
    """One turn. The caption of the result is the local description, with which the paper's CLIP-T is measured, or the global one."""
    turn = {name: str(value) for name, value in turn.items() if value}
    if missing := [name for name in ("input", "output", "instruction") if name not in turn]:
        raise DataError(f"{TURNS}, entry {number}, has no {missing[0]}: unpack the data again, or skip it.")
    image_id = turn["input"].split("-")[0]
    folder = home / "images" / image_id
    image, mask = folder / turn["input"], turn.get("mask", "")
    for name in (turn["input"], turn["output"], *([mask] if mask else [])):
        if not (folder / name).is_file():
            raise DataError(f"{TURNS}, entry {number}, names {name}, which is not in images/{image_id}: unpack the data again, or skip it.")
    after = turn["output"]
    return Example(
        id=after.rsplit(".", 1)[0],
        instruction=turn["instruction"],
        image=picture_file(image, size),
        caption=str(captions.get(image_id, {}).get(turn["input"]) or ""),
        edited_caption=str(local.get(image_id, {}).get(after) or captions.get(image_id, {}).get(after) or ""),
        edited=picture_file(folder / after, size),
        mask=_mask(lambda: file_image(folder / mask), lambda: file_image(image), mask, size) if mask else None,
    )


def _mask(mask: Any, image: Any, where: str, size: int) -> Open:
    def opened_mask() -> Tensor:
        return limited(drawn_mask(mask(), image(), where), size)

    return opened_mask


def drawn_mask(mask: Any, image: Any, where: str) -> Tensor:
    """(H, W): 1 in the region of a mask that is drawn upon the picture itself, in white or as transparency.

    White that the picture has itself counts only where it touches white that was drawn. Takes Pillow pictures; raises DataError.
    """
    plain = grey_mask(mask)
    same_size(plain, image.size, where)
    colours = from_pil(mask.convert("RGB"))[0]
    grey = bool((colours.max(dim=2).values - colours.min(dim=2).values).max() < 0.02)
    if grey or ("A" in mask.getbands() and bool((plain > 0).any()) and bool(((plain == 0) | (plain == 1)).all())):
        return (plain > 0.5).float()
    white = (colours >= WHITE).all(dim=2)
    drawn = white & ((colours - from_pil(image.convert("RGB"))[0]).abs().max(dim=2).values > 1 - WHITE)
    from scipy import ndimage

    regions, _ = ndimage.label(white.numpy())
    labels = torch.from_numpy(regions)
    return torch.isin(labels, labels[drawn].unique()).float() * white


def _hub(folder: Path, size: int, skip: bool) -> Dataset:
    found: list[tuple[Rows, int]] = []
    skipped: list[str] = []
    ids: set[str] = set()
    for path in _tables(folder):
        try:
            rows = Rows(path, TEXTS, PICTURES)
        except DataError as reason:
            leave_out(reason, skip, skipped, reason)
            continue
        for number in range(len(rows)):
            try:
                _once(_name(rows, number), ids, f"{path.name}, row {number},")
                found.append((rows, number))
            except DataError as reason:
                leave_out(reason, skip, skipped, reason)
    if not found:
        raise DataError(f"{folder} has no readable MagicBrush files: download them again.")

    def make(number: int) -> Example:
        return _row(*found[number], size)

    return Dataset(f"MagicBrush {found[0][0].path.name.split('-')[0]}", len(found), make, BENCHMARK, tuple(skipped))


def _name(rows: Rows, number: int) -> str:
    return f"{rows.texts[number]['img_id']}-{rows.texts[number].get('turn_index', 1)}"


def _row(rows: Rows, number: int, size: int) -> Example:
    texts, where = rows.texts[number], f"{rows.path.name}, row {number},"

    def picture(column: str) -> Open:
        return lambda: limited(from_pil(decoded(rows.data(number, column), where))[0], size)

    def mask() -> Any:
        return decoded(rows.data(number, "mask_img"), where)

    def image() -> Any:
        return decoded(rows.data(number, "source_img"), where)

    return Example(
        id=_name(rows, number),
        instruction=texts["instruction"] or "",
        image=picture("source_img"),
        edited=picture("target_img") if "target_img" in rows.pictures else None,
        mask=_mask(mask, image, f"in {where.rstrip(',')}", size) if "mask_img" in rows.pictures else None,
    )
