"""Training photos: webdataset tars (``.jpg`` with a ``.txt`` of captions) or a folder of pictures."""

import hashlib
import io
import os
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from .example import DataError
from .opening import file_key, printable
from .shards import Member, members, read_at

PICTURES = (".jpg", ".jpeg", ".png", ".webp")
HELD_OUT = 0.05


@dataclass(frozen=True)
class Photo:
    """One photo as stored: ``name`` without suffix, the encoded ``data`` and its ``captions`` (may be empty)."""

    name: str
    data: bytes
    captions: tuple[str, ...] = ()

    def open(self) -> Image.Image:
        """The decoded RGB picture."""
        return Image.open(io.BytesIO(self.data)).convert("RGB")

    @property
    def held_out(self) -> bool:
        """Whether this photo belongs to the 5% that no training reads."""
        return held_out(self.name)


def held_out(name: str) -> bool:
    """Whether a photo of this name belongs to the 5% that no training reads: decided by a hash, whatever the order."""
    return int.from_bytes(hashlib.sha256(name.encode("utf-8", "surrogateescape")).digest()[:4], "big") < HELD_OUT * 2**32


@dataclass(frozen=True)
class StoredPhoto:
    """Where a photo lies: a file, or `size` bytes of a tar from `start`; its captions likewise (`text`: none, a file, or a place)."""

    name: str
    path: Path
    start: int = 0
    size: int = 0
    text: Path | tuple[int, int] | None = None

    @property
    def key(self) -> str:
        """Which content it has, as far as name, size and time tell. Raises DataError."""
        return f"{self.path}|{self.name}|{self.start}|{file_key(self.path)}"

    def read(self) -> Photo:
        """The photo with its captions. Raises DataError."""
        data = read_at(self.path, self.start, self.size, self.name) if self.size else _whole(self.path)
        return Photo(printable(self.name), data, tuple(self._text().splitlines()))

    def _text(self) -> str:
        if self.text is None:
            return ""
        data = read_at(self.path, *self.text, self.name) if isinstance(self.text, tuple) else _whole(self.text)
        return data.decode("utf-8", "replace")


def _whole(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} can't be read ({error.strerror or error}): check the file and its permissions.") from error


def find_photos(source: Path | str) -> tuple[list[StoredPhoto], list[str]]:
    """Where the photos of a folder (its tars and pictures, searched deeply) or of one tar lie, sorted by name, and what is damaged.

    No picture is opened. Raises DataError where there is none.
    """
    source = Path(source).expanduser()
    if not source.exists():
        raise DataError(f"There is no folder or tar {source}; name a folder of photos or of .tar files.")
    files = [Path(place) / name for place, _, names in os.walk(source) for name in names] if source.is_dir() else [source]
    suffixes = {path: path.suffix.lower() for path in files}
    texts = {path.with_suffix(""): path for path in files if suffixes[path] == ".txt"}
    found = [StoredPhoto(path.stem, path, text=texts.get(path.with_suffix(""))) for path in files if suffixes[path] in PICTURES]
    damaged: list[str] = []
    for path in files:
        if suffixes[path] == ".tar":
            inside, why = members(path)
            damaged += [why] if why else []
            found += _stored(path, inside)
    if not found:
        raise DataError(f"{source} holds no photos; put .jpg or .png files there, or .tar files with .jpg members.")
    return sorted(found, key=lambda photo: (photo.name, photo.path, photo.start)), damaged


def _stored(path: Path, inside: list[Member]) -> Iterator[StoredPhoto]:
    texts = {member.name[:-4]: (member.start, member.size) for member in inside if member.name.lower().endswith(".txt")}
    for member in inside:
        stem, _, suffix = member.name.rpartition(".")
        if f".{suffix.lower()}" in PICTURES:
            yield StoredPhoto(stem.rsplit("/", 1)[-1], path, member.start, member.size, texts.get(stem))


def read_photos(source: Path | str) -> list[Photo]:
    """All photos of a folder (its tars, or its pictures, searched deeply) or of one tar, sorted by name. Raises DataError."""
    source = Path(source)
    if not source.exists():
        raise DataError(f"There is no folder or tar {source}; name a folder of photos or of .tar files with --data.")
    files = sorted(source.rglob("*")) if source.is_dir() else [source]
    photos = [photo for path in files if path.suffix == ".tar" for photo in _from_tar(path)]
    photos += [Photo(path.stem, path.read_bytes(), _captions(path)) for path in files if path.suffix.lower() in PICTURES]
    if not photos:
        raise DataError(f"{source} holds no photos; put .jpg or .png files there, or .tar files with .jpg members.")
    return sorted(photos, key=lambda photo: photo.name)


def training_photos(source: Path | str) -> list[Photo]:
    """The photos that may be trained on. Raises DataError."""
    photos = [photo for photo in read_photos(source) if not photo.held_out]
    if not photos:
        raise DataError(f"All photos of {source} belong to the held-out share of {HELD_OUT:.0%}; add more photos.")
    return photos


def held_out_photos(source: Path | str) -> list[Photo]:
    """The photos kept out of training; may be empty for a small folder. Raises DataError."""
    return [photo for photo in read_photos(source) if photo.held_out]


def _captions(picture: Path) -> tuple[str, ...]:
    text = picture.with_suffix(".txt")
    return tuple(text.read_text(encoding="utf-8").splitlines()) if text.is_file() else ()


def _from_tar(path: Path) -> Iterator[Photo]:
    """The photos of one tar; a member's captions are the lines of the ``.txt`` of the same name."""
    with tarfile.open(path) as tar:
        members = {member.name: member for member in tar if member.isfile()}
        for name, member in members.items():
            stem, suffix = Path(name).stem, Path(name).suffix.lower()
            if suffix in PICTURES:
                text = members.get(str(Path(name).with_suffix(".txt")))
                captions = tar.extractfile(text).read().decode().splitlines() if text else ()  # type: ignore[union-attr]
                yield Photo(stem, tar.extractfile(member).read(), tuple(captions))  # type: ignore[union-attr]


def crop(photo: Image.Image, size: int, scales: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """A random (size, size, 3) crop, float32 in [0, 1], flipped half the time.

    The photo is first resized so that its short side is a random length in ``scales`` (pixels, at least ``size``).
    """
    short = int(rng.integers(max(size, scales[0]), max(size, scales[1]) + 1))
    factor = short / min(photo.size)
    width, height = (max(size, round(side * factor)) for side in photo.size)
    photo = photo.resize((width, height), Image.Resampling.LANCZOS)
    left, top = int(rng.integers(0, width - size + 1)), int(rng.integers(0, height - size + 1))
    picture = np.asarray(photo.crop((left, top, left + size, top + size)), dtype=np.float32) / 255
    return picture[:, ::-1] if rng.random() < 0.5 else picture
