"""The filter as a run: from a working folder or a data set into a data set of any layout."""

import hashlib
import json
import shutil
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..data.example import DataError
from ..data.journal import NAME as JOURNAL
from ..data.manifest import MANIFEST
from ..data.prompt_folder import METADATA
from ..data.record import Record
from ..data.writers import open_writer
from .filter import KEEP, Choice, Filtered, Prompt, filtered, is_run, prompts_of
from .hashes import NEAR
from .thresholds import Rules

MADE_BY = "ip2p filter"


@dataclass(frozen=True)
class Wish:
    """What to filter and how: a run's folder or a data set's spec, thresholds, how many pairs of a prompt, how many bits make a duplicate
    (None: none does), and the CLIP that scores pairs without scores ("": they are left out)."""

    spec: str
    rules: Rules = field(default_factory=Rules)
    keep: int = KEEP
    near: int | None = NEAR
    clip: str = ""

    def told(self) -> dict[str, Any]:
        """As JSON values; with a digest of the samples that are there, so that a run that has gone on is another one."""
        own = {"thresholds": self.rules.told(), "keep": self.keep, "near": self.near, "clip": self.clip}
        return {"made_by": MADE_BY, "from": Path(self.spec).name, "samples": _state(self.spec), **own}


def filter_into(
    wish: Wish,
    out: Path | None,
    layout: str = "authors",
    replace: bool = False,
    on_prompt: Callable[[Prompt, Choice], None] | None = None,
    device: str = "auto",
) -> Filtered:
    """Filter, and write the kept pairs into ``out`` (None: nowhere). Stopped and run again, it goes on. ``replace`` removes what an
    earlier filter left there with other settings. Raises ValueError or DataError in a sentence."""
    if not is_run(wish.spec) and Path(wish.spec).expanduser().is_file() is False and Path(wish.spec).expanduser().is_dir() is False:
        raise DataError(f"There are no pairs in {wish.spec}: name the folder that `python -m ip2p pairs` made, or a data set.")
    told = wish.told()
    if out is not None and replace:
        remove_earlier(out, layout, told)
    score = _scorer(wish.clip, device) if wish.clip and not is_run(wish.spec) else None
    with open_writer(out, layout, told) if out is not None else nullcontext() as writer:
        return filtered(prompts_of(wish.spec, score), wish.rules, wish.keep, writer, wish.near, on_prompt)


def remove_earlier(out: Path, layout: str, told: Mapping[str, Any]) -> None:
    """Remove a data set that this filter wrote with other settings or in another layout; anything else stays. Raises DataError."""
    head = next((found for name in (MANIFEST, JOURNAL) if (found := _head(out / name))), None)
    if head is None or head.get("settings", {}).get("made_by") != MADE_BY:
        return
    if head.get("layout") == layout and head["settings"] == json.loads(json.dumps(told)):
        return
    try:
        shutil.rmtree(out)
    except OSError as error:
        raise DataError(f"{out} can't be replaced ({error.strerror or error}): choose another folder.") from error


def _head(path: Path) -> dict[str, Any] | None:
    """What the manifest, or the first line of the journal, says of a data set."""
    try:
        text = path.read_text(encoding="utf-8")
        found = json.loads(text if path.name == MANIFEST else text.splitlines()[0])
    except (OSError, ValueError, IndexError):
        return None
    return found if isinstance(found, dict) else None


def _state(spec: str) -> str:
    """Another text when there are other samples: the names and sizes of their lists."""
    if not is_run(spec):
        return ""
    digest = hashlib.blake2b(digest_size=8)
    for path in sorted(Path(spec).glob(f"*/{METADATA}*")):
        digest.update(f"{path.parent.name} {path.stat().st_size}\n".encode())
    return digest.hexdigest()


def _scorer(clip: str, device: str) -> Callable[[Record], Mapping[str, Any]]:
    """Scores of a stored pair."""
    import io

    import torch
    from PIL import Image

    from ..metrics.clip import Clip
    from ..pictures import BROKEN, from_pil
    from .generate import DROPPED
    from .score import Scorer

    scorer = Scorer(Clip.load(clip, device=device))

    def score(record: Record) -> Mapping[str, Any]:
        try:
            pictures = [from_pil(Image.open(io.BytesIO(data)))[0] for data in (record.image, record.edited)]
        except BROKEN:
            return {DROPPED: "a picture can't be read"}
        side = min(pictures[0].shape[:2])
        small = [torch.nn.functional.interpolate(one.movedim(-1, 0)[None], (side, side), mode="area")[0].movedim(0, -1) for one in pictures]
        return scorer(torch.stack(small)[None], [(record.caption, record.edited_caption)])[0]

    return score
