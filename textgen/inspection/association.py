"""How strongly many neurons are associated with each of several features, in one pass.

The rows are dealt into two halves. On one half a feature may be chosen for a neuron; on the other
one the choice is scored. Kept are sums and histograms, whose size does not depend on the text.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Counts = NDArray[np.int64]

#: The halves: a feature is chosen on one and scored on the other.
CHOOSING, SCORING = 0, 1

#: Bins of a neuron's histogram; two values in one bin count as equal in an AUC.
BINS = 64

#: A binary feature that is true, or false, less often than this on a half says nothing.
MIN_CASES = 10


@dataclass(frozen=True)
class Scale:
    """Equal bins from `low` to `high`, of all numbers as `x / (1 + |x|)` where `squeezed`.

    What lies beyond an end counts in the bin there.
    """

    low: float
    high: float
    squeezed: bool = False

    def bins(self, values: Floats) -> NDArray[np.intp]:
        """The bin of each value, 0 up to `BINS - 1`."""
        if self.squeezed:
            values = values / (1 + np.abs(values))
        place = (values - self.low) * (BINS / (self.high - self.low))
        result: NDArray[np.intp] = np.clip(place, 0, BINS - 1).astype(np.intp)
        return result

    def edges(self) -> Doubles:
        """Where the bins begin and end, `(BINS + 1,)`; infinite at the ends if squeezed."""
        edges = np.linspace(self.low, self.high, BINS + 1)
        if not self.squeezed:
            return edges
        with np.errstate(divide="ignore"):
            result: Doubles = edges / (1 - np.abs(edges))
        return result


class Association:
    """Sums over the rows of values `(T, units)` and features `(T, features)`.

    Correlations are Pearson's; with a binary feature that is the point-biserial one.

    Args:
        units: How many.
        graded: Which features are numbers, `(features,)`; the others are 0 or 1.
        scale: The bins of the histograms.
    """

    def __init__(self, units: int, graded: NDArray[np.bool_], scale: Scale) -> None:
        features = len(graded)
        self._graded = graded
        self._scale = scale
        self._offsets = np.arange(units) * BINS
        # The sums are those of differences from the first chunk's means, which keeps precision.
        self._shift_N: Floats = np.zeros(units, np.float32)
        self._shift_F: Floats = np.zeros(features, np.float32)
        self._count = np.zeros(2)
        self._v = np.zeros((2, units))
        self._vv = np.zeros((2, units))
        self._f = np.zeros((2, features))
        self._ff = np.zeros((2, features))
        self._cases = np.zeros((2, features))
        self._vf = np.zeros((2, units, features))
        self._all = np.zeros((2, units * BINS), np.int64)
        self._true = {
            int(column): np.zeros(units * BINS, np.int64) for column in np.flatnonzero(~graded)
        }

    def add(self, values_TN: Floats, features_TF: Floats, scoring_T: NDArray[np.bool_]) -> None:
        """Take in some rows, of which those in `scoring_T` score and the others choose."""
        if not len(values_TN):
            return
        if not self._count.any():
            self._shift_N = values_TN.mean(axis=0, dtype=np.float64).astype(np.float32)
            self._shift_F = features_TF.mean(axis=0, dtype=np.float64).astype(np.float32)
            # A binary feature is counted as it is.
            self._shift_F[~self._graded] = 0
        for half in (CHOOSING, SCORING):
            rows = scoring_T == (half == SCORING)
            if rows.any():
                whole = bool(rows.all())
                values = values_TN if whole else values_TN[rows]
                self._add(half, values, features_TF if whole else features_TF[rows])

    def _add(self, half: int, values_TN: Floats, features_TF: Floats) -> None:
        bins = self._scale.bins(values_TN) + self._offsets
        size = self._all.shape[1]
        self._all[half] += np.bincount(bins.ravel(), minlength=size)
        if half == SCORING:
            for column, counts in self._true.items():
                rows = features_TF[:, column] > 0
                if rows.any():
                    counts += np.bincount(bins[rows].ravel(), minlength=size)
        values, features = values_TN - self._shift_N, features_TF - self._shift_F
        self._count[half] += len(values)
        self._v[half] += values.sum(axis=0, dtype=np.float64)
        self._vv[half] += np.square(values).sum(axis=0, dtype=np.float64)
        self._f[half] += features.sum(axis=0, dtype=np.float64)
        self._ff[half] += np.square(features, dtype=np.float64).sum(axis=0)
        self._cases[half] += (features_TF != 0).sum(axis=0)
        self._vf[half] += values.T @ features

    def counts(self) -> tuple[int, int]:
        """Rows of the half that chooses and of the one that scores."""
        return int(self._count[CHOOSING]), int(self._count[SCORING])

    def correlations(self, half: int) -> Doubles:
        """The correlation of each neuron with each feature on one half, `(units, features)`.

        Not a number where either is constant, or a binary feature too rare: see `MIN_CASES`.
        """
        count = max(self._count[half], 1.0)
        covariance = self._vf[half] / count - np.outer(self._v[half], self._f[half]) / count**2
        variance_N = _variance(count, self._v[half], self._vv[half])
        variance_F = _variance(count, self._f[half], self._ff[half])
        cases = np.minimum(self._cases[half], self._count[half] - self._cases[half])
        variance_F[~self._graded & (cases < MIN_CASES)] = np.nan
        product = np.sqrt(np.outer(variance_N, variance_F))
        result: Doubles = np.clip(covariance / product, -1.0, 1.0)
        return result

    def aucs(self) -> Doubles:
        """On the scoring half, `(units, features)`: how often a value where the feature is true
        exceeds one where it is false; ties count half, and so do values in one bin.

        Not a number for graded features, and where a feature is always true or never.
        """
        result = np.full((len(self._offsets), len(self._graded)), np.nan)
        every = self._all[SCORING].reshape(-1, BINS)
        for column, counts in self._true.items():
            true = counts.reshape(-1, BINS)
            false = every - true
            below = np.cumsum(false, axis=1) - false / 2
            pairs = true.sum(axis=1) * false.sum(axis=1).astype(np.float64)
            with np.errstate(invalid="ignore"):
                result[:, column] = (true * below).sum(axis=1) / pairs
        return result

    def spreads(self) -> Doubles:
        """Standard deviation of each neuron's values over both halves, `(units,)`."""
        sums = self._v.sum(axis=0), self._vv.sum(axis=0)
        count = max(float(self._count.sum()), 1.0)
        squares = sums[1] / count - (sums[0] / count) ** 2
        result: Doubles = np.sqrt(np.maximum(squares, 0.0))
        return result

    def histograms(self) -> Counts:
        """How many values of each neuron lie in each bin, both halves together, `(units, BINS)`."""
        result: Counts = self._all.sum(axis=0).reshape(-1, BINS)
        return result


def _variance(count: float, sums: Doubles, squares: Doubles) -> Doubles:
    """Not a number where nothing varies, but for what rounding makes of it."""
    mean = squares / count
    variance = mean - (sums / count) ** 2
    result: Doubles = np.where(variance > 1e-9 * np.maximum(mean, 1e-30), variance, np.nan)
    return result
