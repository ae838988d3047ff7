"""Labels: which text is whose. Each is one more input of the first layer, at every step.

The first layer of a cell reads the vector x of a symbol by `weight_ih @ x + bias`. Under a label it
reads one input more, whose weights are the label's vector a:

    weight_ih @ x + bias + s * a,  s = LABEL_INPUT

s is above 1 because a symbol's vector has many numbers, and an update moves the weights of each: a
label learns as fast as symbols do by one large number (docs/log.md).

So a label moves each gate of each neuron by itself, for any cell, without a change of a recurrence;
the layers above learn of it through the first. (A vector that is added to x instead can move
the gates only in the few directions in which symbols do: docs/log.md.) A label that stays is a
bias (`with_label`), so a model under one label, or under a mixture, is a model like any other:
every engine, view and export reads it. Without a label nothing is added. That is a state which
training knows, because it leaves the label out of some texts (`LABEL_DROPOUT`).

Labels in a text are numbered from 1; 0 is none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from textgen.model.config import ModelConfig

#: The input of a label under which a text is read, a power of two.
LABEL_INPUT = np.float32(4.0)

Floats = NDArray[np.float32]
Ids = NDArray[np.integer]


def label_rows(config: ModelConfig, weights: Mapping[str, Floats]) -> Floats:
    """What each label adds to the pre-activations of the first layer, `(1 + labels, G * H)`."""
    none = np.zeros((1, len(weights["layers.0.bias"])), np.float32)
    if not config.labels:
        return none
    return np.concatenate([none, LABEL_INPUT * weights["labels.weight"]])


def with_label(
    config: ModelConfig, weights: Mapping[str, Floats], shares: Mapping[str, float]
) -> tuple[ModelConfig, dict[str, Floats]]:
    """A model under a mixture of labels, as a model without labels.

    Args:
        config: The model's shape.
        weights: Its weights; not modified.
        shares: How much of each label's vector is added. Empty: none.
    Returns:
        The shape and the weights, in which the mixture is a part of the first layer's bias.
    """
    own = dict(weights)
    if not config.labels:
        return config, own
    vectors = own.pop("labels.weight")
    if shares:
        rows = [config.labels.index(name) for name in shares]
        mixture: Floats = np.array(list(shares.values()), np.float32) @ vectors[rows]
        own["layers.0.bias"] = own["layers.0.bias"] + LABEL_INPUT * mixture
    return replace(config, labels=()), own


class LabelledRows:
    """The first layer's inputs of a window in which symbols have labels.

    An engine that reads a table of one row a symbol is given a row for each pair of a symbol and a
    label that the window has: the symbol's vector, and behind it the input of the label. The
    weights of the input have the labels' vectors as further columns.

    Args:
        config: The model's shape, with labels.
        weights, gradients: By name, as `config.tensor_shapes()` has them.
        capacity: Rows at most.
    """

    def __init__(
        self,
        config: ModelConfig,
        weights: Mapping[str, Floats],
        gradients: Mapping[str, Floats],
        capacity: int,
    ) -> None:
        self._config = config
        self._weights = weights
        self._gradients = gradients
        self._symbols = np.zeros(0, np.int64)
        self._width = config.embedding_size
        #: Columns of a row.
        self.width = self._width + len(config.labels)
        #: The rows, and their gradients, `(capacity, width)`.
        self.rows = np.zeros((capacity, self.width), np.float32)
        self.row_gradients = np.zeros_like(self.rows)
        #: The weights of the first layer's input, and their gradients, `(G * H, width)`.
        self.columns = np.zeros((len(weights["layers.0.bias"]), self.width), np.float32)
        self.column_gradients = np.zeros_like(self.columns)

    @property
    def capacity(self) -> int:
        """Rows at most."""
        return len(self.rows)

    def pairs(self, ids_TB: Ids, labels_TB: Ids | None) -> tuple[Ids, NDArray[np.int64]]:
        """The pairs of a window as numbers, and which of them each token is, `(T, B)`."""
        codes_TB = np.asarray(ids_TB, np.int64)
        if labels_TB is not None:
            codes_TB = codes_TB + self._config.vocab_size * np.asarray(labels_TB, np.int64)
        found, places = np.unique(codes_TB, return_inverse=True)
        return found, places.reshape(codes_TB.shape)

    def fill(self, found: Ids) -> None:
        """Make the rows of these pairs."""
        labels, self._symbols = np.divmod(found, self._config.vocab_size)
        rows = self.rows[: len(found)]
        rows[:, : self._width] = self._weights["embedding.weight"][self._symbols]
        rows[:, self._width :] = 0.0
        has = np.flatnonzero(labels)
        rows[has, self._width + labels[has] - 1] = LABEL_INPUT

    def fill_columns(self) -> None:
        """Take over the weights of the first layer's input, and the labels' vectors."""
        self.columns[:, : self._width] = self._weights["layers.0.weight_ih"]
        self.columns[:, self._width :] = self._weights["labels.weight"].T

    def wide(self, mask_E: Floats | None) -> Floats | None:
        """A factor on the symbols' vectors as one on the rows: no label is dropped."""
        if mask_E is None:
            return None
        return np.concatenate([mask_E, np.ones(len(self._config.labels), np.float32)])

    def spread(self) -> None:
        """Add the gradient of the rows to that of the symbols, and take that of the columns."""
        own = self.row_gradients[: len(self._symbols), : self._width]
        np.add.at(self._gradients["embedding.weight"], self._symbols, own)
        self._gradients["layers.0.weight_ih"][...] = self.column_gradients[:, : self._width]
        self._gradients["labels.weight"][...] = self.column_gradients[:, self._width :].T
