"""The filter as a run: from a working folder or a data set into a data set of any layout."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from ..data.manifest import MANIFEST
from ..data.prompt_folder import METADATA
from ..data.record import Record
from ..data.replacing import MADE_BY, check_apart, remove_earlier, state_of
from ..data.samples import SETTINGS
from ..data.writers import open_writer
from ..metrics.clip import config_of
from .filter import KEEP, Choice, Filtered, Prompt, filtered, is_run, prompts_of
from .hashes import NEAR
from .thresholds import PAPER, Rules, own

if TYPE_CHECKING:
    from torch import Tensor


class Scores(Protocol):
    """Scores of pairs (N, 2, H, W, 3) in [0, 1] with their captions and edited captions (see `score.Scorer`)."""

    def __call__(self, pictures: "Tensor", captions: Sequence[tuple[str, str]]) -> list[dict[str, Any]]: ...


class OwnScorer(Scores, Protocol):
    """One that knows the name of its CLIP and the thresholds that go with it."""

    @property
    def name(self) -> str: ...

    @property
    def own(self) -> Rules: ...


@dataclass(frozen=True)
class Wish:
    """What to filter and how: a run's folder or a data set's spec, thresholds (None: those that go with the CLIP that scored), how many
    pairs of a prompt, how many bits make a duplicate (None: none does), and what scores pairs without scores: a CLIP by name, or a
    ``scorer`` that is there already (neither: they are left out)."""

    spec: str
    given: Rules | None = None
    keep: int = KEEP
    near: int | None = NEAR
    clip: str = ""
    scorer: "OwnScorer | None" = None

    @property
    def rules(self) -> Rules:
        """The thresholds."""
        if self.given is None and self.scorer and not is_run(self.spec):
            return self.scorer.own
        return self.given or own_rules(self.spec, self.clip)

    def score(self, device: str = "auto") -> Callable[[Record], Mapping[str, Any]] | None:
        """What scores a stored pair of a data set, None for a run, whose pairs have scores, and where nothing is named to do it."""
        if is_run(self.spec) or not (self.scorer or self.clip):
            return None
        from .score import Scorer

        return _scored(self.scorer or Scorer.load(self.clip, device=device))

    def told(self) -> dict[str, Any]:
        """As JSON values; with how the run made its samples, and a digest of those that are there, as a run that has gone on is another."""
        clip = self.clip or (self.scorer.name if self.scorer else "")
        asked = {"thresholds": self.rules.told(), "keep": self.keep, "near": self.near, "clip": clip}
        run = {"run": made} if (made := run_settings(self.spec)) else {}
        return {MADE_BY: "ip2p filter", "from": Path(self.spec).name, "samples": _state(self.spec), **asked, **run}


def run_settings(spec: str) -> dict[str, Any]:
    """What a run's working folder was begun with; {} for a data set, and where it can't be read."""
    try:
        found = json.loads((Path(spec) / SETTINGS).read_text(encoding="utf-8")) if is_run(spec) else {}
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def own_rules(spec: str, clip: str = "") -> Rules:
    """The thresholds that go with the CLIP that scored a run, or will score a data set, or those that a filtered one was made with."""
    if clip and not is_run(spec):
        return own(config_of(clip))
    try:
        return Rules.of_told((run_settings(spec) if is_run(spec) else filter_settings(spec))["thresholds"])
    except (ValueError, KeyError, TypeError):
        return PAPER


def filter_settings(spec: str) -> dict[str, Any]:
    """What a data set was filtered with, by its manifest; {} for another place, and where it can't be read."""
    try:
        found = json.loads((Path(spec) / MANIFEST).read_text(encoding="utf-8"))["settings"]
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    return found if isinstance(found, dict) else {}


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
    told, rules = wish.told(), wish.rules
    if out is not None:
        check_apart(wish.spec, out)
    if out is not None and replace:
        next(prompts_of(wish.spec), None)  # nothing is removed for data that can't be read
        remove_earlier(out, layout, told)
    score = wish.score(device)
    with open_writer(out, layout, told) if out is not None else nullcontext() as writer:
        return filtered(prompts_of(wish.spec, score), rules, wish.keep, writer, wish.near, on_prompt)


def _state(spec: str) -> str:
    """Another text when there are other samples: of a run by the names and sizes of their lists."""
    if not is_run(spec):
        return state_of(spec)
    digest = hashlib.blake2b(digest_size=8)
    for path in sorted(Path(spec).glob(f"*/{METADATA}*")):
        digest.update(f"{path.parent.name} {path.stat().st_size}\n".encode())
    return digest.hexdigest()


def _scored(scorer: Scores) -> Callable[[Record], Mapping[str, Any]]:
    """Scores of a stored pair."""
    import io

    import torch
    from PIL import Image

    from ..pictures import BROKEN, from_pil
    from .generate import DROPPED

    def score(record: Record) -> Mapping[str, Any]:
        try:
            pictures = [from_pil(Image.open(io.BytesIO(data)))[0] for data in (record.image, record.edited)]
        except BROKEN:
            return {DROPPED: "a picture can't be read"}
        side = min(pictures[0].shape[:2])
        small = [torch.nn.functional.interpolate(one.movedim(-1, 0)[None], (side, side), mode="area")[0].movedim(0, -1) for one in pictures]
        return scorer(torch.stack(small)[None], [(record.caption, record.edited_caption)])[0]

    return score
