"""Published tables of the public benchmarks, to stand beside what is measured here: their columns, in their order and units.

Every row says where it was read. Networks and preparation decide these numbers as much as the editor does, so each benchmark's `note`
says what its authors used.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from .intervals import Mean
from .rows import Row, RunError
from .table import Line, Table, table

MAGICBRUSH = "Zhang et al. 2023, MagicBrush, arXiv 2306.10012, mask-free table, single turn"
SESSIONS = "Zhang et al. 2023, MagicBrush, arXiv 2306.10012, mask-free table, multi-turn"
EMU_EDIT = "Sheynin et al. 2023, Emu Edit, arXiv 2311.10089, table of the Emu Edit test set, as UniReal (arXiv 2412.07774) prints it"
PNP = "Ju et al. 2024, PnP Inversion, arXiv 2310.01506, Table 1, as later papers that cite it reprint it; not read in the paper itself"


@dataclass(frozen=True)
class Column:
    """A published column: its title, our measurement of it, and what that is multiplied by to have the same unit."""

    title: str
    measure: str
    times: float = 1.0


@dataclass(frozen=True)
class Benchmark:
    """A published table: `rows` are (name, values in the order of the columns, source)."""

    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[str, tuple[float, ...], str], ...]
    note: str


MAGICBRUSH_COLUMNS = (
    Column("L1 ↓", "l1_target"),
    Column("L2 ↓", "l2_target"),
    Column("CLIP-I ↑", "clip_image_target"),
    Column("DINO ↑", "dino_target"),
    Column("CLIP-T ↑", "clip_text"),
)
MAGICBRUSH_NOTE = (
    "The authors' script: CLIP ViT-B/32 and DINO ViT-S/16 on the middle square, the caption of CLIP-T is the local description, "
    "100 steps at text scale 7.5 and image scale 1.5."
)

BENCHMARKS = {
    "magicbrush": Benchmark(
        "MagicBrush test set, single turn",
        MAGICBRUSH_COLUMNS,
        (
            ("Open-Edit", (0.1430, 0.0431, 0.8381, 0.7632, 0.2610), MAGICBRUSH),
            ("VQGAN-CLIP", (0.2200, 0.0833, 0.6751, 0.4946, 0.3879), MAGICBRUSH),
            ("SD-SDEdit", (0.1014, 0.0278, 0.8526, 0.7726, 0.2777), MAGICBRUSH),
            ("Text2LIVE", (0.0636, 0.0169, 0.9244, 0.8807, 0.2424), MAGICBRUSH),
            ("Null-text inversion", (0.0749, 0.0197, 0.8827, 0.8206, 0.2737), MAGICBRUSH),
            ("HIVE", (0.1092, 0.0341, 0.8519, 0.7500, 0.2752), MAGICBRUSH),
            ("HIVE, fine-tuned on MagicBrush", (0.0658, 0.0224, 0.9189, 0.8655, 0.2812), MAGICBRUSH),
            ("InstructPix2Pix", (0.1122, 0.0371, 0.8524, 0.7428, 0.2764), MAGICBRUSH),
            ("InstructPix2Pix, fine-tuned on MagicBrush", (0.0625, 0.0203, 0.9332, 0.8987, 0.2781), MAGICBRUSH),
        ),
        MAGICBRUSH_NOTE,
    ),
    "magicbrush_sessions": Benchmark(
        "MagicBrush test set, multi-turn",
        MAGICBRUSH_COLUMNS,
        (
            ("Open-Edit", (0.1655, 0.0550, 0.8038, 0.6835, 0.2527), SESSIONS),
            ("VQGAN-CLIP", (0.2471, 0.1025, 0.6606, 0.4592, 0.3845), SESSIONS),
            ("SD-SDEdit", (0.1616, 0.0602, 0.7933, 0.6212, 0.2694), SESSIONS),
            ("Text2LIVE", (0.0989, 0.0284, 0.8795, 0.7926, 0.2716), SESSIONS),
            ("Null-text inversion", (0.1057, 0.0335, 0.8468, 0.7529, 0.2710), SESSIONS),
            ("HIVE", (0.1521, 0.0557, 0.8004, 0.6463, 0.2673), SESSIONS),
            ("HIVE, fine-tuned on MagicBrush", (0.0966, 0.0365, 0.8785, 0.7891, 0.2796), SESSIONS),
            ("InstructPix2Pix", (0.1584, 0.0598, 0.7924, 0.6177, 0.2726), SESSIONS),
            ("InstructPix2Pix, fine-tuned on MagicBrush", (0.0964, 0.0353, 0.8924, 0.8273, 0.2754), SESSIONS),
        ),
        MAGICBRUSH_NOTE,
    ),
    "emu_edit": Benchmark(
        "Emu Edit test set",
        (
            Column("CLIP dir ↑", "clip_direction"),
            Column("CLIP im ↑", "clip_image"),
            Column("CLIP out ↑", "clip_text"),
            Column("L1 ↓", "l1_source"),
            Column("DINO ↑", "dino_source"),
        ),
        (
            ("InstructPix2Pix", (0.078, 0.834, 0.219, 0.121, 0.762), EMU_EDIT),
            ("MagicBrush", (0.090, 0.838, 0.222, 0.100, 0.776), EMU_EDIT),
            ("PnP", (0.028, 0.521, 0.089, 0.304, 0.153), EMU_EDIT),
            ("Null-text inversion", (0.101, 0.761, 0.236, 0.075, 0.678), EMU_EDIT),
            ("Emu Edit", (0.109, 0.859, 0.231, 0.094, 0.819), EMU_EDIT),
        ),
        "Everything is against the input picture and the captions; there are no right answers.",
    ),
    "pie_bench": Benchmark(
        "PIE-Bench",
        (
            Column("Structure distance x10³ ↓", "structure_source", 1000),
            Column("PSNR ↑", "psnr_source_pie"),
            Column("LPIPS x10³ ↓", "lpips_source_outside", 1000),
            Column("MSE x10⁴ ↓", "l2_source_pie", 10_000),
            Column("SSIM x10² ↑", "ssim_source_pie", 100),
            Column("CLIP whole ↑", "clip_text", 100),
            Column("CLIP edited ↑", "clip_text_inside", 100),
        ),
        (
            ("DDIM + Prompt-to-Prompt", (69.43, 17.87, 208.80, 219.88, 71.14, 25.01, 22.44), PNP),
            ("Null-text inversion + Prompt-to-Prompt", (13.44, 27.03, 60.67, 35.86, 84.11, 24.75, 21.86), PNP),
            ("Negative-prompt inversion + Prompt-to-Prompt", (16.17, 26.21, 69.01, 39.73, 83.40, 24.61, 21.87), PNP),
            ("StyleDiffusion + Prompt-to-Prompt", (11.65, 26.05, 66.10, 38.63, 83.42, 24.78, 21.72), PNP),
            ("PnP inversion + Prompt-to-Prompt", (11.65, 27.22, 54.55, 32.86, 84.76, 25.02, 22.10), PNP),
            ("DDIM + MasaCtrl", (28.38, 22.17, 106.62, 86.97, 79.67, 23.96, 21.16), PNP),
            ("PnP inversion + MasaCtrl", (24.70, 22.64, 87.94, 81.09, 81.33, 24.38, 21.35), PNP),
        ),
        "The authors' script: DINO ViT-B/8 keys of pictures in 0..255 (--structure-range pie_compat), LPIPS with SqueezeNet, "
        "CLIP ViT-L/14; PSNR, LPIPS, MSE and SSIM of the part outside the mask, blacked out inside and averaged over the whole picture; "
        "`CLIP edited` blacks out what is outside. "
        "The paper's table has no row of InstructPix2Pix that could be checked here, so there is none.",
    ),
}


def benchmark_table(rows: Sequence[Row], benchmark: str) -> Table:
    """The published table with our settings below it, in the published units. Raises RunError for an unknown benchmark."""
    if benchmark not in BENCHMARKS:
        raise RunError(f"The benchmark {benchmark!r} is unknown; use {', '.join(BENCHMARKS)}.")
    known = BENCHMARKS[benchmark]
    names = [column.measure for column in known.columns]
    lines = [
        Line(name, {title: Mean(value, value, value, 0) for title, value in zip(names, values, strict=True)}, source=source)
        for name, values, source in known.rows
    ]
    lines += [_in_units(line, known.columns) for line in table(rows).lines]
    sources = tuple(dict.fromkeys(f"[published] {source}." for _, _, source in known.rows))
    missing = [column.title for column in known.columns if not any(column.measure in line.cells for line in lines if not line.source)]
    absent = (f"Not measured here: {', '.join(missing)} (it takes networks, and for some captions in the data).",) if missing else ()
    titles = {column.measure: column.title for column in known.columns}
    return Table(tuple(names), tuple(lines), titles, (*sources, known.note, *absent))


def _in_units(line: Line, columns: Sequence[Column]) -> Line:
    cells = {
        column.measure: Mean(cell.value * column.times, cell.low * column.times, cell.high * column.times, cell.n)
        for column in columns
        if (cell := line.cells.get(column.measure))
    }
    return replace(line, cells=cells)
