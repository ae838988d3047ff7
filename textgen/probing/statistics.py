"""Accuracy, AUC, p-values, thresholds and standard errors, of many columns at once.

Shape suffixes: `N` examples, `U` units.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

#: Columns sorted at once, which bounds memory.
_COLUMNS = 256


@dataclass(frozen=True)
class Score:
    """Figures on the held-out part.

    Args:
        accuracy: Mean of the two kinds' accuracies; guessing gives 0.5.
        auc: Chance that a positive example has a higher score than a negative one.
    """

    accuracy: float
    auc: float


class Ranks:
    """The ranks of every column, from which one product makes the AUC of any labelling.

    Args:
        values_NU: One column for each neuron.
    """

    def __init__(self, values_NU: NDArray[np.floating]) -> None:
        count, units = values_NU.shape
        self.ranks_NU = np.empty((count, units), np.float32)
        places = np.arange(count)[:, None]
        for start in range(0, units, _COLUMNS):
            part = values_NU[:, start : start + _COLUMNS]
            order = np.argsort(part, axis=0, kind="stable")
            ordered = np.take_along_axis(part, order, axis=0)
            begins = np.ones(part.shape, bool)
            begins[1:] = ordered[1:] != ordered[:-1]
            ends = np.ones(part.shape, bool)
            ends[:-1] = begins[1:]
            first = np.maximum.accumulate(np.where(begins, places, 0), axis=0)
            last = np.minimum.accumulate(np.where(ends, places, count)[::-1], axis=0)[::-1]
            # Equal values share the mean of their ranks.
            shared = ((first + last) / 2.0 + 1.0).astype(np.float32)
            np.put_along_axis(self.ranks_NU[:, start : start + _COLUMNS], order, shared, axis=0)

    def auc(self, labels_N: Bools) -> Doubles:
        """Chance that a positive example has the higher value, `(U,)`; ties count half."""
        positives = int(labels_N.sum())
        pairs = positives * (len(labels_N) - positives)
        ranks_U = labels_N.astype(np.float64) @ self.ranks_NU.astype(np.float64)
        result: Doubles = (ranks_U - positives * (positives + 1) / 2.0) / max(pairs, 1)
        return result

    def p_values(self, labels_N: Bools, counted_N: Bools | None = None) -> Doubles:
        """Two-sided p-values of the AUC being 0.5, `(U,)`.

        The Mann-Whitney test by its normal approximation. The variance of the sum of the ranks is
        that over all orders of the labels, so ties are in it. For very small p-values, which matter
        after a correction for many tests, the approximation is conservative.
        Source: Mann and Whitney 1947; Lehmann 1975, Nonparametrics, section 1.4 and appendix 2.

        Args:
            labels_N: Which examples are positive.
            counted_N: The examples that count; None: all. Their ranks are those among all.
        """
        ranks_NU = self.ranks_NU if counted_N is None else self.ranks_NU[counted_N]
        labels_N = labels_N if counted_N is None else labels_N[counted_N]
        count = len(labels_N)
        positives = int(labels_N.sum())
        pairs = positives * (count - positives)
        if not pairs:
            return np.ones(ranks_NU.shape[1])
        moved_NU = ranks_NU - ranks_NU.mean(axis=0, dtype=np.float64)
        squares_U = np.einsum("nu,nu->u", moved_NU, moved_NU)
        variance_U = pairs / (count * (count - 1.0)) * squares_U
        distance_U = np.abs(labels_N.astype(np.float64) @ moved_NU)
        # A constant column has no variance and says nothing.
        z_U = np.where(variance_U > 1e-9, distance_U / np.sqrt(np.maximum(variance_U, 1e-9)), 0.0)
        return np.array([math.erfc(z / math.sqrt(2.0)) for z in z_U.tolist()])


def holm(p_values_U: Doubles, among: int) -> Doubles:
    """p-values corrected for `among` tests, which bounds the chance of any false finding.

    Source: Holm 1979, A simple sequentially rejective multiple test procedure.

    Args:
        p_values_U: The p-values of the tests that were made.
        among: How many tests there are in all; those not given count as 1.
    """
    order = np.argsort(p_values_U, kind="stable")
    factors = among - np.arange(len(order))
    corrected = np.maximum.accumulate(np.minimum(1.0, p_values_U[order] * factors))
    result = np.empty(len(order))
    result[order] = corrected
    return result


def thresholds(values_NU: NDArray[np.floating], labels_N: Bools, signs_U: Ints) -> Doubles:
    """The threshold of each column that separates the two kinds best, `(U,)`.

    The best threshold has the highest mean of the two kinds' accuracies. It lies midway between two
    values that occur; for a constant column it is that value.

    Args:
        values_NU: One column for each neuron.
        labels_N: Which examples are positive; both kinds occur.
        signs_U: 1 where positive examples lie above the threshold, -1 where below.
    """
    count, units = values_NU.shape
    result = np.empty(units)
    positives = int(labels_N.sum())
    for start in range(0, units, _COLUMNS):
        signs = signs_U[start : start + _COLUMNS]
        part = values_NU[:, start : start + _COLUMNS].astype(np.float64) * signs
        order = np.argsort(part, axis=0, kind="stable")
        ordered = np.take_along_axis(part, order, axis=0)
        below = np.cumsum(labels_N[order], axis=0)
        above_or_right = (1.0 - below / positives) + (
            (np.arange(1, count + 1)[:, None] - below) / (count - positives)
        )
        # There is no threshold between equal values, nor after the last.
        above_or_right[:-1][ordered[1:] == ordered[:-1]] = -1.0
        above_or_right[-1] = -1.0
        place = above_or_right.argmax(axis=0)
        columns = np.arange(part.shape[1])
        following = np.minimum(place + 1, count - 1)
        cut = (ordered[place, columns] + ordered[following, columns]) / 2.0
        result[start : start + _COLUMNS] = cut * signs
    return result


def accuracy(predicted_N: Bools, labels_N: Bools) -> float:
    """Mean of the two kinds' accuracies: guessing gives 0.5, whatever the share of each kind."""
    return float((predicted_N[labels_N].mean() + (~predicted_N[~labels_N]).mean()) / 2.0)


