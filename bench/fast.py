"""What fewer passes of the network cost in quality: `python bench/fast.py [--photos DIR_OR_TAR] [--count N] [--world N] [--all]`.

Every edit is made by every way to sample, from the same noise: held-out kinds of edits of photos, judged as in bench/editor.py, and edits
of single things in the world's scenes, judged by its judge, where a fault of held terms would show first. Times are of whole edits, from
pixels to pixels, by turns in one run ("sampling": of the network's part alone); ratios are taken edit by edit and their median is reported.
"error" is the mean absolute difference to the right answer, "moved" that to the picture of the exact way. `--all` tries every way of WAYS,
else the presets. The authors' settings (100 steps, 300 passes) are run on every eighth edit, up to `--authors`. With `--rows FILE` the same
command goes on where it stopped. The last line is one JSON object.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import torch  # noqa: E402

from ip2p import fit, text  # noqa: E402
from ip2p.checkpoint import EMBEDDED  # noqa: E402
from ip2p.data.example import Example  # noqa: E402
from ip2p.data.photos import example_of, photos_from  # noqa: E402
from ip2p.data.world import open_world  # noqa: E402
from ip2p.edit import Editor  # noqa: E402
from ip2p.engine import Engine, Part  # noqa: E402
from ip2p.evaluation.intervals import mean  # noqa: E402
from ip2p.metrics.measures import Measures  # noqa: E402
from ip2p.presets import PRESETS  # noqa: E402
from ip2p.refresh import Refresh  # noqa: E402
from ip2p.sampling import Conditions  # noqa: E402
from ip2p.worlds.photo_operators import KINDS  # noqa: E402

EXACT, AUTHORS = "exact", "authors"
LOCAL = ("replace", "recolour", "material", "add", "remove")
Way = tuple[int, Refresh]
PRESET_WAYS: dict[str, Way] = {name: (PRESETS[name].steps, PRESETS[name].refresh) for name in (EXACT, "balanced", "fast")}
WAYS: dict[str, Way] = PRESET_WAYS | {
    f"{steps} steps, image {image}, text {words}" + (f", to {until:.0%}" if until < 1 else ""): (steps, Refresh(image, words, until))
    for steps, image, words, until in (
        (30, 4, 1, 1.0),
        (30, 4, 2, 1.0),
        (30, 6, 3, 1.0),
        (30, 8, 2, 1.0),
        (30, 8, 4, 0.6),
        (20, 1, 1, 1.0),
        (20, 4, 2, 1.0),
        (15, 8, 4, 1.0),
        (12, 1, 1, 1.0),
        (12, 6, 3, 1.0),
        (8, 1, 1, 1.0),
        (8, 4, 2, 1.0),
    )
}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="embedded", help="an editor's file")
    parser.add_argument("--photos", type=Path, help="folder or tar; only its held-out photos are used (default: the bundled free photos)")
    parser.add_argument("--count", type=int, default=165, help="edits of photos, all kinds of one before the next")
    parser.add_argument("--world", type=int, default=60, help="edits of single things in drawn scenes")
    parser.add_argument("--authors", type=int, default=20, help="edits that are also made with the authors' settings")
    parser.add_argument("--all", action="store_true", help="every way to sample instead of the presets")
    parser.add_argument("--text-scale", type=float, help="default: the model's own")
    parser.add_argument("--image-scale", type=float, help="default: the model's own")
    parser.add_argument("--lpips", default="", help="LPIPS weights: a file, or alex, vgg or squeeze, for the distance outside the mask")
    parser.add_argument("--rows", type=Path, help="file of the edits already made, a JSON object a line; new ones are added to it")
    return parser.parse_args()


def examples(given: argparse.Namespace) -> Iterator[tuple[str, Example]]:
    """The part that an edit belongs to, and the edit: photos' first, then the world's."""
    photos = photos_from(given.photos) if given.count else []
    for number in range(given.count):
        photo, kind = divmod(number, len(KINDS))
        yield "photos", example_of(photos[photo % len(photos)], KINDS[kind])
    for example in open_world(LOCAL, given.world) if given.world else ():
        yield "world", example


class Bench:
    """An editor, and what is measured about its edits."""

    def __init__(self, given: argparse.Namespace) -> None:
        self.editor = Editor.load(given.model)
        self.text_scale, self.image_scale = (
            self.editor.default(name, usual) if (value := getattr(given, name)) is None else float(value)
            for name, usual in (("text_scale", 7.5), ("image_scale", 1.5))
        )
        self.measures = Measures.load(lpips=given.lpips)
        self.ways = WAYS if given.all else PRESET_WAYS

    @torch.no_grad()
    def edit(self, example: Example, seed: int, way: Way) -> tuple[torch.Tensor, dict[str, float]]:
        """The picture (H, W, 3) of one edit, with the seconds that it and its sampling took, and the network's passes."""
        steps, refresh = way
        parts: list[Part] = [refresh]
        engine, picture = Engine(parts), example.image()[None]
        started = clock()
        how = fit.plan(picture.shape[2], picture.shape[1], self.editor.size)
        words, empty = (text.encode(self.editor.encoders, said) for said in (example.instruction, ""))
        told = Conditions(words, empty, self.editor.encode(fit.apply(picture, how)))
        began = clock()
        latent = self.editor.sample(told, steps, seed, self.text_scale, self.image_scale, engine=engine)
        sampled = clock()
        edited = fit.restore(self.editor.decode(latent), how, picture)[0].float().cpu()
        return edited, {"seconds": clock() - started, "sampling": sampled - began, "passes": engine.counted.made}

    def row(self, example: Example, seed: int, name: str, way: Way, exact: torch.Tensor | None) -> tuple[dict[str, Any], torch.Tensor]:
        """One edit by one way, measured, and its picture."""
        picture, cost = self.edit(example, seed, way)
        assert example.judge
        assert example.edited
        found: dict[str, Any] = {"way": name, "id": example.id, **cost, **example.judge(picture)}
        found["error"] = float((picture - example.edited()).abs().mean())
        found["moved"] = 0.0 if exact is None else float((picture - exact).abs().mean())
        if example.mask:
            source = example.image()
            measured = self.measures(source, picture, mask=example.mask())
            found |= {name: measured[f"{name}_source_outside"] for name in ("psnr", "lpips") if f"{name}_source_outside" in measured}
        return found, picture


