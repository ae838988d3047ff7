"""The networks that texts are read and written with, and where they stand in a text.

`SamplingNetworks` opens a trained model for one text at a time, or for many together.
`HistoryNetwork` sees a fixed number of tokens at each prediction and carries nothing else.
A `Position` is where a network stands. It is handed edits where a text is steered, and only then.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from textgen.corpus.vocabulary import END_ID
from textgen.errors import ConfigError, SamplingError, named
from textgen.model.config import ModelConfig
from textgen.model.edit import NO_EDITS, Edits
from textgen.model.engine import choose_engine, open_network
from textgen.model.native_network import NativeStep
from textgen.model.network import (
    Engine,
    Floats,
    Ids,
    Network,
    State,
    StepNetwork,
    one_a_stream,
    reset,
)
from textgen.options import SampleOptions
from textgen.sampling.stream import after_last_end
from textgen.terminal.humanize import plural

#: Texts that one matrix product writes faster than as many vector products one after the other.
TOGETHER_FROM = 4
_TOKENS = "tokens"


class TextNetworks(ABC):
    """What writes texts: one at a time, or many together."""

    @property
    @abstractmethod
    def one(self) -> StepNetwork:
        """Writes one text at a time."""

    @property
    @abstractmethod
    def many(self) -> StepNetwork:
        """Writes many texts together."""

    def are_together(self, count: int, *, exact: bool) -> bool:
        """Whether so many texts are written together.

        Args:
            count: How many.
            exact: Whether each must be what it is when it is written alone.
        """
        return count >= TOGETHER_FROM and not exact

    @abstractmethod
    def record(
        self, count: int = 1, *, exact: bool = False, eight_bit: bool = False
    ) -> dict[str, Any]:
        """Return what writes so many texts, as plain data."""

    @abstractmethod
    def describe(self, count: int = 1, *, exact: bool = False, eight_bit: bool = False) -> str:
        """Return what writes so many texts, in one line for a person."""


class SamplingNetworks(TextNetworks):
    """Opens a model on the path that samples fastest here, when it is first needed.

    Args:
        config: The model's shape.
        weights: Float32 arrays as `config.tensor_shapes()` names them; not to be written to.
        threads: Computing threads at most.
    Raises:
        ConfigError: When used, if `TEXTGEN_PATH` names no path, or if 8 bits are asked of NumPy.
        BackendError: When used, if it names one that this machine does not have.
    """

    def __init__(self, config: ModelConfig, weights: Mapping[str, Floats], threads: int) -> None:
        self._config = config
        self._weights = weights
        self._threads = threads

    @cached_property
    def engine(self) -> Engine:
        """What computes, and why."""
        config = self._config
        return choose_engine(config.cell_spec, threads=self._threads, use="write", head=config.head)

    @cached_property
    def one(self) -> StepNetwork:
        """Writes one text at a time."""
        if self.engine.name == "native":
            return NativeStep(self._config, self._weights, self.engine)
        return self.many

    @cached_property
    def in_eight_bits(self) -> StepNetwork:
        """Writes one text at a time by weights of 8 bits."""
        if self.engine.name != "native":
            raise ConfigError(
                f"{named('eight_bit')} needs the native engine; leave it out. NumPy writes here: "
                f"{self.engine.reason}"
            )
        return NativeStep(self._config, self._weights, replace(self.engine, precision="int8"))

    @cached_property
    def many(self) -> Network:
        """Writes many texts together."""
        return open_network(self._config, self.engine, self._weights)

    def record(
        self, count: int = 1, *, exact: bool = False, eight_bit: bool = False
    ) -> dict[str, Any]:
        """Return what writes so many texts, as plain data."""
        together = self.are_together(count, exact=exact)
        engine = self.engine
        if not together:
            network = self.in_eight_bits if eight_bit else self.one
            engine = network.engine or engine
        return {
            # NumPy computes by the equations: the name of old records.
            "name": "native" if engine.name == "native" else "reference",
            "isa": engine.isa,
            "precision": engine.precision,
            "threads": engine.threads,
            "together": together,
            "reason": engine.reason,
        }

    def describe(self, count: int = 1, *, exact: bool = False, eight_bit: bool = False) -> str:
        """Return what writes so many texts, in one line for a person."""
        record = self.record(count, exact=exact, eight_bit=eight_bit)
        way = f"{count} texts together" if record["together"] else "one text at a time"
        if record["name"] != "native":
            return f"sampling: numpy, fp32, {way}: {record['reason']}"
        threads = plural(record["threads"], "thread")
        return f"sampling: native {record['isa']}, {record['precision']} weights, {threads}, {way}"


class SeveralNetworks(StepNetwork, ABC):
    """Several networks that read one text, each of them by itself."""

    @abstractmethod
    def each(self, change: Callable[[StepNetwork], StepNetwork]) -> StepNetwork:
        """Return the same of other networks: what `change` makes of each."""


class HistoryNetwork(StepNetwork):
    """Predicts from the last tokens alone, the state from zero before them: the lecture's windows.

    What it carries is those tokens, no more than were read. Where these are fewer than it sees, and
    after an end mark, it sees what there is from that mark on.

    Args:
        network: The model.
        history: Tokens seen at each prediction.
    """

    def __init__(self, network: StepNetwork, history: int) -> None:
        self._network = network
        self._history = history

    def zero_state(self, batch_size: int = 1) -> State:
        """Return the state in which nothing is read, for `batch_size` streams."""
        # An end mark: whatever stands before the last one is not seen.
        return _state(np.full((batch_size, 1), END_ID, np.int64))

    def step(
        self, ids_B: Ids | int, state: State, edits_B: Sequence[Edits] | None = None
    ) -> tuple[Floats, State]:
        """Read one token a stream: logits of the next `(B, V)`, and the tokens seen then.

        Raises:
            SamplingError: There are edits: there is no state for them to act upon.
        """
        if edits_B is not None and any(edits_B):
            raise no_steering(self._history)
        read_B1 = one_a_stream(ids_B, state)[:, None].astype(np.int64)
        tokens_BT = np.hstack([_tokens(state), read_B1])
        tokens_BT = tokens_BT[:, -self._history :]
        return self._predict(tokens_BT), _state(tokens_BT)

    def read(
        self, ids: Sequence[int], state: State, edits: Edits = NO_EDITS
    ) -> tuple[Floats, State]:
        """Read tokens of one stream: as so many calls of `step`, of which the last one computes."""
        if edits:
            raise no_steering(self._history)
        row = np.concatenate([_tokens(state)[0], np.asarray(ids, np.int64)])[-self._history :]
        return self._predict(row[None, :]), _state(row[None, :])

    def _predict(self, tokens_BT: NDArray[np.int64]) -> Floats:
        """Logits after these tokens, `(B, V)`."""
        network, batch_size = self._network, len(tokens_BT)
        if batch_size == 1:
            ids = tokens_BT[0].tolist()
            if END_ID in ids:
                del ids[: len(ids) - 1 - ids[::-1].index(END_ID)]
            return network.read(ids, network.zero_state(1))[0]
        state = network.zero_state(batch_size)
        for ids_B in tokens_BT.T:
            logits_BV, state = network.step(ids_B, reset(state, ids_B == END_ID))
        return logits_BV


def _tokens(state: State) -> NDArray[np.int64]:
    tokens_BT: NDArray[np.int64] = state[0][_TOKENS].astype(np.int64)
    return tokens_BT


def _state(tokens_BT: NDArray[np.int64]) -> State:
    """Float32 as every state is, exact up to 2**24 symbols."""
    return [{_TOKENS: tokens_BT.astype(np.float32)}]


def no_steering(history: int) -> SamplingError:
    """The error that a text with a history cannot be steered."""
    return SamplingError(
        f"steering changes the state that a text carries on, but with a history of "
        f"{plural(history, 'token')} no state is carried on; add {named('history', 0)}"
    )


def seen_by(network: StepNetwork, options: SampleOptions) -> StepNetwork:
    """The network as the options have it see the text.

    Of several networks each sees that much. What they carry together, such as whose turn it is,
    goes on.

    Raises:
        SamplingError: They ask for a mixture, and the network is none.
    """
    if options.mix and not network.has_counts:
        raise SamplingError(
            f"{named('mix')} needs the counts of a training text; write with the methods of "
            "`textgen.Model`, or give `textgen.mixing.mixed(network, mixture)` as the network"
        )
    if not (history := options.history):
        return network
    if isinstance(network, SeveralNetworks):
        return network.each(lambda one: HistoryNetwork(one, history))
    return HistoryNetwork(network, history)


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
    """The starts of several documents, one row each: as `start` for each of them.

    Args:
        network: The model.
        texts: What is read of each after the end mark, of any lengths; at least one text.
        edits_B: Changes of each text's last state; None: none.
    Raises:
        SamplingError: An id is no symbol of the network.
    """
    texts = [after_last_end(text) for text in texts]
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
    return joined([position, *reversed(done)]).repeat(np.argsort(order, kind="stable"))


def _check_ids(ids: Iterable[int], size: int) -> None:
    for token in ids:
        if not 0 <= token < size:
            raise SamplingError(f"token {token} is read; the model's symbols are 0..{size - 1}")


def joined(positions: Sequence[Position]) -> Position:
    """All rows, one after the other; of a history the shorter ones are filled up."""
    layers = zip(*(position.state for position in positions), strict=True)
    return Position(
        np.concatenate([position.logits_BV for position in positions]),
        [
            {name: np.concatenate(as_wide([part[name] for part in parts])) for name in parts[0]}
            for parts in layers
        ],
    )


def as_wide(arrays: Sequence[Floats]) -> list[Floats]:
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
