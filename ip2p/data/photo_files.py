"""Training photos: webdataset tars (``.jpg`` with a ``.txt`` of captions) or a folder of pictures."""

import hashlib
import io
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

PICTURES = (".jpg", ".jpeg", ".png", ".webp")
HELD_OUT = 0.05


class DataError(ValueError):
    """There is nothing to train on; the message says where photos were looked for and what to do."""


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
        """Whether this photo belongs to the 5% that no training reads: decided by a hash of its name, whatever the order."""
        return int.from_bytes(hashlib.sha256(self.name.encode()).digest()[:4], "big") < HELD_OUT * 2**32


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
