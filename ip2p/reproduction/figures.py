"""A run's figures: the curves of Figures 8 and 10, and the sheets of its pictures (`sheets`)."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..data.disk import make_folder, write_file
from .config import Config
from .fields import BY, NAMES
from .page import FIGURES

if TYPE_CHECKING:
    from PIL import Image

    from ..evaluation.intervals import Mean
    from ..evaluation.plot import Curve

AXES = {"direction": "clip_direction", "similarity": "clip_image", "done": "done", "kept": "kept"}
"""A report's columns as the plots call them."""
PLOTS = {
    "figure8.png": (("full", "own", "sdedit", "sdedit-own"), "direction", "similarity"),
    "figure8_judged.png": (("full", "own", "sdedit", "sdedit-own"), "done", "kept"),
    "figure10.png": (("full", "tenth", "unfiltered", "true"), "direction", "similarity"),
    "figure10_judged.png": (("full", "tenth", "unfiltered", "true"), "done", "kept"),
}
"""File -> (curves, x, y)."""
QUALITY, COLOURS, DPI = 70, 128, 144
"""The quality of sheets (WebP); colours of a plot's palette (PNG), and pixels of its inch."""


def draw(out: Path, config: Config, report: Mapping[str, Any]) -> list[str]:
    """Draw the figures of a run from its report and its pictures; the names of the files in `FIGURES`, sorted. Raises ValueError."""
    from ..pictures import to_pil
    from .sheets import drawn

    folder = out / FIGURES
    make_folder(folder)
    written = [name for name, (names, x, y) in PLOTS.items() if _plot(folder / name, report, names, x, y)]
    for name, sheet in drawn(out, config).items():
        write_file(folder / name, _encoded(to_pil(sheet), "WEBP", quality=QUALITY, method=6))
        written.append(name)
    return sorted(written)


def _plot(path: Path, report: Mapping[str, Any], names: Sequence[str], x: str, y: str) -> bool:
    """Draw the curves of these names that the report has; False where there are not two to compare."""
    from PIL import Image

    from ..evaluation import plot
    from ..pictures import to_pil

    found = [curve_of(curve, x, y) for name in names for curve in report["curves"] if curve["name"] == name]
    if len(found) < 2:
        return False
    picture = to_pil(plot.to_tensor(plot.drawn(found, AXES[x], AXES[y]), DPI))
    write_file(path, _encoded(picture.quantize(COLOURS, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE), "PNG", optimize=True))
    return True


def _encoded(picture: "Image.Image", kind: str, **options: Any) -> bytes:
    """A picture as the bytes of a file."""
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def curve_of(entry: Mapping[str, Any], x: str, y: str) -> "Curve":
    """A curve of the report for a plot; only its ends are labelled with their scale."""
    from ..evaluation.plot import Curve, Point

    points = entry["points"]
    ends = (0, len(points) - 1)
    drawn = [Point(_mean(one[x]), _mean(one[y]), f"{one['at']:g}" if place in ends else "") for place, one in enumerate(points)]
    return Curve(f"{NAMES[entry['name']]}, by {BY[entry['by']]}", tuple(drawn))


def _mean(found: Mapping[str, Any]) -> "Mean":
    from ..evaluation.intervals import Mean

    low, high = (found[name] if found[name] is not None else sign * float("inf") for name, sign in (("low", -1), ("high", 1)))
    return Mean(found["value"], low, high, found["n"])
