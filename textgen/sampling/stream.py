"""One text on its way: the network that it is read and written by, where that stands, what it is.

Where a text is steered, the network is handed edits too, and only then.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from textgen.corpus.vocabulary import END_ID, Decoder, Vocabulary
from textgen.errors import SamplingError
from textgen.model.edit import NO_EDITS, Edits
from textgen.model.network import Floats, State, StepNetwork
from textgen.options import SampleOptions
from textgen.sampling.choice import SymbolGenerator
from textgen.sampling.stop import StopMatcher

FinishReason = Literal["length", "stop", "sentence", "end"]


class GeneratedSymbol(NamedTuple):
    """One token of a generated text. A tuple, for one is made per character.

    Args:
        id: The token.
        text: What may be printed now. "" within a character of several bytes, and where text is
            held back because it may be the beginning of a stop text; what stands between two
            documents for an end mark after which another one is written.
        chars: Characters that the token completes, printed or not; an end mark completes none.
        probability: Of the choice, after the filters.
        logprob: Natural logarithm of the token's probability under the model as it is.
        finish_reason: Why the text ends with this token: `"length"`, `"stop"` (a stop text),
            `"sentence"` or `"end"` (the end-of-document mark); `None` before.
    """

    id: int
    text: str
    chars: int
    probability: float
    logprob: float
    finish_reason: FinishReason | None


class Piece(NamedTuple):
    """Tokens of a generated text that stand side by side; the fields as in `GeneratedSymbol`."""

    ids: list[int]
    text: str
    chars: int
    logprobs: list[float]
    finish_reason: FinishReason | None


@dataclass(frozen=True)
class Position:
    """Where a network stands: the logits of the next token, `(B, V)`, and the state."""

    logits_BV: Floats
    state: State

    def repeat(self, rows: NDArray[np.intp]) -> Position:
        """The given rows, in that order."""
        return Position(
            self.logits_BV[rows],
            [{name: array[rows] for name, array in layer.items()} for layer in self.state],
        )


def start(network: StepNetwork, ids: Iterable[int] = (), edits: Edits = NO_EDITS) -> Position:
    """A document's start, one row: a zero state that has read the end mark, then `ids`.

    Args:
        network: The model.
        ids: What is read.
        edits: Changes of the last state, the one that the text goes on from.
    Raises:
        SamplingError: An id is no symbol of the network.
    """
    *before, last = [END_ID, *ids]
    zero = network.zero_state(1)
    if not before:
        return step(network, np.array([last]), zero, [edits])
    first = step(network, np.array([END_ID]), zero)
    return read(network, read(network, first, before[1:]), [last], edits)


def start_many(
    network: StepNetwork, texts: Sequence[Sequence[int]], edits_B: Sequence[Edits] | None = None
) -> Position:
    """Documents' starts side by side, one row each: as `start` for each of them.

    Args:
        network: The model.
        texts: What is read of each after the end mark, of any lengths; at least one text.
        edits_B: Changes of each text's last state; None: none.
    Raises:
        SamplingError: An id is no symbol of the network, or the end mark.
    """
    lengths_B = np.array([len(text) for text in texts])
    # The longest first: those that are still being read are always the first rows.
    order = np.argsort(-lengths_B, kind="stable")
    ids_BT = np.full((len(texts), 1 + int(lengths_B.max())), END_ID, np.int64)
    for row, number in enumerate(order.tolist()):
        ids_BT[row, 1 : 1 + len(texts[number])] = texts[number]
    edits = [NO_EDITS if edits_B is None else edits_B[number] for number in order.tolist()]
    position = step(
        network,
        ids_BT[:, 0],
        network.zero_state(len(texts)),
        [
            edit if not lengths_B[number] else NO_EDITS
            for edit, number in zip(edits, order, strict=True)
        ],
    )
    _check_ids((int(ids_BT.min()), int(ids_BT.max())), position.logits_BV.shape[-1])
    done: list[Position] = []  # The rows that have ended, the last ones first.
    for place in range(1, ids_BT.shape[1]):
        left = int(np.count_nonzero(lengths_B >= place))
        if left < len(position.logits_BV):
            done.append(position.repeat(np.arange(left, len(position.logits_BV))))
            position = position.repeat(np.arange(left))
        now = [edits[row] if lengths_B[order[row]] == place else NO_EDITS for row in range(left)]
        position = step(network, ids_BT[:left, place], position.state, now)
    return _joined([position, *reversed(done)]).repeat(np.argsort(order, kind="stable"))


def _check_ids(ids: Iterable[int], size: int) -> None:
    for token in ids:
        if not 0 <= token < size:
            raise SamplingError(f"token {token} is read; the model's symbols are 0..{size - 1}")


def _joined(positions: Sequence[Position]) -> Position:
    """All rows, one after the other."""
    layers = zip(*(position.state for position in positions), strict=True)
    return Position(
        np.concatenate([position.logits_BV for position in positions]),
        [
            {name: np.concatenate(_as_wide([part[name] for part in parts])) for name in parts[0]}
            for parts in layers
        ],
    )


def _as_wide(arrays: Sequence[Floats]) -> list[Floats]:
    """Arrays of one width: a history of few tokens is as good with end marks before it, and nothing
    else differs."""
    width = max(array.shape[1] for array in arrays)
    return [
        array
        if array.shape[1] == width
        else np.pad(array, ((0, 0), (width - array.shape[1], 0)), constant_values=END_ID)
        for array in arrays
    ]


def step(
    network: StepNetwork,
    ids_B: NDArray[np.integer],
    state: State,
    edits_B: Sequence[Edits] | None = None,
) -> Position:
    """The position after one token a stream; a network is told of edits only where there are."""
    if edits_B is None or not any(edits_B):
        return Position(*network.step(ids_B, state))
    return Position(*network.step(ids_B, state, edits_B))


def read(
    network: StepNetwork, position: Position, ids: Iterable[int], edits: Edits = NO_EDITS
) -> Position:
    """The position after reading `ids` too, one row; an end mark starts a new document.

    Args:
        network: The model.
        position: Before them.
        ids: The tokens.
        edits: Changes of the states at each of them.
    Raises:
        SamplingError: An id is no symbol of the network.
    """
    tokens = list(ids)
    _check_ids(tokens, position.logits_BV.shape[-1])
    state = position.state
    if END_ID in tokens:
        # What stands before the last end mark has no bearing on what comes after it.
        tokens = [END_ID, *after_last_end(tokens)]
        state = network.zero_state(1)
    return Position(*network.read(tokens, state, edits)) if tokens else position


class Stream:
    """One text on its way: what it has come to and where it ends.

    Args:
        vocabulary: The model's symbols.
        options: Length and stops.
        generator: Its random choices.
        context_ids: What stands before it and is not generated: the seed.
    """

    def __init__(
        self,
        vocabulary: Vocabulary,
        options: SampleOptions,
        generator: SymbolGenerator,
        context_ids: Sequence[int] = (),
    ) -> None:
        self.generator = generator
        self.context_ids = context_ids
        self._symbols = vocabulary.symbols
        self._decoder = decoder_after(vocabulary, context_ids)
        self._end_text = options.end_text
        self._matcher = StopMatcher(options.stop, options.until_sentence)
        self._room = options.length
        # A word is not cut; broken bytes can give two characters at once, of which one may go.
        self._is_cut = vocabulary.level != "word"
        # Each token is one character, and nothing but the length ends the text.
        self._is_plain = vocabulary.level == "char" and not (
            options.stop or options.until_sentence or options.may_end
        )

    @property
    def room(self) -> int:
        """Characters that the length still allows: no fewer tokens than blocks of it need."""
        return self._room

    def accept(self, token: int, probability: float, logprob: float) -> GeneratedSymbol:
        """Add the chosen token."""
        if self._is_plain:
            self._room -= 1
            finish: FinishReason | None = None if self._room > 0 else "length"
            return GeneratedSymbol(token, self._symbols[token], 1, probability, logprob, finish)
        text = self._decoder.feed(token)
        chars = len(text) if not self._is_cut else min(len(text), self._room)
        if token == END_ID:
            text += self._end_text
        if self._is_cut:
            text = text[: self._room]
        self._room -= len(text)
        printed, finish = self._matcher.feed(text)
        if finish is None and token == END_ID and not self._end_text:
            finish = "end"
        if finish is None and self._room <= 0:
            finish = "length"
        if finish is not None:
            printed += self._matcher.flush()
        return GeneratedSymbol(token, printed, chars, probability, logprob, finish)

    def accept_many(self, ids: list[int], logprobs: list[float]) -> Piece:
        """Add chosen tokens, up to the one that ends the text."""
        if self._is_plain:
            taken = ids[: self._room]
            self._room -= len(taken)
            text = "".join([self._symbols[token] for token in taken])
            finish: FinishReason | None = None if self._room > 0 else "length"
            return Piece(taken, text, len(taken), logprobs[: len(taken)], finish)
        symbols = []
        for token, logprob in zip(ids, logprobs, strict=True):
            symbols.append(self.accept(token, 0.0, logprob))
            if symbols[-1].finish_reason is not None:
                break
        return Piece(
            ids[: len(symbols)],
            "".join(symbol.text for symbol in symbols),
            sum(symbol.chars for symbol in symbols),
            logprobs[: len(symbols)],
            symbols[-1].finish_reason,
        )


def decoder_after(vocabulary: Vocabulary, ids: Sequence[int], end: str = "") -> Decoder:
    """A decoder that goes on where a text of these ids ends; `end` as for `Vocabulary.decode`."""
    decoder = vocabulary.decoder(end=end)
    # A character has four bytes at most, so no more can bear on what comes next.
    for token in ids[-4:]:
        decoder.feed(token)
    return decoder


def after_last_end(ids: Sequence[int]) -> list[int]:
    """The ids of the document that a text ends with: what stands before it is forgotten."""
    tokens = list(ids)
    if END_ID in tokens:
        del tokens[: len(tokens) - tokens[::-1].index(END_ID)]
    return tokens


def bits(logprobs: Iterable[float]) -> float:
    """The cost in bits of tokens of these natural log-probabilities."""
    return -math.fsum(logprobs) / math.log(2)
