"""Inputs that several nodes share, so that their words and limits are the same everywhere."""

import comfy.samplers

from ..ip2p.presets import SPEEDS
from ._api import io


def image_scale() -> io.Float.Input:
    """How closely the result keeps to the picture (s_I of equation 3)."""
    return io.Float.Input(
        "image_scale",
        default=1.5,
        min=0.0,
        max=100.0,
        step=0.01,
        round=0.001,
        tooltip="How closely the result keeps to the picture: 1 to 1.5 usually, higher changes less. 1 saves a third of the time.",
    )


def text_scale() -> io.Float.Input:
    """How strongly the instruction works (s_T of equation 3)."""
    return io.Float.Input(
        "text_scale",
        default=7.5,
        min=0.0,
        max=100.0,
        step=0.01,
        round=0.001,
        tooltip="How strongly the instruction works: 5 to 10 usually, higher changes more.",
    )


def instruction() -> io.String.Input:
    """What to change."""
    return io.String.Input(
        "instruction",
        multiline=True,
        default="make it snow",
        dynamic_prompts=True,
        tooltip="What to change, as you would ask a person: 'make it snow', 'turn it into a pencil sketch'.",
    )


def negative() -> io.String.Input:
    """What the result should not be; takes the place of the empty text."""
    return io.String.Input("negative", multiline=True, default="", tooltip="What the result should not look like; usually empty.")


def mask(protects: str) -> io.Mask.Input:
    """Where the picture may change."""
    return io.Mask.Input("mask", optional=True, tooltip=f"Where the picture may change (1) and where it stays (0). {protects}")


def seed() -> io.Int.Input:
    """Where the noise begins."""
    return io.Int.Input(
        "seed", default=0, min=0, max=0xFFFFFFFFFFFFFFFF, control_after_generate=True, tooltip="Another seed gives another version."
    )


def sampling(*scales: io.Input) -> list[io.Input]:
    """How to sample, as the host's own sampler nodes ask it, with the scales of the guidance, and at what size."""
    return [
        seed(),
        io.Int.Input("steps", default=30, min=1, max=1000, tooltip="20 to 30 are usually enough; the authors use 100."),
        *scales,
        io.Combo.Input(
            "sampler",
            options=comfy.samplers.SAMPLER_NAMES,
            default="euler_ancestral",
            tooltip="euler_ancestral is the authors'; euler gives calmer results.",
        ),
        io.Combo.Input(
            "scheduler",
            options=comfy.samplers.SCHEDULER_NAMES,
            default="normal",
            tooltip="'normal' spaces the steps as the authors do.",
        ),
        io.Int.Input(
            "size",
            default=0,
            min=0,
            max=8192,
            step=8,
            tooltip="The long side to work at, in pixels. 0: the size the model was trained at.",
        ),
    ]


def speed() -> io.Combo.Input:
    """How many of the passes are made."""
    return io.Combo.Input(
        "speed",
        options=list(SPEEDS),
        default=SPEEDS[0],
        optional=True,
        tooltip="exact computes everything in every step; balanced holds what changes slowly in half the passes; fast holds a little "
        "less, and is meant for 12 steps: set them too.",
    )


def isolate() -> io.Float.Input:
    """How strictly an edit keeps to its place."""
    return io.Float.Input(
        "isolate",
        default=0.0,
        min=0.0,
        max=1.0,
        step=0.01,
        round=0.001,
        optional=True,
        tooltip="Keeps the edit where the instruction means it, and the rest as it was to the pixel: 0 is off, 0.5 leaves room around it, "
        "1 is strict. Edits of the whole picture are left alone.",
    )
