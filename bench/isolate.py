"""What isolating keeps and what it costs: `python bench/isolate.py [--count N] [--photos N] [--steps N] [--lpips alex]`.

Two kinds of edits whose masks are known. `--count` edits change one thing of a drawn scene, made four ways from the same noise: plain,
soft (isolating at 0.5), strict (at 1) and drawn (the true mask, painted by hand). `--photos` edits change a painted rectangle of a real
photo, and the whole photo plainly and strictly: isolating has to see that these are edits of the whole picture and leave them alone.

Success in a scene: the result is nearer to the right answer than to every wrong one, compared where these two differ. That is the judge's
first rule; its others suppose that the whole picture went through an autoencoder, which isolating prevents. Success in a rectangle: nearer
to the right answer of the asked kind than to that of every other kind, both cut out (success_inside where the whole photo was edited).
Outside the mask: PSNR, and LPIPS of the source and the result with the source pasted into the mask. In a ring of 8 pixels round the mask:
the mean absolute difference from the right answer (ring_l1), and how much steeper the picture is there than the right answer (seam). Of
the place that was found: IoU with the mask in cells of the latent, area, ratio, and whether it counts as local. The last line is one JSON
object; `--rows FILE` keeps the edits, and the same command goes on where it stopped.
"""

import argparse
import json
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from ip2p import pictures  # noqa: E402
from ip2p.data.photos import answers_of, held_out_instruction, photos_from  # noqa: E402
from ip2p.data.world import world_task  # noqa: E402
from ip2p.edit import Editor  # noqa: E402
from ip2p.engine import Engine  # noqa: E402
from ip2p.evaluation.intervals import mean  # noqa: E402
from ip2p.isolate import SOFT, STRICT, Isolate  # noqa: E402
from ip2p.metrics import colour_edge, pixels  # noqa: E402
from ip2p.metrics.perceptual import Perceptual  # noqa: E402
from ip2p.spatial import resized  # noqa: E402
from ip2p.worlds.alternatives import alternatives  # noqa: E402
from ip2p.worlds.judge import COARSE, INSTEAD, Features, features, fitted, taken_for  # noqa: E402
from ip2p.worlds.photo_operators import EDITS, KINDS  # noqa: E402
from ip2p.worlds.tasks import Task, grown  # noqa: E402

LOCAL = ("replace", "recolour", "material", "add", "remove")
WAYS = {"plain": 0.0, "soft": SOFT, "strict": STRICT, "drawn": 0.0}
RING = 8
"""Width of the ring round the mask, in pixels."""
SHARES = ("success", "success_inside", "local")


@dataclass(frozen=True)
class Job:
    """One edit: where it comes from, and what is known of it. ``mask`` (H, W) is 1 where the picture may change."""

    part: str
    id: str
    instruction: str
    source: np.ndarray
    answer: np.ndarray
    mask: np.ndarray
    seed: int
    task: Task | None = None
    rivals: dict[str, np.ndarray] = field(default_factory=dict)
    kind: str = ""


@dataclass(frozen=True)
class Row:
    """One edit made one way."""

    part: str
    way: str
    id: str
    numbers: dict[str, float]


