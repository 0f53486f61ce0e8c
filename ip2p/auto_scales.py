"""The pair of scales that suits one picture and instruction, picked from a coarse sweep around the usual pair.

With captions and a CLIP a cell is judged as the paper does (Figure 8): does the picture change as its caption does, and is it still the
picture. Without them it is judged by what the sweep itself has seen: where the instruction works (the relevance map, parted by Otsu's
threshold) and how far the picture has drifted elsewhere. The usual pair is kept unless another is clearly better.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor

from .engine import Part
from .refresh import Refresh
from .relevance import Relevance, otsu
from .sweep import Grid, Pair, Sweep, merged, sweep

if TYPE_CHECKING:
    from .edit import Editor
    from .metrics.measures import Measures

STEPS = 6
TEXT_FACTORS, IMAGE_FACTORS = (0.6, 1.0, 1.6), (0.0, 1.0, 2.0)
"""What the usual text scale, and what of the usual image scale is above 1, are multiplied by."""
CLIP_MARGIN = 0.5
"""By how much the CLIP score of a pair must exceed that of the usual one, in standard deviations of the cells."""
CONTRAST_MARGIN, DRIFT_MARGIN = 0.03, 0.05
"""By how much, in natural logarithms, another text scale must raise the contrast, and another image scale lower the drift."""


@dataclass(frozen=True)
class Evidence:
    """What is known of each cell, all of the shape (N,).

    ``contrast``: mean relevance inside the place of the edit over that outside. ``drift``: mean absolute change of the picture outside it,
    0 to 1. ``direction`` and ``similarity``: CLIP's, where there were captions.
    """

    contrast: Tensor
    drift: Tensor
    direction: Tensor | None = None
    similarity: Tensor | None = None


@dataclass(frozen=True)
class Choice:
    """The chosen cell's number and scales, and the reason in a sentence."""

    cell: int
    text_scale: float
    image_scale: float
    reason: str

    def __str__(self) -> str:
        return f"text scale {self.text_scale:g}, image scale {self.image_scale:g}. {self.reason}"


def pick(
    editor: "Editor",
    image: Tensor,
    instruction: str,
    text_scale: float | None = None,
    image_scale: float | None = None,
    measures: "Measures | None" = None,
    caption: str = "",
    edited_caption: str = "",
    steps: int = STEPS,
    **more: Any,
) -> tuple[Choice, Sweep]:
    """The pair for a picture (1, H, W, 3) and instruction, and the coarse sweep that it comes from.

    The scales are the usual pair (None: the model's own), ``more`` goes to `sweep`. Raises ValueError, in a sentence.
    """
    from .latent_model import IMAGE_SCALE, TEXT_SCALE

    usual = (
        editor.default("text_scale", TEXT_SCALE) if text_scale is None else text_scale,
        editor.default("image_scale", IMAGE_SCALE) if image_scale is None else image_scale,
    )
    found = sweep(editor, image, instruction, around(*usual), steps=steps, parts=tuple(parts().values()), **more)
    seen = evidence(relevance_of(found), found.pictures, image[0])
    if measures is not None and caption and edited_caption:
        from .metrics.measures import Item

        seen = with_clip(seen, measures.batch([Item(image[0], cell, None, None, caption, edited_caption) for cell in found.pictures]))
    return choose(found.grid, usual, seen), found


def around(text_scale: float, image_scale: float) -> Grid:
    """The coarse grid around the usual pair; an image scale of 1 or below is only raised."""
    text = tuple(round(text_scale * factor, 3) for factor in TEXT_FACTORS)
    if image_scale > 1:
        return Grid(text, tuple(round(1 + (image_scale - 1) * factor, 3) for factor in IMAGE_FACTORS))
    return Grid(text, tuple(round(image_scale + more, 3) for more in (0.0, 0.25, 0.5)))


def parts() -> dict[str, Part]:
    """What joins the guidance of a coarse sweep, by name: fewer passes, and the map of where the instruction works."""
    return {"refresh": Refresh(4, 2), "relevance": Relevance()}


def relevance_of(found: Sweep) -> Tensor:
    """The cells' relevance maps (N, 1, h, w) of a sweep with :func:`parts`. Raises ValueError where nothing was found."""
    maps = [next(part for part in engine.parts if isinstance(part, Relevance)).map() for _, engine in found.runs]
    there = [one for one in maps if one is not None]
    if len(there) < len(maps):
        raise ValueError("The sweep found no relevance: take the one-pass adapter out, or give captions and a CLIP.")
    return merged([cells for cells, _ in found.runs], there)


