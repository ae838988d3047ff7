"""What a character outside the vocabulary costs, in `eval` and in the surprise view alike.

A model gives such a character the probability of `UNKNOWN_ID`, which stands for all characters it
does not know. To be an honest code length, the cost must also say which one it was: a uniform
choice among all Unicode scalar values, whatever the text. So

    cost = -log p(UNKNOWN) + log(1,112,064)

in nats; the second term is about 20.08 bits. Both the evaluation and the surprise view charge it,
which is why their sums agree.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from textgen.corpus.vocabulary import UNKNOWN_ID

#: Unicode scalar values: 0x110000 code points less the 2,048 surrogates.
SCALAR_VALUES = 0x110000 - 0x800

#: Nats added to the cost of each unknown character.
ESCAPE_NATS = math.log(SCALAR_VALUES)

#: The same in bits.
ESCAPE_BITS = math.log2(SCALAR_VALUES)


def charge_escapes(nats: NDArray[np.floating], ids: NDArray[np.integer]) -> NDArray[np.float64]:
    """The full cost of each token, the escape cost of unknown characters included.

    Args:
        nats: `-log p(token)` in nats, any shape. Not modified.
        ids: The tokens, of the same shape.
    Returns:
        `nats` with `ESCAPE_NATS` added where the token is `UNKNOWN_ID`, in float64.
    """
    charged: NDArray[np.float64] = nats.astype(np.float64) + ESCAPE_NATS * (ids == UNKNOWN_ID)
    return charged
