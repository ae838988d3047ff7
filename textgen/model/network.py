"""A language model that reads text: what every engine offers.

Anything that has a zero state and reads one token a stream is a `StepNetwork`, and can write. A
`Network` reads whole windows too: it returns the negative log-likelihood of every target, or what
the layers did. What stands here is the specification, a loop over steps; an engine overrides what
it computes faster. `textgen.model.engine` decides which engine that is.

Shape suffixes: `T` time, `B` streams, `V` vocabulary, `H` hidden.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from textgen.errors import BackendError, ConfigError
from textgen.model.config import ModelConfig
from textgen.model.edit import NO_EDITS, Edits, for_all
from textgen.model.head import log_softmax

Floats = NDArray[np.float32]
Ids = NDArray[np.integer]
#: Tokens of a text `(N,)`, and the logits before each of them `(N, V)`.
Predicted = tuple[Ids, Floats]
Bools = NDArray[np.bool_]
#: Per layer, each of the cell's states by name, `(B, H)`; arrays of the library that computes.
State = list[dict[str, Any]]


@dataclass(frozen=True)
class Engine:
    """What computes the recurrence and the products around it.

    Args:
        name: `native` (the C engine), `torch` (its fused kernels), `reference` (the cell looped
            over time in torch) or `numpy` (the same in NumPy, for reading and writing).
        precision: `fp32` or `bf16`, of the products; weights, cell state and sums are float32.
            `int8`: one stream is written by weights of 8 bits.
        reason: Why this one, in words for a person.
        device: `cpu`, `cuda` or `mps`.
        isa: The instruction set of the native engine, "" elsewhere.
        threads: Computing threads.
    """

    name: str
    precision: str
    reason: str
    device: str = "cpu"
    isa: str = ""
    threads: int = 1


class TokenReader(Protocol):
    """What reads one text from its beginning, token by token, and may learn from it."""

    def read(self, token: int) -> Floats:
        """Read one token, the first one an end mark: logits of the next `(V,)`."""


class StepNetwork(ABC):
    """A model that reads one token a stream: all that writing a text needs."""

    #: What computes; None where that does not matter.
    engine: Engine | None = None
    #: Whether counts of a text are mixed in.
    has_counts = False

    @abstractmethod
    def zero_state(self, batch_size: int = 1) -> State:
        """Return the state at the start of a document, for `batch_size` streams."""

    @abstractmethod
    def step(
        self, ids_B: Ids | int, state: State, edits_B: Sequence[Edits] | None = None
    ) -> tuple[Floats, State]:
        """Read one token a stream.

        Args:
            ids_B: Token ids, `(B,)`; a whole number is that of one stream.
            state: The state before it; not modified.
            edits_B: Changes of each stream's new states; None: none.
        Returns:
            Logits of the next token `(B, V)`, and the state after it.
        Raises:
            ConfigError: `ids_B` is neither, or has not one token for each stream of the state.
        """

    def read(
        self, ids: Sequence[int], state: State, edits: Edits = NO_EDITS
    ) -> tuple[Floats, State]:
        """Read the tokens of one stream, at least one.

        Args:
            ids: Token ids.
            state: The state before them; not modified.
            edits: Changes of the states at each of them.
        Returns:
            Logits of the token after them `(1, V)`, and the state. The numbers do not depend on
            how the tokens are divided among calls.
        """
        for token in ids:
            logits_1V, state = self.step(np.array([token]), state, [edits] if edits else None)
        return logits_1V, state


class Network(StepNetwork):
    """A model that reads windows of many streams."""

    config: ModelConfig
    engine: Engine
    #: Changes of the states at every step of every stream, for `nll` where it is given none.
    edits: Edits = NO_EDITS

    @abstractmethod
    def step(
        self,
        ids_B: Ids | int,
        state: State,
        edits_B: Sequence[Edits] | None = None,
        labels_B: Ids | None = None,
    ) -> tuple[Floats, State]:
        """Read one token a stream; see `StepNetwork.step`.

        Args:
            labels_B: The label of each stream's text: its number in `config.labels`, from 1; 0 is
                none. None: none has any.
        """

    def zero_state(self, batch_size: int = 1) -> State:
        """Return the state at the start of a document, for `batch_size` streams."""
        shape = (batch_size, self.config.hidden_size)
        return [
            {name: np.zeros(shape, np.float32) for name in self.config.cell_spec.state_names}
            for _ in range(self.config.num_layers)
        ]

    def nll(
        self,
        inputs_TB: Ids,
        targets_TB: Ids,
        state: State,
        resets_TB: Bools | None = None,
        edits_B: Sequence[Edits] | None = None,
        labels_TB: Ids | None = None,
    ) -> tuple[NDArray[np.floating], State]:
        """Read a window and compare the predictions with what follows.

        Args:
            inputs_TB: Token ids, `(T, B)`.
            targets_TB: The tokens that follow them, `(T, B)`; one of -1 is not counted.
            state: The state before the window; not modified.
            resets_TB: Where a document begins: the state is zeroed before that token is read.
            edits_B: Changes of the states at every step, for each stream; None: those of `edits`.
            labels_TB: The label of each token's text, as in `step`.
        Returns:
            The negative log-likelihood of each target in nats `(T, B)`, 0 where it is not counted,
            and the state after the window.
        """
        edits_B = self._edits_of(edits_B, np.shape(inputs_TB)[1])
        nll_TB = np.empty(np.shape(inputs_TB))
        for t, ids_B in enumerate(inputs_TB):
            state = reset(state, None if resets_TB is None else resets_TB[t])
            labels_B = None if labels_TB is None else labels_TB[t]
            logits_BV, state = self.step(ids_B, state, edits_B, labels_B)
            targets_B = np.asarray(targets_TB[t])
            own_B = log_softmax(logits_BV)[np.arange(len(targets_B)), np.maximum(targets_B, 0)]
            nll_TB[t] = np.where(targets_B < 0, 0.0, -own_B)
        return nll_TB, state

    @abstractmethod
    def trace(
        self,
        ids_TB: Ids,
        state: State,
        resets_TB: Bools | None = None,
        *,
        names: Collection[str] | None = None,
        edits_B: Sequence[Edits] | None = None,
    ) -> tuple[list[dict[str, Floats]], State]:
        """Read a window and keep what the layers did.

        Args:
            ids_TB: Token ids, `(T, B)`.
            state: The state before the window; not modified.
            resets_TB: Where a document begins.
            names: Which of the cell's states and gates; None: all of them.
            edits_B: Changes of the states at every step, for each stream.
        Returns:
            Per layer each state and gate by name `(T, B, H)`, and the state after the window.
        Raises:
            BackendError: The engine does not show them.
        """

    @abstractmethod
    def outputs(
        self, inputs_TB: Ids, state: State, resets_TB: Bools | None = None
    ) -> tuple[Floats, State]:
        """Read a window: what the head reads `(T, B, H)`, and the state after the window."""

    @abstractmethod
    def arrays(self) -> dict[str, Floats]:
        """Return a copy of every weight, named as `ModelConfig.tensor_shapes` does."""

    @abstractmethod
    def load_arrays(self, arrays: Mapping[str, Floats]) -> None:
        """Take over weights named as `ModelConfig.tensor_shapes` does."""

    def set_scale(self, scale: float) -> None:
        """Set `head.scale`, of a model whose output is a vector."""
        self.load_arrays({**self.arrays(), "head.scale": np.array([scale], np.float32)})

    def _edits_of(self, edits_B: Sequence[Edits] | None, batch_size: int) -> Sequence[Edits] | None:
        return for_all(self.edits, batch_size) if edits_B is None else edits_B


def one_a_stream(ids_B: Any, state: State) -> Ids:
    """What `StepNetwork.step` is given, as an array `(B,)`.

    Raises:
        ConfigError: It is no whole number and no row of them, or the state has other streams.
    """
    ids: Ids = np.asarray(ids_B)
    if ids.ndim == 0:
        ids = ids[None]
    # Once a token: `np.issubdtype` would take a hundredth of a step.
    if ids.ndim != 1 or ids.dtype.kind not in "iu":
        raise ConfigError(
            f"step was given {ids_B!r:.60}; it wants token ids, one for each stream: 3, or [3, 5]"
        )
    streams = len(next(iter(state[0].values())))
    if len(ids) != streams:
        raise ConfigError(
            f"step was given {len(ids)} token ids, and the state is that of {streams} streams; it "
            f"wants one for each stream: zero_state({len(ids)}) is a state of {len(ids)}"
        )
    return ids


def reset(state: State, resets_B: Bools | None) -> State:
    """Return the state with some streams set to zero."""
    if resets_B is None or not resets_B.any():
        return state
    resets_B1 = resets_B[:, None]
    return [
        {name: np.where(resets_B1, value.dtype.type(0), value) for name, value in layer.items()}
        for layer in state
    ]


def no_states(engine: Engine) -> BackendError:
    """Return the error of an engine that neither shows nor changes states on their way."""
    return BackendError(
        f"evaluating a steered model needs the native engine; '{engine.name}' cannot change states "
        "while it reads. Compile the native engine: python -m textgen.native.build"
    )