def main() -> None:
    options = _options()
    editor = Editor.load(options.model, device=options.device)
    lpips = Perceptual.load(options.lpips) if options.lpips else None
    rows, started = _stored(options.rows), time.perf_counter()
    for job in _jobs(options, editor.size):
        for way in ("plain", "strict", "drawn") if job.part == "photos" else WAYS:
            if (job.part, way, job.id) in rows:
                continue
            result, found = _edited(editor, job, way, options)
            rows[job.part, way, job.id] = row = Row(job.part, way, job.id, _measured(job, result, found, way, lpips))
            _store(row, options.rows)
            if options.save:
                _save(options.save / f"{job.id}-{way}.png", job, result)
        print(f"{job.id} ({time.perf_counter() - started:.0f} s)", flush=True)
    found_rows = list(rows.values())
    _print(found_rows)
    print(json.dumps(summary(found_rows)))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=100, help="edits of drawn scenes")
    parser.add_argument("--photos", type=int, default=32, help="edits of real photos")
    parser.add_argument("--data", type=Path, help="folder or tar of photos; only its held-out ones are used (default: the bundled photos)")
    parser.add_argument("--steps", type=int, help="sampling steps (default: the model's own)")
    parser.add_argument("--model", default="embedded", help="checkpoint to measure")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or mps")
    parser.add_argument("--lpips", default="", help="alex, vgg, squeeze or a file of weights (default: LPIPS is left out)")
    parser.add_argument("--rows", type=Path, help="file of the edits already made, a JSON object a line; new ones are added to it")
    parser.add_argument("--save", type=Path, help="folder for the pictures: source, result, right answer and mask side by side")
    return parser.parse_args()


def _jobs(options: argparse.Namespace, size: int) -> Iterator[Job]:
    """The scenes, their kinds in turn, then the photos, theirs in turn."""
    for number in range(options.count):
        task = world_task(number, LOCAL[number % len(LOCAL)], size)
        yield Job("scenes", task.id, task.instruction, task.source(), task.answer(), task.mask(), number, task, kind=task.kind)
    photos = photos_from(options.data) if options.photos else []
    for number in range(options.photos):
        photo, kind = photos[number % len(photos)], EDITS[(5 * number) % len(EDITS)]
        answers = answers_of(photo, size)
        mask = rectangle(answers.source.shape[:2], number)
        rivals = {name: answers.of(name) for name in KINDS}
        answer = np.where(mask[..., None] == 1, rivals[kind], answers.source)
        told = held_out_instruction(kind, photo.name)
        yield Job("photos", f"{photo.name}-{kind}-{number}", told, answers.source, answer, mask, number, None, rivals, kind)


def rectangle(shape: tuple[int, ...], seed: int) -> np.ndarray:
    """A painted rectangle of a quarter to a half of each side, somewhere, as a mask (H, W)."""
    rng, mask = np.random.default_rng(seed), np.zeros(shape, dtype=np.float32)
    sides = [round(side * rng.uniform(0.35, 0.6)) for side in shape]
    top, left = (int(rng.integers(0, side - own + 1)) for side, own in zip(shape, sides, strict=True))
    mask[top : top + sides[0], left : left + sides[1]] = 1
    return mask


def _edited(editor: Editor, job: Job, way: str, options: argparse.Namespace) -> tuple[Tensor, Isolate]:
    """The result (1, H, W, 3) and the part that looked for the place."""
    engine = Engine((Isolate(strength=WAYS[way]),))
    mask = torch.from_numpy(job.mask)[None] if way == "drawn" else None
    source = torch.from_numpy(np.ascontiguousarray(job.source, dtype=np.float32))[None]
    result = editor.edit(source, job.instruction, steps=options.steps, seed=job.seed, engine=engine, mask=mask)
    return result, next(part for part in engine.parts if isinstance(part, Isolate))


def _measured(job: Job, result: Tensor, found: Isolate, way: str, lpips: Perceptual | None) -> dict[str, float]:
    """All numbers of one edit."""
    source, answer = (torch.from_numpy(np.asarray(one, dtype=np.float32))[None] for one in (job.source, job.answer))
    mask, picture = torch.from_numpy(job.mask)[None], result[0].numpy()
    whole = job.part == "photos" and way != "drawn"  # asked of the whole photo
    outside = 1 - mask
    numbers = {"success": float(_done(job, picture, whole))}
    if whole:
        numbers["success_inside"] = float(_done(job, picture, False))
    else:
        pasted = torch.where(mask[..., None] == 1, source, result)
        numbers |= {"psnr_outside": float(pixels.psnr(result, source, outside)), **_seam(result, answer, job.mask)}
        if lpips:
            numbers["lpips_outside"] = float(lpips(_planes(pasted), _planes(source)))
    place = found.place()
    if place is not None and way != "drawn":
        numbers |= {"local": float(place.local), "ratio": float(place.split.ratio), "area": float(place.split.area)}
        cells = resized(mask, *place.cells.shape[-2:]) > 0.5
        if job.part == "scenes" and cells.any():
            numbers["iou"] = float((place.cells & cells).sum() / (place.cells | cells).sum())
    return numbers


