"""The backdrops: one function a place. Layout depends on the place and the seed alone, colours on the season too."""

from collections.abc import Callable

from ..painting import Painting
from .built import city, farm
from .dry import desert, mountains
from .green import forest, meadow
from .shores import beach, lake

PLACES: dict[str, Callable[[Painting, str, int], None]] = {
    "meadow": meadow,
    "beach": beach,
    "desert": desert,
    "mountains": mountains,
    "city": city,
    "forest": forest,
    "lake": lake,
    "farm": farm,
}
"""place -> what paints it, given the season and the seed."""

SHORES: dict[str, float] = {"beach": 0.505, "lake": 0.545}
"""place -> y at which water begins to mirror what is above."""
