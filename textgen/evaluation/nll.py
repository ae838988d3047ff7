"""The negative log-likelihood of a text under a model, in nats, read in four ways.

Every token counts, the first one too: it is predicted from the state after an end mark, as the
first token of a document is in training. End marks between documents count as well.

A model gives every character that it does not know the probability of `UNKNOWN_ID`. To be an
honest code length, the figure must also say which character it was: one of all Unicode scalar
values, each equally likely. So an unknown character has the negative log-likelihood

    -log p(UNKNOWN) + log(1,112,064)

in nats; the second term, the escape, is about 20.08 bits.

A character that the model does not know, but a nearest form of it, is read as that form
(`textgen.corpus.nearest_forms`). The figure is still the cost of the text as it is: `telling_nats`
says what has to be told beside the text as read.

An unknown word, where rare words are not spelled, has an escape too: its characters, the space that
ends it among them, each one of those that the model's words consist of, equally likely. So the
figure is a code length of the text, to be compared with that of a model that writes every word.
Word-level models are usually reported without it: perplexity with <unk> as a word like others, as
in the Penn Treebank with 10,000 words. That is lower the more words are unknown, and says nothing
of them. (Mikolov et al. 2010, "Recurrent neural network based language model", charge a part: the
rare words share the probability of their class in equal parts.) Costs of one text can be compared
over models with other tokens if each model pays for all of it (Mielke 2019, "Can you compare
perplexity across different segmentations?").
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from textgen.corpus.corpus import Corpus
from textgen.corpus.nearest_forms import ReadAs
from textgen.corpus.vocabulary import END_ID, UNKNOWN_ID, Vocabulary
from textgen.corpus.windows import ALL, DocumentLabels, Portion, Tokens
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
        unknown: How many of these are unknown.
    """

    total: float
    tokens: int
    unknown: int = 0

    @property
    def mean(self) -> float:
        """Nats per token."""
        return self.total / self.tokens


def letter_nats(vocabulary: Vocabulary) -> float:
    """What an unknown token costs for each of its characters, in nats, once that is said."""
    if vocabulary.spelled:
        return ESCAPE_NATS
    return math.log(max(2, len(set().union(*vocabulary.symbols))))


def escape_nats(corpus: Corpus) -> float:
    """The escape of an unknown token of a corpus: of unknown words the mean, in nats."""
    if corpus.vocabulary.spelled or not corpus.unknown_tokens:
        return letter_nats(corpus.vocabulary)
    return letter_nats(corpus.vocabulary) * corpus.unknown_chars / corpus.unknown_tokens


def telling_nats(read_as: ReadAs) -> float:
    """What it costs to tell which characters were read as others, and where, in nats.

    Each of them is named once, by an escape. At each place where the text as read has a form, it is
    told which of its K ways of writing stood there, the form itself among them. A way that stood at
    n_k of the n places before has the probability

        (n_k + 1/2) / (n + K/2)

    (Krichevsky and Trofimov 1981, "The performance of universal encoding"), which depends on
    nothing that comes later. The product over all places depends on the counts alone:

        G(K/2) / G(n + K/2) * product of G(n_k + 1/2) / G(1/2),  G the gamma function

    How many characters are named is not charged, as the length of a text is not.

    Args:
        read_as: How often each way of writing a form stood in the text.
    """
    nats = 0.0
    for ways in read_as.values():
        half = len(ways) / 2
        nats += ESCAPE_NATS * (len(ways) - 1)
        nats += math.lgamma(sum(ways.values()) + half) - math.lgamma(half)
        nats -= sum(math.lgamma(count + 0.5) - math.lgamma(0.5) for count in ways.values())
    return nats


def charge_escapes(
    nats: NDArray[np.floating], ids: NDArray[np.integer], escape: float = ESCAPE_NATS
) -> NDArray[np.float64]:
    """The negative log-likelihood of tokens with the escape of unknown ones, in float64.

    `nats` are `-log p(token)`, in any shape, and not modified; `ids` has the same shape.
    """
    charged: NDArray[np.float64] = nats.astype(np.float64) + escape * (ids == UNKNOWN_ID)
    return charged


