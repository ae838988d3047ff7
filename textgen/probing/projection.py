"""How a projection of the state is distributed over tokens, and what moves with it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Doubles = NDArray[np.float64]


class Projection:
    """Running mean and variance of `x . read`, and its covariance with every unit of `x`.

    Merged pairwise, a vector and never a matrix of all units with all. Source: Chan, Golub and
    LeVeque 1983, equation 2.1.

    Args:
        read_H: What the state is projected on.
    """

    def __init__(self, read_H: NDArray[np.float32]) -> None:
        self._read_H = read_H.astype(np.float64)
        self._count = 0
        self._mean_H = np.zeros(len(read_H))
        self._products_H = np.zeros(len(read_H))

    def add(self, values_TH: NDArray[np.floating]) -> None:
        """Take in the states after some tokens."""
        count = len(values_TH)
        if not count:
            return
        mean_H = values_TH.mean(axis=0, dtype=np.float64)
        moved_TH = values_TH - mean_H
        delta_H = mean_H - self._mean_H
        total = self._count + count
        self._products_H += (moved_TH @ self._read_H) @ moved_TH
        self._products_H += delta_H * (delta_H @ self._read_H) * (self._count * count / total)
        self._mean_H += delta_H * (count / total)
        self._count = total

    @property
    def mean(self) -> float:
        """Mean of the projection."""
        return float(self._mean_H @ self._read_H)

    @property
    def sd(self) -> float:
        """Its standard deviation."""
        return float(np.sqrt(max(self._squares, 0.0) / max(self._count, 1)))

    @property
    def pattern_H(self) -> Doubles | None:
        """Covariance with each unit over the variance, so that `read . pattern` is 1.

        It is how far each unit moves, on average, where the projection moves by 1; None where the
        projection does not vary.
        """
        return self._products_H / self._squares if self._squares > 0.0 else None

    @property
    def _squares(self) -> float:
        return float(self._products_H @ self._read_H)
