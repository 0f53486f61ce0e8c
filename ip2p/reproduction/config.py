"""The settings of a reproduction: one table of a TOML file per part. `full.toml` and `quick.toml` beside this file are the pack's own."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..captions.grammar.source import KINDS as WRITTEN
from ..configs import ConfigError, between, build, one_of, ordered, read
from ..small.config import Captioned, Clip, Joint, Painter, TextEncoder
from ..worlds.edits import KINDS, LIMITS
from ..worlds.subset import Subset

OWN = {name: Path(__file__).with_name(f"{name}.toml") for name in ("full", "quick")}
"""The configs that come with the pack, by name."""
CONDITIONS = ("full", "tenth", "unfiltered", "true")
"""What editors are trained on: the paper's recipe; a tenth of its prompts; as many pairs that no CLIP chose; the world's right answers."""

COUNTS = {
    "prompts": ("count", "each"),
    "pairs": ("samples", "steps", "batch", "shards", "keep"),
    "editors": ("steps", "batch", "save_every"),
    "evaluation": ("tasks", "grid_tasks", "steps", "shards"),
}
"""Settings that are 1 or more."""
LISTS: dict[str, dict[str, tuple[str, ...]]] = {
    "prompts": {"kinds": WRITTEN},
    "editors": {"conditions": CONDITIONS, "seeds": ()},
    "evaluation": {"kinds": KINDS, "limit_kinds": LIMITS, "image_scales": (), "strengths": (), "grid_text": (), "grid_image": ()},
}
"""Settings that name one thing or more, each once, and what there is to choose from where that is known here."""
STAGES = 3
"""Edits of a chain, each of another kind."""


@dataclass(frozen=True)
class Prompts:
    """Triplets by the grammar on captions of the world's part: ``count`` captions, ``each`` triplets of a caption, of these ``kinds``."""

    count: int = 300
    each: int = 2
    kinds: tuple[str, ...] = ("replace", "add", "remove", "recolour", "style", "season", "weather", "time", "place")
    seed: int = 0


@dataclass(frozen=True)
class Pairs:
    """Prompt-to-Prompt samples of each prompt, as `ip2p.pairs.draws.Settings`, made in ``shards`` parts; of a prompt at most ``keep``
    are kept by the filter, whose thresholds lie a share ``slack`` below those of drawn pairs."""

    samples: int = 6
    steps: int = 12
    p: tuple[float, float] = (0.1, 0.9)
    guidance: tuple[float, float] = (1.5, 4.0)
    batch: int = 6
    shards: int = 4
    keep: int = 4
    slack: float = 0.0


@dataclass(frozen=True)
class Editors:
    """One editor for each of the ``conditions`` and ``seeds``, all from the painter's weights, with the paper's conditioning dropout;
    ``offset`` and ``snr`` as in training's objective."""

    conditions: tuple[str, ...] = CONDITIONS
    seeds: tuple[int, ...] = (1, 2, 3)
    steps: int = 800
    batch: int = 16
    rate: float = 3e-4
    ema: float = 0.995
    snr: float = 5.0
    offset: float = 0.1
    save_every: int = 200


@dataclass(frozen=True)
class Evaluation:
    """Held-out scenes: ``tasks`` for Figures 8 and 10, ``grid_tasks`` of them for Figure 4, ``chains`` of edits, ``limits`` of each of the
    ``limit_kinds``, known failures. Scales are Figure 8's; ``steps`` of the sampler."""

    tasks: int = 60
    kinds: tuple[str, ...] = ("replace", "add", "remove", "recolour", "style", "season", "weather", "time", "background")
    steps: int = 15
    text_scale: float = 7.5
    image_scales: tuple[float, ...] = (1.0, 1.2, 1.4, 1.6, 1.8, 2.0, 2.2)
    strengths: tuple[float, ...] = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
    grid_text: tuple[float, ...] = (1.5, 4.0, 7.5, 12.0)
    grid_image: tuple[float, ...] = (1.0, 1.4, 1.8, 2.2)
    grid_tasks: int = 24
    chains: int = 18
    limits: int = 12
    limit_kinds: tuple[str, ...] = LIMITS
    shards: int = 4
    seed: int = 0


@dataclass(frozen=True)
class Config:
    """A whole reproduction, one table of the file per field. The first six are those of `ip2p.small`."""

    world: Subset = field(default_factory=Subset)
    joint: Joint = field(default_factory=Joint)
    clip: Clip = field(default_factory=Clip)
    captioned: Captioned = field(default_factory=Captioned)
    text: TextEncoder = field(default_factory=TextEncoder)
    painter: Painter = field(default_factory=lambda: Painter(editor="joint"))
    prompts: Prompts = field(default_factory=Prompts)
    pairs: Pairs = field(default_factory=Pairs)
    editors: Editors = field(default_factory=Editors)
    evaluation: Evaluation = field(default_factory=Evaluation)

    def __post_init__(self) -> None:
        for table in COUNTS:
            _check(table, getattr(self, table))
        for name in ("p", "guidance"):
            ordered(f"pairs.{name}", getattr(self.pairs, name))
        for strength in self.evaluation.strengths:
            between("evaluation.strengths", strength, 0.01, 1.0)
        if self.evaluation.chains and len(self.evaluation.kinds) < STAGES:
            raise ConfigError(f"A chain has {STAGES} kinds of edit: name more in 'evaluation.kinds', or set 'evaluation.chains' to 0.")
        if CONDITIONS[0] not in self.editors.conditions:
            raise ConfigError(f"All else is compared with {CONDITIONS[0]!r}: name it in 'editors.conditions'.")
        if self.painter.editor != "joint":
            raise ConfigError("A reproduction trains its own autoencoder: leave 'painter.editor' at \"joint\".")


def _check(table: str, settings: Any) -> None:
    """Raise ConfigError where a number of a table is below 1, or a list is empty, names a thing twice or one that there isn't."""
    for name in COUNTS[table]:
        if (value := getattr(settings, name)) < 1:
            raise ConfigError(f"The value {value} of '{table}.{name}' is too small: use 1 or more.")
    for name, known in LISTS.get(table, {}).items():
        values = getattr(settings, name)
        if not values:
            raise ConfigError(f"The list '{table}.{name}' is empty: name one thing or more in it.")
        if twice := [value for value in values if values.count(value) > 1]:
            raise ConfigError(f"The list '{table}.{name}' has {twice[0]!r} more than once: keep one of them.")
        for value in values if known else ():
            one_of(f"{table}.{name}", value, known)


def load(config: Path | str) -> Config:
    """Read "full", "quick" or a TOML (or YAML or JSON) file. Raises ConfigError."""
    return build(Config, read(OWN.get(str(config), Path(config))), "the config")
