"""Labels: which text is whose. A vector for each, added to that of every symbol that is read.

The first layer of a cell reads the vector x of a symbol by `weight_ih @ x + bias`. Under a label
whose vector is a it reads x + a, so that each of its gates has `weight_ih @ a` more:

    weight_ih @ (x + a) + bias  =  weight_ih @ x + (bias + weight_ih @ a)

That is what a second input of the network would add, at every step, for any cell, without a change
of a recurrence; the layers above learn of it through the first. A label that stays is a bias of
the first layer (`with_label`), so a model under one label, or under a mixture, is a model like any
other: every engine, view and export reads it. Without a label nothing is added. That is a state
which training knows, because it leaves the label out of some texts (`LABEL_DROPOUT`).

Labels in a text are numbered from 1; 0 is none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from textgen.model.config import ModelConfig

Floats = NDArray[np.float32]
Ids = NDArray[np.integer]


def label_rows(config: ModelConfig, weights: Mapping[str, Floats]) -> Floats:
    """What each label adds to the pre-activations of the first layer, `(1 + labels, G * H)`."""
    rows = len(weights["layers.0.bias"])
    none = np.zeros((1, rows), np.float32)
    if not config.labels:
        return none
    return np.concatenate([none, weights["labels.weight"] @ weights["layers.0.weight_ih"].T])


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
        vector = np.array(list(shares.values()), np.float32) @ vectors[rows]
        own["layers.0.bias"] = own["layers.0.bias"] + own["layers.0.weight_ih"] @ vector
    return replace(config, labels=()), own


class LabelledRows:
    """The first layer's inputs of a window in which symbols have labels.

    An engine that reads a table of one row a symbol is given a row for each pair of a symbol and a
    label that the window has: the sum of their vectors. The gradient of a row is that of both.

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
        self._vocab_size = config.vocab_size
        self._weights = weights
        self._gradients = gradients
        self._symbols = self._labels = np.zeros(0, np.int64)
        #: The rows, and their gradients, `(capacity, E)`.
        self.rows = np.zeros((capacity, config.embedding_size), np.float32)
        self.gradient = np.zeros_like(self.rows)

    @property
    def capacity(self) -> int:
        """Rows at most."""
        return len(self.rows)

    def pairs(self, ids_TB: Ids, labels_TB: Ids | None) -> tuple[Ids, NDArray[np.int64]]:
        """The pairs of a window as numbers, and which of them each token is, `(T, B)`."""
        codes_TB = np.asarray(ids_TB, np.int64)
        if labels_TB is not None:
            codes_TB = codes_TB + self._vocab_size * np.asarray(labels_TB, np.int64)
        found, places = np.unique(codes_TB, return_inverse=True)
        return found, places.reshape(codes_TB.shape)

    def fill(self, found: Ids) -> None:
        """Make the rows of these pairs."""
        self._labels, self._symbols = np.divmod(found, self._vocab_size)
        rows = self.rows[: len(found)]
        np.take(self._weights["embedding.weight"], self._symbols, axis=0, out=rows)
        has = self._labels > 0
        rows[has] += self._weights["labels.weight"][self._labels[has] - 1]

    def spread(self) -> None:
        """Add the gradient of the rows to that of the symbols, and make that of the labels."""
        gradient = self.gradient[: len(self._symbols)]
        np.add.at(self._gradients["embedding.weight"], self._symbols, gradient)
        has = self._labels > 0
        of_labels = self._gradients["labels.weight"]
        of_labels[...] = 0.0
        np.add.at(of_labels, self._labels[has] - 1, gradient[has])
