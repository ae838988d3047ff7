"""The step loop: several texts read and written together by one network.

This is the only place where generation steps a network. Anything with `initial_state` and `step` is
one, so what changes a network's state on the way is itself a network and needs nothing here.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from textgen.corpus.vocabulary import END_ID, UNKNOWN_ID, Decoder, Vocabulary
from textgen.errors import SamplingError
from textgen.sampling.choice import SymbolGenerator, choose_symbols
from textgen.sampling.filters import filter_logits
from textgen.sampling.options import SampleOptions
from textgen.sampling.stop import StopMatcher

Floats = NDArray[np.float32]
#: Per layer, each state by name, `(B, H)`; what `textgen.model.numpy_network` calls `State`.
State = list[dict[str, Floats]]
FinishReason = Literal["length", "stop", "sentence", "end"]


class Network(Protocol):
    """What a text is generated with, such as `NumpyNetwork`."""

    def initial_state(self, batch_size: int = 1) -> State:
        """The state at the start of a document, `(B, H)` per layer and name."""
        ...

    def step(self, ids_B: NDArray[np.integer], state: State) -> tuple[Floats, State]:
        """Read one token a stream: logits of the next `(B, V)`, and the state after it.

        It modifies neither of its arguments.
        """
        ...


@dataclass(frozen=True, slots=True)
class GeneratedSymbol:
    """One token of a generated text.

    Args:
        id: The token.
        text: What may be printed now. "" within a character of several bytes, and where text is
            held back because it may be the beginning of a stop text.
        chars: Characters that the token completes, printed or not.
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


def start(network: Network, ids: Iterable[int] = ()) -> Position:
    """A document's start, one row: a zero state that has read the end mark, then `ids`.

    Raises:
        SamplingError: An id is no symbol of the network.
    """
    position = Position(*network.step(np.array([END_ID]), network.initial_state(1)))
    return read(network, position, ids)


def read(network: Network, position: Position, ids: Iterable[int]) -> Position:
    """The position after reading `ids` too, one row; an end mark starts a new document.

    Raises:
        SamplingError: An id is no symbol of the network.
    """
    size = position.logits_BV.shape[-1]
    for token in ids:
        if not 0 <= token < size:
            raise SamplingError(f"token {token} is read; the model's symbols are 0..{size - 1}")
        state = network.initial_state(1) if token == END_ID else position.state
        position = Position(*network.step(np.array([token]), state))
    return position


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
        self._decoder = decoder_after(vocabulary, context_ids)
        self._matcher = StopMatcher(options.stop, options.until_sentence)
        self._room = options.length
        # A word is not cut; broken bytes can give two characters at once, of which one may go.
        self._is_cut = vocabulary.level != "word"

    def accept(self, token: int, probability: float, logprob: float) -> GeneratedSymbol:
        """Add the chosen token."""
        text = self._decoder.feed(token)
        if self._is_cut:
            text = text[: self._room]
        self._room -= len(text)
        printed, reason = self._matcher.feed(text)
        finish: FinishReason | None = reason
        if finish is None and token == END_ID:
            finish = "end"
        if finish is None and self._room <= 0:
            finish = "length"
        if finish is not None:
            printed += self._matcher.flush()
        return GeneratedSymbol(token, printed, len(text), probability, logprob, finish)


class StreamGroup:
    """Texts that step through a network together.

    Args:
        network: The model.
        options: Filters and what may be chosen.
        streams: The texts.
        position: Where the network stands, one row a stream.
    """

    def __init__(
        self,
        network: Network,
        options: SampleOptions,
        streams: Sequence[Stream],
        position: Position,
    ) -> None:
        self.position = position
        self._network = network
        self._options = options
        # Nothing to write: a length of 0 ends a text before its first symbol.
        self._streams = list(streams) if options.length else []
        self._numbers = np.arange(len(self._streams))
        self._banned = [UNKNOWN_ID] if options.until_end else [END_ID, UNKNOWN_ID]
        self._recent_BN = self._first_recent()

    def steps(self) -> Iterator[list[tuple[int, GeneratedSymbol]]]:
        """Write until every text has ended.

        Yields:
            One list a step: number of the stream and its symbol, for every stream not yet ended.
            The network has read the symbols by then, so `position` may be gone on from.
        """
        while self._streams:
            ids, probabilities, logprobs = self._choose()
            symbols = [
                stream.accept(*chosen)
                for stream, *chosen in zip(
                    self._streams,
                    ids.tolist(),
                    probabilities.tolist(),
                    logprobs.tolist(),
                    strict=True,
                )
            ]
            numbers = self._numbers.tolist()
            self.position = Position(*self._network.step(ids, self.position.state))
            if self._recent_BN is not None:
                window = self._options.repetition_window
                self._recent_BN = np.hstack([self._recent_BN, ids[:, None]])[:, -window:]
            yield list(zip(numbers, symbols, strict=True))
            self._drop(symbols)

    def _choose(self) -> tuple[NDArray[np.intp], NDArray[np.float64], NDArray[np.float64]]:
        """Ids, their probabilities after the filters, their log-probabilities before, `(B,)`."""
        logits_BV = self.position.logits_BV
        allowed_BV = logits_BV.copy()
        allowed_BV[:, self._banned] = -np.inf
        filtered_BV = filter_logits(allowed_BV, self._options, self._recent_BN)
        uniforms = [stream.generator.uniform() for stream in self._streams]
        ids, probabilities = choose_symbols(filtered_BV, uniforms)
        return ids, probabilities, log_softmax(logits_BV)[np.arange(len(ids)), ids]

    def _drop(self, symbols: list[GeneratedSymbol]) -> None:
        """Take the ended streams out."""
        rows = np.array(
            [row for row, symbol in enumerate(symbols) if symbol.finish_reason is None], np.intp
        )
        if len(rows) == len(symbols):
            return
        self._streams = [self._streams[row] for row in rows]
        self._numbers = self._numbers[rows]
        if len(rows):
            # The last position stays whole: a caller may go on from there.
            self.position = self.position.repeat(rows)
            if self._recent_BN is not None:
                self._recent_BN = self._recent_BN[rows]

    def _first_recent(self) -> NDArray[np.intp] | None:
        """The ends of the contexts, `(B, N)`; `None` where no penalty looks at them."""
        if self._options.repetition_penalty == 1.0:
            return None
        window = self._options.repetition_window
        rows = [list(stream.context_ids[-window:]) for stream in self._streams]
        return np.array(rows, np.intp).reshape(len(rows), -1)


def decoder_after(vocabulary: Vocabulary, ids: Sequence[int]) -> Decoder:
    """A decoder that goes on where a text of these ids ends."""
    decoder = vocabulary.decoder()
    # A character has four bytes at most, so no more can bear on what comes next.
    for token in ids[-4:]:
        decoder.feed(token)
    return decoder


def log_softmax(logits: NDArray[np.floating]) -> NDArray[np.float64]:
    """Natural log-probabilities in float64, `(..., V)`."""
    wide = logits.astype(np.float64)
    wide -= wide.max(axis=-1, keepdims=True)
    result: NDArray[np.float64] = wide - np.log(np.exp(wide).sum(axis=-1, keepdims=True))
    return result


def bits(logprobs: Iterable[float]) -> float:
    """The cost in bits of tokens of these natural log-probabilities."""
    return -math.fsum(logprobs) / math.log(2)