def token_nll(
    network: Network,
    inputs_TB: NDArray[np.int64],
    targets_TB: NDArray[np.int64],
    state: State,
    escape: float = ESCAPE_NATS,
    labels_TB: NDArray[np.int64] | None = None,
) -> tuple[NDArray[np.float64], State]:
    """The figure of each target in nats, `(T, B)`, escapes included, and the state afterwards.

    The state is set to zero before every end mark that is read. `labels_TB` are those of the
    inputs.
    """
    resets_TB = inputs_TB == END_ID
    nats_TB, state = network.nll(
        inputs_TB,
        targets_TB,
        state,
        resets_TB if resets_TB.any() else None,
        labels_TB=labels_TB,
    )
    return charge_escapes(nats_TB, targets_TB, escape), state


def steps_at_once(network: Network, streams: int, wanted: int) -> int:
    """Time steps to read at once: `wanted`, or fewer where the logits would be too many."""
    return max(1, min(wanted, LOGITS // (streams * network.config.vocab_size)))


def nll_in_one_pass(
    network: Network, tokens: Tokens, *, escape: float = ESCAPE_NATS
) -> Iterator[Nll]:
    """Read a text from its start to its end, with the state carried on.

    Yields:
        The figure of the tokens read so far.
    """
    state = network.zero_state(1)
    previous, total, unknown = END_ID, 0.0, 0
    chunk = steps_at_once(network, 1, CHUNK)
    starts = range(0, len(tokens), chunk)
    for start in track(starts, MEASURING, len(starts)):
        targets = np.asarray(tokens[start : start + chunk], dtype=np.int64)
        inputs = np.concatenate(([previous], targets[:-1]))
        nats_TB, state = token_nll(network, inputs[:, None], targets[:, None], state, escape)
        total += float(nats_TB.sum())
        unknown += int((targets == UNKNOWN_ID).sum())
        previous = int(targets[-1])
        yield Nll(total, start + len(targets), unknown)


def nll_in_streams(
    network: Network,
    tokens: Tokens,
    *,
    streams: int = 64,
    limit: int | None = None,
    escape: float = ESCAPE_NATS,
    labels: DocumentLabels | None = None,
    poll: Callable[[], object] = lambda: None,
    share: Portion = ALL,
) -> Nll:
    """Read the parts of a text at the same time, at the speed of training.

    The `WARMUP` tokens before each part are read first and do not count, so the result is within
    noise of a single pass.

    Args:
        network: The model.
        tokens: The text, `(N,)`.
        streams: Parts; fewer for a short text.
        limit: The most tokens to count, in parts spread evenly over the text; None is all.
        escape: What an unknown token costs beside its probability, in nats.
        labels: Of the documents, under which they are read; None: under none.
        poll: Called after each chunk that was read; what it raises ends the measurement.
        share: Which of the parts are read here.
    """
    count = len(tokens)
    charged = count if limit is None else min(limit, count)
    streams = max(1, min(streams, charged // WARMUP))
    starts_B = np.arange(streams, dtype=np.int64) * count // streams
    if charged < count:
        stops_B = starts_B + charged // streams
    else:
        stops_B = np.append(starts_B[1:], count)
    warmup = min(WARMUP, int(starts_B[1])) if streams > 1 else 0
    firsts_B = starts_B - warmup
    own = share.of(streams)
    spans = firsts_B[own], starts_B[own], stops_B[own]
    if not len(spans[0]):
        return Nll(0.0, 0)
    parts = nll_of_spans(network, tokens, *spans, WARMUP, MEASURING, escape=escape, labels=labels)
    return sum_of(_polled(parts, poll))


def _polled(parts: Iterable[Nll], poll: Callable[[], object]) -> Iterator[Nll]:
    for part in parts:
        yield part
        poll()


def sum_of(parts: Iterable[Nll]) -> Nll:
    """The figure of all parts together."""
    total, seen, unknown = 0.0, 0, 0
    for part in parts:
        total, seen, unknown = total + part.total, seen + part.tokens, unknown + part.unknown
    return Nll(total, seen, unknown)


def nll_of_spans(
    network: Network,
    tokens: Tokens,
    firsts_B: NDArray[np.int64],
    counted_B: NDArray[np.int64],
    stops_B: NDArray[np.int64],
    at_once: int = CHUNK,
    what: str = "",
    *,
    escape: float = ESCAPE_NATS,
    labels: DocumentLabels | None = None,
) -> Iterator[Nll]:
    """The figure of spans of a text that are read at the same time, chunk by chunk.

    Each is read from `firsts_B` to `stops_B`, from a zero state and the token before it (an end
    mark before the text); the predictions from `counted_B` on count. An end mark follows the text.
    With `what` it is a task of that name.
    """
    steps = int((stops_B - firsts_B).max())
    state = network.zero_state(len(firsts_B))
    chunk = steps_at_once(network, len(firsts_B), at_once)
    begins = range(0, steps, chunk)
    for begin in track(begins, what, len(begins)) if what else begins:
        time_T1 = np.arange(begin, min(begin + chunk, steps))[:, None]
        places_TB = firsts_B[None, :] + time_T1
        inside_TB = places_TB < stops_B
        targets_TB = tokens_at(tokens, places_TB, inside_TB)
        inputs_TB = tokens_at(tokens, places_TB - 1, inside_TB)
        labels_TB = None if labels is None else labels.at(places_TB - 1)
        nats_TB, state = token_nll(network, inputs_TB, targets_TB, state, escape, labels_TB)
        counted_TB = inside_TB & (places_TB >= counted_B)
        unknown_TB = counted_TB & (targets_TB == UNKNOWN_ID)
        yield Nll(float(nats_TB[counted_TB].sum()), int(counted_TB.sum()), int(unknown_TB.sum()))


def tokens_at(
    tokens: Tokens, places_TB: NDArray[np.int64], inside_TB: NDArray[np.bool_]
) -> NDArray[np.int64]:
    """The tokens at some places of a text, end marks beyond its ends and where none is inside."""
    within_TB = inside_TB & (places_TB >= 0) & (places_TB < len(tokens))
    found_TB = np.where(within_TB, tokens[np.clip(places_TB, 0, len(tokens) - 1)], END_ID)
    return found_TB.astype(np.int64)


def nll_in_windows(
    network: Network,
    tokens: Tokens,
    starts: NDArray[np.int64],
    batch_size: int = 64,
    *,
    escape: float = ESCAPE_NATS,
) -> Nll:
    """Read a text in windows, each from a zero state.

    The first token of a window is context only and the last prediction of a window is the first
    token of the next one, so every token but the first of the text counts once.

    Args:
        network: The model.
        tokens: The text, `(N,)`.
        starts: The first token of each window, rising from 0, `(W,)`; see `window_starts`.
        batch_size: Windows read at the same time.
    """
    targets = starts[starts < len(tokens) - 1] + 1
    stops = np.append(targets[1:], len(tokens))

    def parts() -> Iterator[Nll]:
        firsts = range(0, len(targets), batch_size)
        for first in track(firsts, "measuring the cost of windows", len(firsts)):
            own_B = targets[first : first + batch_size]
            spans = own_B, own_B, stops[first:][:batch_size]
            yield from nll_of_spans(network, tokens, *spans, escape=escape)

    return sum_of(parts())


def nll_with_history(
    network: Network,
    tokens: Tokens,
    history: int,
    *,
    limit: int,
    escape: float = ESCAPE_NATS,
    labels: DocumentLabels | None = None,
    share: Portion = ALL,
) -> Nll:
    """Predict each token from exactly the `history` tokens before it.

    The state is zero before the first of these. Nothing before a document is seen: near the
    beginning of a document the window is shorter and begins with the end mark. Every token takes a
    window of `history` steps; many windows are read at the same time.

    Args:
        network: The model.
        tokens: The text, `(N,)`.
        history: Tokens seen, the end mark before a document included.
        limit: The most tokens to count, spread evenly over the text.
        labels: Of the documents, under which they are read; None: under none.
        share: Which of these tokens are counted here.
    Raises:
        ConfigError: `history` or `limit` is not positive.
    """
    if history < 1 or limit < 1:
        raise ConfigError(
            f"{named('history')} is {history} and {named('limit')} {limit}; both must be at least "
            "1 token"
        )
    wanted = min(len(tokens), limit)
    positions = (np.arange(wanted, dtype=np.int64) * len(tokens) // wanted)[share.of(wanted)]
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
        inputs_TB = tokens_at(tokens, places_TB, places_TB >= 0)
        # Only the last prediction counts; any targets do for the others.
        targets_TB = tokens_at(tokens, places_TB + 1, places_TB >= -1)
        state = network.zero_state(len(positions_B))
        labels_TB = None if labels is None else labels.at(places_TB)
        nats_TB, _ = token_nll(network, inputs_TB, targets_TB, state, escape, labels_TB)
        total += float(nats_TB[-1].sum())
    unknown = int(np.count_nonzero(np.asarray(tokens[positions]) == UNKNOWN_ID))
    return Nll(total, len(positions), unknown)


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
