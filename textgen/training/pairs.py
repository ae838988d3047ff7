"""How well a model writes targets: their cost, and how many it writes exactly.

A target's cost is that of its tokens and of the end mark after it, given its source. Written is
the likeliest token each time, after the source has been read, many pairs side by side.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from textgen.corpus.pairs import PairIndex
from textgen.corpus.vocabulary import END_ID, Vocabulary
from textgen.corpus.windows import Tokens
from textgen.model.base import Network
from textgen.progress import track
from textgen.sampling import SampleOptions, generate_after
from textgen.sampling.stream import Network as WritingNetwork
from textgen.training.evaluate import CHUNK, MEASURING, costs, steps_at_once

#: Pairs read or written side by side at most, and tokens of them read at once.
TOGETHER, TOKENS_TOGETHER = 256, 1 << 16
#: A written target is cut at so many times its true length, and so many characters more.
LONGEST_TIMES, LONGEST_MORE = 2, 16


@dataclass(frozen=True)
class PairsEvaluation:
    """How a model does on pairs.

    Args:
        pairs: How many.
        exact: How many targets it wrote exactly.
        similarity: Mean over the pairs of `edit_similarity` of what it wrote and the target.
        nats: Cost of all targets, their end marks included.
        target_chars: Their characters.
        notes: What a person should know about how they were read; usually nothing.
    """

    pairs: int
    exact: int
    similarity: float
    nats: float
    target_chars: int
    notes: tuple[str, ...] = ()

    @property
    def exact_match(self) -> float:
        """The share of targets written exactly."""
        return self.exact / self.pairs

    @property
    def bits_per_char(self) -> float:
        """Mean cost of a target's character in bits, the end mark's charged to them."""
        return self.nats / self.target_chars / math.log(2)

    def to_dict(self) -> dict[str, float]:
        """The figures by name."""
        return {
            "exact_match": self.exact_match,
            "edit_similarity": self.similarity,
            "bits_per_target_char": self.bits_per_char,
            "pairs": self.pairs,
            "exact": self.exact,
            "target_chars": self.target_chars,
        }


def evaluate_pairs(
    network: Network,
    writer: WritingNetwork,
    vocabulary: Vocabulary,
    tokens: Tokens,
    pairs: PairIndex,
) -> PairsEvaluation:
    """Measure a model on pairs.

    Args:
        network: The model, to charge the targets with.
        writer: The same model, to write them with.
        vocabulary: Its symbols.
        tokens: Where the pairs lie, `(N,)`.
        pairs: Which of them, at least one.
    """
    mean, counted = target_nats(network, tokens, pairs)
    written = dict(write_targets(writer, vocabulary, tokens, pairs))
    exact, similarity, chars = 0, 0.0, 0
    for number, text in track(written.items(), "comparing the targets", len(written)):
        place, stop = int(pairs.separators[number]) + 1, int(pairs.stops[number])
        target = vocabulary.decode(np.asarray(tokens[place:stop]))
        chars += len(target)
        exact += text == target
        similarity += edit_similarity(text, target)
    return PairsEvaluation(len(pairs), exact, similarity / len(pairs), mean * counted, chars)


def target_nats(network: Network, tokens: Tokens, pairs: PairIndex) -> tuple[float, int]:
    """Mean cost of a token of the targets, end marks included.

    Args:
        network: The model.
        tokens: Where the pairs lie, `(N,)`.
        pairs: Which of them, at least one.
    Returns:
        Nats a token, and how many tokens were charged.
    """
    total, seen = 0.0, 0
    alike = _alike(pairs.stops - pairs.starts + 1)
    for numbers in track(alike, MEASURING, len(pairs), len):
        part = pairs.take(numbers)
        steps = int((part.stops - part.starts).max()) + 1
        state = network.zero_state(len(part))
        chunk = steps_at_once(network, len(part), CHUNK)
        for begin in range(0, steps, chunk):
            time_T1 = np.arange(begin, min(begin + chunk, steps))[:, None]
            places_TB = part.starts[None, :] + time_T1
            before_TB = (time_T1 > 0) & (places_TB - 1 < part.stops)
            targets_TB = _tokens_at(tokens, places_TB, places_TB < part.stops)
            inputs_TB = _tokens_at(tokens, places_TB - 1, before_TB)
            nats_TB, state = costs(network, inputs_TB, targets_TB, state)
            counted_TB = (places_TB > part.separators) & (places_TB <= part.stops)
            total += float(nats_TB[counted_TB].sum())
            seen += int(counted_TB.sum())
    return total / seen, seen


def write_targets(
    network: WritingNetwork, vocabulary: Vocabulary, tokens: Tokens, pairs: PairIndex
) -> Iterator[tuple[int, str]]:
    """What a model writes after each source, the likeliest token each time.

    Args:
        network: The model.
        vocabulary: Its symbols.
        tokens: Where the pairs lie, `(N,)`.
        pairs: Which of them.
    Yields:
        A pair's number and the text, cut where it is twice as long as it should be and more.
    """
    lengths = vocabulary.symbol_lengths()
    alike = _alike(pairs.stops - pairs.separators)
    for numbers in track(alike, "writing the targets", len(pairs), len):
        part = pairs.take(numbers)
        sources = [
            tokens[start : separator + 1].tolist()
            for start, separator in zip(part.starts, part.separators, strict=True)
        ]
        longest = max(
            int(lengths[tokens[separator + 1 : stop]].sum())
            for separator, stop in zip(part.separators, part.stops, strict=True)
        )
        options = SampleOptions(
            length=LONGEST_TIMES * longest + LONGEST_MORE, temperature=0.0, until_end=True
        )
        written = generate_after(network, vocabulary, sources, options)
        for number, text in zip(numbers.tolist(), written, strict=True):
            yield number, text.text


def edit_similarity(text: str, other: str) -> float:
    """1 less the share of characters to insert, delete or replace to make one text the other.

    Source: Levenshtein 1966, "Binary codes capable of correcting deletions, insertions, and
    reversals"; divided by the longer text's length. 1 for two empty texts.
    """
    if text == other:
        return 1.0
    points = np.array([ord(char) for char in other], np.int64)
    columns = np.arange(len(other) + 1)
    row = columns.copy()
    for count, char in enumerate(text, start=1):
        after = np.empty_like(row)
        after[0] = count
        after[1:] = np.minimum(row[:-1] + (points != ord(char)), row[1:] + 1)
        # An insertion costs one more than the entry to the left, all of them in one sweep.
        row = np.minimum.accumulate(after - columns) + columns
    return 1.0 - int(row[-1]) / max(len(text), len(other))


def _alike(sizes: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    """Numbers of pairs of about one size, as many as are handled together."""
    order = np.argsort(sizes, kind="stable")[::-1]
    first = 0
    while first < len(order):
        room = max(1, TOKENS_TOGETHER // int(sizes[order[first]]))
        count = min(TOGETHER, room)
        yield order[first : first + count]
        first += count


def _tokens_at(
    tokens: Tokens, places_TB: NDArray[np.int64], inside_TB: NDArray[np.bool_]
) -> NDArray[np.int64]:
    """The tokens there, end marks elsewhere."""
    found = np.where(inside_TB, tokens[np.clip(places_TB, 0, len(tokens) - 1)], END_ID)
    return found.astype(np.int64)


def first_pairs(pairs: PairIndex, tokens: int, count: int) -> PairIndex:
    """The first pairs, so many and so many tokens of them at most, one at least."""
    within = pairs.first_within(tokens)
    return within.take(np.arange(min(len(within), count)))
