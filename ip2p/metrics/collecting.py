"""Features of many pictures: each one once, in batches of equal sizes, out of the cache where it was seen before."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from .cache import Cache


def remembered(
    cache: Cache, prefix: str, extract: Callable[[Tensor], Tensor], pictures: Mapping[str, Tensor], batch: int
) -> dict[str, Tensor]:
    """Features by the same keys as the pictures (H, W, 3); each key names a picture's content, ``prefix`` the extractor's settings.

    ``extract`` takes (B, H, W, 3) and gives a tensor whose first axis is B; it sees ``batch`` pictures of one size at most.
    """
    found = {mark: cache.get(f"{prefix} {mark}") for mark in pictures}
    groups: dict[torch.Size, list[str]] = defaultdict(list)
    for mark, features in found.items():
        if features is None:
            groups[pictures[mark].shape].append(mark)
    out = {mark: features for mark, features in found.items() if features is not None}
    for marks in groups.values():
        for start in range(0, len(marks), batch):
            chunk = marks[start : start + batch]
            for mark, features in zip(chunk, extract(torch.stack([pictures[mark] for mark in chunk])).cpu(), strict=True):
                out[mark] = features.clone()
                cache.put(f"{prefix} {mark}", out[mark])
    return out


def remembered_texts(
    cache: Cache, prefix: str, extract: Callable[[Sequence[str]], Tensor], tokens: Mapping[str, object], batch: int
) -> dict[str, Tensor]:
    """Features by text. ``tokens`` of each text stand for it in the key, so that another tokenizer is another key."""
    keys = {text: f"{prefix} {found}" for text, found in tokens.items()}
    out = {text: features for text, key in keys.items() if (features := cache.get(key)) is not None}
    missing = [text for text in keys if text not in out]
    for start in range(0, len(missing), batch):
        chunk = missing[start : start + batch]
        for text, features in zip(chunk, extract(chunk).cpu(), strict=True):
            out[text] = features.clone()
            cache.put(keys[text], out[text])
    return out
