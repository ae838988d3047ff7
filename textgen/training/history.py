"""The cost of a text under a network that sees a fixed number of tokens before each: the lecture's
windows, the state from zero at the beginning of each.

So every token costs a window of `history` steps; they are read many side by side.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from textgen.corpus.vocabulary import END_ID
from textgen.corpus.windows import Tokens
from textgen.errors import ConfigError, named
from textgen.model.base import Network
from textgen.progress import track
from textgen.training.evaluate import LOGITS, MEASURING, costs

#: Tokens of all windows that are read at once, and windows at most.
TOKENS_TOGETHER, WINDOWS_TOGETHER = 1 << 16, 1024
#: Positions that `textgen eval --history` charges unless told otherwise.
POSITIONS = 20_000


def nats_by_history(
    network: Network, tokens: Tokens, history: int, *, limit: int
) -> tuple[float, int]:
    """Mean cost of a token to a network that sees exactly the `history` tokens before it.

    The state is zero before the first of these. Of what stands before a document nothing is seen:
    near its beginning the window begins with the end mark before it, and is shorter. Escapes are
    charged, and so are end marks.

    Args:
        network: The model.
        tokens: The text, `(N,)`.
        history: Tokens seen, the end mark before a document included.
        limit: Charge at most so many tokens, spread evenly over the text.
    Returns:
        Nats a token, and how many tokens were charged.
    Raises:
        ConfigError: `history` or `limit` is not positive.
    """
    if history < 1 or limit < 1:
        raise ConfigError(
            f"{named('history')} is {history} and {named('limit')} {limit}; both must be at least "
            "1 token"
        )
    positions = spread_positions(len(tokens), limit)
    # A longer one sees no more: before the text there is an end mark.
    history = min(history, len(tokens))
    most = min(
        TOKENS_TOGETHER // history, WINDOWS_TOGETHER, LOGITS // history // network.config.vocab_size
    )
    together = max(1, most)
    back_T1 = np.arange(-history, 0)[:, None]
    total = 0.0
    firsts = range(0, len(positions), together)
    for first in track(firsts, MEASURING, len(firsts)):
        positions_B = positions[first : first + together]
        places_TB = positions_B[None, :] + back_T1
        inputs_TB = np.where(places_TB < 0, END_ID, tokens[np.maximum(places_TB, 0)])
        # Only the last prediction is asked for; the others' targets are as good as any.
        targets_TB = np.vstack([inputs_TB[1:], tokens[positions_B][None, :]])
        nats_TB, _ = costs(
            network,
            inputs_TB.astype(np.int64),
            targets_TB.astype(np.int64),
            network.zero_state(len(positions_B)),
        )
        total += float(nats_TB[-1].sum())
    return total / len(positions), len(positions)


def spread_positions(count: int, limit: int) -> NDArray[np.int64]:
    """At most `limit` of `count` places, spread evenly, `(P,)`."""
    wanted = min(count, limit)
    return np.arange(wanted, dtype=np.int64) * count // wanted
