"""Draws scenes: backdrop, light, things and weather, from numpy alone. `draw(scene, size)` is the whole interface."""

from .draw import Drawn, draw

__all__ = ["Drawn", "draw"]
