"""Mean, spread and range of columns, gathered piece by piece."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


class Moments:
    """Running mean, variance and range of columns.

    The spread is gathered by pairwise merging, which keeps its precision where a sum of squares
    would lose it. Source: Chan, Golub and LeVeque 1983, equation 2.1.
    """

    def __init__(self, columns: int) -> None:
        self.count = 0
        self._mean = np.zeros(columns)
        self._squares = np.zeros(columns)
        self._minimum = np.full(columns, np.inf)
        self._maximum = np.full(columns, -np.inf)

    def add(self, values_TN: NDArray[np.float32]) -> None:
        count = len(values_TN)
        if not count:
            return
        mean = values_TN.mean(axis=0, dtype=np.float64)
        squares = ((values_TN - mean) ** 2).sum(axis=0)
        delta = mean - self._mean
        total = self.count + count
        self._mean += delta * (count / total)
        self._squares += squares + delta**2 * (self.count * count / total)
        self._minimum = np.minimum(self._minimum, values_TN.min(axis=0))
        self._maximum = np.maximum(self._maximum, values_TN.max(axis=0))
        self.count = total

    def summary(
        self,
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Mean, standard deviation, minimum, maximum."""
        return self._mean, np.sqrt(self._squares / self.count), self._minimum, self._maximum
