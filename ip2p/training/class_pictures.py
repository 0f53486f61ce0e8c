"""Pictures of a subject's class that the model makes itself before it learns the subject, once (Ruiz et al. 2023, section 3.2)."""

import json
import logging
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from ..checkpoint import Checkpoint
from ..data.example import DataError
from ..data.opening import PICTURES
from ..pictures import save_picture
from ..text_to_image import TextToImage
from .config import TrainConfig
from .loop import Stopped
from .resuming import identity

log = logging.getLogger(__name__)

NOTES = "made.json"
AT_ONCE = 4
"""Pictures that are made in one batch."""
TELL_EVERY = 20


def class_pictures(
    base: Checkpoint, config: TrainConfig, folder: Path, device: torch.device, should_stop: Callable[[], bool] | None = None
) -> list[Path]:
    """The pictures of a folder, the missing ones made by `base` after `dreambooth.class_prompt`; picture number n has the seed n.

    Pictures that are there count, one's own too. Raises DataError where the folder's were made in another way, and `loop.Stopped` where
    `should_stop` says so; what is made by then stays.
    """
    chosen = config.dreambooth
    _check_notes(
        folder, {"prompt": chosen.class_prompt, "size": config.data.crop, "steps": chosen.class_steps, "scale": chosen.class_scale}, base
    )
    there = sorted(path for path in folder.iterdir() if path.suffix.lower() in PICTURES)
    missing = chosen.class_images - len(there)
    if missing > 0:
        log.info("making %d pictures of the class in %s", missing, folder)
        names = {path.name for path in there}
        numbers = [number for number in range(chosen.class_images + len(there)) if _name(number) not in names][:missing]
        _make(base, config, folder, numbers, device, should_stop)
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in PICTURES)[: chosen.class_images]


def _name(number: int) -> str:
    return f"{number:05d}.png"


def _make(
    base: Checkpoint, config: TrainConfig, folder: Path, numbers: list[int], device: torch.device, should_stop: Callable[[], bool] | None
) -> None:
    """Make the pictures of these numbers, a few at once; each is whole or not there."""
    chosen, model = config.dreambooth, TextToImage.build(base, device)

    def ask(*_: Any) -> None:
        if should_stop and should_stop():
            raise Stopped

    for start in range(0, len(numbers), AT_ONCE):
        batch = numbers[start : start + AT_ONCE]
        side = config.data.crop
        made = model.generate(chosen.class_prompt, batch, side, side, chosen.class_steps, chosen.class_scale, on_step=ask)
        for number, picture in zip(batch, made, strict=True):
            save_picture(picture, folder / _name(number))
        if (start // AT_ONCE) % TELL_EVERY == 0:
            log.info("pictures of the class: %d of %d", start + len(batch), len(numbers))


def _check_notes(folder: Path, how: dict[str, Any], base: Checkpoint) -> None:
    """Write how the pictures are made beside them, or raise DataError where others were made in another way."""
    how = how | {"model": identity(base)}
    folder.mkdir(parents=True, exist_ok=True)
    notes = folder / NOTES
    if not notes.is_file():
        part = folder / f".{NOTES}.{uuid.uuid4().hex[:8]}"
        part.write_text(json.dumps(how, indent=1), encoding="utf-8")
        part.replace(notes)
        return
    try:
        before = json.loads(notes.read_text(encoding="utf-8"))
        other = next((name for name in how if before.get(name) != how[name]), None)
    except (OSError, ValueError, AttributeError) as error:
        raise DataError(f"{notes} can't be read: name another folder for the class pictures, or remove this one.") from error
    if other:
        raise DataError(
            f"The class pictures in {folder} were made with {other} {before.get(other)!r}, not {how[other]!r}: "
            "name another folder for them, or remove this one."
        )
