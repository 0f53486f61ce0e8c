"""Settings for small networks, for cards of 8, 12, 24 and 80 GB, and the paper's own. Any key of a config overrides them."""

from typing import Any

from ..configs import ConfigError

Table = dict[str, Any]

PRESETS: dict[str, Table] = {
    "small": {
        "model": {"train": "full"},
        "optimizer": {"rate": 2e-4, "clip": 1.0},
        "run": {"steps": 1000, "batch": 16, "warmup": 50, "schedule": "cosine", "ema": 0.999, "save_every": 100},
        "validation": {"every": 250},
    },
    "8": {
        "model": {"train": "lora", "rank": 16, "gradient_checkpointing": True},
        "optimizer": {"rate": 1e-4, "clip": 1.0},
        "run": {"steps": 5000, "batch": 16, "micro_batch": 2, "precision": "fp16", "warmup": 100, "schedule": "cosine", "ema": 0.999},
    },
    "12": {
        "model": {"train": "lora", "rank": 64, "gradient_checkpointing": True},
        "optimizer": {"rate": 1e-4, "clip": 1.0},
        "run": {"steps": 8000, "batch": 32, "micro_batch": 8, "precision": "bf16", "warmup": 100, "schedule": "cosine", "ema": 0.999},
    },
    "24": {
        "model": {"train": "full", "gradient_checkpointing": True},
        "optimizer": {"name": "adamw8bit", "rate": 5e-5, "clip": 1.0},
        "run": {"steps": 15_000, "batch": 128, "micro_batch": 16, "precision": "bf16", "warmup": 500},
    },
    "80": {
        "model": {"train": "full"},
        "optimizer": {"rate": 1e-4, "clip": 1.0},
        "run": {"steps": 10_000, "batch": 512, "micro_batch": 64, "precision": "bf16", "warmup": 500},
    },
    "paper": {
        "model": {"train": "full"},
        "data": {"crop": 256, "sizes": [256, 288], "flip": 0.5, "variants": 0},
        "objective": {"kind": "edit", "snr": 0.0},
        "optimizer": {"name": "adamw", "rate": 1e-4, "betas": [0.9, 0.999], "weight_decay": 0.01, "clip": 0.0},
        "run": {
            "steps": 10_000,
            "batch": 1024,
            "micro_batch": 32,
            "schedule": "constant",
            "warmup": 0,
            "precision": "fp32",
            "ema": 0.9999,
        },
    },
}
"""The numbers are GB of the card's memory; "small" is for small networks, as the embedded editor's, on any machine;
"paper" is section 3.2 and appendix A.3 (32 pairs on each of 8 cards, 4 times a step)."""


def preset_table(name: str) -> Table:
    """The tables of a preset; none for no name. Raises ConfigError."""
    if name and name not in PRESETS:
        raise ConfigError(f"The preset '{name}' is unknown: use {', '.join(PRESETS)}.")
    return PRESETS.get(name, {})
