"""Worlds whose right answers are known: photo operators and the ways people ask for them."""
