"""Contact sheets: pictures side by side with their names above and their numbers below, on white."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from ..pictures import to_pil

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

INK, GREY, PAPER, LINE = (25, 25, 25), (95, 95, 95), (255, 255, 255), (215, 215, 215)
GOOD, BAD = (0, 158, 115), (213, 94, 0)  # of Okabe and Ito's palette, told apart with any kind of colour vision
GAP, MARGIN, BAR = 14, 20, 4
LARGEST_SIDE = 30_000
"""No sheet is longer than this in pixels."""


@dataclass(frozen=True)
class Panel:
    """One picture (H, W, 3), or None where there is none: `title` above (it may have several lines), `lines` below.

    `good` draws a bar of colour under it: bluish green for True, vermilion for False, none for None.
    """

    picture: Tensor | None
    title: str = ""
    lines: tuple[str, ...] = ()
    good: bool | None = None


@dataclass(frozen=True)
class Strip:
    """Panels side by side under a heading, such as the instruction."""

    heading: str
    panels: tuple[Panel, ...]


def sheet(strips: Sequence[Strip], cell: int = 256, title: str = "") -> Tensor:
    """All strips below each other, every picture within `cell` x `cell` pixels, as one picture (H, W, 3).

    Raises ValueError where there is nothing to show, or too much for one picture.
    """
    if not strips or not any(strip.panels for strip in strips):
        raise ValueError("There are no pictures to put on a sheet.")
    columns = max(len(strip.panels) for strip in strips)
    width = 2 * MARGIN + columns * cell + (columns - 1) * GAP
    height = MARGIN + sum(_height(strip, cell, width) for strip in strips) + _heading_height(title, width, 1.35 * text_size(cell))
    if max(width, height) > LARGEST_SIDE:
        raise ValueError(f"A sheet of {width} x {height} pixels is too large: show fewer examples or editors, or smaller pictures.")
    page = Image.new("RGB", (width, height), PAPER)
    draw = ImageDraw.Draw(page)
    top = MARGIN // 2 + _heading(draw, title, MARGIN // 2, width, 1.35 * text_size(cell))
    for number, strip in enumerate(strips):
        if number:
            draw.line([(MARGIN, top), (width - MARGIN, top)], fill=LINE, width=1)
        _strip(page, draw, strip, top, cell, width)
        top += _height(strip, cell, width)
    return torch.from_numpy(np.asarray(page, np.float32) / 255)


def text_size(cell: int) -> float:
    """The text's height in pixels: it grows with the pictures, and stays readable under small ones."""
    return max(11.0, min(22.0, cell / 17))


def font(size: float) -> Font:
    """The letters of all sheets, `size` pixels high."""
    return ImageFont.load_default(round(size))


def _strip(page: Image.Image, draw: ImageDraw.ImageDraw, strip: Strip, top: int, cell: int, width: int) -> None:
    size = text_size(cell)
    y = top + GAP // 2 + _heading(draw, strip.heading, top + GAP // 2, width, 1.12 * size)
    titles = [wrapped(panel.title, cell, size) for panel in strip.panels]
    title_height = max((len(lines) for lines in titles), default=0) * line_height(size)
    picture_height = max((_fitted(panel, cell)[1] for panel in strip.panels), default=0)
    for place, (panel, lines) in enumerate(zip(strip.panels, titles, strict=True)):
        x = MARGIN + place * (cell + GAP)
        draw_lines(draw, lines, x, y + title_height - len(lines) * line_height(size), size, INK)
        _picture(page, draw, panel, x, y + title_height + 3, cell, picture_height)
        if panel.good is not None:
            bar = y + title_height + 3 + picture_height + 2
            draw.rectangle([x, bar, x + cell - 1, bar + BAR - 1], fill=GOOD if panel.good else BAD)
        below = [line for text in panel.lines for line in wrapped(text, cell, 0.92 * size)]
        draw_lines(draw, below, x, y + title_height + picture_height + 9 + BAR, 0.92 * size, GREY)


def _picture(page: Image.Image, draw: ImageDraw.ImageDraw, panel: Panel, x: int, y: int, cell: int, height: int) -> None:
    if panel.picture is None:
        draw.rectangle([x, y, x + cell - 1, y + max(height, cell // 2) - 1], outline=LINE)
        return
    size = _fitted(panel, cell)
    kind = Image.Resampling.LANCZOS if size[0] <= panel.picture.shape[1] else Image.Resampling.BICUBIC
    page.paste(to_pil(panel.picture).resize(size, kind), (x + (cell - size[0]) // 2, y))


def _fitted(panel: Panel, cell: int) -> tuple[int, int]:
    """Width and height of the panel's picture within the cell."""
    if panel.picture is None:
        return cell, cell // 2
    height, width = panel.picture.shape[:2]
    return max(1, round(width * cell / max(width, height))), max(1, round(height * cell / max(width, height)))


def _height(strip: Strip, cell: int, width: int) -> int:
    size = text_size(cell)
    title = max((len(wrapped(panel.title, cell, size)) for panel in strip.panels), default=0) * line_height(size)
    picture = max((_fitted(panel, cell)[1] for panel in strip.panels), default=0)
    below = max((sum(len(wrapped(text, cell, 0.92 * size)) for text in panel.lines) for panel in strip.panels), default=0)
    return (
        GAP // 2 + _heading_height(strip.heading, width, 1.12 * size) + title + picture + 9 + BAR + below * line_height(0.92 * size) + GAP
    )


def _heading_height(text: str, width: int, size: float) -> int:
    return len(wrapped(text, width - 2 * MARGIN, size)) * line_height(size) + (4 if text else 0)


def _heading(draw: ImageDraw.ImageDraw, text: str, y: int, width: int, size: float) -> int:
    """Draw a heading; returns the height it takes."""
    draw_lines(draw, wrapped(text, width - 2 * MARGIN, size), MARGIN, y, size, INK)
    return _heading_height(text, width, size)


def draw_lines(draw: ImageDraw.ImageDraw, lines: Sequence[str], x: int, y: int, size: float, ink: tuple[int, int, int]) -> None:
    """Lines of text below each other, the first at (x, y) from the top left."""
    for number, line in enumerate(lines):
        draw.text((x, y + number * line_height(size)), line, font=font(size), fill=ink)


def line_height(size: float) -> int:
    """From one line to the next in pixels."""
    return math.ceil(1.32 * size)


def wrapped(text: str, width: int, size: float) -> list[str]:
    """The text in lines of at most `width` pixels; a longer word is cut."""
    return [line for part in text.split("\n") for line in _wrapped(part, width, font(size))]


def _wrapped(text: str, width: int, font: Font) -> list[str]:
    lines: list[str] = []
    for word in text.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and font.getlength(longer) <= width:
            lines[-1] = longer
            continue
        while font.getlength(word) > width and len(word) > 1:
            cut = next(count for count in range(len(word) - 1, 0, -1) if count == 1 or font.getlength(word[:count]) <= width)
            lines.append(word[:cut])
            word = word[cut:]
        lines.append(word)
    return lines
