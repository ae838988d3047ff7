"""The negative log-likelihood of a text under a model, in nats, read in four ways.

Every token counts, the first one too: it is predicted from the state after an end mark, as the
first token of a document is in training. End marks between documents count as well.

A model gives every character that it does not know the probability of `UNKNOWN_ID`. To be an
honest code length, the figure must also say which character it was: one of all Unicode scalar
values, each equally likely. So an unknown character has the negative log-likelihood

    -log p(UNKNOWN) + log(1,112,064)

in nats; the second term, the escape, is about 20.08 bits.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from textgen.corpus.vocabulary import END_ID, UNKNOWN_ID
from textgen.corpus.windows import Tokens
from textgen.errors import ConfigError, named
from textgen.model.network import Network, State
from textgen.progress import track

#: Unicode scalar values: 0x110000 code points less the 2,048 surrogates.
SCALAR_VALUES = 0x110000 - 0x800
#: The escape in nats and in bits.
ESCAPE_NATS = math.log(SCALAR_VALUES)
ESCAPE_BITS = math.log2(SCALAR_VALUES)

#: Tokens that a single stream reads at once.
CHUNK = 2048
#: Tokens that each part of a text is read after, where it is cut into parts.
WARMUP = 256
#: The most logits at once (64 MiB), so that a vocabulary of 30,000 words fits too.
LOGITS = 2**24
#: With a history: the most tokens of all windows at once, and the most windows.
HISTORY_TOKENS, HISTORY_WINDOWS = 1 << 16, 1024
#: What is being done, to people.
MEASURING = "measuring the cost"


class Nll(NamedTuple):
    """The negative log-likelihood of some tokens.

    Args:
        total: Sum over the tokens, in nats.
        tokens: How many they are.
    """

    total: float
    tokens: int

    @property
    def mean(self) -> float:
        """Nats per token."""
        return self.total / self.tokens


def charge_escapes(nats: NDArray[np.floating], ids: NDArray[np.integer]) -> NDArray[np.float64]:
    """The negative log-likelihood of each token with the escape of unknown characters.

    Args:
        nats: `-log p(token)` in nats, any shape. Not modified.
        ids: The tokens, of the same shape.
    Returns:
        `nats` with `ESCAPE_NATS` added where the token is `UNKNOWN_ID`, in float64.
    """
    charged: NDArray[np.float64] = nats.astype(np.float64) + ESCAPE_NATS * (ids == UNKNOWN_ID)
    return charged


def token_nll(
    network: Network, inputs_TB: NDArray[np.int64], targets_TB: NDArray[np.int64], state: State
) -> tuple[NDArray[np.float64], State]:
    """The figure of each target in nats, `(T, B)`, escapes included, and the state afterwards.

    The state is set to zero before every end mark that is read.
    """
    resets_TB = inputs_TB == END_ID
    nats_TB, state = network.nll(
        inputs_TB, targets_TB, state, resets_TB if resets_TB.any() else None
    )
    return charge_escapes(nats_TB, targets_TB), state


def steps_at_once(network: Network, streams: int, wanted: int) -> int:
    """Time steps to read at once: `wanted`, or fewer where the logits would be too many."""
    return max(1, min(wanted, LOGITS // (streams * network.config.vocab_size)))


def nll_in_one_pass(network: Network, tokens: Tokens) -> Iterator[Nll]:
    """Read a text from its start to its end, with the state carried on.

    Args:
        network: The model; the precision is that of its path.
        tokens: The text, `(N,)`.
    Yields:
        The figure of the tokens read so far.
    """
    state = network.zero_state(1)
    previous, total = END_ID, 0.0
    chunk = steps_at_once(network, 1, CHUNK)
    starts = range(0, len(tokens), chunk)
    for start in track(starts, MEASURING, len(starts)):
        targets = np.asarray(tokens[start : start + chunk], dtype=np.int64)
        inputs = np.concatenate(([previous], targets[:-1]))
        nats_TB, state = token_nll(network, inputs[:, None], targets[:, None], state)
        total += float(nats_TB.sum())
        previous = int(targets[-1])
        yield Nll(total, start + len(targets))


def nll_in_streams(
    network: Network, tokens: Tokens, *, streams: int = 64, limit: int | None = None
) -> Nll:
    """Read a text in parts side by side, at the speed of training.

    The `WARMUP` tokens before each part are read first and do not count, so the result is within
    noise of a single pass.

    Args:
        network: The model.
        tokens: The text, `(N,)`.
        streams: Parts; fewer for a short text.
        limit: The most tokens to count, in parts spread evenly over the text; None is all.
    """
    count = len(tokens)
    charged = count if limit is None else min(limit, count)
    streams = max(1, min(streams, charged // WARMUP))
    starts_B = np.arange(streams, dtype=np.int64) * count // streams
    if charged < count:
        lengths_B = np.full(streams, charged // streams, dtype=np.int64)
    else:
        lengths_B = np.diff(np.append(starts_B, count))
    warmup = min(WARMUP, int(starts_B[1])) if streams > 1 else 0
    steps = warmup + int(lengths_B.max())
    state = network.zero_state(streams)
    total, seen = 0.0, 0
    chunk = steps_at_once(network, streams, WARMUP)
    begins = range(0, steps, chunk)
    for begin in track(begins, MEASURING, len(begins)):
        time_T1 = np.arange(begin, min(begin + chunk, steps))[:, None]
        place_TB = starts_B[None, :] - warmup + time_T1
        inside_TB = (place_TB >= 0) & (time_T1 < warmup + lengths_B[None, :])
        targets_TB = np.where(inside_TB, tokens[np.clip(place_TB, 0, count - 1)], END_ID)
        inputs_TB = np.where(
            inside_TB & (place_TB > 0), tokens[np.clip(place_TB - 1, 0, count - 1)], END_ID
        )
        nats_TB, state = token_nll(
            network, inputs_TB.astype(np.int64), targets_TB.astype(np.int64), state
        )
        charged_TB = inside_TB & (time_T1 >= warmup)
        total += float(nats_TB[charged_TB].sum())
        seen += int(charged_TB.sum())
    return Nll(total, seen)


def nll_in_windows(
    network: Network, tokens: Tokens, starts: NDArray[np.int64], batch_size: int = 64
) -> Nll:
    """Read a text in windows, each from a zero state.

    The first token of a window is context only and the last prediction of a window is the first
    token of the next one, so every token but the first of the text counts once.

    Args:
        network: The model.
        tokens: The text, `(N,)`.
        starts: The first token of each window, rising from 0, `(W,)`; see `window_starts`.
        batch_size: Windows read side by side.
    """
    starts = starts[starts < len(tokens) - 1]
    stops = np.append(starts[1:], len(tokens) - 1)
    total, seen = 0.0, 0
    firsts = range(0, len(starts), batch_size)
    for first in track(firsts, "measuring the cost of windows", len(firsts)):
        starts_B, stops_B = starts[first : first + batch_size], stops[first : first + batch_size]
        steps = int((stops_B - starts_B).max())
        chunk = steps_at_once(network, len(starts_B), CHUNK)
        state = network.zero_state(len(starts_B))
        for begin in range(0, steps, chunk):
            time_T1 = np.arange(begin, min(begin + chunk, steps))[:, None]
            place_TB = starts_B[None, :] + time_T1
            inside_TB = place_TB < stops_B[None, :]
            place_TB = np.minimum(place_TB, len(tokens) - 2)
            inputs_TB = np.where(inside_TB, tokens[place_TB], END_ID).astype(np.int64)
            targets_TB = np.asarray(tokens[place_TB + 1], dtype=np.int64)
            nats_TB, state = token_nll(network, inputs_TB, targets_TB, state)
            total += float(nats_TB[inside_TB].sum())
            seen += int(inside_TB.sum())
    return Nll(total, seen)


def nll_with_history(network: Network, tokens: Tokens, history: int, *, limit: int) -> Nll:
    """Predict each token from exactly the `history` tokens before it.

    The state is zero before the first of these. Nothing before a document is seen: near the
    beginning of a document the window is shorter and begins with the end mark. Every token takes a
    window of `history` steps; many windows are read side by side.

    Args:
        network: The model.
        tokens: The text, `(N,)`.
        history: Tokens seen, the end mark before a document included.
        limit: The most tokens to count, spread evenly over the text.
    Raises:
        ConfigError: `history` or `limit` is not positive.
    """
    if history < 1 or limit < 1:
        raise ConfigError(
            f"{named('history')} is {history} and {named('limit')} {limit}; both must be at least "
            "1 token"
        )
    positions = spread_positions(len(tokens), limit)
    # A longer history sees no more, because an end mark stands before the text.
    history = min(history, len(tokens))
    logits = LOGITS // history // network.config.vocab_size
    together = max(1, min(HISTORY_TOKENS // history, HISTORY_WINDOWS, logits))
    back_T1 = np.arange(-history, 0)[:, None]
    total = 0.0
    firsts = range(0, len(positions), together)
    for first in track(firsts, MEASURING, len(firsts)):
        positions_B = positions[first : first + together]
        places_TB = positions_B[None, :] + back_T1
        inputs_TB = np.where(places_TB < 0, END_ID, tokens[np.maximum(places_TB, 0)])
        # Only the last prediction counts; any targets do for the others.
        targets_TB = np.vstack([inputs_TB[1:], tokens[positions_B][None, :]])
        nats_TB, _ = token_nll(
            network,
            inputs_TB.astype(np.int64),
            targets_TB.astype(np.int64),
            network.zero_state(len(positions_B)),
        )
        total += float(nats_TB[-1].sum())
    return Nll(total, len(positions))


def window_starts(chars_per_token: NDArray[Any], window: int) -> NDArray[np.int64]:
    """The first token of each window of `window` characters; none starts within a character.

    Args:
        chars_per_token: Characters that begin with each token of the text, `(N,)`: 0 at an end mark
            and at all but the first byte of a character.
        window: Characters of a window.
    Raises:
        ConfigError: `window` is not positive.
    """
    if window < 1:
        raise ConfigError(f"{named('window')} is {window}; it must be at least 1 character")
    chars_before = np.cumsum(chars_per_token) - chars_per_token
    first = np.flatnonzero(chars_per_token).astype(np.int64)
    number = chars_before[first] // window
    starts: NDArray[np.int64] = first[np.diff(number, prepend=-1) > 0]
    starts[:1] = 0  # What stands before the first character is read with it.
    return starts


def spread_positions(count: int, limit: int) -> NDArray[np.int64]:
    """At most `limit` of `count` positions, spread evenly, `(P,)`."""
    wanted = min(count, limit)
    return np.arange(wanted, dtype=np.int64) * count // wanted
