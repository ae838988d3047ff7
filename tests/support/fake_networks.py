"""Networks whose output is known, to test what is done with it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from textgen.model.edit import Edits
from textgen.model.network import State, StepNetwork
from textgen.sampling import stream_text

_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)


class HashNetwork(StepNetwork):
    """Logits that depend on every token read, and on nothing else: not on the other rows."""

    def __init__(self, size: int, spread: float = 2.0) -> None:
        self.size = size
        self.spread = spread
        self.batch_sizes: list[int] = []

    def zero_state(self, batch_size: int = 1) -> State:
        return [{"h": np.zeros((batch_size, 1), np.uint64)}]

    def step(
        self, ids_B: NDArray[np.integer], state: State, edits_B: Sequence[Edits] | None = None
    ) -> tuple[NDArray, State]:
        assert not edits_B
        self.batch_sizes.append(len(ids_B))
        h = (state[0]["h"] + ids_B.astype(np.uint64)[:, None] + np.uint64(1)) * _MULTIPLIER
        h ^= h >> np.uint64(31)
        rows = [
            np.random.default_rng(int(row)).normal(0, self.spread, self.size) for row in h[:, 0]
        ]
        return np.array(rows, np.float32), [{"h": h}]


class ScriptNetwork(StepNetwork):
    """Writes a given list of tokens, whatever it reads after `lead` tokens."""

    def __init__(self, size: int, script: Sequence[int], lead: int = 1) -> None:
        self.size = size
        self.script = list(script)
        self.lead = lead
        self.fed: list[list[int]] = []

    def zero_state(self, batch_size: int = 1) -> State:
        return [{"h": np.zeros((batch_size, 1), np.int64)}]

    def step(
        self, ids_B: NDArray[np.integer], state: State, edits_B: Sequence[Edits] | None = None
    ) -> tuple[NDArray, State]:
        assert not edits_B
        self.fed.append(ids_B.tolist())
        h = state[0]["h"] + 1
        logits = np.zeros((len(ids_B), self.size), np.float32)
        for row, count in enumerate(h[:, 0]):
            place = int(count) - self.lead
            if 0 <= place < len(self.script):
                logits[row, self.script[place]] = 20.0
        return logits, [{"h": h}]


def whole_text(*arguments, **settings):
    """The text that `stream_text` writes."""
    return "".join(symbol.text for symbol in stream_text(*arguments, **settings))
