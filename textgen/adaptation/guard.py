"""A guard: the network that learns while it reads, mixed with the one that stays as it is.

Both predict. Their weights are equal at first, and then as likely as each has made the text so far
(a Bayes mixture). So a text costs at most one bit more in all than under the better of the two,
whatever it is. Without the guard learning lost 0.01 to 0.03 bits a character on what the model had
written itself, which nothing predicts better than the model as it is (docs/log.md).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from textgen.model.head import log_softmax
from textgen.model.network import Floats, Predicted, TokenReader

Doubles = NDArray[np.float64]


def guarded(learning: Iterable[Predicted], still: Iterable[Predicted]) -> Iterator[Predicted]:
    """A text as both networks together predict it.

    Args:
        learning: The text in parts, with the logits of the network that learns.
        still: The same parts, with those of the network that does not.
    Yields:
        The parts, with the logarithms of the mixed distributions.
    """
    odds = 0.0  # The logarithm of the ratio of the weights, of the one that learns to the other.
    for (part, learning_NV), (_, still_NV) in zip(learning, still, strict=True):
        first_NV, second_NV = log_softmax(learning_NV), log_softmax(still_NV)
        rows = np.arange(len(part))
        gained_N = first_NV[rows, part] - second_NV[rows, part]
        odds_N1 = (odds + np.cumsum(gained_N) - gained_N)[:, None]
        odds += float(gained_N.sum())
        yield part, _mixed(first_NV, second_NV, odds_N1)


class GuardedReader:
    """The same for a text that is read token by token.

    Args:
        learning: The network that learns.
        still: The one that does not.
    """

    def __init__(self, learning: TokenReader, still: TokenReader) -> None:
        self._learning, self._still = learning, still
        self._odds = 0.0
        self._gains_V = np.zeros(0)  # What the odds gain by each token that may come.

    def read(self, token: int) -> Floats:
        """Read one token; see `TokenReader.read`."""
        if len(self._gains_V):
            self._odds += float(self._gains_V[token])
        first_V = log_softmax(self._learning.read(token))
        second_V = log_softmax(self._still.read(token))
        self._gains_V = first_V - second_V
        return _mixed(first_V, second_V, np.float64(self._odds))


def _mixed(first: Doubles, second: Doubles, odds: Doubles | np.float64) -> Floats:
    """The logarithms of two distributions mixed, where the first is e^odds times as likely."""
    mixed = np.logaddexp(first - np.logaddexp(0.0, -odds), second - np.logaddexp(0.0, odds))
    return np.ascontiguousarray(mixed, np.float32)