def clock() -> float:
    """Seconds, when the device has done all that it was asked."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()


def measure(bench: Bench, given: argparse.Namespace) -> list[dict[str, Any]]:
    """A row for each edit and way; those in the file of rows are taken from there."""
    rows, wanted = stored(given.rows), []
    for number, (part, example) in enumerate(examples(given)):
        ways = dict(bench.ways)
        if number % 8 == 0 and given.authors > number // 8:
            ways[AUTHORS] = (PRESETS[AUTHORS].steps, PRESETS[AUTHORS].refresh)
        wanted += [(example.id, name) for name in ways]
        missing = [name for name in ways if (example.id, name) not in rows]
        if not missing:
            continue
        if not number:
            bench.edit(example, number, ways["fast"])  # warms up
        exact = None
        for name in dict.fromkeys([EXACT, *missing]):
            found, picture = bench.row(example, number, name, ways[name], exact)
            exact = picture if name == EXACT else exact
            rows[example.id, name] = {"part": part, **found}
            store(given.rows, rows[example.id, name])
        print(f"{number + 1} edits", flush=True)
    return [rows[key] for key in wanted]


def stored(place: Path | None) -> dict[tuple[str, str], dict[str, Any]]:
    """The rows already measured."""
    if place is None or not place.is_file():
        return {}
    found = [json.loads(line) for line in place.read_text(encoding="utf-8").splitlines() if line.endswith("}")]
    return {(row["id"], row["way"]): row for row in found}


def store(place: Path | None, row: dict[str, Any]) -> None:
    if place:
        with place.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")


def paired(rows: Sequence[dict[str, Any]], name: str, to: str) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """The edits made by both ways."""
    others = {row["id"]: row for row in rows if row["way"] == to}
    return [(row, others[row["id"]]) for row in rows if row["way"] == name and row["id"] in others]


def average(rows: Sequence[dict[str, Any]], column: str) -> float | None:
    values = [row[column] for row in rows if column in row]
    return round(statistics.fmean(values), 4) if values else None


def ratio(pairs: Sequence[tuple[dict[str, Any], dict[str, Any]]], column: str) -> float | None:
    """The median of the ratios within each pair."""
    return round(statistics.median(one[column] / other[column] for one, other in pairs), 4) if pairs else None


def figures(rows: Sequence[dict[str, Any]], name: str) -> dict[str, Any]:
    """One way beside the exact one, over the same edits."""
    pairs = paired(rows, name, EXACT)
    ours, exact = [one for one, _ in pairs], [other for _, other in pairs]
    difference = mean([one["right"] - other["right"] for one, other in pairs])
    slow = paired(rows, name, AUTHORS)
    return {
        "time_over_exact": ratio(pairs, "seconds"),
        "sampling_over_exact": ratio(pairs, "sampling"),
        "time_over_authors": ratio(slow, "seconds"),
        "sampling_over_authors": ratio(slow, "sampling"),
        "passes": round(statistics.median(row["passes"] for row in ours)),
        "success": average(ours, "right"),
        "success_exact": average(exact, "right"),
        "success_difference": [round(difference.value, 4), round(difference.low, 4), round(difference.high, 4)],
        "error": average(ours, "error"),
        "error_exact": average(exact, "error"),
        "moved": average(ours, "moved"),
        "outside_lpips": average(ours, "lpips"),
        "outside_lpips_exact": average(exact, "lpips"),
        "outside_psnr": average(ours, "psnr"),
        "outside_psnr_exact": average(exact, "psnr"),
        "n": len(pairs),
    }


def beside_authors(rows: Sequence[dict[str, Any]], name: str) -> dict[str, Any]:
    """A way beside the authors' settings, over the edits made by both."""
    pairs = paired(rows, name, AUTHORS)
    both = {"": [one for one, _ in pairs], "_authors": [other for _, other in pairs]}
    return {f"{column}{end}": average(side, column) for column in ("right", "error") for end, side in both.items()} | {"n": len(pairs)}


