"""A trained model read one token at a time by the native engine: for sampling, without torch.

One text is a matrix-vector product a layer, in calls that write many symbols each; many texts at
once go through the engine's matrix products, as training does. Where the library is missing, or
does not know the cell, `NumpyNetwork` does both.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from textgen.model.config import ModelConfig
from textgen.model.edit import NO_EDITS, Edits
from textgen.model.native_network import native_shape
from textgen.model.numpy_network import Floats, NumpyNetwork, State
from textgen.native.library import missing_reason
from textgen.native.sampler import ChoiceSettings, Chosen, Sampler
from textgen.ops.path import Path
from textgen.ops.select import NATIVE_CELLS, PATH_VARIABLE, select

#: Texts that one matrix product writes faster than as many vector products one after the other.
TOGETHER_FROM = 4


@dataclass(frozen=True)
class Written:
    """What one call wrote.

    Args:
        chosen: The symbols: fewer than asked for where the last one ends the text, or where
            the logits after it are not finite.
        logits_BV: Of the symbol after the last, `(1, V)`.
        state: After the last.
    """

    chosen: Chosen
    logits_BV: Floats
    state: State


class NativeStep:
    """A trained model as a step function of the native engine, one stream at a time.

    What it computes for a text does not depend on how many symbols a call writes, on the number
    of threads or on the texts beside it.

    Args:
        config: The model's shape; a cell of `NATIVE_CELLS`.
        weights: Float32 arrays as `config.tensor_shapes()` names them; not to be written to.
        path: A native path.
    """

    def __init__(self, config: ModelConfig, weights: Mapping[str, Floats], path: Path) -> None:
        self.config = config
        self._sampler = Sampler(native_shape(config, path), weights)
        self._known_edits = NO_EDITS
        #: What computes, with the number of threads that pay.
        self.path = replace(path, threads=self._sampler.threads)

    def initial_state(self, batch_size: int = 1) -> State:
        """Zeros: the state at the start of a document, for `batch_size` streams."""
        return self._named(
            np.zeros((batch_size, *self._sampler.state_shape), np.float32).swapaxes(0, 1)
        )

    def step(
        self, ids_B: NDArray[np.integer], state: State, edits_B: Sequence[Edits] | None = None
    ) -> tuple[Floats, State]:
        """Read one token a stream, one stream after the other.

        Args:
            ids_B: Token ids, `(B,)`.
            state: The state before it; not modified.
            edits_B: Changes of the states of each stream; None: none.
        Returns:
            Logits of the next token `(B, V)`, and the state after it.
        """
        states = [self._packed(state, row) for row in range(len(ids_B))]
        every_B = [NO_EDITS] * len(ids_B) if edits_B is None else edits_B
        logits = [
            self._sampler.read([token], packed, self._checked(edits))
            for token, packed, edits in zip(ids_B.tolist(), states, every_B, strict=True)
        ]
        return np.stack(logits), self._named(np.stack(states, axis=1))

    def read(
        self, ids: Sequence[int], state: State, edits: Edits = NO_EDITS
    ) -> tuple[Floats, State]:
        """Read the tokens of one stream: the logits after them `(1, V)`, and the state.

        `edits` change the states at each of the tokens.
        """
        packed = self._packed(state, 0)
        logits = self._sampler.read(ids, packed, self._checked(edits))
        return logits[None, :], self._named(packed[:, None])

    def write(
        self,
        count: int,
        logits_BV: Floats,
        state: State,
        settings: ChoiceSettings,
        counter: int,
        recent: Sequence[int],
        end: int,
        edits: Edits = NO_EDITS,
    ) -> Written:
        """Choose and read up to `count` symbols of one stream.

        Args:
            count: How many at most.
            logits_BV: Of the first, `(1, V)`; not modified.
            state: Before the first; not modified.
            settings: Filters and generator.
            counter: Number of the first random draw.
            recent: The tokens before, which a repetition penalty looks at.
            end: The id after which no more is chosen.
            edits: Changes of the states at each symbol that is read.
        """
        logits, packed = logits_BV[0].copy(), self._packed(state, 0)
        chosen = self._sampler.write(
            count, settings, counter, logits, packed, recent, end, self._checked(edits)
        )
        return Written(chosen, logits[None, :], self._named(packed[:, None]))

    def _checked(self, edits: Edits) -> Edits:
        """`edits`, once they are known to be of this model: the library does not look."""
        if edits is not self._known_edits:
            config = self.config
            for edit in edits:
                edit.check(config.cell_spec.state_names, config.num_layers, config.hidden_size)
            self._known_edits = edits
        return edits

    def _packed(self, state: State, row: int) -> Floats:
        """One stream's state as the engine takes it, `(L, S, H)`: a copy."""
        return np.array([[value[row] for value in layer.values()] for layer in state], np.float32)

    def _named(self, states_LBSH: Floats) -> State:
        """The states of streams by name, `(B, H)` each: views."""
        names = self.config.cell_spec.state_names
        return [
            {name: streams[:, place] for place, name in enumerate(names)} for streams in states_LBSH
        ]


class NativeStreams:
    """A trained model as a step function of the native engine, many streams together.

    Args:
        config: The model's shape; a cell of `NATIVE_CELLS`.
        weights: Float32 arrays as `config.tensor_shapes()` names them.
        path: A native path.
    """

    def __init__(self, config: ModelConfig, weights: Mapping[str, Floats], path: Path) -> None:
        from textgen.model.native_network import NativeNetwork

        self.path = path
        self._network = NativeNetwork(config, path)
        self._network.load_arrays(weights)

    def initial_state(self, batch_size: int = 1) -> State:
        """Zeros: the state at the start of a document, for `batch_size` streams."""
        return self._network.zero_state(batch_size)

    def step(
        self, ids_B: NDArray[np.integer], state: State, edits_B: Sequence[Edits] | None = None
    ) -> tuple[Floats, State]:
        """Read one token a stream: logits of the next `(B, V)`, and the state after it."""
        return self._network.step(ids_B, state, edits_B)


def step_path(config: ModelConfig, threads: int) -> Path:
    """What samples with a model of this shape: the native engine, or NumPy and why.

    Args:
        config: The model's shape.
        threads: Computing threads at most.
    Raises:
        ConfigError: `TEXTGEN_PATH` names no path.
        BackendError: It names one that this machine does not have.
    """
    forced = os.environ.get(PATH_VARIABLE, "")
    reason = ""
    if forced == "reference":
        reason = f"{PATH_VARIABLE} asks for it"
    elif forced == "torch":
        reason = "sampling has no torch path"
    elif config.has_vector_output:
        reason = f"a head by {config.head} distance is computed with NumPy"
    elif config.cell not in NATIVE_CELLS:
        reason = f"the native engine has no cell '{config.cell}'"
    elif not forced:
        reason = missing_reason()
    if reason:
        return Path("reference", "fp32", reason)
    return select(config.cell_spec, "cpu", threads=threads)


def open_step(
    config: ModelConfig, weights: Mapping[str, Floats], path: Path
) -> NativeStep | NumpyNetwork:
    """A model as a step function, one stream at a time where `path` is native."""
    if path.name == "native":
        return NativeStep(config, weights, path)
    return NumpyNetwork(config, weights)


def open_streams(
    config: ModelConfig, weights: Mapping[str, Floats], path: Path
) -> NativeStreams | NumpyNetwork:
    """A model as a step function of many streams together."""
    if path.name == "native":
        return NativeStreams(config, weights, path)
    return NumpyNetwork(config, weights)
