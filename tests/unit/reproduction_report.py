"""A report of a reproduction, small and whole, as the tests of its page and its figures take it."""

from typing import Any

from ip2p.configs import to_table
from ip2p.reproduction.config import Config
from ip2p.reproduction.page import SCHEMA

FIGURES = ("pairs", "8", "10", "4", "11", "13", "learning", "true", "axes")


def mean(value: float, reach: float = 0.05, n: int = 12) -> dict[str, Any]:
    """A mean with its interval."""
    return {"value": value, "low": value - reach, "high": value + reach, "n": n}


def columns(step: float) -> dict[str, Any]:
    """What is measured of a setting."""
    starts = {"direction": 0.2, "similarity": 0.8, "done": 0.5, "kept": 0.4, "right": 0.3}
    return {name: mean(start + step) for name, start in starts.items()}


def curve(name: str, by: str) -> dict[str, Any]:
    """A curve of three settings."""
    return {"name": name, "by": by, "points": [{"at": at, **columns(at / 20)} for at in (1.0, 1.6, 2.2)]}


def claim(figure: str) -> dict[str, Any]:
    """One claim of a figure."""
    about = {"paper": f"The paper's words of {figure}", "section": "4.1", "statement": f"What was tested of {figure}"}
    numbers = {"estimate": 0.123456, "low": 0.05, "high": 0.2, "unit": "cosine", "n": 12, "margin": 0.01, "detail": {}}
    return {"id": f"of_{figure}", "figure": figure, **about, **numbers, "verdict": "reproduced"}


def report() -> dict[str, Any]:
    """A whole report."""
    conditions = ("full", "tenth", "unfiltered", "true")
    sets = {name: {"pairs": 40, "prompts": 20, "rejected": {"too different": 2, "not its caption": 30}} for name in conditions}
    kinds = {"done": mean(0.5), "kept": mean(0.4), "right": mean(0.3), "direction": mean(0.25)}
    return {
        "schema": SCHEMA,
        "settings": to_table(Config()),
        "networks": {"painter": 1234567, "autoencoder": 89},
        "data": {"sets": sets, "triplets": {"count": 30, "kinds": {"add": 30}}, "samples": {"prompts": 30, "made": 180}},
        "claims": [claim(figure) for figure in FIGURES],
        "curves": [
            *(curve(name, "image_scale") for name in (*conditions, "own")),
            *(curve(name, "strength") for name in ("sdedit", "sdedit-own")),
        ],
        "anchors": {name: columns(0.0) for name in ("nothing", "answer", "encoded")},
        "grid": [{"text": 7.5, "image": image, **columns(0.1)} for image in (1.0, 1.4)],
        "chains": [{"stage": 1, **dict.fromkeys(("own", "end", "own_right", "end_right"), mean(0.5))}],
        "limits": [{"kind": "zoom", "editor": "full", "done": mean(0.0), "right": mean(0.0)}],
        "kinds": [{"kind": "add", **kinds, "direction_not_done": mean(0.1), "done_not_direction": mean(0.2)}],
        "kinds_at": {"text": 7.5, "image": 1.6},
        "figures": ["figure8.png"],
    }
