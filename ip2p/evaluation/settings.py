"""What is tried: an editor with its scales. Grids of settings from text, by default those of the paper's Figure 8."""

import math
import shlex
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product

PARAMETERS: dict[str, tuple[str, ...]] = {
    "ip2p": ("text_scale", "image_scale", "steps"),
    "fast": ("text_scale", "image_scale", "steps"),
    "sdedit": ("strength", "scale", "steps"),
    "prompt": ("scale", "steps"),
    "nothing": (),
    "answer": (),
}
"""The editors, and the numbers each one takes; what is left out is the model's own choice."""
NAMES = {
    "ip2p": "InstructPix2Pix",
    "fast": "InstructPix2Pix, fast",
    "sdedit": "SDEdit",
    "prompt": "DreamBooth, edited caption",
    "nothing": "Nothing done",
    "answer": "Right answer",
}
SHORT = {"text_scale": "text", "image_scale": "image", "strength": "strength", "scale": "scale", "steps": "steps"}
FIGURE_8: dict[str, str] = {"text_scale": "7.5", "image_scale": "1.0:2.2:0.2", "strength": "0.3:0.9:0.1", "scale": "7.5"}
"""Figure 8: text guidance 7.5 for both, the image scale from 1.0 to 2.2 for ours, the strength from 0.3 to 0.9 for SDEdit."""
LARGEST = 10_000
MOST_STEPS = 1000


class SettingError(ValueError):
    """A setting that can't be had, in one sentence with its cause and cure."""


@dataclass(frozen=True)
class Setting:
    """One point of a curve: an editor and its numbers."""

    editor: str
    values: tuple[tuple[str, float], ...] = ()
    seed: int = 0

    def __post_init__(self) -> None:
        if self.editor not in PARAMETERS:
            raise SettingError(f"The editor {self.editor!r} is unknown; use {', '.join(PARAMETERS)}.")
        if unknown := [name for name, _ in self.values if name not in PARAMETERS[self.editor]]:
            allowed = ", ".join(PARAMETERS[self.editor]) or "no numbers"
            raise SettingError(f"The editor {self.editor!r} has no {unknown[0]!r}; it takes {allowed}.")
        steps, strength = self.get("steps"), self.get("strength")
        if steps is not None and (steps != int(steps) or not 1 <= steps <= MOST_STEPS):
            raise SettingError(f"The number of steps is {steps:g}; use a whole number from 1 to {MOST_STEPS}.")
        if strength is not None and not 0.01 <= strength <= 1:
            raise SettingError(f"The strength is {strength:g}; use 0.01 to 1.")

    @property
    def key(self) -> str:
        """The same text for the same setting, for files and tables."""
        return " ".join([self.editor, *(f"{name}={value:g}" for name, value in sorted(self.values)), f"seed={self.seed}"])

    @property
    def told(self) -> str:
        """Its numbers, for people: "text 7.5, image 1.5"."""
        return ", ".join(f"{SHORT[name]} {value:g}" for name, value in self.values)

    @property
    def label(self) -> str:
        """The editor's name and its numbers, for people."""
        return f"{NAMES[self.editor]} ({self.told})" if self.told else NAMES[self.editor]

    def get(self, name: str) -> float | None:
        """The number of that name; None where the model decides."""
        return dict(self.values).get(name)


def seed_of(example_id: str, setting: Setting) -> int:
    """The seed of one edit: it depends on the example and the run's seed alone, so that every setting starts from the same noise."""
    return (zlib.crc32(example_id.encode()) ^ zlib.crc32(str(setting.seed).encode())) + (setting.seed << 32) & (2**63 - 1)


def numbers(text: str) -> tuple[float, ...]:
    """The numbers of "7.5", "1.0,1.5" or "1.0:2.2:0.2" (first, last, step; the last belongs to it). Raises SettingError."""
    return tuple(dict.fromkeys(value for part in str(text).split(",") for value in _span(part.strip())))


def _span(part: str) -> list[float]:
    try:
        ends = [float(number) for number in part.split(":")]
    except ValueError as error:
        raise SettingError(f"{part!r} is no number: write 7.5, or 1.0,1.5, or 1.0:2.2:0.2 (first, last, step).") from error
    if not all(map(math.isfinite, ends)) or len(ends) not in (1, 3):
        raise SettingError(f"{part!r} is no number and no span: write 7.5, or 1.0:2.2:0.2 (first, last, step).")
    if len(ends) == 1:
        return ends
    first, last, step = ends
    if step <= 0 or last < first:
        raise SettingError(f"The span {part!r} is empty: the last number must not be below the first, and the step above 0.")
    count = math.floor((last - first) / step + 1e-6) + 1
    if count > LARGEST:
        raise SettingError(f"The span {part!r} has {count} numbers; take a larger step.")
    return [round(first + index * step, 10) for index in range(count)]


def grid(editors: Sequence[str], values: Mapping[str, str] | None = None, seeds: Sequence[int] = (0,)) -> list[Setting]:
    """Every combination of the numbers each editor takes, editor by editor. `values` by name as `numbers` reads them.

    Numbers that are not given are Figure 8's; an empty text leaves a number to the model. Raises SettingError.
    """
    given = {**FIGURE_8, **(values or {})}
    if unknown := [name for name in given if all(name not in known for known in PARAMETERS.values())]:
        raise SettingError(f"The number {unknown[0]!r} is unknown; use {', '.join(SHORT)}.")
    settings = []
    for editor in editors:
        if editor not in PARAMETERS:
            raise SettingError(f"The editor {editor!r} is unknown; use {', '.join(PARAMETERS)}.")
        names = [name for name in PARAMETERS[editor] if given.get(name, "") != ""]
        for combination in product(seeds, *(numbers(given[name]) for name in names)):
            settings.append(Setting(editor, tuple(zip(names, combination[1:], strict=True)), int(combination[0])))
    if not settings:
        raise SettingError(f"There is nothing to try: name editors, such as {', '.join(PARAMETERS)}.")
    return list(dict.fromkeys(settings))


def from_text(text: str) -> list[Setting]:
    """The grid of "--editor ip2p,sdedit --text-scale 7.5 --image-scale 1.0:2.2:0.2 --strength 0.3:0.9:0.1 --seed 0".

    Names may be written with - or _, with or without the leading --, and with = or a space. Raises SettingError.
    """
    words = shlex.split(text.replace("=", " ").replace("\n", " "))
    if len(words) % 2:
        raise SettingError(f"{words[-1]!r} stands alone: write names and numbers in turn, such as image_scale 1.0:2.2:0.2.")
    given = {name.lstrip("-").replace("-", "_"): value for name, value in zip(words[::2], words[1::2], strict=True)}
    editors = [name.strip() for name in given.pop("editor", "ip2p").split(",") if name.strip()]
    return grid(editors, given, seeds(given.pop("seed", "0")))


def seeds(text: str) -> list[int]:
    """Whole numbers as `numbers` reads them. Raises SettingError."""
    return [_seed(value) for value in numbers(text)]


def _seed(value: float) -> int:
    if value != int(value) or not 0 <= value < 2**31:
        raise SettingError(f"The seed is {value:g}; use whole numbers from 0 to {2**31 - 1}.")
    return int(value)
