"""Unit tests see the checkout as its own library (`ip2p`, `launcher`), never the host."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
