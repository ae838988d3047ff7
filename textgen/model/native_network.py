"""The language model on the native engine: what is trained and evaluated on a CPU, without torch.

Shape suffixes: `T` time, `B` streams, `V` vocabulary, `H` hidden, `P` parameters.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from textgen.model.config import ModelConfig
from textgen.model.dropout import Masks
from textgen.model.edit import Edits
from textgen.model.head import DistanceHead, distance_loss, nats_of
from textgen.native.edits import PackedEdits
from textgen.native.net import (
    READ_CELL,
    READ_HIDDEN,
    READ_OUTPUT,
    Net,
    Shape,
    weights_of,
)
from textgen.ops.path import Path

Floats = NDArray[np.float32]
#: Per layer, each of the cell's states by name, `(B, H)`.
State = list[dict[str, Floats]]


def native_shape(config: ModelConfig, path: Path) -> Shape:
    """A model's shape on a native path, as the library is told."""
    return Shape(
        isa=path.isa,
        cell=config.cell,
        nonlinearity=config.nonlinearity,
        vocab=config.vocab_size,
        embedding=config.embedding_size,
        hidden=config.hidden_size,
        layers=config.num_layers,
        tie=config.tie,
        residual=config.residual,
        has_head=not config.has_vector_output,
        threads=path.threads,
    )


def _engine_arrays(config: ModelConfig, arrays: Mapping[str, Floats]) -> Mapping[str, Floats]:
    """What of a model the engine knows: all, but for a head whose output is a vector."""
    if not config.has_vector_output:
        return arrays
    return {name: array for name, array in arrays.items() if not name.startswith("head.")}


