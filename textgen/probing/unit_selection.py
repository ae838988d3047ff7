"""Which neurons carry a property: chosen on the training part, confirmed on the held-out part.

A neuron is a candidate if its AUC on the training part is significant after a correction for all
neurons. It is found if its AUC on the held-out part, with the same sign, is significant too,
corrected (Holm 1979) as if every neuron were tested. So the chance of finding anything where there
is nothing is at most `alpha`, if the examples that count (`Examples.independent_N`) are
independent. The tests cannot know what else they share, such as an author or a subject of the texts
of one kind.

Shape suffixes: `N` examples, `U` units.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from textgen.probing.examples import Examples
from textgen.probing.statistics import (
    Bools,
    Doubles,
    Floats,
    Ints,
    Ranks,
    Score,
    holm,
    score_of,
    thresholds,
)
from textgen.view_options import ALPHA


@dataclass(frozen=True, kw_only=True, eq=False)
class UnitTable:
    """The figures of every neuron; the columns are those of `Features`.

    Args:
        train_auc_U: AUC on the training part; below 0.5 where the positive kind lies lower.
        sign_U: 1 where the positive kind lies above the threshold, -1 where below.
        threshold_U: The threshold that is best on the training part, of the visible value.
        auc_U: AUC on the held-out part in the direction of the sign; below 0.5 the sign is wrong.
        accuracy_U: Accuracy on the held-out part with that threshold.
        p_value_U: Two-sided p-value on the held-out part.
        corrected_U: The same, corrected for all neurons; 1 for neurons that are not candidates.
        found_U: Whether the neuron is reported.
        chosen: The unit that is best on the training part, found or not.
    """

    train_auc_U: Doubles
    sign_U: Ints
    threshold_U: Doubles
    auc_U: Doubles
    accuracy_U: Doubles
    p_value_U: Doubles
    corrected_U: Doubles
    found_U: Bools
    chosen: int


class Selector:
    """Chooses neurons for the true labels and for permuted ones, from ranks that are made once.

    Args:
        values_NU: The visible value of each neuron (`Features.seen_NU`).
        examples: The labelled examples.
        alpha: Chance of finding anything where there is nothing.
    """

    def __init__(self, values_NU: Floats, examples: Examples, alpha: float = ALPHA) -> None:
        train, test = np.flatnonzero(examples.train_N), np.flatnonzero(examples.held_out_N)
        self.train, self.test = train, test
        self._train_values = values_NU[train]
        self._test_values = values_NU[test]
        self._train_ranks = Ranks(self._train_values)
        self._test_ranks = Ranks(self._test_values)
        # Tests count only examples that are independent of each other.
        self._counted_N = examples.independent_N
        self._alpha = alpha
        self.units = values_NU.shape[1]

    def find(self, labels_N: Bools) -> UnitTable:
        """Return the figures of every neuron for a labelling."""
        train_labels, test_labels = labels_N[self.train], labels_N[self.test]
        train_auc_U = self._train_ranks.auc(train_labels)
        sign_U = np.where(train_auc_U >= 0.5, 1, -1)
        threshold_U = thresholds(self._train_values, train_labels, sign_U)
        test_auc_U = self._test_ranks.auc(test_labels)
        auc_U = np.where(sign_U > 0, test_auc_U, 1.0 - test_auc_U)
        said_NU = (self._test_values * sign_U) > (threshold_U * sign_U)
        accuracy_U = (said_NU[test_labels].mean(axis=0) + 1.0) / 2.0
        accuracy_U -= said_NU[~test_labels].mean(axis=0) / 2.0
        p_value_U, corrected_U, found_U = self._tested(labels_N, auc_U, self._counted_N)
        return UnitTable(
            train_auc_U=train_auc_U,
            sign_U=sign_U,
            threshold_U=threshold_U,
            auc_U=auc_U,
            accuracy_U=accuracy_U,
            p_value_U=p_value_U,
            corrected_U=corrected_U,
            found_U=found_U,
            chosen=int(np.argmax(np.abs(train_auc_U - 0.5))),
        )

    def can_find(self, labels_N: Bools) -> bool:
        """Whether both parts have enough independent examples for any neuron to be found.

        The smallest possible p-value is that of a unit which is the label itself.
        """
        return all(
            Ranks(labels[:, None].astype(np.float32)).p_values(labels)[0] * self.units
            <= self._alpha
            for part in (self.train, self.test)
            for labels in (labels_N[part][self._counted_N[part]],)
        )

    def finds_any(self, labels_N: Bools, counted_N: Bools | None = None) -> bool:
        """Whether any neuron would be reported for a labelling.

        Args:
            labels_N: The labels, true or permuted.
            counted_N: The examples that are independent of each other with these labels; None:
                those that are with the true ones.
        """
        train_U = self._train_ranks.auc(labels_N[self.train])
        test_U = self._test_ranks.auc(labels_N[self.test])
        auc_U = np.where(train_U >= 0.5, test_U, 1.0 - test_U)
        counted_N = self._counted_N if counted_N is None else counted_N
        return bool(self._tested(labels_N, auc_U, counted_N)[2].any())

    def best_of(self, labels_N: Bools, units: Ints | None = None) -> tuple[int, Score]:
        """The unit that is best on the training part, and its figures on the held-out part.

        Args:
            labels_N: The labels, true or permuted.
            units: The neurons to choose from; None: all.
        """
        among = np.arange(self.units) if units is None else units
        train_labels = labels_N[self.train]
        auc_U = self._train_ranks.auc(train_labels)[among]
        unit = int(among[np.argmax(np.abs(auc_U - 0.5))])
        return unit, self.score_of_unit(unit, labels_N)

    def score_of_unit(self, unit: int, labels_N: Bools) -> Score:
        """Figures of a neuron on held-out text; threshold and sign are from the training part."""
        values = self._train_values[:, unit : unit + 1]
        labels = labels_N[self.train]
        above = float(Ranks(values).auc(labels)[0]) >= 0.5
        sign = np.array([1 if above else -1], np.int64)
        cut = float(thresholds(values, labels, sign)[0])
        return score_of(
            self._test_values[:, unit].astype(np.float64) * sign[0],
            labels_N[self.test],
            cut * float(sign[0]),
        )

    def _tested(
        self, labels_N: Bools, auc_U: Doubles, counted_N: Bools
    ) -> tuple[Doubles, Doubles, Bools]:
        """The p-values on the held-out part, the same corrected, and which neurons are found."""
        train, test = self.train, self.test
        train_p_U = self._train_ranks.p_values(labels_N[train], counted_N[train])
        candidates = np.flatnonzero(holm(train_p_U, self.units) <= self._alpha)
        p_value_U = self._test_ranks.p_values(labels_N[test], counted_N[test])
        corrected_U = np.ones(self.units)
        corrected_U[candidates] = holm(p_value_U[candidates], self.units)
        found_U = (corrected_U <= self._alpha) & (auc_U > 0.5)
        return p_value_U, corrected_U, found_U
