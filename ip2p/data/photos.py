"""Real photos, edited by formulas whose right answers are known, asked for in words that training never read."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property, lru_cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from .. import fit, pictures
from .example import DataError, Dataset, Example
from .photo_files import Photo, held_out_photos, read_photos

SIZE = 256
KEPT = 4
"""Photos whose answers are kept in memory, up to 200 MB each at 256 pixels."""
ROOT = Path(__file__).resolve().parents[2]
FREE_PHOTOS = (
    *sorted((ROOT / "tests" / "photos").glob("*.jpg")),
    *(path for name in ("astronaut", "chelsea", "coffee") if (path := ROOT / "photos" / f"{name}.jpg").is_file()),
)
SAID = {
    "unchanged": "a photo of {}",
    "black_and_white": "a black and white photo of {}",
    "sepia": "an old sepia photo of {}",
    "negative": "a photo negative of {}",
    "night": "a photo of {} at night",
    "sunset": "a photo of {} at sunset",
    "fog": "a photo of {} in thick fog",
    "snow": "a photo of {} covered in snow",
    "sketch": "a pencil sketch of {}",
    "oil_painting": "an oil painting of {}",
    "pixel_art": "pixel art of {}",
    "blur": "a blurred photo of {}",
    "sharpen": "a sharp photo of {}",
    "brighter": "a bright photo of {}",
    "darker": "a dark photo of {}",
    "warmer": "a photo of {} in warm colours",
    "cooler": "a photo of {} in cool colours",
    "vivid": "a photo of {} in vivid colours",
    "faded": "a faded photo of {}",
    "cartoon": "a cartoon of {}",
    "high_contrast": "a photo of {} with high contrast",
    "autumn": "a photo of {} in autumn",
    "underwater": "a photo of {} under water",
    "cyanotype": "a cyanotype of {}",
    "night_vision": "a green night vision picture of {}",
    "thermal": "a thermal picture of {}",
    "cyberpunk": "a photo of {} in cyberpunk neon light",
    "pink": "a pink photo of {}",
    "sandstorm": "a photo of {} in a sandstorm",
    "x_ray": "an x-ray of {}",
    "chalk": "a chalk drawing of {}",
    "watercolour": "a watercolour of {}",
    "relief": "a stone relief of {}",
}
"""What the right answer of each kind shows; the photo's own caption, where it has one, takes the place of {}."""


def kinds_in(kind: str) -> tuple[str, ...]:
    """The single kinds of a kind's name: "night" is one, "snow+night" a pair of `photo_operators.PAIRS`."""
    return tuple(kind.split("+"))


@cache
def rivals(kind: str) -> tuple[str, ...]:
    """The kinds from whose answers the one of `kind` is told: every single one, and for a pair every pair that shares one of its kinds."""
    from ..worlds.photo_operators import KINDS, PAIRS

    asked = set(kinds_in(kind))
    return KINDS if len(asked) == 1 else (*KINDS, *("+".join(pair) for pair in PAIRS if asked & set(pair)))


@dataclass(frozen=True, eq=False)
class Answers:
    """A photo fitted to `size`, with the right answers of the kinds of edit, and the judge that tells them apart."""

    photo: Photo
    size: int
    _made: dict[str, tuple[np.ndarray, np.ndarray]] = field(default_factory=dict)

    @cached_property
    def source(self) -> np.ndarray:
        """The fitted photo, float32 (H, W, 3) in [0, 1]."""
        original = pictures.from_pil(self.photo.open())
        return fit.apply(original, fit.plan(original.shape[2], original.shape[1], self.size, "exact", 64))[0].numpy().astype(np.float32)

    def of(self, kind: str) -> np.ndarray:
        """The right answer of a kind or pair, as large as the source."""
        from ..worlds.photo_operators import apply_all

        return apply_all(kinds_in(kind), self.source)

    def _features(self, kind: str) -> tuple[np.ndarray, np.ndarray]:
        from ..metrics.colour_edge import features

        if kind not in self._made:
            colours, edges = features(self.of(kind))
            self._made[kind] = colours.astype(np.float32), edges.astype(np.float32)
        return self._made[kind]

    def nearest(self, result: np.ndarray, asked: str = "unchanged") -> str:
        """That one of the rivals of `asked` whose right answer is nearest to a result of the source's size, by colours and edges."""
        from ..metrics.colour_edge import between, features

        found = features(result)
        return min(rivals(asked), key=lambda kind: between(found, self._features(kind)))


@lru_cache(maxsize=KEPT)
def answers_of(photo: Photo, size: int = SIZE) -> Answers:
    """The answers of a photo; those of the last few are kept."""
    return Answers(photo, size)


def held_out_instruction(kind: str, name: str) -> str:
    """An instruction for the kind or pair that training never read, another for every photo."""
    from ..worlds.asking import ask_two_held_out
    from ..worlds.phrasings import phrasings

    chance, kinds = np.random.default_rng([*name.encode(), len(kind), *kind.encode()]), kinds_in(kind)
    if len(kinds) == 2:
        return ask_two_held_out(*kinds, chance)
    options = phrasings()[kind].held_out
    return options[int(chance.integers(len(options)))]


def example_of(photo: Photo, kind: str, size: int = SIZE) -> Example:
    """One edit of one photo, by a kind or pair; right where the result is nearer to its answer than to all its rivals'."""

    def judged(result: Tensor) -> Mapping[str, float]:
        return {"right": float(answers_of(photo, size).nearest(result.detach().float().cpu().numpy(), kind) == kind)}

    shown = photo.captions[0].strip(" .").lower() if photo.captions else "something"
    return Example(
        id=f"{photo.name}-{hashlib.sha256(photo.data).hexdigest()[:6]}-{kind}",
        instruction=held_out_instruction(kind, photo.name),
        image=lambda: torch.from_numpy(answers_of(photo, size).source),
        caption=SAID["unchanged"].format(shown),
        edited_caption=said_of(kind, shown),
        edited=lambda: torch.from_numpy(answers_of(photo, size).of(kind)),
        kind=kind,
        judge=judged,
    )


def said_of(kind: str, shown: str) -> str:
    """What the right answer of a kind or pair shows, of a photo that shows `shown`."""
    for one in kinds_in(kind):
        shown = SAID[one].format(shown.removeprefix("a photo of "))
    return shown


def photos_from(place: Path | None) -> list[Photo]:
    """The held-out photos of a folder or tar (all of them where none is held out), or the free photos beside the pack. Raises DataError."""
    if place is not None:
        try:
            return held_out_photos(place) or read_photos(place)
        except ValueError as error:
            raise DataError(str(error).replace(" with --data", "")) from error
    if not FREE_PHOTOS:
        raise DataError("The published pack brings no photos: name a folder of your own, as in photos:FOLDER.")
    return [Photo(path.stem, path.read_bytes()) for path in FREE_PHOTOS]


def open_photos(place: Path | None = None, kinds: Sequence[str] = (), count: int = 0, size: int = 0) -> Dataset:
    """Every kind of edit of every photo, both in turn, so that the first `count` edits (0: all) are of many kinds and many photos.

    `kinds` may name other ones than all single kinds, pairs among them ("snow+night").
    """
    from ..worlds.photo_operators import KINDS

    photos, kinds = photos_from(place), tuple(kinds) or KINDS
    length = len(photos) * len(kinds)

    def make(number: int) -> Example:
        turn, kind = divmod(number, len(kinds))
        return example_of(photos[(turn + kind) % len(photos)], kinds[kind], size or SIZE)

    return Dataset(f"photos{f':{place.name}' if place else ''} at {size or SIZE} px", min(count, length) if count else length, make)
