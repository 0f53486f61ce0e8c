"""How much a video flickers when its frames are edited with one noise, or each with its own.

    .venv/bin/python bench/frames.py [--photos DIR ...] [--frames 6] [--steps 12] [--speed fast]

The video is a slow pan over a photo, some whole pixels a frame. ``neighbours``: the mean absolute difference of two edited frames that
follow each other (0..255), beside that of the frames as they came in. ``flicker``: the same where the second is moved back by the pan, so
that it is 0 for the frames as they came in and for an edit that sticks to the scene. The last line is one JSON object.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from ip2p import fit  # noqa: E402
from ip2p.edit import Editor  # noqa: E402
from ip2p.evaluation.intervals import mean  # noqa: E402
from ip2p.pictures import open_picture  # noqa: E402

INSTRUCTIONS = ("make it snow", "turn it into a pencil sketch", "make it a watercolour painting")
PHOTOS = (ROOT / "photos", ROOT / "tests" / "photos")
MARGIN = 8
"""Pixels along the border that are not compared: there the pan brings in what the other frame doesn't have."""


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--photos", type=Path, nargs="+", default=PHOTOS, help="folders of JPEG files")
    parser.add_argument("--count", type=int, default=3, help="so many photos (0: all)")
    parser.add_argument("--frames", type=int, default=6)
    parser.add_argument("--pan", type=int, default=4, help="pixels a frame")
    parser.add_argument("--model", default="embedded", help="an editor's file")
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--speed", default="fast", help="exact, balanced or fast")
    parser.add_argument("--text-scale", type=float, default=5.0)
    parser.add_argument("--image-scale", type=float, default=1.5)
    return parser.parse_args()


def pan(photo: Tensor, side: int, frames: int, step: int) -> Tensor:
    """(frames, side, side, 3): a square window that moves over the photo by ``step`` pixels a frame."""
    width = side + step * (frames - 1)
    how = fit.Fit(photo.shape[2], photo.shape[1], width, side, _middle(photo, width / side), (0, 0, width, side), "crop")
    wide = fit.apply(photo, how)
    return torch.cat([wide[:, :, step * number : step * number + side] for number in range(frames)])


def _middle(photo: Tensor, aspect: float) -> tuple[float, float, float, float]:
    height, width = photo.shape[1:3]
    across, down = min(width, height * aspect), min(height, width / aspect)
    return (width - across) / 2, (height - down) / 2, (width + across) / 2, (height + down) / 2


def differences(frames: Tensor, step: int) -> tuple[float, float]:
    """(neighbours, flicker) of edited frames, 0..255."""
    neighbours = [float((one - other).abs().mean()) for one, other in pairwise(frames)]
    moved = [float((one[:, step + MARGIN : -MARGIN] - other[:, MARGIN : -step - MARGIN]).abs().mean()) for one, other in pairwise(frames)]
    return 255 * sum(neighbours) / len(neighbours), 255 * sum(moved) / len(moved)


def edited(editor: Editor, frames: Tensor, instruction: str, seeds: Sequence[int], options: argparse.Namespace) -> Tensor:
    settings = {name: getattr(options, name) for name in ("steps", "speed", "text_scale", "image_scale")}
    return torch.cat([editor.edit(frame[None], instruction, seed=seed, **settings) for frame, seed in zip(frames, seeds, strict=True)])


def main() -> None:
    options = arguments()
    editor = Editor.load(options.model)
    paths = [path for folder in options.photos for path in sorted(folder.glob("*.jpg")) if path.stem != "edits"]
    found: dict[str, list[tuple[float, float]]] = {"source": [], "one noise": [], "own noise": []}
    for path in paths[: options.count or None]:
        frames = pan(open_picture(path), editor.size, options.frames, options.pan)
        for number, instruction in enumerate(INSTRUCTIONS):
            own = [100 * number + frame for frame in range(options.frames)]
            made = {
                "source": frames,
                "one noise": edited(editor, frames, instruction, own[:1] * options.frames, options),
                "own noise": edited(editor, frames, instruction, own, options),
            }
            for name, shown in made.items():
                found[name].append(differences(shown, options.pan))
            print(path.stem, instruction, {name: found[name][-1] for name in made}, flush=True)
    told: dict[str, object] = {"n": len(found["source"]), "frames": options.frames, "pan": options.pan}
    for place, measure in enumerate(("neighbours", "flicker")):
        told[measure] = {name: round(mean([one[place] for one in numbers]).value, 2) for name, numbers in found.items()}
    ratio = mean([one[1] / own[1] for one, own in zip(found["one noise"], found["own noise"], strict=True)])
    told["flicker_one_over_own"] = [round(value, 3) for value in (ratio.value, ratio.low, ratio.high)]
    print(json.dumps(told | {"steps": options.steps, "speed": options.speed}))


if __name__ == "__main__":
    main()
