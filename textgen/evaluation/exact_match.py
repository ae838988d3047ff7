"""How well a model of pairs writes: the likelihood of the targets, and how many it writes exactly.

The tokens of a target and the end mark after it count, given its source. To write a target, the
model reads the source and takes the most likely token each time, many pairs at the same time.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from textgen.checkpoint import SavedModel
from textgen.corpus.pairs import PairIndex, find_pairs
from textgen.corpus.vocabulary import Vocabulary
from textgen.corpus.windows import Tokens, permute
from textgen.evaluation.nll import MEASURING, Nll, nll_of_spans, sum_of
from textgen.evaluation.prediction import figures_view, open_corpus, opened
from textgen.model.network import Network, StepNetwork
from textgen.notebook import Part, Shown
from textgen.options import EvalOptions
from textgen.progress import track
from textgen.sampling import SampleOptions, SamplingNetworks, generate
from textgen.terminal.humanize import plural

#: The most pairs that are read or written together, and the most tokens of them.
TOGETHER, TOKENS_TOGETHER = 256, 1 << 16
#: A written target is cut at this many times the true length, and this many characters more.
LONGEST_TIMES, LONGEST_MORE = 2, 16


@dataclass(frozen=True, repr=False)
class PairsEvaluation(Shown):
    """How a model does on pairs.

    Args:
        pairs: How many.
        exact: How many targets it wrote exactly.
        similarity: Mean over the pairs of `edit_similarity` of what it wrote and the target.
        nats: Negative log-likelihood of all targets, their end marks included, in nats.
        target_chars: Characters of the targets.
        notes: What a person should know about how they were read; usually nothing.
    """

    pairs: int
    exact: int
    similarity: float
    nats: float
    target_chars: int
    notes: tuple[str, ...] = ()

    @property
    def headline(self) -> str:
        """How many targets were written exactly."""
        return (
            f"{self.exact_match:.1%} of {plural(self.pairs, 'target')} written exactly; "
            f"{self.bits_per_char:.4f} bits/char"
        )

    def parts(self) -> Iterable[Part]:
        """The figures."""
        return figures_view(self.to_dict(), self.notes)

    @property
    def exact_match(self) -> float:
        """The share of targets written exactly."""
        return self.exact / self.pairs

    @property
    def bits_per_char(self) -> float:
        """Bits per character of the targets; the end marks count as part of them."""
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
    saved: SavedModel,
    paths: Sequence[str],
    options: EvalOptions,
    *,
    stdin: BinaryIO | None = None,
) -> PairsEvaluation:
    """Measure a model on files of pairs; see `textgen.Model.evaluate_pairs`.

    Args:
        saved: The model.
        paths: The files.
        options: How many pairs are measured, how the files are read, and what computes.
        stdin: What the path `-` reads.
    """
    corpus = open_corpus(saved, paths, options, stdin, documents="line", variants=False)
    pairs = find_pairs(corpus, paths)
    if options.limit is not None and options.limit < len(pairs):
        pairs = pairs.take(permute(np.arange(options.limit), len(pairs), 0))
    with opened(saved, device=options.device, threads=options.threads) as network:
        writer = SamplingNetworks(saved.config, saved.weights, network.engine.threads).many
        figures = measure_pairs(network, writer, saved.vocabulary, corpus.tokens, pairs)
    return replace(figures, notes=corpus.notes)


def measure_pairs(
    network: Network,
    writer: StepNetwork,
    vocabulary: Vocabulary,
    tokens: Tokens,
    pairs: PairIndex,
) -> PairsEvaluation:
    """Measure a model on encoded pairs of `tokens`, at least one.

    `network` reads the targets, `writer`, the same model, writes them.
    """
    nll = target_nll(network, tokens, pairs)
    written = dict(write_targets(writer, vocabulary, tokens, pairs))
    exact, similarity, chars = 0, 0.0, 0
    for number, text in track(written.items(), "comparing the targets", len(written)):
        place, stop = int(pairs.separators[number]) + 1, int(pairs.stops[number])
        target = vocabulary.decode(np.asarray(tokens[place:stop]))
        chars += len(target)
        exact += text == target
        similarity += edit_similarity(text, target)
    return PairsEvaluation(len(pairs), exact, similarity / len(pairs), nll.total, chars)


def target_nll(network: Network, tokens: Tokens, pairs: PairIndex) -> Nll:
    """The negative log-likelihood of the targets, end marks included, of at least one pair."""

    def parts() -> Iterator[Nll]:
        alike = _alike(pairs.stops - pairs.starts + 1)
        for numbers in track(alike, MEASURING, len(pairs), len):
            own = pairs.take(numbers)
            # The end mark after a target counts as well.
            yield from nll_of_spans(network, tokens, own.starts, own.separators + 1, own.stops + 1)

    return sum_of(parts())


def write_targets(
    network: StepNetwork, vocabulary: Vocabulary, tokens: Tokens, pairs: PairIndex
) -> Iterator[tuple[int, str]]:
    """What a model writes after each source: the most likely token each time.

    Yields:
        The number of a pair and the text, which is cut where it is far too long.
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
        written = generate(network, vocabulary, sources, options)
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
    """Numbers of pairs of about the same size, in groups that are handled together."""
    order = np.argsort(sizes, kind="stable")[::-1]
    first = 0
    while first < len(order):
        room = max(1, TOKENS_TOGETHER // int(sizes[order[first]]))
        count = min(TOGETHER, room)
        yield order[first : first + count]
        first += count


def first_pairs(pairs: PairIndex, tokens: int, count: int) -> PairIndex:
    """The first pairs: at most `count`, with at most `tokens` tokens in all, and at least one."""
    within = pairs.first_within(tokens)
    return within.take(np.arange(min(len(within), count)))