def evidence(maps: Tensor, pictures: Tensor, source: Tensor) -> Evidence:
    """What maps (N, 1, h, w), cells (N, H, W, 3) and the source (H, W, 3) say. One place of the edit, from all maps, serves all cells."""
    mean = maps.double().mean(0, keepdim=True)
    inside = (mean > otsu(mean).threshold.view(1, 1, 1, 1)).double()
    outside = 1 - inside
    values = maps.double().cpu()

    def over(weight: Tensor) -> Tensor:
        return (values * weight.cpu()).sum((1, 2, 3)) / weight.sum().cpu().clamp(min=1)

    contrast = over(inside) / over(outside).clamp(min=1e-9)
    where = F.interpolate(outside.float().cpu(), source.shape[:2], mode="bilinear")[0, 0]
    changed = (pictures.float().cpu() - source.float().cpu()).abs().mean(-1)
    return Evidence(contrast, ((changed * where).sum((1, 2)) / where.sum().clamp(min=1)).double())


def with_clip(found: Evidence, rows: Sequence[Mapping[str, float]]) -> Evidence:
    """The same with CLIP's numbers, from the measures of each cell, where they are all there."""
    if not all("clip_direction" in row and "clip_image" in row for row in rows):
        return found
    numbers = (torch.tensor([row[name] for row in rows], dtype=torch.float64) for name in ("clip_direction", "clip_image"))
    return replace(found, **dict(zip(("direction", "similarity"), numbers, strict=True)))


def notes(found: Evidence) -> list[tuple[str, ...]]:
    """The lines under each cell of the sheet: what its score is made of."""
    if found.direction is not None and found.similarity is not None:
        pairs = zip(found.direction.tolist(), found.similarity.tolist(), strict=True)
        return [(f"CLIP direction {direction:.3f}", f"CLIP image {similarity:.3f}") for direction, similarity in pairs]
    pairs = zip(found.contrast.tolist(), found.drift.tolist(), strict=True)
    return [(f"contrast {contrast:.2f}", f"drift {drift:.3f}") for contrast, drift in pairs]


def standing(values: Tensor) -> Tensor:
    """How far each cell stands above the cells' mean, in standard deviations of the cells; 0 where all are alike."""
    spread = values.std(unbiased=False)
    return (values - values.mean()) / spread if spread > 1e-9 else torch.zeros_like(values)


def by_clip(found: Evidence, home: int) -> int:
    """The cell of the largest sum of direction and image similarity, each by its standing among the cells; else ``home``."""
    assert found.direction is not None
    assert found.similarity is not None
    values = standing(found.direction) + standing(found.similarity)
    best = int(values.argmax())
    return best if float(values[best] - values[home]) > CLIP_MARGIN else home


def by_relevance(grid: Grid, found: Evidence, home: int) -> int:
    """First the text scale under which the place of the edit stands out most, if it gains more than the rest drifts; then, at that, the
    image scale that drifts least."""
    across = len(grid.text)
    contrast, drift = (values.clamp(min=1e-9).log().view(-1, across) for values in (found.contrast, found.drift))
    gain, cost = (values.mean(0) - values.mean(0)[home % across] for values in (contrast, drift))
    allowed = gain > cost.clamp(min=CONTRAST_MARGIN)
    text = int(gain.where(allowed, torch.tensor(-torch.inf)).argmax()) if bool(allowed.any()) else home % across
    image = int(drift[:, text].argmin())
    if drift[home // across, text] - drift[image, text] <= DRIFT_MARGIN:
        image = home // across
    return image * across + text


def choose(grid: Grid, usual: Pair, found: Evidence) -> Choice:
    """The cell that is clearly better than the usual pair, or that pair. Raises ValueError where the grid lacks the usual pair."""
    if usual not in grid.pairs:
        raise ValueError(f"The usual scales {usual[0]:g} and {usual[1]:g} are not in the grid: make it around them.")
    home = grid.pairs.index(usual)
    known = found.direction is not None and found.similarity is not None
    cell = by_clip(found, home) if known else by_relevance(grid, found, home)
    if cell == home:
        return Choice(cell, *usual, "No other pair is clearly better.")
    here, usually = (", ".join(notes(found)[number]) for number in (cell, home))
    return Choice(cell, *grid.pairs[cell], f"There {here}; with the usual pair {usually}.")
