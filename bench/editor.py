"""How often the embedded editor does what it is told: `python bench/editor.py [--photos DIR_OR_TAR] [--count N] [--pairs N] [--world N]`.

Every photo is edited once per kind of edit, by an instruction that training never read. An edit succeeds when the result is nearer to the
right answer of the asked kind than to the untouched photo and to every other kind's right answer. "No change" succeeds when the result is
nearest to the photo. `--pairs` edits ask for two kinds at once: such a result must be nearer to the pair's answer than to that of every
single kind, to the untouched photo, and to every other pair that shares a kind. `--world` edits change one thing of a drawn scene; the
world's judge says whether it was done and the rest was kept. `--sheet FILE` draws an edit of every kind instead of measuring. With
`--rows FILE` the same command goes on where it stopped. The last line is one JSON object.
"""

import argparse
import json
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from ip2p import fit, pictures, text  # noqa: E402
from ip2p.checkpoint import EMBEDDED  # noqa: E402
from ip2p.data.example import Example  # noqa: E402
from ip2p.data.photo_files import Photo  # noqa: E402
from ip2p.data.photos import answers_of, example_of, photos_from, rivals  # noqa: E402
from ip2p.data.world import open_world  # noqa: E402
from ip2p.edit import Editor  # noqa: E402
from ip2p.evaluation.sheet import Panel, Strip, sheet  # noqa: E402
from ip2p.metrics.perceptual import Perceptual  # noqa: E402
from ip2p.sampling import Conditions, Text  # noqa: E402
from ip2p.worlds.photo_operators import KINDS, PAIRS  # noqa: E402

LOCAL = ("replace", "recolour", "material", "add", "remove")
"""The world's edits of one thing."""
SHEET_COLUMNS = 3
SHEET_PAIRS = 9


def _answer(example: Example) -> Tensor:
    """The right answer of an example that has one."""
    assert example.edited
    return example.edited()


@dataclass(frozen=True)
class Job:
    """One edit to be made: of a photo, of a photo by two kinds ("pairs"), or of a scene ("world")."""

    part: str
    example: Example
    seed: int
    photo: Photo | None = None


@dataclass(frozen=True)
class Row:
    """One edit made. `judged` is 1 or 0 by each judge; `nearest` the kind whose answer is nearest to the result, "" in the world."""

    part: str
    id: str
    kind: str
    instruction: str
    judged: dict[str, float]
    nearest: str = ""


def main() -> None:
    options = _options()
    editor = Editor.load(options.model)
    if options.sheet:
        _draw(editor, _sheet_jobs(photos_from(options.photos), editor.size), options)
        return
    measure = Perceptual(options.lpips) if options.lpips else None
    rows = _measure(editor, list(_jobs(options, editor.size)), measure, options)
    for part, judge in (("photos", "colour_edge"), ("photos", "lpips"), ("pairs", "colour_edge"), ("pairs", "lpips"), ("world", "right")):
        _print([row for row in rows if row.part == part and judge in row.judged], part, judge)
    print(json.dumps(summary(rows, EMBEDDED if options.model == "embedded" else Path(options.model))))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, help="folder or tar; only its held-out photos are used (default: the bundled free photos)")
    parser.add_argument("--count", type=int, default=0, help="use only this many photos (0: all)")
    parser.add_argument("--kinds", nargs="*", choices=KINDS, default=KINDS, metavar="KIND", help="edit only these kinds")
    parser.add_argument("--pairs", type=int, default=0, metavar="N", help="this many edits of photos by two kinds at once")
    parser.add_argument("--world", type=int, default=0, metavar="N", help="this many edits of single things in drawn scenes")
    parser.add_argument("--model", default="embedded", help="checkpoint to measure")
    parser.add_argument("--steps", type=int, help="sampling steps (default: the model's own)")
    parser.add_argument("--text-scale", type=float, help="default: the model's own")
    parser.add_argument("--image-scale", type=float, help="default: the model's own")
    parser.add_argument("--lpips", type=Path, help="LPIPS weights (see ip2p/metrics/perceptual.py), to judge photos by these too")
    parser.add_argument("--batch", type=int, default=8, help="edits made at once")
    parser.add_argument("--rows", type=Path, help="file of the edits already measured, a JSON object a line; new ones are added to it")
    parser.add_argument("--save", type=Path, help="folder for the pictures: source, result and right answer side by side")
    parser.add_argument("--sheet", type=Path, help="draw an edit of every kind into this picture, and measure nothing")
    return parser.parse_args()


