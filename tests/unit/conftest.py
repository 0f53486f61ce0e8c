"""Unit tests see the checkout as its own library (`ip2p`, `launcher`), never the host."""

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
for name, value in {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}.items():
    os.environ.setdefault(name, value)  # the networks here are so small that threads only wait for each other
