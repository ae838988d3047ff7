"""A text of a request on its way, written a block at a time, alone or together with others.

A text that is asked for with a seed is written alone, by the arithmetic of `textgen sample`: it is
the same whoever else asks at the same time. Sums over many rows round differently; texts without a
seed, of which nobody can expect the same twice, are written together.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from textgen.model.edit import NO_EDITS, Edits
from textgen.model.head import log_softmax
from textgen.model.network import StepNetwork
from textgen.options import SampleOptions
from textgen.sampling.networks import Position, joined, read, start
from textgen.sampling.stream import Cursor, FinishReason, Piece, Stream
from textgen.sampling.writing import BLOCK_SECONDS, GROUP_STEPS, StreamGroup, StreamWriter

#: Tokens of a prompt that are read before another text has its turn.
READ_TOKENS = 512

#: Tokens of a text's first turn: everybody's first characters come sooner.
FIRST_TOKENS = 8

#: The most likely tokens at one place, best first, with their natural log-probabilities.
Alternatives = list[tuple[int, float]]


class Progress(NamedTuple):
    """The next part of a text.

    Args:
        text: What may be sent now.
        ids: The tokens that were chosen.
        logprobs: Of each of them, in nats, under the model without the filters.
        alternatives: At each of them; empty where nobody asked.
        finish: Why the text ends here; None: it goes on.
        notice: What is to be said of the end.
        price: Bits that a form cost.
    """

    text: str
    ids: list[int]
    logprobs: list[float]
    alternatives: list[Alternatives]
    finish: FinishReason | None
    notice: str | None = None
    price: float = 0.0


@dataclass(eq=False)
class Order:
    """What the texts of one request have in common.

    Args:
        client: Whose request it is: clients take turns.
        send: Called in the thread that writes, with a text's number and what has become of it:
            its next part, or an error.
        deadline: The moment of `time.monotonic` at which its texts end.
        streams: Whether parts of a text are of use before its end.
        is_cancelled: Whether nobody waits for it any more.
        mixtures: Of labels, that are in use as long as there is an order that has them.
        served: Tokens that it has had; None: it had no turn yet.
    """

    client: str
    send: Callable[[int, Any], object]
    deadline: float
    streams: bool
    is_cancelled: bool = False
    mixtures: Sequence[object] = ()
    served: int | None = field(default=None, init=False)


class ReadPrompt:
    """A prompt that is read once for all texts that go on from it.

    Args:
        network: What reads it.
        ids: Its tokens.
        primer: What is read instead of an empty one.
        edits: What acts on the state that the first token is chosen from.
        alternatives: How many alternatives are noted at each of its tokens; None: nothing is.
    """

    def __init__(
        self,
        network: StepNetwork,
        ids: Sequence[int],
        primer: Sequence[int],
        edits: Edits = NO_EDITS,
        alternatives: int | None = None,
    ) -> None:
        self.ids = list(ids)
        self._network = network
        self._left = list(ids or primer)
        self._edits = edits
        self._noted = alternatives if ids else None
        self.position: Position | None = None
        #: Of each token of the prompt, where they were asked for.
        self.logprobs: list[float] = []
        self.alternatives: list[Alternatives] = []

    @property
    def is_read(self) -> bool:
        """Whether a text can go on from it."""
        return self.position is not None and not self._left

    def read_on(self) -> int:
        """Read the next tokens; returns how many."""
        if self.position is None:
            self.position = start(self._network, (), NO_EDITS if self._left else self._edits)
            return 1
        # As one token after the other, whatever the size of a part: the last one alone is edited.
        count = min(READ_TOKENS if self._noted is None else 1, max(len(self._left) - 1, 1))
        part = self._left[:count]
        if self._noted is not None:
            logprobs_V = log_softmax(self.position.logits_BV[0])
            self.logprobs.append(float(logprobs_V[part[0]]))
            self.alternatives.append(best(logprobs_V, self._noted))
        del self._left[:count]
        edits = NO_EDITS if self._left else self._edits
        self.position = read(self._network, self.position, part, edits)
        return count


class ServedText:
    """A text of a request.

    Args:
        order: The request.
        number: Of the text in it.
        model: The name of the model.
        prompt: What it goes on from.
        network: What writes it alone.
        options: Its settings.
        stream: The text.
        cursor: What steers it.
        alternatives: How many alternatives are told at each token.
        together: What writes it with others; None: it is written alone.
        kind: Texts of one kind can be written together.
    """

    def __init__(
        self,
        order: Order,
        number: int,
        model: str,
        prompt: ReadPrompt,
        network: StepNetwork,
        options: SampleOptions,
        stream: Stream,
        *,
        cursor: Cursor | None = None,
        alternatives: int = 0,
        together: StepNetwork | None = None,
        kind: Hashable = None,
    ) -> None:
        self.order, self.number, self.model, self.prompt = order, number, model, prompt
        self.stream = stream
        self._network, self._options, self._cursor = network, options, cursor
        self._together, self._kind = together, kind
        self._alternatives = alternatives
        self._position: Position | None = None
        self._is_begun = False
        self._writer: StreamWriter | None = None
        self._text: list[str] = []
        self._ids: list[int] = []
        self._logprobs: list[float] = []
        self._told: list[Alternatives] = []
        self._price = 0.0

    @property
    def kind(self) -> Hashable:
        """Texts of one kind can be written together; None: it is written alone."""
        return self._kind if self.prompt.is_read and not self.stream.is_over else None

    @property
    def room(self) -> int:
        """Tokens that it may still have."""
        return self.stream.room

    def advance(self) -> tuple[int, Progress | None]:
        """Read on, and write on alone once the prompt is read.

        Returns:
            How many tokens were read or written, and what is to be sent.
        """
        tokens = 0
        while not self.prompt.is_read:
            if tokens >= READ_TOKENS:
                return tokens, None
            tokens += self.prompt.read_on()
        if self.stream.is_over:  # A length of 0, or a form that is full by the prompt.
            return tokens, self._progress([Piece([], "", 0, [], "length")])
        if self._writer is None:
            self._writer = StreamWriter(
                *(self._network, self._options, self.stream, self.position, self._cursor)
            )
        turn, ends = self._turn, time.monotonic() + BLOCK_SECONDS
        pieces: list[Piece] = []
        # A form, and alternatives, have blocks of a token.
        while turn > 0 and not (pieces and time.monotonic() > ends):
            if self._alternatives:
                self._told.append(best(log_softmax(self.position.logits_BV[0]), self._alternatives))
            pieces.append(self._writer.block(1 if self._alternatives else turn))
            turn -= len(pieces[-1].ids)
            if self._kind is not None:
                self._go_on_from(None, pieces[-1])
            if pieces[-1].finish_reason is not None:
                break
        return tokens + sum(len(piece.ids) for piece in pieces), self._progress(pieces)

    @property
    def position(self) -> Position:
        """Where the network stands."""
        if self._writer is not None:
            return self._writer.position
        position = self._position or self.prompt.position
        assert position is not None
        return position

    @property
    def _turn(self) -> int:
        """Tokens that it may have in this turn."""
        return GROUP_STEPS if self._is_begun else FIRST_TOKENS

    def _go_on_from(self, position: Position | None, piece: Piece) -> None:
        """Remember where the next writer, another one perhaps, begins."""
        seen = [*self.stream.context_ids, *piece.ids]
        if not self._options.no_repeat:
            seen = seen[-max(self._options.repetition_window, 1) :]
        self.stream.context_ids = seen
        if position is not None:
            self._position, self._writer = position, None

    def _progress(self, pieces: Sequence[Piece]) -> Progress | None:
        self._is_begun = True
        for piece in pieces:
            self._text.append(piece.text)
            self._ids += piece.ids
            self._logprobs += piece.logprobs
            self._price += piece.price
        if pieces[-1].finish_reason is None and not self.order.streams:
            return None
        return self._sent(pieces[-1].finish_reason)

    def end(self, notice: str) -> Progress:
        """What is written of it, as a whole: its time is up."""
        self._text.append(self.stream.rest())
        return self._sent("length", notice)

    def _sent(self, finish: FinishReason | None, notice: str | None = None) -> Progress:
        text, self._text = "".join(self._text), []
        ids, self._ids = self._ids, []
        logprobs, self._logprobs = self._logprobs, []
        told, self._told = self._told, []
        price, self._price = self._price, 0.0
        return Progress(text, ids, logprobs, told, finish, notice, price)

    @classmethod
    def advance_together(cls, texts: Sequence[ServedText]) -> list[tuple[int, Progress | None]]:
        """Write on at several texts of one kind; what `advance` returns, for each."""
        first = texts[0]
        assert first._together is not None
        position = joined([text.position for text in texts])
        streams = [text.stream for text in texts]
        group = StreamGroup(first._together, first._options, streams, position)
        turn, ends = min(text._turn for text in texts), time.monotonic() + BLOCK_SECONDS
        blocks: list[list[Piece]] = []
        # A form has blocks of a token, after any of which a text may end.
        while turn > 0 and not (blocks and time.monotonic() > ends):
            blocks.append(group.block(turn))
            turn -= max(len(piece.ids) for piece in blocks[-1])
            if any(piece.finish_reason is not None for piece in blocks[-1]):
                break
        done = []
        for row, (text, *pieces) in enumerate(zip(texts, *blocks, strict=True)):
            position = group.position.repeat(np.array([row]))
            for piece in pieces:
                text._go_on_from(position, piece)
            done.append((sum(len(piece.ids) for piece in pieces), text._progress(pieces)))
        return done


def best(logprobs_V: NDArray[np.float64], count: int) -> Alternatives:
    """The most likely tokens, best first, with their log-probabilities."""
    ids = np.argsort(-logprobs_V, kind="stable")[:count]
    return [(int(token), float(logprobs_V[token])) for token in ids]


def is_late(order: Order) -> bool:
    """Whether a request's time is up."""
    return time.monotonic() >= order.deadline
