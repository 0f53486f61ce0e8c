"""Names and chance from what a thing is: the same words give the same id and the same seeds on every machine and in every order."""

import hashlib

import numpy as np

BITS = 53
"""Seeds below 2^53 survive JSON, Parquet and file names in every language."""


def id_of(*texts: str) -> str:
    """16 hexadecimal digits that stand for some texts, in their order."""
    return _digest(texts).hex()


def seed_of(*parts: str | int) -> int:
    """A seed in 0..2^53 - 1 that stands for some texts and numbers, in their order."""
    return int.from_bytes(_digest([str(part) for part in parts]), "big") >> (64 - BITS)


def chance_of(*parts: str | int) -> np.random.Generator:
    """A random generator of its own for some texts and numbers."""
    return np.random.default_rng(seed_of(*parts))


def _digest(texts: "tuple[str, ...] | list[str]") -> bytes:
    digest = hashlib.blake2b(digest_size=8)
    for text in texts:
        data = text.encode("utf-8", "surrogatepass")
        digest.update(len(data).to_bytes(8, "big") + data)  # lengths keep ("ab", "c") and ("a", "bc") apart
    return digest.digest()
