"""Which pair is which sample of which step: from the seed alone, however a step is split over processes and micro-batches."""

import threading
from collections.abc import Callable
from functools import lru_cache

import numpy as np

from .cutting import bucket_of, bucket_sizes

ORDER, BUCKETS = 2**40, 2**41
"""Tell these draws from those of steps and samples."""
WINDOW = 8
"""Steps among which samples are sorted by shape where there are buckets."""


class Order:
    """A permutation of `length` groups for each epoch; sample `index` of `step` is the next in it."""

    def __init__(self, length: int, seed: int, batch: int) -> None:
        self.length, self.seed, self.batch = length, seed, batch
        self._permuted = lru_cache(maxsize=2)(self._permutation)

    def group(self, step: int, index: int) -> int:
        """The number of the group."""
        epoch, place = divmod(step * self.batch + index, self.length)
        return int(self._permuted(epoch)[place])

    def _permutation(self, epoch: int) -> np.ndarray:
        return np.random.default_rng([self.seed, ORDER, epoch]).permutation(self.length).astype(np.int32)


class Buckets:
    """Samples sorted by the shapes of their pictures, within a window of steps, so that each step has one shape.

    `shape` tells the width over the height of the sample that would stand at (step, index).
    """

    def __init__(self, shape: Callable[[int, int], float], seed: int, batch: int, crop: int) -> None:
        self.shape, self.seed, self.batch, self.sizes = shape, seed, batch, bucket_sizes(crop)
        self._lock = threading.Lock()
        self._sorted = lru_cache(maxsize=2)(self._window)

    def origin(self, step: int, index: int) -> tuple[int, int]:
        """The (step, index) without buckets of the sample that now stands at (step, index)."""
        return divmod(int(self._of(step)[0][step % WINDOW, index]), self.batch)

    def size(self, step: int) -> tuple[int, int]:
        """(width, height) of a step's pictures."""
        return self._of(step)[1][step % WINDOW]

    def _of(self, step: int) -> tuple[np.ndarray, list[tuple[int, int]]]:
        with self._lock:
            return self._sorted(step // WINDOW)

    def _window(self, number: int) -> tuple[np.ndarray, list[tuple[int, int]]]:
        """The samples (WINDOW, batch) of a window's steps, and each step's size."""
        samples = np.arange(WINDOW * self.batch) + number * WINDOW * self.batch
        shapes = np.array([self.shape(*divmod(int(sample), self.batch)) for sample in samples])
        by_shape = np.argsort(shapes, kind="stable").reshape(WINDOW, self.batch)
        by_shape = by_shape[np.random.default_rng([self.seed, BUCKETS, number]).permutation(WINDOW)]
        return samples[by_shape], [bucket_of(float(np.median(shapes[row])), self.sizes) for row in by_shape]
