"""What tests of making pairs share: triplets, a tiny network with the world's CLIP as a plan, and a folder's bytes.

Run as `python pair_runs.py PLAN_FOLDER`, it makes the pairs of that plan in a process of its own, which a test can kill.
"""

import sys
from dataclasses import replace
from pathlib import Path

import tiny

from ip2p import checkpoint
from ip2p.captions.triplet import Triplet
from ip2p.pairs.build import Plan, build, opened
from ip2p.pairs.draws import Settings
from ip2p.pairs.loop import run

WORLD_CLIP = Path(__file__).resolve().parents[2] / "models" / "world_clip"
TRIPLETS = [
    Triplet("a red ball in a meadow", "make the ball blue", "a blue ball in a meadow", kind="recolour"),
    Triplet("a house on a beach", "make it night", "a house on a beach at night", kind="time"),
    Triplet("a green kite", "add a house", "a green kite and a house", kind="add"),
    Triplet("a red boat", "make it snow", "a red boat on a snowy day", kind="weather"),
]


def plan(folder, settings=None, early=None):
    """A run with tiny random networks of 64 pixels, whose pictures are kept as PNG; its model is made on first use."""
    model = folder / "tiny.safetensors"
    if not model.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        checkpoint.write(model, tiny.ldm(tiny.unet(in_channels=4)), tiny.SETTINGS)
    settings = settings or Settings(samples=4, steps=2, batch=2)
    return Plan(folder / "run", str(model), clip=str(WORLD_CLIP), device="cpu", settings=settings, early=early, kind="png", threads=1)


def made(one, triplets=TRIPLETS, out=None, watch=None):
    """Run a plan in this process; returns (the tally, the working folder)."""
    one = replace(one, out=out or one.out)
    generate, settings = build(one)
    return run(triplets, generate, opened(one, settings), one.kind, watch), one.out


def files(folder):
    """All files of a folder by name, with their bytes."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


if __name__ == "__main__":
    made(plan(Path(sys.argv[1])))
