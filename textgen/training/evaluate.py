"""The cost of a text under a model, in nats and bits.

Every token is charged, the first one too: it is predicted from the state after an end-of-document
mark, as a document's first token is in training. A character outside the vocabulary costs its
escape (see `textgen.model.escape`); end marks between documents are charged to the text.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from textgen.corpus.vocabulary import END_ID
from textgen.corpus.windows import Tokens
from textgen.errors import ConfigError, named
from textgen.model.base import Network, State
from textgen.model.escape import charge_escapes
from textgen.progress import track

#: Tokens read at once in a pass of one stream, and the least context that a part of a validation
#: text cut into streams is given before its first charged token.
CHUNK = 2048
WARMUP = 256
#: What is being done, to people.
MEASURING = "measuring the cost"
#: Logits computed at once at most, 64 MiB of them, so that a vocabulary of 30,000 words fits too.
LOGITS = 2**24


@dataclass(frozen=True)
class Evaluation:
    """The cost of a text.

    Args:
        nats: Sum over the text.
        tokens: Tokens charged.
        chars: Characters charged (Unicode code points after normalisation).
        utf8_bytes: The same text's bytes in UTF-8.
        unknown_chars: Characters outside the vocabulary among them.
        words: At word level, the words of the text, that is runs of letters and digits, whether
            they are one token or spelled; None at other levels.
        history: Tokens that were seen before each, the state from zero; None: it was carried on.
        positions: With a history: tokens that were charged, from which `nats` was extrapolated.
        notes: What a person should know about how the text was read; usually nothing.
        cold: Where windows were asked for: the cost of the same text read in windows, each from a
            zero state.
    """

    nats: float
    tokens: int
    chars: int
    utf8_bytes: int
    unknown_chars: int
    words: int | None = None
    history: int | None = None
    positions: int | None = None
    notes: tuple[str, ...] = ()
    cold: Evaluation | None = None

    def __repr__(self) -> str:
        cold = "" if self.cold is None else f", in windows {self.cold.bits_per_char:.4f}"
        return (
            f"<Evaluation: {self.bits_per_char:.4f} bits/char{cold}; {self.chars:,} characters, "
            f"{self.unknown_chars:,} unknown>"
        )

    @property
    def bits_per_word(self) -> float | None:
        """All that the text costs, what stands between words included, over its words, in bits."""
        return self.nats / self.words / math.log(2) if self.words else None

    @property
    def nats_per_char(self) -> float:
        """Mean cost of a character in nats."""
        return self.nats / self.chars

    @property
    def bits_per_char(self) -> float:
        """Mean cost of a character in bits."""
        return self.nats_per_char / math.log(2)

    @property
    def bits_per_byte(self) -> float:
        """Mean cost of a UTF-8 byte in bits."""
        return self.nats / self.utf8_bytes / math.log(2)

    @property
    def perplexity(self) -> float:
        """Per token: among how many equally likely symbols the model hesitates."""
        return math.exp(min(self.nats / self.tokens, 700.0))

    def to_dict(self, prefix: str = "") -> dict[str, float]:
        """The figures by name, each name after `prefix`; those of `cold` are its own."""
        figures = {
            "nats_per_char": self.nats_per_char,
            "bits_per_char": self.bits_per_char,
            "bits_per_byte": self.bits_per_byte,
            "perplexity": self.perplexity,
            "chars": self.chars,
            "unknown_chars": self.unknown_chars,
        }
        if self.history is not None and self.positions is not None:
            figures |= {"history": self.history, "positions": self.positions}
        if self.words is not None:
            per_word = self.bits_per_word
            figures |= {} if per_word is None else {"bits_per_word": per_word}
            figures |= {"words": self.words, "tokens": self.tokens}
        return {prefix + name: value for name, value in figures.items()}


def costs(
    network: Network, inputs_TB: NDArray[np.int64], targets_TB: NDArray[np.int64], state: State
) -> tuple[NDArray[np.float64], State]:
    """Cost of each target in nats, `(T, B)`, escapes included, and the state after the window.

    The state is zeroed before every end mark that is read.
    """
    resets_TB = inputs_TB == END_ID
    nats_TB, state = network.costs(
        inputs_TB, targets_TB, state, resets_TB if resets_TB.any() else None
    )
    return charge_escapes(nats_TB, targets_TB), state


def steps_at_once(network: Network, streams: int, wanted: int) -> int:
    """Time steps to read at once: `wanted`, or fewer where the logits would be too many."""
    return max(1, min(wanted, LOGITS // (streams * network.config.vocab_size)))


def total_nats(network: Network, tokens: Tokens) -> Iterator[tuple[int, float]]:
    """Cost of a text in one pass of one stream, the state carried from its start to its end.

    Args:
        network: The model; its path's precision is used.
        tokens: The text, `(N,)`.
    Yields:
        Tokens read so far, and their cost in nats so far.
    """
    state = network.zero_state(1)
    previous, total = END_ID, 0.0
    chunk = steps_at_once(network, 1, CHUNK)
    starts = range(0, len(tokens), chunk)
    for start in track(starts, MEASURING, len(starts)):
        targets = np.asarray(tokens[start : start + chunk], dtype=np.int64)
        inputs = np.concatenate(([previous], targets[:-1]))
        nats_TB, state = costs(network, inputs[:, None], targets[:, None], state)
        total += float(nats_TB.sum())
        previous = int(targets[-1])
        yield start + len(targets), total


def nats_by_streams(
    network: Network, tokens: Tokens, *, streams: int = 64, limit: int | None = None
) -> tuple[float, int]:
    """Mean cost of a token, the text cut into parts that are read side by side.

    Each part but the first is preceded by `WARMUP` uncharged tokens of the text before it, so that
    the outcome is within noise of one pass of one stream, at the speed of training.

    Args:
        network: The model.
        tokens: The text, `(N,)`.
        streams: Parts; fewer for a short text.
        limit: Charge at most so many tokens, in parts spread evenly over the text.
    Returns:
        Nats a token, and how many tokens were charged.
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
        nats_TB, state = costs(
            network, inputs_TB.astype(np.int64), targets_TB.astype(np.int64), state
        )
        charged_TB = inside_TB & (time_T1 >= warmup)
        total += float(nats_TB[charged_TB].sum())
        seen += int(charged_TB.sum())
    return total / seen, seen


def cold_nats(
    network: Network, tokens: Tokens, boundaries: NDArray[np.int64], batch_size: int = 64
) -> tuple[float, int]:
    """Cost of a text read in windows, each from a zero state.

    A window's first token is context only and its last prediction is the next window's first
    token, so every token but the text's first is charged once.

    Args:
        network: The model.
        tokens: The text, `(N,)`.
        boundaries: First token of each window, rising from 0, `(W,)`.
        batch_size: Windows read side by side.
    Returns:
        The sum in nats, and how many tokens were charged.
    """
    starts = boundaries[boundaries < len(tokens) - 1]
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
            nats_TB, state = costs(network, inputs_TB, targets_TB, state)
            total += float(nats_TB[inside_TB].sum())
            seen += int(inside_TB.sum())
    return total, seen


def window_boundaries(chars_per_token: NDArray[Any], window: int) -> NDArray[np.int64]:
    """First token of each window of `window` characters; none starts within a character.

    Args:
        chars_per_token: Characters that begin with each token of the text, `(N,)`: 0 at an end mark
            and at all but the first byte of a character.
        window: Characters a window.
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
