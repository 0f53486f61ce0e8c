"""Peak memory of an edit at sizes above training, with the autoencoder whole and in tiles, and how far the two pictures are apart.

    .venv/bin/python bench/large.py [--sizes 512 1024 1280] [--model FILE]

Each edit of a square photo, one step, runs in a process of its own without a host; its resident memory at the most is reported in GB, less
what the process held before it loaded the model. The last line is one JSON object.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import torch

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from ip2p import tiles  # noqa: E402
from ip2p.edit import Editor  # noqa: E402
from ip2p.pictures import open_picture  # noqa: E402

WAYS = {"whole": 1 << 62, "tiled": 0}
"""The largest picture that goes through whole, in pixels."""


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[512, 1024, 1280])
    parser.add_argument("--model", default="embedded", help="an editor's file")
    parser.add_argument("--photo", type=Path, default=ROOT / "photos" / "astronaut.jpg")
    parser.add_argument("--one", nargs=3, metavar=("SIZE", "WAY", "OUT"), help=argparse.SUPPRESS)
    return parser.parse_args()


def peak() -> float:
    """This process's largest resident memory so far, in GB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def edit_once(options: argparse.Namespace) -> None:
    """One edit in this process: its picture to a file, its memory to stdout."""
    size, way, out = options.one
    tiles.LARGEST_WHOLE = WAYS[way]
    before = peak()
    editor = Editor.load(options.model, device="cpu")
    photo = open_picture(options.photo)
    side = min(photo.shape[1:3])
    square = photo[:, :side, :side].permute(0, 3, 1, 2)
    square = torch.nn.functional.interpolate(square, (int(size), int(size)), mode="bicubic").clamp(0, 1).permute(0, 2, 3, 1)
    torch.save(editor.edit(square, "make it snow", steps=1, size=int(size), sampler="euler"), out)
    print(json.dumps(peak() - before))


def main() -> None:
    options = arguments()
    if options.one:
        edit_once(options)
        return
    told: dict[str, object] = {"tile": tiles.TILE, "overlap": tiles.OVERLAP}
    with tempfile.TemporaryDirectory() as folder:
        for size in options.sizes:
            made, memory = {}, {}
            for way in WAYS:
                out = Path(folder) / f"{size}_{way}.pt"
                command = [sys.executable, __file__, "--model", str(options.model), "--photo", str(options.photo)]
                found = subprocess.run([*command, "--one", str(size), way, str(out)], capture_output=True, text=True, check=True)
                memory[way] = round(json.loads(found.stdout.splitlines()[-1]), 2)
                made[way] = torch.load(out)
            apart = 255 * float((made["whole"] - made["tiled"]).abs().mean())
            told[str(size)] = {"gb": memory, "apart": round(apart, 2), "finite": bool(made["tiled"].isfinite().all())}
            print(size, told[str(size)], flush=True)
    print(json.dumps(told))


if __name__ == "__main__":
    main()