def auc(scores_N: NDArray[np.floating], labels_N: Bools) -> float:
    """The AUC of one column of scores."""
    return float(Ranks(scores_N[:, None]).auc(labels_N)[0])


def score_of(scores_N: NDArray[np.floating], labels_N: Bools, cut: float = 0.0) -> Score:
    """The figures of scores that say positive above `cut`."""
    return Score(accuracy(scores_N > cut, labels_N), auc(scores_N, labels_N))


def accuracy_error(said_N: Bools, labels_N: Bools, counted_N: Bools) -> float:
    """Standard error of the mean of the two kinds' accuracies, from their binomial variances.

    Each kind's accuracy enters as (right + 1) / (examples + 2), Laplace's rule, because an accuracy
    of 1 on a sample does not mean that there is no uncertainty.

    Args:
        said_N: Which examples were called positive.
        labels_N: Which are positive.
        counted_N: Which are independent of each other; the accuracies are those of all examples.
    """
    variance = 0.0
    for kind in (True, False):
        count = int((counted_N & (labels_N == kind)).sum())
        right = _rule_of_succession(float((said_N[labels_N == kind] == kind).mean()), count)
        variance += right * (1.0 - right) / max(count, 1)
    return float(np.sqrt(variance)) / 2.0


def auc_error(auc: float, labels_N: Bools) -> float:
    """Standard error of an AUC of independent examples.

    Source: Hanley and McNeil 1982, The meaning and use of the area under a ROC curve, equation 1;
    the area enters by Laplace's rule, as above.
    """
    positives = int(labels_N.sum())
    negatives = len(labels_N) - positives
    area = _rule_of_succession(auc, min(positives, negatives))
    square = area * area
    # Chance that two positives both outrank one negative, and that one outranks two negatives.
    two_positives, two_negatives = area / (2.0 - area), 2.0 * square / (1.0 + area)
    variance = area * (1.0 - area)
    variance += (positives - 1) * (two_positives - square)
    variance += (negatives - 1) * (two_negatives - square)
    return float(np.sqrt(variance / max(positives * negatives, 1)))


def _rule_of_succession(share: float, count: int) -> float:
    return (share * count + 1.0) / (count + 2.0)
