"""Edits measured per second: `Measures` streamed, against a plain loop over pairs with the same networks, in one run.

    .venv/bin/python bench/metrics.py [--clip NAME] [--dino NAME] [--lpips alex] [--size 256] [--settings 4] [--rounds 3] [--device auto]

The work is a sweep: each photo of the checkout with several edits, as Evaluate does it. Without names the networks have the shapes of CLIP
ViT-B/32 and DINO ViT-S/16 and random weights: time does not depend on them. The two take turns; the ratio is the median over the rounds,
each with an empty cache. The last line is one JSON object, with the largest difference between their numbers.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from ip2p.devices import pick_device  # noqa: E402
from ip2p.metrics import pixels, similarity  # noqa: E402
from ip2p.metrics.clip import Clip  # noqa: E402
from ip2p.metrics.dino import Dino  # noqa: E402
from ip2p.metrics.measures import Item, Measures, Row  # noqa: E402
from ip2p.metrics.perceptual import Perceptual  # noqa: E402
from ip2p.pictures import open_picture  # noqa: E402

PHOTOS = ("photos/astronaut.jpg", "photos/chelsea.jpg", "photos/coffee.jpg", "tests/photos/china.jpg", "tests/photos/flower.jpg")
CAPTION, EDITED = "a photo", "a photo at night"


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--clip", default="", help="name or folder of a CLIP; random weights without")
    parser.add_argument("--dino", default="", help="name or folder of a ViT; random weights without")
    parser.add_argument("--lpips", default="", help="alex, vgg, squeeze or a file; without LPIPS where empty")
    parser.add_argument("--size", type=int, default=256, help="side of the pictures in pixels")
    parser.add_argument("--settings", type=int, default=4, help="edits of each photo")
    parser.add_argument("--rounds", type=int, default=3, help="how often each runs")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or mps")
    return parser.parse_args()


def networks(given: argparse.Namespace) -> tuple[Clip, Dino, Perceptual | None]:
    """The named networks, or random ones of the usual shapes."""
    from transformers import AutoTokenizer, CLIPConfig, CLIPModel, ViTConfig, ViTModel

    device = pick_device(given.device)
    torch.manual_seed(0)
    lpips = Perceptual.load(given.lpips, device) if given.lpips else None
    if given.clip:
        clip = Clip.load(given.clip, device=given.device)
    else:
        tokenizer = AutoTokenizer.from_pretrained(str(ROOT / "ip2p" / "tokenizer"))
        clip = Clip(CLIPModel(CLIPConfig()).eval().requires_grad_(False).to(device), tokenizer)
    if given.dino:
        return clip, Dino.load(given.dino, given.device), lpips
    shape = {"hidden_size": 384, "num_attention_heads": 6, "intermediate_size": 1536, "image_size": 224, "patch_size": 16}
    return clip, Dino(ViTModel(ViTConfig(**shape), add_pooling_layer=False).eval().requires_grad_(False).to(device)), lpips


def items(size: int, settings: int) -> list[Item]:
    """Each photo with ever stronger noise and darkness as its edits."""
    out = []
    for name in PHOTOS:
        source = pixels.resized(open_picture(ROOT / name), size, size)[0]
        for i in range(settings):
            noise = torch.randn(source.shape, generator=torch.Generator().manual_seed(i))
            result = (source * (0.9 - 0.1 * i) + 0.03 * (i + 1) * noise).clamp(0, 1)
            out.append(Item(source, result, caption=CAPTION, edited_caption=f"{EDITED}, {Path(name).stem}"))
    return out


def plain(item: Item, clip: Clip, dino: Dino, lpips: Perceptual | None, device: torch.device) -> Row:
    """The columns of one edit, one picture after another; nothing is shared with other edits."""
    a, b = (x[None].to(device) for x in (item.source, item.result))
    before, after = clip.texts([item.caption]), clip.texts([item.edited_caption])
    source, result = clip(a), clip(b)
    row = {
        "clip_image": similarity.cosine(source, result),
        "clip_text": similarity.cosine(result, after),
        "clip_direction": similarity.direction(source, result, before, after),
        "dino_source": similarity.cosine(dino(a), dino(b)),
        "structure_source": similarity.structure_distance(dino.keys(a), dino.keys(b)),
        "l1_source": pixels.l1(a, b),
        "l2_source": pixels.l2(a, b),
        "psnr_source": pixels.psnr(a, b),
        "ssim_source": pixels.ssim(a, b),
    }
    if lpips:
        with torch.no_grad():
            row["lpips_source"] = lpips(*(_planes(x) for x in (a, b)))
    return {name: float(value) for name, value in row.items()}


def _planes(pictures: Tensor) -> Tensor:
    return pictures.movedim(-1, 1) * 2 - 1


def timed(run: Callable[[], list[Row]]) -> tuple[float, list[Row]]:
    start = time.perf_counter()
    rows = run()
    return time.perf_counter() - start, rows


def main() -> None:
    given = arguments()
    clip, dino, lpips = networks(given)
    device = pick_device(given.device)
    work = items(given.size, given.settings)

    def streamed() -> list[Row]:
        return list(Measures(clip, dino, lpips, device=device).stream(iter(work)))

    def loop() -> list[Row]:
        return [plain(item, clip, dino, lpips, device) for item in work]

    for run in (streamed, loop):
        run()  # warm
    rounds = [(timed(streamed), timed(loop)) for _ in range(given.rounds)]
    ratios = [slow / fast for (fast, _), (slow, _) in rounds]
    ours, theirs = rounds[0][0][1], rounds[0][1][1]
    apart = max(abs(one[name] - other[name]) for one, other in zip(ours, theirs, strict=True) for name in one)
    print(f"streamed / loop: {statistics.median(ratios):.2f} times as many edits a second (rounds {min(ratios):.2f} to {max(ratios):.2f})")
    figures = {
        "edits": len(work),
        "size": given.size,
        "device": device.type,
        "columns": len(ours[0]),
        "edits_per_s": round(len(work) / statistics.median(fast for (fast, _), _ in rounds), 2),
        "plain_edits_per_s": round(len(work) / statistics.median(slow for _, (slow, _) in rounds), 2),
        "ratio": round(statistics.median(ratios), 2),
        "largest_difference": round(apart, 7),
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
