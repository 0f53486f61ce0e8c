"""What the data nodes hand to each other."""

from ._api import io

Triplets = io.Custom("IP2P_TRIPLETS")
"""Edits in words: a tuple of `ip2p.captions.triplet.Triplet`."""
Thresholds = io.Custom("IP2P_THRESHOLDS")
"""What a pair must reach: `ip2p.pairs.thresholds.Rules`."""
