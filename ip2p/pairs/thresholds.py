"""What a pair must reach to be kept: the paper's thresholds (appendix A.2), other ones, and other ones for single kinds of edit."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from .score import AESTHETIC, CAPTION, DIRECTION, EDITED, IMAGE, NSFW

REASONS = {
    "image": (IMAGE, "pictures too different"),
    "caption": (CAPTION, "first picture is not its caption"),
    "edited_caption": (EDITED, "second picture is not its caption"),
    "direction": (DIRECTION, "change is not that of the captions"),
    "aesthetic": (AESTHETIC, "not pleasing enough"),
    "nsfw": (NSFW, "not safe for work"),
}
"""Of each threshold the score it is held against, and what is said of a pair that fails it."""
UNSCORED = "not scored"


@dataclass(frozen=True)
class Thresholds:
    """The least cosines -1 to 1 (`image`: of the two pictures; the captions: of each picture with its own; `direction`: of the change),
    the least `aesthetic` rating, and the greatest probability `nsfw`; None for those that don't count. Raises ValueError."""

    image: float | None = 0.75
    caption: float | None = 0.2
    edited_caption: float | None = 0.2
    direction: float | None = 0.2
    aesthetic: float | None = None
    nsfw: float | None = None

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if value is None:
                continue
            low = -math.inf if name == "aesthetic" else 0 if name == "nsfw" else -1
            if not isinstance(value, int | float) or not math.isfinite(value) or not low <= value <= (math.inf if low < -1 else 1):
                raise ValueError(f"The threshold {name} is {value}; use a number from {max(low, -1)} to 1.")

    def failed(self, scores: Mapping[str, Any], slack: float = 0.0) -> str:
        """Why a pair with these scores isn't kept; "" where it is. ``slack`` is granted to each of the four CLIP scores."""
        for field_ in fields(self):
            least, (name, reason) = getattr(self, field_.name), REASONS[field_.name]
            if least is None:
                continue
            value = scores.get(name)
            if not isinstance(value, int | float) or not math.isfinite(value):
                return UNSCORED
            if value > least if name == NSFW else value < least - (0 if name == AESTHETIC else slack):
                return reason
        return ""


@dataclass(frozen=True)
class Rules:
    """Thresholds, and those of single kinds of edit (the kind of a triplet), which stand in their place."""

    general: Thresholds = field(default_factory=Thresholds)
    kinds: Mapping[str, Thresholds] = field(default_factory=dict)

    def of(self, kind: str) -> Thresholds:
        """The thresholds of a kind."""
        return self.kinds.get(kind, self.general)

    def changed(self, **values: float | None) -> "Rules":
        """With other values for all kinds."""
        return Rules(replace(self.general, **values), {kind: replace(one, **values) for kind, one in self.kinds.items()})

    @classmethod
    def of_told(cls, told: Mapping[str, Any]) -> "Rules":
        """From JSON values."""
        return cls(Thresholds(**told["general"]), {kind: Thresholds(**one) for kind, one in told["kinds"].items()})

    def told(self) -> dict[str, Any]:
        """As JSON values."""
        return {"general": asdict(self.general), "kinds": {kind: asdict(self.kinds[kind]) for kind in sorted(self.kinds)}}


PAPER = Rules()
"""For CLIP ViT-L/14 (appendix A.2)."""
_LOOK = Thresholds(None, 0.6, 0.6, 0.5)
_PLACE = Thresholds(0.3, 0.6, 0.6, 0.3)
WORLD = Rules(
    Thresholds(0.4, 0.6, 0.6, 0.3),
    {
        "replace": Thresholds(0.4, 0.6, 0.6, 0.2),
        "recolour": Thresholds(0.5, 0.6, 0.6, 0.3),
        "material": Thresholds(0.9, 0.6, 0.6, 0.1),
        "add": Thresholds(0.5, 0.6, 0.6, 0.3),
        "remove": Thresholds(0.5, 0.6, 0.6, 0.1),
        **dict.fromkeys(("background", "place"), _PLACE),
        "season": Thresholds(0.3, 0.6, 0.6, 0.4),
        "weather": Thresholds(0.1, 0.6, 0.6, 0.5),
        "time": Thresholds(0.2, 0.6, 0.6, 0.5),
        **dict.fromkeys(("style", "medium"), _LOOK),
        "several": Thresholds(0.1, 0.6, 0.6, 0.5),
    },
)
"""For the world's small CLIP, by kind of edit: measured on right and wrong edits of drawn scenes (`bench/pair_thresholds.py`)."""
MARK = "ip2p"
"""In the config of a CLIP that this project trained: whose thresholds are its own."""


def own(config: Any) -> Rules:
    """The thresholds that a CLIP comes with, by its config (a transformers config, or what its config.json holds)."""
    mark = config.get(MARK) if isinstance(config, Mapping) else getattr(config, MARK, "")
    return WORLD if mark == "world" else PAPER


def parse(text: str, rules: Rules) -> Rules:
    """Thresholds with changes for kinds in words, a line or semicolon each: `season: image=.6, direction=.15`. What is not named stays.

    `none` switches one off. Raises ValueError in a sentence.
    """
    found = dict(rules.kinds)
    for line in filter(None, (part.strip() for part in text.replace(";", "\n").splitlines())):
        kind, colon, values = line.partition(":")
        if not colon or not kind.strip() or not values.strip():
            raise ValueError(f"'{line}' names no thresholds of a kind: write it as 'season: image=0.6, direction=0.15'.")
        found[kind.strip()] = replace(rules.of(kind.strip()), **dict(_value(one, line) for one in values.split(",")))
    return Rules(rules.general, found)


def _value(text: str, line: str) -> tuple[str, float | None]:
    name, _, value = (part.strip() for part in text.partition("="))
    name = name.replace("-", "_")
    if name not in REASONS:
        raise ValueError(f"'{line}' has the unknown threshold {name!r}: use {', '.join(REASONS)}.")
    if value.lower() == "none":
        return name, None
    try:
        return name, float(value)
    except ValueError as error:
        raise ValueError(f"'{line}' has {value!r} where a number is needed.") from error
