"""All measurements of an edit in one call: which network is there decides which columns come out."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ..devices import pick_device
from ..fit import sized_mask
from . import pixels, similarity
from .cache import Cache, content
from .clip import Clip
from .collecting import remembered, remembered_texts
from .columns import COLUMNS
from .dino import Dino
from .perceptual import Perceptual
from .pretrained import device_of
from .regions import pie_columns, pixel_columns, regions

BATCH = 16
"""Pictures that go through a network at once."""

Row = dict[str, float]


@dataclass(frozen=True, eq=False)
class Item:
    """One edit: pictures (H, W, 3) in [0, 1]; a mask (H, W) of the source, 1 where it may change; captions before and after."""

    source: Tensor
    result: Tensor
    target: Tensor | None = None
    mask: Tensor | None = None
    caption: str = ""
    edited_caption: str = ""


class Measures:
    """Which metrics: every network is optional, L1, L2, PSNR and SSIM are always there.

    The columns (`columns.COLUMNS`) against the ``source`` feed Emu Edit's and PIE-Bench's tables and the paper's Figure 8, those against
    the ``target`` MagicBrush's. A result or target of another size than the source is resized to it (antialiased bicubic) for pixels,
    LPIPS and keys. With a mask:

    - ``_inside`` and ``_outside`` are means over that region: L1, L2, PSNR and SSIM (mean of the SSIM map) weighted by the mask;
      LPIPS has no map of its own here, so both pictures are blacked out elsewhere, as PIE-Bench's script does.
    - ``_pie``: L2, PSNR and SSIM as that script has them, for figures beside the published ones: both pictures are blacked out inside the
      mask and the mean is taken over the whole picture, so that the larger the mask, the better the number.
    - ``clip_text_inside``: the result blacked out outside the mask, against the edited caption (PIE-Bench's "edited region").

    A column that can't be computed (no target, an empty region, no caption) is left out. A cosine stands as it is: PIE-Bench prints it
    times 100, and its structure distance times 1000.
    """

    def __init__(
        self,
        clip: Clip | None = None,
        dino: Dino | None = None,
        lpips: Perceptual | None = None,
        cache: Cache | None = None,
        structure: Dino | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        """``structure`` is the network of the structure distance, ``dino`` itself where None; ``device`` is where pixels are compared."""
        self.clip, self.dino, self.lpips, self.structure = clip, dino, lpips, structure or dino
        self.cache, self.device = cache or Cache(), torch.device(device)

    @classmethod
    def load(
        cls,
        clip: str = "",
        dino: str = "",
        lpips: str = "",
        input_range: str = "correct",
        device: str = "auto",
        cache: Path | None = None,
        structure: str = "",
        structure_range: str = "correct",
        crop: bool = False,
    ) -> "Measures":
        """With networks by public name or folder ("" = without), LPIPS by "alex", "vgg", "squeeze" or file; see `Clip`, `Dino`.

        ``cache`` is a folder for features. Raises ValueError for whatever is missing or of the wrong kind.
        """
        place = pick_device(device)
        towers = Clip.load(clip, input_range, device, crop) if clip else None
        vit = Dino.load(dino, device, structure_range=structure_range) if dino else None
        keys = Dino.load(structure, device, structure_range=structure_range) if structure and structure != dino else None
        return cls(towers, vit, Perceptual.load(lpips, place) if lpips else None, Cache(cache), keys, place)

    def __call__(
        self,
        source: Tensor,
        result: Tensor,
        target: Tensor | None = None,
        mask: Tensor | None = None,
        caption: str = "",
        edited_caption: str = "",
    ) -> Row:
        """The columns of one edit."""
        return self.batch([Item(source, result, target, mask, caption, edited_caption)])[0]

    def stream(self, items: Iterable[Item], batch: int = BATCH) -> Iterator[Row]:
        """The columns of each edit in order, holding no more than ``batch`` edits at once."""
        waiting = iter(items)
        while chunk := list(islice(waiting, batch)):
            yield from self.batch(chunk)

    def batch(self, items: Sequence[Item]) -> list[Row]:
        """The columns of each edit; equal pictures go through each network once."""
        with torch.no_grad():
            cases = [self._case(item) for item in items]
            rows: list[Row] = [self._pixels(case) for case in cases]
            for column_of in (self._clip, self._dino, self._structure):
                for row, more in zip(rows, column_of(cases), strict=True):
                    row |= more
        return [{name: row[name] for name in COLUMNS if name in row and math.isfinite(row[name])} for row in rows]

    def modules(self) -> dict[str, nn.Module]:
        """The networks by name, for whoever manages the device's memory."""
        parts = {"clip": self.clip, "dino": self.dino, "structure": self.structure if self.structure is not self.dino else None}
        networks: dict[str, nn.Module] = {name: part.model for name, part in parts.items() if part}
        return networks | ({"lpips": self.lpips} if self.lpips else {})

    def to(self, device: torch.device | str) -> "Measures":
        """Move the networks and the comparison of pixels there."""
        self.device = torch.device(device)
        for module in self.modules().values():
            module.to(device)
        return self

    def _case(self, item: Item) -> "Case":
        pictures = {"source": item.source, "result": item.result} | ({} if item.target is None else {"target": item.target})
        for name, picture in pictures.items():
            if picture.ndim != 3 or picture.shape[-1] != 3 or picture.numel() == 0:
                raise ValueError(f"The {name} has the shape {tuple(picture.shape)}, not (height, width, 3): give one RGB picture.")
        marks = {name: content(picture) for name, picture in pictures.items()} if self.clip or self.structure else {}
        pictures = {name: picture.detach().to(self.device, torch.float32) for name, picture in pictures.items()}
        height, width = item.source.shape[:2]
        sized = {name: pixels.resized(picture[None], height, width) for name, picture in pictures.items()}
        mask = None if item.mask is None else sized_mask(item.mask, width, height)[:1].to(self.device, torch.float32)
        return Case(item, pictures, sized, mask, marks)

    def _pixels(self, case: "Case") -> Row:
        """L1, L2, PSNR, SSIM and LPIPS against source and target."""
        row: Row = {}
        for against in case.references():
            row |= pixel_columns(against, case.sized[against], case.sized["result"], case.mask)
        if case.mask is not None:
            row |= pie_columns(case.sized["source"], case.sized["result"], case.mask)
        if self.lpips:
            for region, weight in regions(case.mask).items():
                row |= self._perceptual(self.lpips, case, region, weight)
        return row

    @staticmethod
    def _perceptual(lpips: Perceptual, case: "Case", region: str, weight: Tensor | None) -> Row:
        """LPIPS of the result to each reference, all blacked out where the weight is 0."""
        stack = torch.cat([case.sized["result"], *(case.sized[name] for name in case.references())])
        stack = stack if weight is None else stack * weight[..., None]
        features = lpips.features(stack.to(device_of(lpips)).movedim(-1, 1) * 2 - 1)
        found = lpips.between([layer[1:] for layer in features], [layer[:1].expand_as(layer[1:]) for layer in features])
        return {f"lpips_{name}{region}": value for name, value in zip(case.references(), found.tolist(), strict=True)}

    def _clip(self, cases: "Sequence[Case]") -> list[Row]:
        """CLIP similarities of the pictures, and to the captions."""
        if self.clip is None:
            return [{} for _ in cases]
        identity = self.clip.identity if self.cache.folder else ""
        wanted = {mark: case.pictures[name] for case in cases for name, mark in case.marks.items()}
        wanted |= {case.inside_mark(): case.inside() for case in cases if case.wants_inside()}
        images = remembered(self.cache, f"image {identity}", self.clip, wanted, BATCH)
        captions = sorted({text for case in cases for text in (case.item.caption, case.item.edited_caption) if text})
        tokens = {text: self.clip.tokens([text]) for text in captions}
        texts = remembered_texts(self.cache, f"text {identity}", self.clip.texts, tokens, BATCH)
        return [_clip_columns(case, images, texts) for case in cases]

    def _dino(self, cases: "Sequence[Case]") -> list[Row]:
        """Cosines of class tokens."""
        if self.dino is None:
            return [{} for _ in cases]
        wanted = {mark: case.pictures[name] for case in cases for name, mark in case.marks.items()}
        found = remembered(self.cache, f"dino {self.dino.identity if self.cache.folder else ''}", self.dino, wanted, BATCH)
        return [
            {f"dino_{name}": _cosine(found[case.marks[name]], found[case.marks["result"]]) for name in case.references()} for case in cases
        ]

    def _structure(self, cases: "Sequence[Case]") -> list[Row]:
        """Structure distances. Keys are large: never those of a whole batch at once, and those of a result are not kept."""
        if self.structure is None:
            return [{} for _ in cases]
        vit, rows = self.structure, []
        prefix = f"keys {vit.identity if self.cache.folder else ''} {vit.structure_range}"
        for case in cases:
            result = vit.keys(case.sized["result"])
            row: Row = {}
            for name in case.references():
                mark = f"{case.marks[name]} {tuple(case.sized[name].shape)}"
                kept = remembered(self.cache, prefix, vit.keys, {mark: case.sized[name][0]}, 1)[mark][None].to(result.device)
                row[f"structure_{name}"] = float(similarity.structure_distance(kept, result))
            rows.append(row)
        return rows


class Case(NamedTuple):
    """An item made ready: pictures as they are, and (1, H, W, 3) at the source's size; the mask (1, H, W); digests of the pictures."""

    item: Item
    pictures: Mapping[str, Tensor]
    sized: Mapping[str, Tensor]
    mask: Tensor | None
    marks: Mapping[str, str]

    def references(self) -> tuple[str, ...]:
        """What the result is compared with."""
        return ("source", "target") if "target" in self.sized else ("source",)

    def wants_inside(self) -> bool:
        """Is there an edited region to hold against the caption?"""
        return self.mask is not None and bool(self.item.edited_caption) and bool(self.mask.any())

    def inside(self) -> Tensor:
        """The result (H, W, 3), blacked out outside the mask."""
        assert self.mask is not None
        return (self.sized["result"] * self.mask[..., None])[0]

    def inside_mark(self) -> str:
        """Stands for `inside` in a key."""
        assert self.mask is not None
        return f"{self.marks['result']} in {content(self.mask)}"


def _clip_columns(case: Case, images: Mapping[str, Tensor], texts: Mapping[str, Tensor]) -> Row:
    before, after = texts.get(case.item.caption), texts.get(case.item.edited_caption)
    source, result = (images[case.marks[name]] for name in ("source", "result"))
    row = {"clip_image": _cosine(source, result)}
    if "target" in case.marks:
        row["clip_image_target"] = _cosine(images[case.marks["target"]], result)
    if after is not None:
        row["clip_text"] = _cosine(result, after)
    if case.wants_inside() and after is not None:
        row["clip_text_inside"] = _cosine(images[case.inside_mark()], after)
    if before is not None and after is not None:
        row["clip_direction"] = float(similarity.direction(source, result, before, after))
    return row


def _cosine(a: Tensor, b: Tensor) -> float:
    return float(similarity.cosine(a, b))
