"""A small picture of the scales over a run."""

from collections.abc import Mapping

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor

from ..schedules import OFF, Curve, Span, within
from .sheet import GAP, GREY, INK, LINE, MARGIN, PAPER, font

WIDTH, HEIGHT, FINE = 480, 240, 2
"""Pixels of the picture, and how many times larger it is drawn before it is reduced."""
COLOURS = ((0, 114, 178), (213, 94, 0))  # of Okabe and Ito's palette
POINTS = 200


def curve_picture(curves: Mapping[str, tuple[Curve | None, Span]]) -> Tensor:
    """The picture (H, W, 3) of up to two scales by name, each with its curve (None: as it is set elsewhere) and where it acts."""
    page = Image.new("RGB", (WIDTH * FINE, HEIGHT * FINE), PAPER)
    draw, letters = ImageDraw.Draw(page), font(13 * FINE)
    known = [curve for curve, _ in curves.values() if curve is not None]
    top = max([OFF, *(curve.at(place / POINTS) for curve in known for place in range(POINTS + 1))]) * 1.1
    left, right, low, high = (side * FINE for side in (MARGIN + 28, WIDTH - MARGIN, HEIGHT - MARGIN - 22, MARGIN + 22))

    def at(progress: float, scale: float) -> tuple[float, float]:
        return left + progress * (right - left), low - scale / top * (low - high)

    for scale in dict.fromkeys((0.0, OFF, round(top / 1.1, 3))):
        draw.line([at(0, scale), at(1, scale)], fill=LINE, width=FINE)
        draw.text((left - GAP, at(0, scale)[1]), f"{scale:g}", font=letters, fill=GREY, anchor="rm")
    for percent in (0, 25, 50, 75, 100):
        draw.text((at(percent / 100, 0)[0], low + 5 * FINE), f"{percent}%", font=letters, fill=GREY, anchor="ma")
    for number, (name, (curve, where)) in enumerate(curves.items()):
        said = f"{name} scale" if curve is not None else f"{name} scale: as set"
        draw.text((left + number * (right - left) // 2, 4 * FINE), said, font=letters, fill=COLOURS[number] if curve else INK)
        shown = [(place / POINTS, curve.at(place / POINTS) if curve else top / 1.1) for place in range(POINTS + 1)]
        line = [at(progress, scale if within(where, progress) else OFF) for progress, scale in shown]
        if curve is not None or where != (0.0, 1.0):
            draw.line(line, fill=COLOURS[number], width=3 * FINE, joint="curve")
    return torch.from_numpy(np.asarray(page.resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS), np.float32) / 255)
