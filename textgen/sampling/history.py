"""A network that sees a fixed number of tokens at each prediction and carries nothing else."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from textgen.corpus.vocabulary import END_ID
from textgen.errors import SamplingError
from textgen.model.edit import NO_EDITS, Edits
from textgen.sampling.stream import Floats, Network, ReadingNetwork, State

_TOKENS = "tokens"


class HistoryNetwork:
    """Predicts from the last tokens alone, the state from zero before them: the lecture's windows.

    What it carries is those tokens, no more than were read. Where these are fewer than it sees, and
    after an end mark, it sees what there is from that mark on.

    Args:
        network: The model.
        history: Tokens seen at each prediction.
    """

    def __init__(self, network: Network, history: int) -> None:
        self._network = network
        self._history = history

    def initial_state(self, batch_size: int = 1) -> State:
        """Nothing read yet, for `batch_size` streams."""
        # An end mark: whatever stands before the last one is not seen.
        return _state(np.full((batch_size, 1), END_ID, np.int64))

    def step(
        self, ids_B: NDArray[np.integer], state: State, edits_B: Sequence[Edits] | None = None
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
        if isinstance(network, ReadingNetwork) and batch_size == 1:
            ids = tokens_BT[0].tolist()
            if END_ID in ids:
                del ids[: len(ids) - 1 - ids[::-1].index(END_ID)]
            return network.read(ids, network.initial_state(1))[0]
        zero = network.initial_state(batch_size)
        state = zero
        for ids_B in tokens_BT.T:
            is_end_B = (ids_B == END_ID)[:, None]
            if is_end_B.any():
                state = [
                    {name: np.where(is_end_B, zeros[name], layer[name]) for name in layer}
                    for layer, zeros in zip(state, zero, strict=True)
                ]
            logits_BV, state = network.step(ids_B, state)
        return logits_BV


def _tokens(state: State) -> NDArray[np.int64]:
    return state[0][_TOKENS].astype(np.int64)


def _state(tokens_BT: NDArray[np.int64]) -> State:
    """Float32 as every state is, exact up to 2**24 symbols."""
    return [{_TOKENS: tokens_BT.astype(np.float32)}]


def _refuse(edits: Edits) -> None:
    if edits:
        raise SamplingError(
            "--steer acts upon the state that a text carries on, and with --history nothing is "
            "carried on: leave one of them out, or give --history 0"
        )
