"""The language model on the native engine: on a CPU, without torch.

`NativeNetwork` reads windows of many streams, for training, evaluating and writing many texts
together. `NativeStep` reads and writes one stream: a matrix-vector product a layer, in calls of
many tokens each.

Shape suffixes: `T` time, `B` streams, `V` vocabulary, `H` hidden, `P` parameters.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from threading import Lock

import numpy as np

from textgen.model.config import ModelConfig
from textgen.model.edit import NO_EDITS, Edits, check_edits
from textgen.model.head import (
    DistanceHead,
    ScoreHead,
    distance_loss,
    nats_of,
    open_head,
    score_loss,
)
from textgen.model.initialise import Masks
from textgen.model.label_vectors import LabelledRows
from textgen.model.network import (
    Bools,
    Engine,
    Floats,
    Ids,
    Network,
    State,
    StepNetwork,
    one_a_stream,
)
from textgen.native.counts import Blend, Context
from textgen.native.net import (
    READ_CELL,
    READ_HIDDEN,
    READ_OUTPUT,
    Descent,
    Net,
    PackedEdits,
    Shape,
    Weights,
    check_symbols,
    weights_of,
)
from textgen.native.sampler import NO_ID, ChoiceSettings, Chosen, Sampler, Standing


def native_shape(config: ModelConfig, engine: Engine) -> Shape:
    """Return a model's shape as the library takes it."""
    return Shape(
        isa=engine.isa,
        cell=config.cell,
        nonlinearity=config.nonlinearity,
        vocab=config.vocab_size,
        embedding=config.embedding_size,
        hidden=config.hidden_size,
        layers=config.num_layers,
        tie=config.tie,
        residual=config.residual,
        has_head=not config.has_vector_output,
        eight_bit=engine.precision == "int8",
        threads=engine.threads,
    )


#: Rows of a window with labels that there is room for at first.
_FIRST_ROWS = 1024


