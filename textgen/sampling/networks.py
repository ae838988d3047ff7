"""The networks that texts are written with.

`SamplingNetworks` opens a trained model for one text at a time, or for many together.
`HistoryNetwork` sees a fixed number of tokens at each prediction and carries nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from textgen.corpus.vocabulary import END_ID
from textgen.errors import SamplingError, named
from textgen.model.config import ModelConfig
from textgen.model.edit import NO_EDITS, Edits
from textgen.model.engine import choose_engine, open_network
from textgen.model.native_network import NativeStep
from textgen.model.network import Engine, Floats, Ids, Network, State, StepNetwork, reset

#: Texts that one matrix product writes faster than as many vector products one after the other.
TOGETHER_FROM = 4
_TOKENS = "tokens"


class SamplingNetworks:
    """Opens a model on the path that samples fastest here, when it is first needed.

    Args:
        config: The model's shape.
        weights: Float32 arrays as `config.tensor_shapes()` names them; not to be written to.
        threads: Computing threads at most.
    Raises:
        ConfigError: When used, if `TEXTGEN_PATH` names no path.
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
    def many(self) -> Network:
        """Writes many texts together."""
        return open_network(self._config, self.engine, self._weights)

    def are_together(self, count: int, *, exact: bool = False) -> bool:
        """Whether so many texts are written together.

        Args:
            count: How many.
            exact: Whether each must be what it is when it is written alone.
        """
        return count >= TOGETHER_FROM and not exact

    def record(self, count: int = 1, *, exact: bool = False) -> dict[str, Any]:
        """Return what writes so many texts, as plain data."""
        together = self.are_together(count, exact=exact)
        engine = self.engine
        if not together:
            engine = self.one.engine or engine
        return {
            # NumPy computes by the equations: the name of old records.
            "name": "native" if engine.name == "native" else "reference",
            "isa": engine.isa,
            "precision": engine.precision,
            "threads": engine.threads,
            "together": together,
            "reason": engine.reason,
        }

    def describe(self, count: int = 1, *, exact: bool = False) -> str:
        """Return what writes so many texts, in one line for a person."""
        record = self.record(count, exact=exact)
        way = f"{count} texts together" if record["together"] else "one text at a time"
        if record["name"] != "native":
            return f"sampling: numpy, fp32, {way}: {record['reason']}"
        threads = "1 thread" if record["threads"] == 1 else f"{record['threads']} threads"
        return f"sampling: native {record['isa']}, {record['precision']} weights, {threads}, {way}"


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
        self, ids_B: Ids, state: State, edits_B: Sequence[Edits] | None = None
    ) -> tuple[Floats, State]:
        """Read one token a stream: logits of the next `(B, V)`, and the tokens seen then.

        Raises:
            SamplingError: There are edits: there is no state for them to act upon.
        """
        for edits in edits_B or ():
            _refuse(edits)
        tokens_BT = np.hstack([_tokens(state), np.asarray(ids_B, np.int64)[:, None]])
        tokens_BT = tokens_BT[:, -self._history :]
        return self._predict(tokens_BT), _state(tokens_BT)

    def read(
        self, ids: Sequence[int], state: State, edits: Edits = NO_EDITS
    ) -> tuple[Floats, State]:
        """Read tokens of one stream: as so many calls of `step`, of which the last one computes."""
        _refuse(edits)
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


def _refuse(edits: Edits) -> None:
    if edits:
        raise SamplingError(
            f"{named('steer')} acts upon the state that a text carries on, and with "
            f"{named('history')} nothing is carried on: leave one of them out, or give "
            f"{named('history', 0)}"
        )