def show(title: str, rows: Sequence[dict[str, Any]], ways: Sequence[str]) -> None:
    """A table of the ways over some edits."""
    print(f"\n{title}\n{'way':44s} passes  time/exact  success (95% of the difference)  error   moved   outside PSNR")
    for name in ways:
        found = figures(rows, name)
        low, high = found["success_difference"][1:]
        psnr = "" if found["outside_psnr"] is None else f"{found['outside_psnr']:.2f}"
        print(
            f"{name:44s} {found['passes']:6d}  {found['time_over_exact']:10.3f}  {found['success']:.3f} ({low:+.3f} to {high:+.3f})"
            f"          {found['error']:.4f}  {found['moved']:.4f}  {psnr}"
        )


def main() -> None:
    given = arguments()
    bench = Bench(given)
    rows = measure(bench, given)
    for title, part in (("photos", "photos"), ("single things of the world", "world")):
        if chosen := [row for row in rows if row["part"] == part]:
            show(title, chosen, list(bench.ways))
    presets = list(PRESET_WAYS)
    out: dict[str, Any] = {name: figures(rows, name) for name in presets}
    for part in ("photos", "world"):
        chosen = [row for row in rows if row["part"] == part]
        out[part] = {name: figures(chosen, name) for name in presets} if chosen else None
    out["beside_authors"] = {name: beside_authors(rows, name) for name in presets} if any(row["way"] == AUTHORS for row in rows) else None
    path = EMBEDDED if given.model == "embedded" else Path(given.model)
    print(json.dumps(out | {"model": path.name, "text_scale": bench.text_scale, "image_scale": bench.image_scale}))


if __name__ == "__main__":
    main()