class NativeNetwork(Network):
    """A model whose weights lie in one flat array.

    Args:
        config: The model's shape; a cell that the engine has.
        engine: The native engine: instruction set and threads.
    """

    def __init__(self, config: ModelConfig, engine: Engine) -> None:
        self.config = config
        self.engine = engine
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
        #: Whether the head is computed here: one whose output is a vector, and that of a model with
        #: labels, whose engine knows rows (`LabelledRows`) and not symbols.
        self._has_own_head = config.has_vector_output or bool(config.labels)
        self._rows: LabelledRows | None = None
        #: Copies of the recurrent weights, of which a mask has dropped some; made when needed.
        self._masked: dict[str, Floats] = {}
        self._lock = Lock()  # A window is several calls, and the engine keeps it between them.
        self._packed = 0  # 1: for reading, 2: for the gradient too
        self._differentiates = False  # Then all is packed at once, and not a part of it twice.
        self._edits: tuple[Sequence[Edits], PackedEdits] | None = None  # The last ones.
        self._open(_FIRST_ROWS)

    def _open(self, rows: int) -> None:
        """Open the engine's network; of a model with labels for so many rows."""
        config, shape = self.config, native_shape(self.config, self.engine)
        if config.labels:
            self._rows = LabelledRows(config, self.weights, self.gradients, rows)
            width = self._rows.width
            shape = replace(shape, vocab=rows, embedding=width, tie=False, has_head=False)
        self._pointers = self._pointers_to(self.weights)
        self._masked_pointers = self._pointers_to({**self.weights, **self._masked})
        self._gradient_pointers = self._pointers_to(self.gradients)
        self._packed = 0
        self._net = Net(shape)

    def _pointers_to(self, arrays: Mapping[str, Floats]) -> Weights:
        """What of a model the engine knows: all, but for a head that is computed here."""
        if self._has_own_head:
            arrays = {name: array for name, array in arrays.items() if not name.startswith("head.")}
        if self._rows is not None:
            is_gradient = arrays["embedding.weight"] is self.gradients["embedding.weight"]
            own = (
                (self._rows.row_gradients, self._rows.column_gradients)
                if is_gradient
                else (self._rows.rows, self._rows.columns)
            )
            arrays = {**arrays, "embedding.weight": own[0], "layers.0.weight_ih": own[1]}
        return weights_of(arrays, self.config.num_layers)

    @property
    def nbytes(self) -> int:
        """Memory that the engine holds beside parameters and gradient."""
        return self._net.nbytes

    def weights_changed(self) -> None:
        """Say that `parameters` were written: they are packed anew at the next use."""
        self._packed = 0

    def arrays(self) -> dict[str, Floats]:
        """Return a copy of every weight, named as `ModelConfig.tensor_shapes` does."""
        return {name: self.weights[name].copy() for name in self.config.tensor_shapes()}

    def load_arrays(self, arrays: Mapping[str, Floats]) -> None:
        """Take over weights named as `ModelConfig.tensor_shapes` does."""
        for name, weight in self.weights.items():
            weight[...] = arrays[name]
        self.weights_changed()

    def nll(
        self,
        inputs_TB: Ids,
        targets_TB: Ids,
        state: State,
        resets_TB: Bools | None = None,
        edits_B: Sequence[Edits] | None = None,
        labels_TB: Ids | None = None,
    ) -> tuple[Floats, State]:
        """Read a window: each target's negative log-likelihood; see `Network.nll`."""
        edits_B = self._edits_of(edits_B, np.shape(inputs_TB)[1])
        with self._lock:
            after = self._read(
                *(inputs_TB, state, resets_TB, None),
                save=False,
                edits_B=edits_B,
                labels_TB=labels_TB,
            )
            if self._has_own_head:
                return self._own_nats(np.asarray(targets_TB)), after
            return self._net.loss(np.asarray(targets_TB, np.int32)), after

    def outputs(
        self, inputs_TB: Ids, state: State, resets_TB: Bools | None = None
    ) -> tuple[Floats, State]:
        """Read a window: what the head reads `(T, B, H)`, and the state after the window."""
        with self._lock:
            after = self._read(inputs_TB, state, resets_TB, None, save=False)
            return self._last_outputs(), after

    def outputs_of_pieces(
        self,
        inputs_TB: Ids,
        state: State,
        resets_TB: Bools | None = None,
        targets_TB: Ids | None = None,
    ) -> tuple[Floats, State, float]:
        """Read one text that is cut into pieces, the streams of the window.

        With targets, `gradient` becomes that of the mean loss, as `differentiate` gives it for as
        many streams, each from the state in which the piece before it ended: so gradients do not
        go from one piece into another. The text is read once for both.

        Args:
            inputs_TB: The pieces, one after the other.
            state: Before the first.
            resets_TB: Where the state is zeroed before the token is read.
            targets_TB: What follows each token; -1 does not count. None: no gradient.
        Returns:
            What the head reads `(T, B, H)`, the state after the last piece, and the mean loss in
            nats (0 without targets).
        """
        with self._lock:
            self._differentiates |= targets_TB is not None
            save = targets_TB is not None
            after = self._read(inputs_TB, state, resets_TB, None, save=save, chained=True)
            outputs_TBH = self._last_outputs()
            if targets_TB is None:
                return outputs_TBH, after, 0.0
            return outputs_TBH, after, self._backward(targets_TB)

    def descend(self, descent: Descent) -> bool:
        """Make a step of a descent of `parameters`; whether it was masked, and nothing changed."""
        with self._lock:
            if self._packed < 2:
                masked = descent.step()
                self._packed = self._packed if masked else 0
                return masked
            return self._net.descend(self._pointers, descent)

    def set_scale(self, scale: float) -> None:
        """Set `head.scale`, of a model whose output is a vector."""
        self.weights["head.scale"][0] = scale

    def differentiate(
        self,
        inputs_TB: Ids,
        targets_TB: Ids,
        state: State,
        resets_TB: Bools | None = None,
        masks: Masks | None = None,
        labels_TB: Ids | None = None,
    ) -> tuple[float, State]:
        """The mean loss, and the state after the window; `gradient` is overwritten.

        The loss is in nats, or a distance where the output is a vector; its mean is over the
        targets that count: a target of -1 does not.
        """
        with self._lock:
            self._differentiates = True
            after = self._read(inputs_TB, state, resets_TB, masks, save=True, labels_TB=labels_TB)
            loss = self._backward(targets_TB)
            self._mask_gradients(masks)
        return loss, after

    def _backward(self, targets_TB: Ids) -> float:
        """The mean loss of the window that the engine has read and saved; `gradient` is its own."""
        if self._has_own_head:
            return self._own_backward(np.asarray(targets_TB))
        nats_TB = self._net.loss(np.asarray(targets_TB, np.int32), self._gradient_pointers)
        self._net.backward(self._gradient_pointers)
        counted = max(1, int(np.count_nonzero(np.asarray(targets_TB) >= 0)))
        return float(nats_TB.sum(dtype=np.float64)) / counted

    def trace(
        self,
        ids_TB: Ids,
        state: State,
        resets_TB: Bools | None = None,
        *,
        names: Collection[str] | None = None,
        edits_B: Sequence[Edits] | None = None,
    ) -> tuple[list[dict[str, Floats]], State]:
        """Read a window and keep what the layers did; see `Network.trace`."""
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
        self,
        ids_B: Ids | int,
        state: State,
        edits_B: Sequence[Edits] | None = None,
        labels_B: Ids | None = None,
    ) -> tuple[Floats, State]:
        """Read one token a stream; see `StepNetwork.step`."""
        ids_TB = one_a_stream(ids_B, state)[None, :]
        labels_TB = None if labels_B is None else np.asarray(labels_B)[None, :]
        with self._lock:
            after = self._read(
                ids_TB, state, None, None, save=False, edits_B=edits_B, labels_TB=labels_TB
            )
            if self._has_own_head:
                return self._head().logits(self._last_outputs()[0]), after
            return self._net.logits(0), after

    def _last_outputs(self) -> Floats:
        """What the head reads of the window that the engine has read, `(T, B, H)`."""
        return self._net.read(self.config.num_layers - 1, READ_OUTPUT)

    def _head(self) -> ScoreHead | DistanceHead:
        """The head of the weights as they are."""
        return open_head(self.config, self.weights)

    def _own_nats(self, targets_TB: Ids) -> Floats:
        outputs_NH = self._last_outputs().reshape(targets_TB.size, -1)
        nats_N = nats_of(self._head().logits(outputs_NH), targets_TB.ravel())
        return nats_N.reshape(targets_TB.shape)

    def _own_backward(self, targets_TB: Ids) -> float:
        """The head's part of the gradient here, by products of NumPy; the engine does the rest."""
        name = "embedding.weight" if self.config.tie else "head.weight"
        weight_OH = self.weights[name]
        outputs_NH = self._last_outputs().reshape(targets_TB.size, -1)
        targets_N = targets_TB.ravel()
        scores_NO = outputs_NH @ weight_OH.T + self.weights["head.bias"]
        if self.config.has_vector_output:
            goals_NE = self.weights["embedding.weight"][np.maximum(targets_N, 0)]
            loss, gradient_NO = distance_loss(self.config.head, scores_NO, goals_NE, targets_N >= 0)
        else:
            loss, gradient_NO = score_loss(scores_NO, targets_N)
        if self._rows is not None:
            self.gradients["embedding.weight"][...] = 0.0
        np.matmul(gradient_NO.T, outputs_NH, out=self.gradients[name])
        self.gradients["head.bias"][...] = gradient_NO.sum(axis=0)
        self._net.seed((gradient_NO @ weight_OH).reshape(*targets_TB.shape, -1))
        self._net.backward(self._gradient_pointers)
        if self._rows is not None:
            self._rows.spread()
        return loss

    def _read(
        self,
        ids_TB: Ids,
        state: State,
        resets_TB: Bools | None,
        masks: Masks | None,
        *,
        save: bool,
        edits_B: Sequence[Edits] | None = None,
        labels_TB: Ids | None = None,
        chained: bool = False,
    ) -> State:
        if self._rows is not None:
            ids_TB = self._row_ids(self._rows, np.asarray(ids_TB), labels_TB)
        mask_E = None if masks is None else masks.embedding_E
        if self._rows is not None:
            mask_E = self._rows.wide(mask_E)
            if not self._packed:
                self._rows.fill_columns()
        if masks is not None and masks.recurrent:
            self._pack_masked(masks.recurrent)
        elif self._packed < 1 + save:
            backward = save or self._differentiates
            self._net.pack(self._pointers, backward=backward)
            self._packed = 1 + backward
        after = [{name: value.copy() for name, value in layer.items()} for layer in state]
        within = resets_TB is not None and (
            resets_TB[1:].any() or (chained and resets_TB[:, 1:].any())
        )
        if resets_TB is not None and not within:
            # Zeroing the state here says the same, and outputs need no memory apart from it.
            for layer in after:
                for value in layer.values():
                    value[resets_TB[0, : len(value)]] = 0.0
            resets_TB = None
        self._net.forward(
            np.asarray(ids_TB, np.int32),
            [layer["h"] for layer in after],
            [layer["c"] for layer in after if "c" in layer],
            resets_TB=None if resets_TB is None else resets_TB.view(np.uint8),
            mask_E=mask_E,
            mask_LBH=None if masks is None else masks.layers_LBH,
            save=save,
            edits=self._packed_edits(edits_B),
            chained=chained,
        )
        return after

    def _row_ids(self, rows: LabelledRows, ids_TB: Ids, labels_TB: Ids | None) -> Ids:
        """Make a row for each pair of a symbol and a label; which of them each token is."""
        check_symbols(ids_TB, self.config.vocab_size)
        found, places_TB = rows.pairs(ids_TB, labels_TB)
        if len(found) > rows.capacity:
            self._open(1 << (len(found) - 1).bit_length())
            assert self._rows is not None
            rows = self._rows
        rows.fill(found)
        return places_TB

    def _pack_masked(self, masks: Mapping[str, Floats]) -> None:
        """Pack the weights for a window of training in which some recurrent ones are dropped."""
        if not self._masked:
            self._masked = {name: np.empty_like(self.weights[name]) for name in masks}
            self._masked_pointers = self._pointers_to({**self.weights, **self._masked})
        for name, mask in masks.items():
            np.multiply(self.weights[name], mask, out=self._masked[name])
        self._net.pack(self._masked_pointers, backward=True)
        self._packed = 0  # Whoever reads next reads with all weights.

    def _mask_gradients(self, masks: Masks | None) -> None:
        """A weight that was dropped has no gradient, and one that was scaled a scaled one."""
        if masks is not None:
            for name, mask in masks.recurrent.items():
                self.gradients[name] *= mask

    def _packed_edits(self, edits_B: Sequence[Edits] | None) -> PackedEdits | None:
        if edits_B is None or not any(edits_B):
            return None
        # A text is written in many steps, and most have the edits of the one before: mostly the
        # same tuple, which cannot have changed.
        known = None if self._edits is None else self._edits[0]
        if self._edits is None or not (known is edits_B or known == tuple(edits_B)):
            check_edits(edits_B, self.config)
            self._edits = tuple(edits_B), PackedEdits(edits_B)
        return self._edits[1]