class NativeNetwork:
    """A model whose weights lie in one flat array.

    Args:
        config: The model's shape; a cell that the engine has.
        path: The native path: instruction set and threads.
    """

    def __init__(self, config: ModelConfig, path: Path) -> None:
        self.config = config
        self.path = path
        shapes = config.tensor_shapes()
        # Matrices first, for they alone decay; last what no gradient moves.
        order = sorted(shapes, key=lambda name: (name in config.untrained, len(shapes[name]) < 2))
        size = sum(int(np.prod(shape)) for shape in shapes.values())
        #: Every weight and its gradient, `(P,)`: the first `num_decayed` of matrices, those from
        #: `num_trained` on not trained.
        self.parameters = np.zeros(size, np.float32)
        self.gradient = np.zeros(size, np.float32)
        trained = {name: s for name, s in shapes.items() if name not in config.untrained}
        self.num_trained = sum(int(np.prod(shape)) for shape in trained.values())
        self.num_decayed = sum(int(np.prod(s)) for s in trained.values() if len(s) > 1)
        #: Views into them by name.
        self.weights: dict[str, Floats] = {}
        self.gradients: dict[str, Floats] = {}
        start = 0
        for name in order:
            stop = start + int(np.prod(shapes[name]))
            self.weights[name] = self.parameters[start:stop].reshape(shapes[name])
            self.gradients[name] = self.gradient[start:stop].reshape(shapes[name])
            start = stop
        self._pointers = weights_of(_engine_arrays(config, self.weights), config.num_layers)
        self._gradient_pointers = weights_of(
            _engine_arrays(config, self.gradients), config.num_layers
        )
        self._lock = Lock()  # A window is several calls, and the engine keeps it between them.
        self._packed = 0  # 1: for reading, 2: for the gradient too
        self._edits: tuple[Sequence[Edits], PackedEdits] | None = None  # The last ones.
        self._net = Net(native_shape(config, path))

    @property
    def nbytes(self) -> int:
        """Memory that the engine holds beside parameters and gradient."""
        return self._net.nbytes

    def zero_state(self, batch_size: int) -> State:
        """The state at the start of a document, per layer, each `(B, H)`."""
        shape = (batch_size, self.config.hidden_size)
        return [
            {name: np.zeros(shape, np.float32) for name in self.config.cell_spec.state_names}
            for _ in range(self.config.num_layers)
        ]

    def weights_changed(self) -> None:
        """Say that `parameters` were written: they are packed anew at the next use."""
        self._packed = 0

    def arrays(self) -> dict[str, Floats]:
        """A copy of every weight, named as `ModelConfig.tensor_shapes` does."""
        return {name: self.weights[name].copy() for name in self.config.tensor_shapes()}

    def load_arrays(self, arrays: Mapping[str, NDArray[np.floating[Any]]]) -> None:
        """Take over weights named as `ModelConfig.tensor_shapes` does."""
        for name, weight in self.weights.items():
            weight[...] = arrays[name]
        self.weights_changed()

    def costs(
        self,
        inputs_TB: NDArray[np.integer],
        targets_TB: NDArray[np.integer],
        state: State,
        resets_TB: NDArray[np.bool_] | None = None,
        edits_B: Sequence[Edits] | None = None,
    ) -> tuple[Floats, State]:
        """Nats of each target `(T, B)`, and the state after the window.

        A target of -1 is not counted: it costs 0.
        `edits_B` are changes of the states at every step, for each stream.
        """
        with self._lock:
            after = self._read(inputs_TB, state, resets_TB, None, save=False, edits_B=edits_B)
            if self.config.has_vector_output:
                return self._distance_nats(np.asarray(targets_TB)), after
            return self._net.loss(np.asarray(targets_TB, np.int32)), after

    def outputs(
        self,
        inputs_TB: NDArray[np.integer],
        state: State,
        resets_TB: NDArray[np.bool_] | None = None,
    ) -> tuple[Floats, State]:
        """The last layer's outputs `(T, B, H)`, and the state after the window."""
        with self._lock:
            after = self._read(inputs_TB, state, resets_TB, None, save=False)
            return self._last_outputs(), after

    def set_scale(self, scale: float) -> None:
        """Set `head.scale`, of a model whose output is a vector."""
        self.weights["head.scale"][0] = scale

    def differentiate(
        self,
        inputs_TB: NDArray[np.integer],
        targets_TB: NDArray[np.integer],
        state: State,
        resets_TB: NDArray[np.bool_] | None = None,
        masks: Masks | None = None,
    ) -> tuple[float, State]:
        """The mean loss, and the state after the window; `gradient` is overwritten.

        The loss is in nats, or a distance where the output is a vector; its mean is over the
        targets that count: a target of -1 does not.
        """
        with self._lock:
            after = self._read(inputs_TB, state, resets_TB, masks, save=True)
            if self.config.has_vector_output:
                return self._differentiate_distance(np.asarray(targets_TB)), after
            nats_TB = self._net.loss(np.asarray(targets_TB, np.int32), self._gradient_pointers)
            self._net.backward(self._gradient_pointers)
        counted = max(1, int(np.count_nonzero(np.asarray(targets_TB) >= 0)))
        return float(nats_TB.sum(dtype=np.float64)) / counted, after

    def trace(
        self,
        ids_TB: NDArray[np.integer],
        state: State,
        resets_TB: NDArray[np.bool_] | None = None,
        *,
        names: Collection[str] | None = None,
        edits_B: Sequence[Edits] | None = None,
    ) -> tuple[list[dict[str, Floats]], State]:
        """Read a window and keep what the layers did.

        Args:
            ids_TB: Token ids.
            state: The state before the window; not modified.
            resets_TB: Where a document begins.
            names: Which states and gates; None: all of the cell's.
            edits_B: Changes of the states at every step, for each stream.
        Returns:
            Per layer each state and gate by name `(T, B, H)`, and the state after the window.
        """
        cell = self.config.cell_spec
        places = {"h": READ_HIDDEN} | ({"c": READ_CELL} if "c" in cell.state_names else {})
        places |= {name: block for block, name in enumerate(cell.gate_names)}
        with self._lock:
            after = self._read(ids_TB, state, resets_TB, None, save=True, edits_B=edits_B)
            records = [
                {
                    name: self._net.read(layer, place)
                    for name, place in places.items()
                    if names is None or name in names
                }
                for layer in range(self.config.num_layers)
            ]
        return records, after

    def step(
        self, ids_B: NDArray[np.integer], state: State, edits_B: Sequence[Edits] | None = None
    ) -> tuple[Floats, State]:
        """Read one token a stream: logits of the next `(B, V)`, and the state after it.

        `edits_B` are changes of the states, for each stream.
        """
        ids_TB = np.asarray(ids_B)[None, :]
        with self._lock:
            after = self._read(ids_TB, state, None, None, save=False, edits_B=edits_B)
            if self.config.has_vector_output:
                return self._head().logits(self._last_outputs()[0]), after
            return self._net.logits(0), after

    def _last_outputs(self) -> Floats:
        """What the head reads of the window that the engine has read, `(T, B, H)`."""
        return self._net.read(self.config.num_layers - 1, READ_OUTPUT)

    def _head(self) -> DistanceHead:
        """The head of the weights as they are."""
        return DistanceHead(self.config, self.weights)

    def _distance_nats(self, targets_TB: NDArray[np.integer]) -> Floats:
        outputs_NH = self._last_outputs().reshape(targets_TB.size, -1)
        nats_N = nats_of(self._head().logits(outputs_NH), targets_TB.ravel())
        return nats_N.reshape(targets_TB.shape)

    def _differentiate_distance(self, targets_TB: NDArray[np.integer]) -> float:
        """The head's part of the gradient here, by products of NumPy; the engine does the rest."""
        weight_EH = self.weights["head.weight"]
        outputs_NH = self._last_outputs().reshape(targets_TB.size, -1)
        targets_N = targets_TB.ravel()
        F_NE = outputs_NH @ weight_EH.T + self.weights["head.bias"]
        goals_NE = self.weights["embedding.weight"][np.maximum(targets_N, 0)]
        loss, gradient_NE = distance_loss(self.config.head, F_NE, goals_NE, targets_N >= 0)
        np.matmul(gradient_NE.T, outputs_NH, out=self.gradients["head.weight"])
        self.gradients["head.bias"][...] = gradient_NE.sum(axis=0)
        self._net.seed((gradient_NE @ weight_EH).reshape(*targets_TB.shape, -1))
        self._net.backward(self._gradient_pointers)
        return loss

    def _read(
        self,
        ids_TB: NDArray[np.integer],
        state: State,
        resets_TB: NDArray[np.bool_] | None,
        masks: Masks | None,
        *,
        save: bool,
        edits_B: Sequence[Edits] | None = None,
    ) -> State:
        if self._packed < 1 + save:
            self._net.pack(self._pointers, backward=save)
            self._packed = 1 + save
        after = [{name: value.copy() for name, value in layer.items()} for layer in state]
        if resets_TB is not None and not resets_TB[1:].any():
            # Zeroing the state here says the same, and outputs need no memory apart from it.
            for layer in after:
                for value in layer.values():
                    value[resets_TB[0]] = 0.0
            resets_TB = None
        self._net.forward(
            np.asarray(ids_TB, np.int32),
            [layer["h"] for layer in after],
            [layer["c"] for layer in after if "c" in layer],
            resets_TB=None if resets_TB is None else resets_TB.view(np.uint8),
            mask_E=None if masks is None else masks.embedding_E,
            mask_LBH=None if masks is None else masks.layers_LBH,
            save=save,
            edits=self._packed_edits(edits_B),
        )
        return after

    def _packed_edits(self, edits_B: Sequence[Edits] | None) -> PackedEdits | None:
        if edits_B is None or not any(edits_B):
            return None
        # A text is written in many steps, and most have the edits of the one before: mostly the
        # same tuple, which cannot have changed.
        known = None if self._edits is None else self._edits[0]
        if self._edits is None or not (known is edits_B or known == tuple(edits_B)):
            config = self.config
            for edit in {id(edit): edit for edits in edits_B for edit in edits}.values():
                edit.check(config.cell_spec.state_names, config.num_layers, config.hidden_size)
            self._edits = tuple(edits_B), PackedEdits(edits_B)
        return self._edits[1]
