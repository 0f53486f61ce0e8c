"""How well the small text-to-image network paints what a caption says: `python bench/painter.py [--count 100] [--steps 30]`.

Captions of scenes that no network was trained on are painted, and the world's CLIP says how near each picture is to its caption; beside
that, the same scenes as the world draws them. `nearest` is how often a picture's own caption is the nearest of all. The last line is
one JSON object; pairs of values are [painted, drawn].
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np
import torch

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from ip2p.ids import seed_of  # noqa: E402
from ip2p.metrics.clip import Clip  # noqa: E402
from ip2p.small.captioned import some_scene  # noqa: E402
from ip2p.text_to_image import TextToImage  # noqa: E402
from ip2p.worlds import language  # noqa: E402
from ip2p.worlds.drawing import draw  # noqa: E402

FIRST_SEED = 9_000_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="painter", help="a text-to-image model (default: the pack's small one)")
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--steps", type=int, default=30)
    options = parser.parse_args()
    model, clip = TextToImage.load(options.model), Clip.load("world")
    scenes = [some_scene(np.random.default_rng(FIRST_SEED + number)) for number in range(options.count)]
    captions = [language.caption(scene) for scene in scenes]
    painted = torch.cat([clip(paint(model, caption, options.steps)) for caption in captions])
    drawn = torch.cat([clip(torch.from_numpy(draw(scene, model.size).picture)[None]) for scene in scenes])
    found = [measured(features, clip.texts(captions)) for features in (painted, drawn)]
    both = {name: [round(one[name], 4) for one in found] for name in found[0]}
    print(json.dumps({"count": options.count, "steps": options.steps, **both}))


def paint(model: TextToImage, caption: str, steps: int) -> torch.Tensor:
    """(1, H, W, 3) of a caption, with a seed of its own."""
    return model.generate(caption, [seed_of(caption)], model.size, model.size, steps=steps)


def measured(pictures: torch.Tensor, texts: torch.Tensor) -> dict[str, float]:
    """Mean similarity of features (N, D) of pictures and their own captions, and how often that caption is the nearest."""
    alike = pictures @ texts.T
    return {"similarity": float(alike.diag().mean()), "nearest": float((alike.argmax(1) == torch.arange(len(alike))).float().mean())}


if __name__ == "__main__":
    main()