@dataclass(frozen=True)
class Written:
    """What one call wrote.

    Args:
        chosen: The tokens: fewer than asked for where the last one ends the text, or where
            the logits after it are not finite.
        logits_BV: Of the token after the last, `(1, V)`.
        state: After the last.
    """

    chosen: Chosen
    logits_BV: Floats
    state: State


class NativeStep(StepNetwork):
    """A trained model on the native engine, one stream at a time.

    What it computes for a text does not depend on how many tokens a call writes, on the number
    of threads or on the texts beside it.

    Args:
        config: The model's shape; a cell of textgen itself.
        weights: Float32 arrays as `config.tensor_shapes()` names them; not to be written to.
        engine: The native engine.
    """

    def __init__(self, config: ModelConfig, weights: Mapping[str, Floats], engine: Engine) -> None:
        self.config = config
        self._sampler = Sampler(native_shape(config, engine), weights)
        self._known_edits = NO_EDITS
        #: What computes, with the number of threads that pay.
        self.engine: Engine = replace(engine, threads=self._sampler.threads)

    def zero_state(self, batch_size: int = 1) -> State:
        """Return the state at the start of a document, for `batch_size` streams."""
        return self._named(
            np.zeros((batch_size, *self._sampler.state_shape), np.float32).swapaxes(0, 1)
        )

    def step(
        self, ids_B: Ids | int, state: State, edits_B: Sequence[Edits] | None = None
    ) -> tuple[Floats, State]:
        """Read one token a stream, one stream after the other; see `StepNetwork.step`."""
        ids_B = one_a_stream(ids_B, state)
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
        """Read the tokens of one stream; see `StepNetwork.read`."""
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
        previous: int = NO_ID,
        standing: Standing | None = None,
        *,
        blend: Blend | None = None,
        context: Context | None = None,
    ) -> Written:
        """Choose and read up to `count` tokens of one stream.

        Args:
            count: How many at most.
            logits_BV: Of the first, `(1, V)`; not modified.
            state: Before the first; not modified.
            settings: Filters and generator.
            counter: Number of the first random draw.
            recent: The tokens before, which a repetition penalty looks at, and what may not be
                repeated.
            end: The id after which no more is chosen.
            edits: Changes of the states at each token that is read.
            previous: The token before the first, where `settings` say what may follow it.
            standing: Where the text stands in its form; None: there is none.
            blend: Counts that the network is mixed with; the logits are then the mixture's.
            context: With them, the contexts before the first; overwritten with those after it all.
        """
        logits, packed = logits_BV[0].copy(), self._packed(state, 0)
        edits = self._checked(edits)
        asked = (count, settings, counter, logits, packed, recent, end, edits, previous, standing)
        if blend is None or context is None:
            chosen = self._sampler.write(*asked)
        else:
            chosen = blend.write(self._sampler, self.engine.isa, context, *asked)
        return Written(chosen, logits[None, :], self._named(packed[:, None]))

    def _checked(self, edits: Edits) -> Edits:
        """`edits`, once they are known to be of this model: the library does not look."""
        if edits is not self._known_edits:
            check_edits([edits], self.config)
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
