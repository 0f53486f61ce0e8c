"""PIE-Bench (Ju et al. 2024, "PnP Inversion", arXiv 2310.01506): 700 pictures of 512 x 512 pixels with masks, in ten kinds of edit.

`mapping_file.json` maps a number to image_path, original_prompt and editing_prompt (with [brackets] around what changes),
editing_instruction, editing_type_id ("0" to "9"), blended_word and mask; the pictures are in `annotation_images/`. A mask is a list of
(start, length) pairs over the picture's 512 x 512 pixels, row by row. As in the authors' evaluation the outermost pixels always belong to
it, because the annotation is unsure there.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .example import DataError, Dataset, Example, Open
from .folder import leave_out
from .magicbrush import load_json
from .opening import file_image, limited, picture_file, same_size

BENCHMARK = "pie_bench"
MAPPING, IMAGES = "mapping_file.json", "annotation_images"
SIDE = 512
KINDS = (
    "random",
    "change object",
    "add object",
    "delete object",
    "change content",
    "change pose",
    "change colour",
    "change material",
    "change background",
    "change style",
)
"""The kinds of edit by their number."""


def fits(folder: Path) -> bool:
    """Whether a folder is laid out like this."""
    return (folder / MAPPING).is_file()


def opened(folder: Path, size: int = 0, skip: bool = False) -> Dataset:
    """All edits, in the file's order. Raises DataError."""
    found: list[Example] = []
    skipped: list[str] = []
    for key, item in load_json(folder / MAPPING).items():
        try:
            found.append(_edit(folder, key, item, size))
        except DataError as reason:
            leave_out(reason, skip, skipped, reason)
    return Dataset("PIE-Bench", len(found), found.__getitem__, BENCHMARK, tuple(skipped))


def _edit(folder: Path, key: str, item: dict[str, Any], size: int) -> Example:
    if missing := [name for name in ("image_path", "editing_instruction", "editing_prompt") if not item.get(name)]:
        raise DataError(f"{MAPPING}, entry {key}, has no {missing[0]}: unpack the data again, or skip it.")
    image = folder / IMAGES / str(item["image_path"])
    if not image.is_file():
        raise DataError(f"{MAPPING}, entry {key}, names {item['image_path']}, which is not in {IMAGES}: unpack the data again, or skip it.")
    kind = str(item.get("editing_type_id", ""))
    mask = item.get("mask")
    return Example(
        id=str(key),
        instruction=str(item["editing_instruction"]),
        image=picture_file(image, size),
        caption=plain(str(item.get("original_prompt") or "")),
        edited_caption=plain(str(item["editing_prompt"])),
        mask=_mask(mask, image, key, size) if mask else None,
        kind=dict(enumerate(KINDS)).get(int(kind), kind) if kind.isdigit() else kind,
    )


def plain(prompt: str) -> str:
    """A prompt without the brackets around what changes."""
    return prompt.replace("[", "").replace("]", "")


def _mask(encoded: str | Sequence[int], image: Path, key: str, size: int) -> Open:
    def opened_mask() -> Tensor:
        mask = decode_mask(encoded, f"{MAPPING}, entry {key},")
        same_size(mask, file_image(image).size, f"of {MAPPING}, entry {key},")
        return limited(mask, size)

    return opened_mask


def decode_mask(encoded: str | Sequence[int], where: str = "The mask", side: int = SIDE) -> Tensor:
    """(side, side) of a mask as (start, length) pairs in one list, or as text with spaces. Raises DataError for what is none."""
    try:
        pairs = [int(number) for number in (encoded.split() if isinstance(encoded, str) else encoded)]
        if len(pairs) % 2 or min(pairs, default=0) < 0:
            raise ValueError("it is no list of pairs")
    except (TypeError, ValueError) as error:
        raise DataError(f"{where} has a mask that can't be read ({error}): unpack the data again, or skip it.") from error
    mask = torch.zeros(side * side)
    for start, length in zip(pairs[::2], pairs[1::2], strict=True):
        mask[start : start + length] = 1
    mask = mask.reshape(side, side)
    mask[[0, -1], :] = 1
    mask[:, [0, -1]] = 1
    return mask
