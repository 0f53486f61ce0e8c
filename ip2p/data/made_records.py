"""Records that are made: formulas on photos, and scenes of the world with their edits.

What is done to a photo depends on its bytes and a number alone, never on other photos, their order or names.
"""

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from ..ids import chance_of, seed_of
from .encoded import KINDS as PICTURES
from .encoded import encoded, encoded_mask
from .example import DataError
from .made import SCENES, named, sized
from .photo_files import Photo, StoredPhoto, find_photos
from .photos import SAID, kinds_in, said_of
from .read_shards import Make, failing
from .record import Record
from .world import SIZE, check_size

EACH = 4
LARGEST_EACH = 1000


@dataclass(frozen=True)
class Made:
    """How pairs are made: `each` edits of a photo (1..1000), their short side of `size` pixels (0: 256), stored as a `picture` of
    png, jpg or webp."""

    each: int = EACH
    size: int = 0
    picture: str = PICTURES[0]

    def __post_init__(self) -> None:
        if not 1 <= self.each <= LARGEST_EACH:
            raise DataError(f"{self.each} edits of a photo can't be made: use 1 to {LARGEST_EACH}.")
        if self.picture not in PICTURES:
            raise DataError(f"Pictures can't be stored as {self.picture!r}: use {', '.join(PICTURES)}.")


def made_records(name: str, rest: str, made: Made | None = None) -> Iterator[Make]:
    """The pairs of "world" (`rest`: kinds with commas, or none) or "photos" (`rest`: a folder or tar, and after a "|" kinds).

    Raises DataError for what is not known or not there.
    """
    made = made or Made()
    if name == "world":
        return world_pairs(_listed(rest), made)
    place, _, kinds = rest.partition("|")
    return photo_pairs(place, _listed(kinds), made)


def _listed(text: str) -> tuple[str, ...]:
    return tuple(kind.strip() for kind in text.split(",") if kind.strip())


def world_pairs(kinds: Sequence[str] = (), made: Made | None = None) -> Iterator[Make]:
    """A million scenes, an edit of each, their kinds in turn, with masks. Raises DataError for an unknown kind."""
    from ..worlds.edits import KINDS, LIMITS

    chosen, made = tuple(kinds) or KINDS, made or Made()
    check_size(made.size)
    if unknown := [kind for kind in chosen if kind not in (*KINDS, *LIMITS)]:
        raise DataError(f"The world has no edits of the kind {unknown[0]!r}; use {', '.join((*KINDS, *LIMITS))}.")
    return (_scene_maker(number, chosen[number % len(chosen)], made) for number in range(SCENES))


def _scene_maker(number: int, kind: str, made: Made) -> Make:
    from ..worlds.tasks import random_task

    def make() -> Record:
        task = random_task(number, (kind,), made.size or SIZE)
        return Record(
            prompt=f"world-{kind}-{number:07d}",
            sample=str(number),
            caption=task.caption,
            instruction=task.instruction,
            edited_caption=task.edited_caption,
            image=encoded(torch.from_numpy(task.source()), made.picture),
            edited=encoded(torch.from_numpy(task.answer()), made.picture),
            mask=encoded_mask(torch.from_numpy(task.mask())),
            facts={"seed": number, "kind": kind, "source": "world"},
        )

    return make


def photo_pairs(place: str, kinds: Sequence[str] = (), made: Made | None = None) -> Iterator[Make]:
    """Edits of every photo of a folder or tar, by formulas, asked for in many wordings.

    `kinds` ("night", "snow+night" for two at once; none: all) are what may be done. Raises DataError.
    """
    from ..worlds.photo_operators import KINDS, PAIRS

    made = made or Made()
    if not place.strip():
        raise DataError("No folder of photos is named: write photos:FOLDER.")
    if unknown := [kind for kind in kinds if not set(kinds_in(kind)) <= set(KINDS) or len(kinds_in(kind)) > 2]:
        raise DataError(f"There is no edit {unknown[0]!r} of a photo; use {', '.join(KINDS)}, or two of them with a +.")
    options = tuple(kinds) or (*KINDS, *map(named, PAIRS))
    photos, damaged = find_photos(place)
    return _of_photos(photos, damaged, options, made)


def _of_photos(photos: Sequence[StoredPhoto], damaged: Sequence[str], options: Sequence[str], made: Made) -> Iterator[Make]:
    for stored in photos:
        work = _Photo(stored, made)
        for number in range(min(made.each, len(options))):
            yield lambda number=number, work=work: work.record(options, number)  # type: ignore[misc]
    yield from (failing(DataError(why)) for why in damaged)


class _Photo:
    """One photo, read when its first edit is made."""

    def __init__(self, stored: StoredPhoto, made: Made) -> None:
        self.stored, self.made = stored, made
        self._photo: Photo | None = None
        self._image: tuple[np.ndarray, bytes] | None = None

    def record(self, options: Sequence[str], number: int) -> Record:
        """Its edit of a number. Raises DataError where the photo can't be read."""
        from ..worlds.photo_operators import apply_all

        photo = self._photo = self._photo or self.stored.read()
        digest = hashlib.sha256(photo.data).hexdigest()
        kind = self._kind(options, digest, number)
        picture, data = self._image = self._image or self._opened(photo)
        shown = photo.captions[0].strip(" .").lower() if photo.captions else "something"
        seed = seed_of("photo", digest, kind)
        return Record(
            prompt=f"{re.sub(r'[^A-Za-z0-9_-]', '_', photo.name)[:40]}-{digest[:8]}",
            sample=str(seed),
            caption=SAID["unchanged"].format(shown),
            instruction=_instruction(photo, kind, chance_of("words", digest, kind)),
            edited_caption=said_of(kind, shown),
            image=data,
            edited=encoded(torch.from_numpy(apply_all(kinds_in(kind), picture)), self.made.picture),
            facts={"seed": seed, "kind": kind, "source": "photo", "photo": photo.name},
        )

    def _kind(self, options: Sequence[str], digest: str, number: int) -> str:
        """Single kinds and pairs of kinds about equally often, each at most once."""
        rng, left, found = chance_of("kinds", digest), list(options), ""
        for _ in range(number + 1):
            double = rng.random() < 0.5
            fitting = [kind for kind in left if ("+" in kind) == double] or left
            found = fitting[int(rng.integers(len(fitting)))]
            left.remove(found)
        return found

    def _opened(self, photo: Photo) -> tuple[np.ndarray, bytes]:
        """(the photo at its size, float32 in [0, 1] and exactly as it is stored, its file)."""
        picture = torch.round(sized(photo, self.made.size or SIZE) * 255) / 255
        return picture.numpy(), encoded(picture, self.made.picture)


def _instruction(photo: Photo, kind: str, rng: np.random.Generator) -> str:
    """A wording for one kind of edit or two; it may name what the photo's own captions say."""
    from ..worlds.asking import ask, ask_two, neutral

    kinds = kinds_in(kind)
    captions = neutral(list(photo.captions))
    return ask_two(kinds[0], kinds[1], rng, captions) if len(kinds) == 2 else ask(kind, rng, captions)
