"""Inputs that several nodes share, so that their words and limits are the same everywhere."""

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
