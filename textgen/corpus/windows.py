"""Training windows: a view on the token array, cut into inputs and targets.

A window that starts at token `i` has the input `tokens[i : i + t]` and the target
`tokens[i + 1 : i + t + 1]`. The lecture's pairs and truncated back-propagation are two orders of
the same windows.

Nothing here has a memory: batch `k` is computed from `k`. So a run resumes by its step number
alone, and the corpus is never copied, whatever the length of a window.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from textgen.corpus.vocabulary import END_ID
from textgen.errors import ConfigError, EmptyCorpusError
from textgen.terminal.humanize import plural

Tokens = NDArray[Any]

#: The share of stretches that are read under no label, though they have one.
LABEL_DROPOUT = 0.1
#: Windows of such a stretch, where the state is never zeroed.
_STRETCH = 32


@dataclass(frozen=True)
class Portion:
    """One of several parts that things in a row are divided into, as equal as they can be.

    Args:
        index: Which part, from 0.
        count: How many parts there are.
    """

    index: int = 0
    count: int = 1

    def of(self, total: int) -> slice:
        """Which of so many things it has."""
        return slice(total * self.index // self.count, total * (self.index + 1) // self.count)


#: The only part: everything.
ALL = Portion()


def count_tokens(tokens: Tokens, vocab_size: int) -> NDArray[np.int64]:
    """How often each symbol occurs, `(V,)`, in bounded memory."""
    counts_V = np.zeros(vocab_size, np.int64)
    for start in range(0, len(tokens), 1 << 20):
        counts_V += np.bincount(tokens[start : start + (1 << 20)], minlength=vocab_size)
    return counts_V


def count_of(tokens: Tokens, symbol: int) -> int:
    """How often one symbol occurs, in bounded memory."""
    starts = range(0, len(tokens), 1 << 20)
    return sum(int(np.count_nonzero(tokens[s : s + (1 << 20)] == symbol)) for s in starts)


@dataclass(frozen=True)
class Batch:
    """The windows of one training step.

    Args:
        inputs_TB: Token ids, `(T, B)`, int64.
        targets_TB: The token after each, `(T, B)`, int64; -1 if it does not count.
        resets_TB: Whether the state is zeroed before the token is read, `(T, B)`. At the first
            step of a sliding window it is zero anyway (`Windows.carries_state` is False).
        labels_TB: The label under which each token is read, from 1; 0 is none. None: the text has
            no labels.
    """

    inputs_TB: NDArray[np.int64]
    targets_TB: NDArray[np.int64]
    resets_TB: NDArray[np.bool_]
    labels_TB: NDArray[np.int64] | None = None

    @property
    def counted(self) -> int:
        """How many targets count."""
        return int(np.count_nonzero(self.targets_TB >= 0))

    def part(self, streams: slice) -> Batch:
        """The windows of some streams."""
        return Batch(
            self.inputs_TB[:, streams],
            self.targets_TB[:, streams],
            self.resets_TB[:, streams],
            None if self.labels_TB is None else self.labels_TB[:, streams],
        )


@dataclass(frozen=True, eq=False)
class DocumentLabels:
    """The label of every document of a token array.

    Args:
        starts_D: Where each document begins: the place of the end mark before it, from which its
            first token is predicted, so -1 at the beginning of an array.
        labels_D: Its label, from 1; 0 is none.
    """

    starts_D: NDArray[np.int64]
    labels_D: NDArray[np.int64]

    def documents(self, places: NDArray[np.int64]) -> NDArray[np.int64]:
        """The numbers of the documents in which tokens lie, in the shape of `places`."""
        found: NDArray[np.int64] = np.searchsorted(self.starts_D, places, side="right") - 1
        return np.maximum(found, 0, out=found)

    def at(self, places: NDArray[np.int64]) -> NDArray[np.int64]:
        """The labels of tokens, in the shape of `places`."""
        labels: NDArray[np.int64] = self.labels_D[self.documents(places)]
        return labels


class Windows:
    """Windows over a token array.

    By default `batch_size` streams read the text at the same time, each from another place. Each
    moves on by a window at every step, and its state is carried over (truncated back-propagation).
    The text is a ring: a stream that reaches the start of the next one reads on. The state is
    zeroed at every end-of-document mark, at the beginning of the text and, with `reset_every`, from
    time to time.

    With `sliding` they are the lecture's windows, one at every position, shuffled in each epoch; in
    each the state starts from zero.

    Args:
        tokens: Token ids, `(N,)`; usually a memory map.
        seq_len: Tokens in a window, `t`.
        batch_size: Windows in a step, `B`.
        sliding: Whether they are the lecture's windows.
        reset_every: The state of each stream is zeroed once in so many windows, in turn; 0: never.
            A state that is always carried on may drift to values that evaluation and generation,
            which start from zero, never reach.
        separator: For a text of pairs (`textgen.corpus.pairs`), which begins and ends with an end
            mark: the token between source and target. Only the tokens after it count, up to the
            end mark. None: all tokens count.
        labels: The label of each document. A stretch of a document is read under none once in
            `1 / LABEL_DROPOUT` times, so that no label is a state that is learned as well.
        rng: Seed of the shuffled order, and of these stretches.
        share: The part of the streams, or windows, that `batch` returns; each is the same as among
            all of them.
    Raises:
        ConfigError: A size is not positive.
        EmptyCorpusError: There are not `seq_len + 1` tokens.
    """

    def __init__(
        self,
        tokens: Tokens,
        *,
        seq_len: int,
        batch_size: int = 1,
        sliding: bool = False,
        reset_every: int = 0,
        separator: int | None = None,
        labels: DocumentLabels | None = None,
        rng: int = 0,
        share: Portion = ALL,
    ) -> None:
        if seq_len < 1 or batch_size < 1:
            raise ConfigError(
                f"a window of {seq_len} tokens in a batch of {batch_size}: both must be at least 1"
            )
        if len(tokens) < seq_len + 1:
            most = len(tokens) - 1
            raise EmptyCorpusError(
                f"the text has {plural(len(tokens), 'token')}, too few for a window of {seq_len}; "
                f"{f'a window of at most {most}' if most > 0 else 'none'} fits"
            )
        self._tokens = tokens
        self._seq_len = seq_len
        self._batch_size = batch_size
        self._sliding = sliding
        self._reset_every = reset_every
        self._separator = separator
        self._labels = labels
        self._rng = rng
        own = share.of(batch_size)
        self._numbers_B = np.arange(own.start, own.stop, dtype=np.int64)

    def __len__(self) -> int:
        """The number of windows at stride 1: `N - t`."""
        return len(self._tokens) - self._seq_len

    def __getitem__(self, index: int) -> tuple[Tokens, Tokens]:
        """Return input and target of the window at `index`, both `(t,)`: views, not copies."""
        if not 0 <= index < len(self):
            raise IndexError(f"window {index} of {len(self)}")
        stop = index + self._seq_len
        return self._tokens[index:stop], self._tokens[index + 1 : stop + 1]

    @property
    def carries_state(self) -> bool:
        """Whether a window begins with the last state of the window before it."""
        return not self._sliding

    @property
    def counts_all(self) -> bool:
        """Whether every target counts."""
        return self._separator is None

    def batch(self, step: int) -> Batch:
        """Return the windows of step `step`, counted from 0."""
        starts_B = self._shuffled(step) if self._sliding else self._streams(step)
        positions_TB = starts_B[None, :] + np.arange(self._seq_len)[:, None]
        if not self._sliding:
            positions_TB %= len(self._tokens) - 1
        inputs_TB = self._tokens[positions_TB].astype(np.int64)
        targets_TB = self._tokens[positions_TB + 1].astype(np.int64)
        if self._separator is not None:
            counted = counted_TB(self._tokens, positions_TB, inputs_TB, self._separator)
            targets_TB[~counted] = -1
        resets_TB = inputs_TB == END_ID
        if not self._sliding:
            resets_TB |= positions_TB == 0
            resets_TB[0] |= self._starts_anew(step)
        labels_TB = None
        if self._labels is not None:
            labels_TB = self._read_under(self._labels, positions_TB, step)
        return Batch(inputs_TB, targets_TB, resets_TB, labels_TB)

    def _read_under(
        self, labels: DocumentLabels, positions_TB: NDArray[np.int64], step: int
    ) -> NDArray[np.int64]:
        """The labels of tokens, some of them left out: from one reset to the next, or at least to
        the end of a document, all of a stream or nothing of it."""
        documents_TB = labels.documents(positions_TB)
        if self._sliding:
            stretch_B = step * self._batch_size + self._numbers_B
        else:
            every = self._reset_every or _STRETCH
            number_B = (step + self._turns(every)) // every
            stretch_B = number_B * self._batch_size + self._numbers_B
        drawn_TB = mix(
            mix(documents_TB.astype(np.uint64) + np.uint64(self._rng << 32))
            + stretch_B.astype(np.uint64)
        )
        is_left_out_TB = drawn_TB < np.uint64(int(LABEL_DROPOUT * 2**64))
        return np.where(is_left_out_TB, 0, labels.labels_D[documents_TB])

    def _starts_anew(self, step: int) -> NDArray[np.bool_]:
        """Which streams are zeroed before this window; their turns are spread evenly."""
        every = self._reset_every
        if not every:
            return np.zeros(len(self._numbers_B), np.bool_)
        return np.asarray((step + self._turns(every)) % every == 0)

    def _turns(self, every: int) -> NDArray[np.int64]:
        """How far each stream is ahead of the first, where each has a turn once in `every`."""
        return self._numbers_B * every // self._batch_size

    def _streams(self, step: int) -> NDArray[np.int64]:
        ring = len(self._tokens) - 1  # the last token has no successor
        offsets_B = self._numbers_B * ring // self._batch_size
        return np.asarray((offsets_B + step * self._seq_len) % ring)

    def _shuffled(self, step: int) -> NDArray[np.int64]:
        number_B = step * self._batch_size + self._numbers_B
        epoch_B, index_B = np.divmod(number_B, len(self))
        starts_B = np.empty_like(index_B)
        for epoch in np.unique(epoch_B):
            here = epoch_B == epoch
            starts_B[here] = permute(index_B[here], len(self), (self._rng << 20) + int(epoch))
        return starts_B


def counted_TB(
    tokens: Tokens, positions_TB: NDArray[np.int64], inputs_TB: NDArray[np.int64], separator: int
) -> NDArray[np.bool_]:
    """Return which targets of some windows count: those after a separator.

    What stands before a window is found by looking back, as far as its pair goes.

    Args:
        tokens: Token ids, `(N,)`; the first follows an end mark.
        positions_TB: The positions of each window's inputs, `(T, B)`; a window may wrap around to
            the beginning of an array that starts with an end mark.
        inputs_TB: The tokens there.
        separator: The token between source and target.
    """
    is_mark_TB = (inputs_TB == separator) | (inputs_TB == END_ID)
    steps_TB = np.where(is_mark_TB, np.arange(len(inputs_TB))[:, None], -1)
    last_TB = np.maximum.accumulate(steps_TB, axis=0)
    marks_TB = np.take_along_axis(inputs_TB, np.maximum(last_TB, 0), axis=0)
    before_B = _written_before(tokens, positions_TB[0], separator)
    counted: NDArray[np.bool_] = np.where(last_TB < 0, before_B, marks_TB == separator)
    return counted


def _written_before(
    tokens: Tokens, starts_B: NDArray[np.int64], separator: int, reach: int = 64
) -> NDArray[np.bool_]:
    """Whether the last mark before each position is a separator."""
    found_B = np.zeros(len(starts_B), np.bool_)
    pending, ends = np.arange(len(starts_B)), starts_B.copy()
    while pending.size:
        places_BR = ends[:, None] - 1 - np.arange(reach)
        near_BR = np.where(places_BR < 0, END_ID, tokens[np.maximum(places_BR, 0)])
        is_mark_BR = (near_BR == separator) | (near_BR == END_ID)
        first_B = is_mark_BR.argmax(axis=1)
        rows = np.arange(len(pending))
        found_B[pending] = near_BR[rows, first_B] == separator
        left = ~is_mark_BR[rows, first_B]
        pending, ends = pending[left], ends[left] - reach
        reach = min(2 * reach, 1 << 16)
    return found_B


def permute(index: NDArray[np.int64], size: int, key: int) -> NDArray[np.int64]:
    """Return where a shuffle of `range(size)` sends each index, without storing the shuffle.

    A Feistel network of four rounds over the next even power of two, repeated until the result lies
    in the range: a bijection for every key. Source: Black and Rogaway 2002, "Ciphers with arbitrary
    finite domains", section 3 (cycle walking).

    Args:
        index: Numbers in `[0, size)`.
        size: The length of the range.
        key: Chooses the shuffle.
    Returns:
        Numbers in `[0, size)`, with the shape of `index`.
    """
    half = max(1, (max(size - 1, 1).bit_length() + 1) // 2)
    mask = np.uint64((1 << half) - 1)
    keys = [mix(np.uint64((key * 4 + i) & 0xFFFFFFFFFFFFFFFF)) for i in range(4)]
    value = index.astype(np.uint64)
    pending = np.ones(len(value), dtype=bool)
    while pending.any():
        left, right = value[pending] >> np.uint64(half), value[pending] & mask
        for round_key in keys:
            left, right = right, left ^ (mix(right ^ round_key) & mask)
        value[pending] = (left << np.uint64(half)) | right
        pending &= value >= size
    return value.astype(np.int64)


def mix(value: Any) -> Any:
    """Mix all bits: the finalizer of splitmix64 (Steele, Lea and Flood 2014, section 2)."""
    with np.errstate(over="ignore"):
        value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return value ^ (value >> np.uint64(31))
