"""Adapts the mathematics of ``ip2p`` to the host's models, conditionings and samplers. Imports ``comfy``, never its node API."""