def _jobs(options: argparse.Namespace, size: int) -> Iterator[Job]:
    """Every photo by every kind, then the pairs of kinds and the photos in turn, then the world's scenes."""
    photos = photos_from(options.photos)
    photos = photos[: options.count] if options.count else photos
    for photo in photos:
        yield from (Job("photos", example_of(photo, kind, size), KINDS.index(kind), photo) for kind in options.kinds)
    chance = np.random.default_rng(0)
    asked = [PAIRS[int(number)] for _ in range(-(-options.pairs // len(PAIRS))) for number in chance.permutation(len(PAIRS))]
    pairs = [(photos[number % len(photos)], "+".join(pair), number) for number, pair in enumerate(asked[: options.pairs])]
    for photo, kind, number in sorted(pairs, key=lambda pair: pair[2] % len(photos)):
        yield Job("pairs", example_of(photo, kind, size), number, photo)
    for number, example in enumerate(open_world(LOCAL, options.world, size) if options.world else ()):
        yield Job("world", example, number)


def _measure(editor: Editor, jobs: Sequence[Job], lpips: Perceptual | None, options: argparse.Namespace) -> list[Row]:
    """A row for each job; those in the file of rows are taken from there."""
    rows = _stored(options)
    started = time.perf_counter()
    for batch in _batches([job for job in jobs if (job.part, job.example.id) not in rows], options.batch):
        for job, result in zip(batch, _edited(editor, batch, options), strict=True):
            row = rows[job.part, job.example.id] = _judge(job, result, lpips, editor.size)
            _store(row, options)
            if options.save:
                _save(options.save / f"{job.example.id}.png", [job.example.image(), torch.from_numpy(result), _answer(job.example)])
        print(f"{len(rows)} of {len(jobs)} edits ({time.perf_counter() - started:.0f} s)", flush=True)
    return [rows[job.part, job.example.id] for job in jobs]


def _batches(jobs: Sequence[Job], size: int) -> Iterator[list[Job]]:
    """Neighbours whose pictures have one shape, at most `size` at once."""
    for _, group in groupby(jobs, key=lambda job: job.example.image().shape):
        alike = list(group)
        yield from (alike[start : start + size] for start in range(0, len(alike), size))


@torch.no_grad()
def _edited(editor: Editor, batch: Sequence[Job], options: argparse.Namespace) -> list[np.ndarray]:
    """The results (H, W, 3), each as `Editor.edit` makes it alone with the job's seed."""
    original = torch.stack([job.example.image() for job in batch])
    how = fit.plan(original.shape[2], original.shape[1], editor.size)
    texts = [text.encode(editor.encoders, job.example.instruction) for job in batch]
    told = Text(torch.cat([one.context for one in texts]))
    conditions = Conditions(told, text.encode(editor.encoders, ""), editor.encode(fit.apply(original, how)))
    scales = {
        name: editor.default(name, usual) if (value := getattr(options, name)) is None else value
        for name, usual in (("steps", 30), ("text_scale", 7.5), ("image_scale", 1.5))
    }
    seeds = [job.seed for job in batch]
    latent = editor.denoise(conditions, editor.schedule(int(scales["steps"])), seeds, scales["text_scale"], scales["image_scale"])
    return list(fit.restore(editor.decode(latent).to(original), how, original).numpy())


def _judge(job: Job, result: np.ndarray, lpips: Perceptual | None, size: int) -> Row:
    example, nearest = job.example, ""
    if job.photo is None:
        assert example.judge
        judged = dict(example.judge(torch.from_numpy(result)))
    else:
        nearest = answers_of(job.photo, size).nearest(result, example.kind)
        judged = {"colour_edge": float(nearest == example.kind)}
        if lpips:
            judged["lpips"] = float(_perceptually_nearest(lpips, job.photo, result, example.kind, size) == example.kind)
    return Row(job.part, example.id, example.kind, example.instruction, judged, nearest)


@torch.no_grad()
def _perceptually_nearest(measure: Perceptual, photo: Photo, result: np.ndarray, asked: str, size: int) -> str:
    answers, found = answers_of(photo, size), _planes(result)
    return min(rivals(asked), key=lambda kind: float(measure(found, _planes(answers.of(kind)))))


def _planes(picture: np.ndarray) -> Tensor:
    """(1, 3, H, W) in [-1, 1]."""
    return torch.from_numpy(np.ascontiguousarray(picture, dtype=np.float32)).permute(2, 0, 1)[None] * 2 - 1


def _conditions(options: argparse.Namespace) -> dict[str, Any]:
    model = EMBEDDED if options.model == "embedded" else Path(options.model)
    told = {name: getattr(options, name) for name in ("steps", "text_scale", "image_scale")}
    return {"model": model.name, "bytes": model.stat().st_size, "changed": model.stat().st_mtime, **told, "lpips": bool(options.lpips)}


def _stored(options: argparse.Namespace) -> dict[tuple[str, str], Row]:
    """The rows already in the file; it is begun where there is none. Raises SystemExit for one of another measurement."""
    if not options.rows:
        return {}
    conditions = json.dumps(_conditions(options))
    first, *lines = options.rows.read_text(encoding="utf-8").splitlines() if options.rows.exists() else [conditions]
    if first != conditions:
        raise SystemExit(f"{options.rows} has the edits of another model or of other settings ({first}); name another file.")
    whole = [line for line in lines if line.endswith("}")]  # the last may have been cut off
    options.rows.parent.mkdir(parents=True, exist_ok=True)
    options.rows.write_text("".join(line + "\n" for line in (first, *whole)), encoding="utf-8")
    rows = [Row(**json.loads(line)) for line in whole]
    return {(row.part, row.id): row for row in rows}


def _store(row: Row, options: argparse.Namespace) -> None:
    if options.rows:
        with options.rows.open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(row)) + "\n")


def _save(path: Path, row: Sequence[Tensor]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pictures.to_pil(torch.cat(list(row), dim=1)).save(path)


def _sheet_jobs(photos: Sequence[Photo], size: int) -> list[Job]:
    """Every kind of edit once, on the photos in turn, then some pairs, then each of the world's edits."""
    step = len(PAIRS) // SHEET_PAIRS
    names = [*KINDS[1:], *("+".join(pair) for pair in PAIRS[::step][:SHEET_PAIRS])]
    jobs = [Job("photos", example_of(photo := photos[n % len(photos)], name, size), n, photo) for n, name in enumerate(names)]
    return jobs + [Job("world", example, number) for number, example in enumerate(open_world(LOCAL, len(LOCAL), size))]


def _draw(editor: Editor, jobs: Sequence[Job], options: argparse.Namespace) -> None:
    """Source, right answer and result of each job, three jobs in a row."""
    groups = []
    for number, job in enumerate(jobs):
        (result,) = _edited(editor, [job], options)
        row = _judge(job, result, None, editor.size)
        asked = Panel(job.example.image(), f"“{job.example.instruction}”")
        right = row.judged.get("right", row.judged.get("colour_edge")) == 1
        groups.append(
            (
                asked,
                Panel(_answer(job.example), job.example.kind.replace("_", " ").replace("+", " + ")),
                Panel(torch.from_numpy(result), "edited", good=right),
            )
        )
        print(f"{number + 1} of {len(jobs)}: {job.example.kind} {'right' if right else 'wrong'}", flush=True)
    strips = [Strip("", sum(groups[start : start + SHEET_COLUMNS], ())) for start in range(0, len(groups), SHEET_COLUMNS)]
    title = "What was asked of a picture, the right answer, and the edit; the bar is green where the edit is judged right"
    options.sheet.parent.mkdir(parents=True, exist_ok=True)
    pictures.to_pil(sheet(strips, 144, title)).save(options.sheet)


def _rate(rows: Sequence[Row], judge: str) -> float | None:
    """The part that a judge finds right; none for no rows."""
    values = [row.judged[judge] for row in rows if judge in row.judged]
    return round(sum(values) / len(values), 4) if values else None


def _per_kind(rows: Sequence[Row], judge: str) -> dict[str, float | None]:
    return {kind: _rate([row for row in rows if row.kind == kind], judge) for kind in dict.fromkeys(row.kind for row in rows)}


def _print(rows: Sequence[Row], part: str, judge: str) -> None:
    if not rows:
        return
    print(f"\n{part} by {judge}: {_rate(rows, judge):.1%} of {len(rows)} edits right")
    for kind, rate in _per_kind(rows, judge).items():
        wrong = [f"{row.instruction!r} -> {row.nearest}" for row in rows if row.kind == kind and not row.judged[judge]]
        print(f"  {kind:24s} {rate:6.1%}  {'; '.join(wrong[:3])}")


def summary(rows: Sequence[Row], model: Path) -> dict[str, Any]:
    """The figures. Doing nothing is nearest to "unchanged", so it is right only where that is asked."""
    photos, pairs, world = ([row for row in rows if row.part == part] for part in ("photos", "pairs", "world"))
    nothing = [row.kind == "unchanged" for row in photos]
    return {
        "success": _rate(photos, "colour_edge"),
        "success_lpips": _rate(photos, "lpips"),
        "success_of_edits": _rate([row for row in photos if row.kind != "unchanged"], "colour_edge"),
        "success_of_doing_nothing": round(sum(nothing) / len(nothing), 4) if nothing else None,
        "pairs_success": _rate(pairs, "colour_edge"),
        "pairs_success_lpips": _rate(pairs, "lpips"),
        "world_success": _rate(world, "right"),
        "world_done": _rate(world, "done"),
        "world_kept": _rate(world, "kept"),
        "n": {"photos": len(photos), "pairs": len(pairs), "world": len(world)},
        "kinds": len({row.kind for row in photos}),
        "per_kind": _per_kind(photos, "colour_edge"),
        "per_pair": _per_kind(pairs, "colour_edge"),
        "per_world_kind": _per_kind(world, "right"),
        "megabytes": round(model.stat().st_size / 1e6, 1),
    }


if __name__ == "__main__":
    main()