def _done(job: Job, picture: np.ndarray, whole: bool) -> bool:
    if job.task is None:
        rows, columns = (np.flatnonzero(job.mask.any(axis)) for axis in (1, 0))
        cut = (slice(None), slice(None)) if whole else (slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
        return bool(min(job.rivals, key=lambda kind: colour_edge.distance(picture[cut], job.rivals[kind][cut])) == job.kind)
    seen = Features(fitted(picture, COARSE))
    answer = min(job.task.answers, key=lambda scene: float(seen.apart(features(scene)).mean()))
    return not taken_for(seen, answer, alternatives(job.task.scene, job.task.edit), INSTEAD)


def _seam(result: Tensor, answer: Tensor, mask: np.ndarray) -> dict[str, float]:
    """In the ring outside the mask: the difference from the right answer, and the excess of steepness, both as means."""
    ring = grown(mask > 0, RING) & (mask == 0)
    if not ring.any():
        return {}
    ours, theirs = (_steepness(one[0].numpy()) for one in (result, answer))
    return {
        "ring_l1": float(np.abs(result[0].numpy() - answer[0].numpy()).mean(-1)[ring].mean()),
        "seam": float(np.maximum(ours - theirs, 0)[ring | ndimage.binary_dilation(ring)].mean()),
    }


def _steepness(picture: np.ndarray) -> np.ndarray:
    """Length of the gradient of the brightness (H, W)."""
    return np.hypot(*np.gradient(picture.mean(-1)))


def _planes(picture: Tensor) -> Tensor:
    return picture.movedim(-1, 1) * 2 - 1


def _stored(file: Path | None) -> dict[tuple[str, str, str], Row]:
    lines = file.read_text(encoding="utf-8").splitlines() if file and file.exists() else []
    rows = [Row(**json.loads(line)) for line in lines if line.endswith("}")]
    return {(row.part, row.way, row.id): row for row in rows}


def _store(row: Row, file: Path | None) -> None:
    if file:
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(asdict(row)) + "\n")


def _save(path: Path, job: Job, result: Tensor) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    mask = np.repeat(job.mask[..., None], 3, axis=2)
    row = [torch.from_numpy(np.asarray(one, dtype=np.float32)) for one in (job.source, result[0].numpy(), job.answer, mask)]
    pictures.to_pil(torch.cat(row, dim=1)).save(path)


def summary(rows: Sequence[Row]) -> dict[str, Any]:
    """{part: {way: {number: mean}, "n": edits}}, and the 95% intervals of the shares."""
    out: dict[str, Any] = {}
    for part in dict.fromkeys(row.part for row in rows):
        ways: dict[str, Any] = {}
        for way in dict.fromkeys(row.way for row in rows if row.part == part):
            own = [row.numbers for row in rows if (row.part, row.way) == (part, way)]
            ways[way] = {"n": len(own)}
            for name in dict.fromkeys(name for numbers in own for name in numbers):
                found = mean([numbers[name] for numbers in own if name in numbers], name in SHARES)
                ways[way][name] = round(found.value, 4)
                if name in SHARES:
                    ways[way][f"{name}_95"] = [round(found.low, 4), round(found.high, 4)]
        out[part] = ways
    return out


def _print(rows: Sequence[Row]) -> None:
    for part, ways in summary(rows).items():
        for way, numbers in ways.items():
            print(f"{part:7s} {way:7s} " + "  ".join(f"{name} {value}" for name, value in numbers.items() if not name.endswith("_95")))


if __name__ == "__main__":
    main()
