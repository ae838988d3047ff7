"""How far off a figure of held-out examples may be by luck: its standard error."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from textgen.probing.ranks import Bools


def accuracy_error(said_N: Bools, labels_N: Bools, counted_N: Bools) -> float:
    """Standard error of the mean of the two kinds' accuracies: of their binomial variances.

    Each kind's accuracy enters as (right + 1) / (examples + 2), Laplace's rule, because a figure
    without a fault is not one without an error.

    Args:
        said_N: Which examples were called positive.
        labels_N: Which are.
        counted_N: Which are independent of each other; the accuracies are of all.
    """
    variance = 0.0
    for kind in (True, False):
        count = int((counted_N & (labels_N == kind)).sum())
        right = _rule_of_succession(float((said_N[labels_N == kind] == kind).mean()), count)
        variance += right * (1.0 - right) / max(count, 1)
    return float(np.sqrt(variance)) / 2.0


def auc_error(auc: float, labels_N: NDArray[np.bool_]) -> float:
    """Standard error of an AUC.

    Source: Hanley and McNeil 1982, The meaning and use of the area under a ROC curve, equation 1;
    the area enters by Laplace's rule, as above.

    Args:
        auc: The area.
        labels_N: Of independent examples.
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
