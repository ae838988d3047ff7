"""A guard: the network that learns while it reads, mixed with the one that stays as it is.

Both predict. Their weights are equal at first, and then as likely as each has made the text so far
(a Bayes mixture). So a text costs at most one bit more in all than under the better of the two,
whatever it is. Without the guard learning lost 0.01 to 0.03 bits a character on what the model had
written itself, which nothing predicts better than the model as it is (docs/log.md).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from textgen.model.head import log_softmax
from textgen.model.network import Predicted


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
        mixed_NV = np.logaddexp(
            first_NV - np.logaddexp(0.0, -odds_N1), second_NV - np.logaddexp(0.0, odds_N1)
        )
        yield part, np.ascontiguousarray(mixed_NV, np.float32)
