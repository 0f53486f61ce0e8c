"""The embedded editor measured with everything here, as the page docs/measured.md: `python bench/embedded.py --out RUN [--page docs]`.

Four runs, each resumable: photos whose right answers formulas give, whole-picture edits of the world over the paper's scales (Figure 8),
the world's other edits, and the known limits (Figure 13). `--lpips alex` adds its columns, `--clip models/world_clip` its own for drawings.
The page is made from the runs' own tables; the last line is one JSON object.
"""

import argparse
import json
import shutil
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from ip2p.data.example import Dataset  # noqa: E402
from ip2p.data.open import open_dataset  # noqa: E402
from ip2p.edit import Editor  # noqa: E402
from ip2p.evaluation import plot, probes, report  # noqa: E402
from ip2p.evaluation.editors import edit_functions  # noqa: E402
from ip2p.evaluation.rows import Row  # noqa: E402
from ip2p.evaluation.run import evaluate  # noqa: E402
from ip2p.evaluation.settings import Setting, grid  # noqa: E402
from ip2p.evaluation.table import Table, table  # noqa: E402
from ip2p.metrics.measures import Measures  # noqa: E402
from ip2p.text_to_image import TextToImage  # noqa: E402

SHEET_WIDTH = 1500
OWN = {"text_scale": "", "image_scale": "", "scale": "", "strength": "0.5"}
FIGURE_8 = {"text_scale": "5", "image_scale": "1.0:2.2:0.4", "scale": "5", "strength": "0.3:0.9:0.2"}


@dataclass(frozen=True)
class Part:
    """One run: its name (of its files), title and what is to be known of it, its data and settings, and whether CLIP knows its pictures."""

    name: str
    title: str
    about: str
    data: Dataset
    settings: Sequence[Setting]
    clip: bool = True


def main() -> None:
    options = _options()
    editors = edit_functions(lambda: Editor.load("embedded"), lambda: TextToImage.load("embedded"))
    started = time.perf_counter()
    found = {}
    every = [part for part in parts(options.share) if options.only in ("", part.name)]
    for part in every:
        clip = options.clip if part.clip else ""
        measures = Measures.load(clip=clip, lpips=options.lpips)
        conditions = {"data": part.data.name, "clip": clip, "lpips": options.lpips, "model": "embedded"}
        out = options.out / part.name
        rows = evaluate(part.data, part.settings, editors, measures, out, _say, conditions=conditions, pictures=True)
        report.write(out, part.data, part.settings, rows, per_kind=True, pictures=True)
        found[part.name] = rows
    if options.page:
        write_page(options.page, options.out, every, found)
    print(f"{time.perf_counter() - started:.0f} s")
    print(json.dumps(summary(found)))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder for the runs; the same command goes on where it stopped")
    parser.add_argument("--page", type=Path, help="folder for measured.md and its pictures")
    parser.add_argument("--only", default="", choices=("", "photos", "scales", "objects", "limits"), help="one of the runs")
    parser.add_argument("--share", type=float, default=1.0, help="part of the usual numbers of edits")
    parser.add_argument("--clip", default="", help="a CLIP by name or folder")
    parser.add_argument("--lpips", default="", help="alex, vgg, squeeze, or a file of weights")
    return parser.parse_args()


def parts(share: float) -> list[Part]:
    """The four runs; `share` of their usual numbers of edits."""
    whole, other = "world:time,weather,season,style", "world:recolour,material,replace,add,remove,background,several"
    many = grid(["ip2p", "fast", "sdedit", "nothing"], OWN)
    return [
        Part(
            "photos",
            "Photos with known answers",
            "The six bundled photos, edited in the ways that the editor was made for, by instructions that it never read. An edit is "
            "right when it is nearer to the asked answer than to the untouched photo and to every other kind's answer. *Fast* is 12 "
            "steps; SDEdit has the same network without its picture, prompted with the edited caption.",
            open_dataset("photos", max(1, round(63 * share))),
            many,
            clip=False,
        ),
        Part(
            "scales",
            "What the scales trade",
            "Whole-picture edits of the world, over the image scale (ours) and the strength (SDEdit), as in the paper's Figure 8. The CLIP "
            "is the small one of this pack, which knows the world only: its figures are no one else's. The editor has never seen the "
            "world, and what it learnt as snow or night is another formula than the world's, so most are not judged right.",
            open_dataset(whole, max(1, round(24 * share))),
            [*grid(["ip2p", "sdedit"], FIGURE_8), *grid(["nothing", "answer"])],
        ),
        Part(
            "objects",
            "Edits of single things",
            "The world's other edits. The embedded editor was not made for them; this is the floor on which later ones build.",
            open_dataset(other, max(1, round(28 * share))),
            grid(["ip2p", "nothing"], OWN),
        ),
        Part(
            "limits",
            "Known limits",
            "What the paper finds the method unable to do (Figure 13), asked on the world.",
            probes.world_limits(max(1, round(8 * share))),
            grid(["ip2p"], OWN),
        ),
    ]


def _say(done: int, total: int, row: Row) -> None:
    if done % 10 == 0 or done == total:
        print(f"{done} of {total}: {row.setting.label}", flush=True)


def tables(part: Part, rows: Sequence[Row]) -> list[Table]:
    """What the page shows of a run."""
    if part.name == "limits":
        return [probes.limits_table(rows)]
    own = [row for row in rows if row.setting.editor == "ip2p"]
    return [table(rows)] if part.name == "scales" else [table(rows), table(own, per_kind=True)]


def write_page(page: Path, out: Path, every: Sequence[Part], found: dict[str, list[Row]]) -> None:
    """measured.md, with the plots as vector graphics and the sheets as JPEG beside it."""
    page.mkdir(parents=True, exist_ok=True)
    text = [
        "# The embedded editor, measured",
        "Made by `python bench/embedded.py`; every number comes from its runs. Brackets hold 95% intervals, ↑ and ↓ say which way is "
        "better. How each column is defined: [measuring.md](measuring.md).",
    ]
    for part in every:
        text += [f"## {part.title}", part.about]
        text += [one.markdown() for one in tables(part, found[part.name])]
        if part.name == "scales":
            plot.save(plot.figure(found[part.name], title=part.title), out / part.name / "plot")
            shutil.copyfile(out / part.name / "plot.svg", page / "scales.svg")
            text.append("![CLIP image similarity against directional similarity](scales.svg)")
        with Image.open(out / part.name / "sheet.png") as sheet:
            sheet.thumbnail((SHEET_WIDTH, 10 * SHEET_WIDTH), Image.Resampling.LANCZOS)
            sheet.convert("RGB").save(page / f"{part.name}.jpg", quality=85)
        text.append(f"![{part.title}: source, results and the right answer]({part.name}.jpg)")
    new = page / ".measured.md"
    new.write_text("\n\n".join(text) + "\n", encoding="utf-8")
    new.replace(page / "measured.md")


def summary(found: dict[str, list[Row]]) -> dict[str, object]:
    """The mean of the main columns, run by run and setting by setting."""
    names = (
        "right",
        "done",
        "kept",
        "clip_direction",
        "clip_image",
        "lpips_target",
        "lpips_source",
        "psnr_target",
        "ssim_target",
        "l1_target",
    )
    return {
        run: {
            line.name: {"n": max(cell.n for cell in line.cells.values())}
            | {name: round(line.cells[name].value, 4) for name in names if name in line.cells}
            for line in table(rows).lines
            if line.cells
        }
        for run, rows in found.items()
    }


if __name__ == "__main__":
    main()
