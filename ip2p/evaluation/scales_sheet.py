"""The sheet of a sweep: pictures over two axes, text scales rightwards and image scales downwards, with the source beside them."""

from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor

from ..pictures import to_pil
from ..sweep import Grid
from .sheet import GAP, GOOD, GREY, INK, LARGEST_SIDE, MARGIN, PAPER, draw_lines, font, line_height, text_size, wrapped

ACROSS = "text scale: higher and the instruction works more"
DOWN = "image scale: higher and the picture is kept more closely"
FRAME = 4


def scales_sheet(
    grid: Grid,
    pictures: Tensor,
    source: Tensor,
    title: str = "",
    below: Sequence[str] = (),
    notes: Sequence[Sequence[str]] = (),
    chosen: int | None = None,
    cell: int = 256,
) -> Tensor:
    """A sheet (H, W, 3) of a sweep's cells (N, H, W, 3) and its source (H, W, 3), each within `cell` x `cell` pixels.

    ``below`` are lines under the source, ``notes`` the lines under each cell, ``chosen`` the cell that gets a green frame. Raises
    ValueError for a sheet that is too large.
    """
    return _Page(grid, pictures, source, title, below, notes, chosen, cell).drawn()


class _Page:
    """Where things stand on the sheet, and the drawing of them."""

    def __init__(
        self,
        grid: Grid,
        pictures: Tensor,
        source: Tensor,
        title: str,
        below: Sequence[str],
        notes: Sequence[Sequence[str]],
        chosen: int | None,
        cell: int,
    ) -> None:
        self.grid, self.pictures, self.source, self.chosen = grid, pictures, source, chosen
        self.notes, self.size = [list(lines) for lines in notes], text_size(cell)
        height, width = source.shape[:2]
        self.wide, self.high = (max(1, round(side * cell / max(width, height))) for side in (width, height))
        self.line = line_height(self.size)
        self.below = [line for text in below for line in wrapped(text, self.wide, 0.92 * self.size)]
        self.row = self.high + GAP + max((len(lines) for lines in self.notes), default=0) * line_height(0.92 * self.size)
        self.left = MARGIN + self.wide + 2 * GAP + 2 * self.line + round(2.2 * self.size)  # the source, the axis title, the row labels
        self.width = self.left + len(grid.text) * (self.wide + GAP) - GAP + MARGIN
        self.title = wrapped(title, self.width - 2 * MARGIN, 1.35 * self.size)
        self.top = MARGIN + len(self.title) * line_height(1.35 * self.size) + 2 * self.line + GAP
        under_source = self.high + GAP + len(self.below) * line_height(0.92 * self.size)
        self.height = self.top + max(len(grid.image) * self.row, under_source) + MARGIN

    def drawn(self) -> Tensor:
        if max(self.width, self.height) > LARGEST_SIDE:
            raise ValueError(f"A sheet of {self.width} x {self.height} pixels is too large: sweep fewer scales, or show smaller pictures.")
        self.page = Image.new("RGB", (self.width, self.height), PAPER)
        self.draw = ImageDraw.Draw(self.page)
        draw_lines(self.draw, self.title, MARGIN, MARGIN // 2, 1.35 * self.size, INK)
        self._axes()
        self._paste(self.source, MARGIN, self.top)
        draw_lines(self.draw, self.below, MARGIN, self.top + self.high + GAP // 2, 0.92 * self.size, GREY)
        for number in range(len(self.grid.pairs)):
            self._cell(number)
        return torch.from_numpy(np.asarray(self.page, np.float32) / 255)

    def _axes(self) -> None:
        """Titles of both axes and the scales along them."""
        letters = font(self.size)
        middle = (self.left + self.width - MARGIN) // 2
        self.draw.text((middle, self.top - 2 * self.line - GAP // 2), ACROSS, font=letters, fill=GREY, anchor="ma")
        for place, value in enumerate(self.grid.text):
            x = self.left + place * (self.wide + GAP) + self.wide // 2
            self.draw.text((x, self.top - self.line - GAP // 4), f"{value:g}", font=letters, fill=INK, anchor="ma")
        for place, value in enumerate(self.grid.image):
            y = self.top + place * self.row + self.high // 2
            self.draw.text((self.left - GAP // 2, y), f"{value:g}", font=letters, fill=INK, anchor="rm")
        self._title_down()

    def _title_down(self) -> None:
        """The image axis's title, written downwards; in its short form where the rows leave no room for the long one."""
        room = len(self.grid.image) * self.row - GAP
        said = DOWN if font(self.size).getlength(DOWN) <= room else DOWN.partition(":")[0]
        strip = Image.new("RGB", (max(1, round(font(self.size).getlength(said))), round(1.5 * self.size)), PAPER)
        ImageDraw.Draw(strip).text((0, 0), said, font=font(self.size), fill=GREY)
        turned = strip.rotate(-90, expand=True)
        x = self.left - round(2.2 * self.size) - GAP - turned.width
        self.page.paste(turned, (x, max(self.top, self.top + (room - turned.height) // 2)))

    def _cell(self, number: int) -> None:
        down, across = divmod(number, len(self.grid.text))
        x, y = self.left + across * (self.wide + GAP), self.top + down * self.row
        if number == self.chosen:
            self.draw.rectangle([x - FRAME, y - FRAME, x + self.wide + FRAME - 1, y + self.high + FRAME - 1], fill=GOOD)
        self._paste(self.pictures[number], x, y)
        if self.notes:
            draw_lines(self.draw, self.notes[number], x, y + self.high + FRAME, 0.92 * self.size, GREY)

    def _paste(self, picture: Tensor, x: int, y: int) -> None:
        self.page.paste(to_pil(picture).resize((self.wide, self.high), Image.Resampling.LANCZOS), (x, y))
