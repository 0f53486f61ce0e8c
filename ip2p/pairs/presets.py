"""Steps of sampling by name: the paper's own, and fewer."""

PRESETS = {"paper": 100, "balanced": 30, "fast": 12}
