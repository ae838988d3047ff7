"""The figures of one layer's neurons, gathered block by block."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from textgen.cells import Cell
from textgen.cells.rnn import RNNCell
from textgen.inspection.association import Association, Scale
from textgen.inspection.features import FEATURES
from textgen.inspection.gates import LEFT, RIGHT
from textgen.inspection.moments import Moments
from textgen.inspection.neuron_report import Saturation
from textgen.inspection.passages import Highest, snapshots
from textgen.inspection.selection import NeuronStats

Floats = NDArray[np.float32]


class LayerFigures:
    """Everything that is gathered of one layer: moments, scores, highest and lowest places.

    Args:
        units: Which units its columns are, `(units,)`.
        quantity: What is looked at.
        scale: Of the histograms.
        detail: Columns of which the values around their highest and lowest places are kept.
        passages: How many of these places are wanted of each unit.
    """

    def __init__(
        self,
        units: NDArray[np.int64],
        quantity: str,
        scale: Scale,
        detail: Sequence[int],
        passages: int,
    ) -> None:
        graded = np.array([feature.graded for feature in FEATURES.values()])
        size = len(units)
        self.units = units
        self.association = Association(size, graded, scale)
        self.moments = Moments(size)
        self.highest = Highest(size, passages)
        self.lowest = Highest(size, passages, lowest=True)
        #: Whether lowest -> column -> place -> values around it.
        self.contexts: dict[bool, dict[int, dict[int, Floats]]] = {
            lowest: {column: {} for column in detail} for lowest in (False, True)
        }
        self._is_cell = quantity == "cell"
        self._is_gate = quantity.endswith("-gate")
        self._shut = np.zeros(size, np.int64)
        self._open = np.zeros(size, np.int64)
        self._detail = list(detail)
        self._window: Floats = np.empty((0, len(self._detail)), np.float32)

    def add(
        self,
        values_TN: Floats,
        features_TF: Floats,
        places_T: NDArray[np.int64],
        scoring_T: NDArray[np.bool_],
        ends_T: NDArray[np.bool_],
        start: int,
        stop: int,
    ) -> None:
        """Take in some rows, which stand in order.

        Args:
            values_TN: What the units had.
            features_TF: The built-in features at the same tokens.
            places_T: Number of each token in the text.
            scoring_T: Which belong to the half that scores.
            ends_T: Which are end marks.
            start: First token of the block that is read.
            stop: The one after its last.
        """
        self.moments.add(values_TN)
        seen = np.tanh(values_TN) if self._is_cell else values_TN
        self.association.add(seen, features_TF, scoring_T)
        if self._is_gate:
            self._shut += (values_TN < LEFT).sum(axis=0)
            self._open += (values_TN > RIGHT).sum(axis=0)
        if self._detail:
            if len(self._window) != stop - start:
                self._window = np.full((stop - start, len(self._detail)), np.nan, np.float32)
            self._window[places_T - start] = values_TN[:, self._detail]
        # An end mark is no place in the text.
        shown = (values_TN[~ends_T], places_T[~ends_T]) if ends_T.any() else (values_TN, places_T)
        self.highest.add(*shown)
        self.lowest.add(*shown)

    def finish(self, start: int) -> None:
        """A block is over: what is needed of its values is kept."""
        for row, column in enumerate(self._detail):
            for lowest, found in ((False, self.highest), (True, self.lowest)):
                places = [place for place, _ in found.found(column)]
                snapshots(self._window[:, row], start, places, self.contexts[lowest][column])
        self._window[:] = np.nan

    def stats(self, layer: int, quantity: str) -> list[tuple[NeuronStats, Saturation | None]]:
        """Distribution and, for a gate, saturation of each unit, in the order of `units`."""
        mean, sd, minimum, maximum = self.moments.summary()
        effect = self.association.spreads() if self._is_cell else sd
        count = self.moments.count
        return [
            (
                NeuronStats(
                    layer,
                    int(unit),
                    quantity,
                    float(mean[column]),
                    float(sd[column]),
                    float(minimum[column]),
                    float(maximum[column]),
                    effect=float(effect[column]),
                ),
                Saturation(self._shut[column] / count, self._open[column] / count)
                if self._is_gate
                else None,
            )
            for column, unit in enumerate(self.units)
        ]


def scale_of(cell: Cell, quantity: str) -> Scale:
    """The range of a quantity: only a state without tanh has none."""
    if quantity.endswith("-gate"):
        return Scale(0.0, 1.0)
    unbounded = isinstance(cell, RNNCell) and cell.nonlinearity != "tanh"
    return Scale(-1.0, 1.0, squeezed=unbounded)
