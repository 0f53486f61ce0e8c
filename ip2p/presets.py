"""Named ways to sample: how many steps, how many of the three passes, and the scales where they are not a matter of taste."""

from dataclasses import dataclass

from .refresh import Refresh


@dataclass(frozen=True)
class Preset:
    """How to sample. ``text_scale`` and ``image_scale`` are None where the model's own, or the user's, are as good as any.

    ``sampler`` and ``scheduler`` are the host's names.
    """

    steps: int
    refresh: Refresh
    about: str
    text_scale: float | None = None
    image_scale: float | None = None
    sampler: str = "euler_ancestral"
    scheduler: str = "normal"

    @property
    def passes(self) -> int:
        """Network passes of an edit with both scales at work."""
        if not self.refresh.saves:
            return 3 * self.steps
        count = range(self.steps)
        return self.steps + sum(n % self.refresh.text_every == 0 for n in count) + sum(n % self.refresh.image_every == 0 for n in count)


PRESETS = {
    "exact": Preset(30, Refresh(), "all three passes in every step"),
    "balanced": Preset(30, Refresh(image_every=8, text_every=4), "the same picture but for small details, with half the passes"),
    "fast": Preset(12, Refresh(image_every=4, text_every=2), "a little rougher, with a quarter of the passes"),
    "few-step LoRA": Preset(
        6,
        Refresh(),
        "for a model with an LCM or similar LoRA in it",
        text_scale=2.0,
        image_scale=1.2,
        sampler="lcm",
        scheduler="sgm_uniform",
    ),
    "authors": Preset(100, Refresh(), "the settings of the paper", text_scale=7.5, image_scale=1.5),
}
SPEEDS = ("exact", "balanced", "fast")
"""The presets that only say how many passes are made, whatever the model and the number of steps."""


def find(speed: str) -> Preset:
    """The preset of one of `SPEEDS`. Raises ValueError, in a sentence, for another name."""
    if speed not in SPEEDS:
        raise ValueError(f"The speed {speed!r} is unknown; use {', '.join(SPEEDS)}.")
    return PRESETS[speed]
