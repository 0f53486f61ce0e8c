"""What a chain loses between its stages: handed on as a latent, or as a picture, decoded and encoded again.

    .venv/bin/python bench/chain.py [--photos DIR ...] [--steps 12] [--speed fast]

Each photo goes through chains of instructions whose right answers image operations give, one after another, both ways with the same seeds.
After each stage: the mean absolute error to the right answer (0..255), and the sharpness, the mean gradient over that of the right answer.
A third column shows what the autoencoder alone does when a picture is decoded and encoded again and again, with no edit at all. The last
line is one JSON object.
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from ip2p import fit  # noqa: E402
from ip2p.chain import chain  # noqa: E402
from ip2p.edit import Editor  # noqa: E402
from ip2p.evaluation.intervals import mean  # noqa: E402
from ip2p.pictures import open_picture  # noqa: E402
from ip2p.stages import BETWEEN, parse  # noqa: E402
from ip2p.worlds.photo_operators import apply  # noqa: E402

CHAINS = (
    (("sunset", "make it sunset"), ("faded", "make it look faded"), ("sepia", "make it sepia")),
    (("autumn", "make it autumn"), ("darker", "make it darker"), ("snow", "make it snow")),
    (("underwater", "put it under water"), ("faded", "make it look faded"), ("sketch", "turn it into a pencil sketch")),
)
PHOTOS = (ROOT / "photos", ROOT / "tests" / "photos")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--photos", type=Path, nargs="+", default=PHOTOS, help="folders of JPEG files")
    parser.add_argument("--count", type=int, default=0, help="so many photos (0: all)")
    parser.add_argument("--model", default="embedded", help="an editor's file")
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--speed", default="fast", help="exact, balanced or fast")
    parser.add_argument("--text-scale", type=float, default=5.0)
    parser.add_argument("--image-scale", type=float, default=1.5)
    return parser.parse_args()


def photos_of(folders: list[Path], size: int, count: int) -> list[Tensor]:
    """The photos (1, H, W, 3), already at the size that they are edited at, so that nothing is resampled in between."""
    paths = [path for folder in folders for path in sorted(folder.glob("*.jpg")) if path.stem != "edits"]
    found = [open_picture(path) for path in paths][: count or None]
    return [fit.apply(photo, fit.plan(photo.shape[2], photo.shape[1], size)) for photo in found]


def answers(photo: Tensor, kinds: list[str]) -> list[Tensor]:
    """The right answer after each of the kinds of edit."""
    picture, found = photo[0].numpy(), []
    for kind in kinds:
        picture = np.asarray(apply(kind, picture), np.float32)
        found.append(torch.from_numpy(picture)[None])
    return found


def gradient(picture: Tensor) -> float:
    """The mean absolute difference of neighbouring pixels."""
    return float((picture.diff(dim=1).abs().mean() + picture.diff(dim=2).abs().mean()) / 2)


def round_trips(editor: Editor, photo: Tensor, count: int) -> list[float]:
    """What ``count`` further decodings and encodings do to a decoded picture, 0..255."""
    with torch.no_grad():
        first = picture = editor.decode(editor.mode(photo) * editor.latent_scale)
        found = []
        for _ in range(count):
            picture = editor.decode(editor.mode(picture) * editor.latent_scale)
            found.append(255 * float((picture - first).abs().mean()))
    return found


def main() -> None:
    options = arguments()
    editor = Editor.load(options.model)
    photos = photos_of(options.photos, editor.size, options.count)
    errors: dict[str, list[list[float]]] = {way: [] for way in BETWEEN}
    sharpness: dict[str, list[list[float]]] = {way: [] for way in BETWEEN}
    for number, photo in enumerate(photos):
        for kinds, words in (tuple(map(list, zip(*one, strict=True))) for one in CHAINS):
            settings = {name: getattr(options, name) for name in ("steps", "speed", "text_scale", "image_scale")} | {"seed": 10 * number}
            right = answers(photo, kinds)
            for way in BETWEEN:
                pictures = chain(editor, photo, parse("\n".join(words)), between=way, **settings)
                errors[way].append([255 * float((one - answer).abs().mean()) for one, answer in zip(pictures, right, strict=True)])
                sharpness[way].append([gradient(one) / gradient(answer) for one, answer in zip(pictures, right, strict=True)])
            print(f"photo {number + 1} of {len(photos)}, {' > '.join(kinds)}: {errors['latent'][-1]} {errors['picture'][-1]}", flush=True)
    alone = np.mean([round_trips(editor, photo, len(CHAINS[0]) - 1) for photo in photos], axis=0)
    gap = mean([late[-1] - early[-1] for early, late in zip(errors["latent"], errors["picture"], strict=True)])
    told = {
        "n": len(errors["latent"]),
        "error": {way: np.mean(errors[way], axis=0).round(2).tolist() for way in BETWEEN},
        "sharpness": {way: np.mean(sharpness[way], axis=0).round(3).tolist() for way in BETWEEN},
        "last_error_picture_minus_latent": [round(gap.value, 2), round(gap.low, 2), round(gap.high, 2)],
        "autoencoder_alone": alone.round(2).tolist(),
        "steps": options.steps,
        "speed": options.speed,
    }
    print(json.dumps(told))


if __name__ == "__main__":
    main()
