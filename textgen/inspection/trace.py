"""What a network did on a text: named arrays of its states and gates, one row a token.

Row `t` holds the values after token `t` was read; `nats[t]` is what token `t` cost before it was
read. The end mark is read before the first token and is no row; one within the text resets the
state.

`trace` computes by the cell's own specification in float32. `survey` reads many stretches in
parallel on the native engine; each except the first begins `WARMUP` tokens early. Where the engine
multiplies in bf16, a value differs from that of `trace` by about 2**-8 of the largest one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from textgen.cells import Cell
from textgen.corpus.vocabulary import END_ID, Vocabulary
from textgen.errors import BackendError, InspectionError, named
from textgen.model.config import ModelConfig
from textgen.model.edit import NO_EDITS, Edits, StateName, for_all
from textgen.model.engine import open_reader
from textgen.model.head import log_softmax
from textgen.model.network import Network, State
from textgen.model.numpy_network import NumpyNetwork
from textgen.notebook import Part, Shown, quoted
from textgen.progress import task
from textgen.steering.target import QUANTITY_OF
from textgen.table import Column, Table
from textgen.terminal.humanize import plural

if TYPE_CHECKING:
    import pandas


Floats = NDArray[np.float32]
#: One neuron of one layer: `(layer, unit)`, both counted from 0.
Neuron = tuple[int, int]

#: Logits are made for as many rows at once as keep them below this many numbers.
LOGITS_LIMIT = 2**22

#: A larger value is beyond all use: float32 has no square of it.
LARGEST = 1e18

#: Characters of the text that a trace shows of itself.
_EXCERPT = 40

#: The state of each quantity that is one: `c` of `cell`, `h` of `hidden`.
STATES: Mapping[str, StateName] = {name: state for state, name in QUANTITY_OF.items()}


def quantities(cell: Cell) -> tuple[str, ...]:
    """What can be traced in `cell`, the default quantity first.

    States come first (`cell` before `hidden`), then each gate as `<name>-gate`, then `candidate`;
    an LSTM has `cell hidden input-gate forget-gate output-gate candidate`.
    """
    states = list(_states(cell))
    if "cell" in states:
        states.remove("cell")
        states.insert(0, "cell")
    gates = [f"{name}-gate" for name in cell.gate_names if name != "candidate"]
    candidate = ["candidate"] if "candidate" in cell.gate_names else []
    return (*states, *gates, *candidate)


def default_quantity(cell: Cell) -> str:
    """`cell` where the cell has such a state, else `hidden`."""
    return quantities(cell)[0]


def check_quantity(cell: Cell, name: str) -> str:
    """`name`, if `cell` has such a quantity.

    Raises:
        InspectionError: It has not; the message lists those it has.
    """
    known = quantities(cell)
    if name not in known:
        raise InspectionError(
            f"a model of {cell.name} cells has no '{name}'; choose one of: {', '.join(known)}"
        )
    return name


def chosen_quantity(cell: Cell, name: str | None) -> str:
    """`name`, if `cell` has such a quantity; the default one where it is None.

    Raises:
        InspectionError: It has not; the message lists those it has.
    """
    return default_quantity(cell) if name is None else check_quantity(cell, name)


def acting_layers(config: ModelConfig, quantity: str) -> range:
    """The layers in which a quantity does something.

    All of them, but for a gate of the layer below, such as `depth-gate`: the first layer has no
    layer below. Where it is the only one, it is named all the same.
    """
    below = quantity.removesuffix("-gate") in config.cell_spec.below_gate_names
    return range(1 if below and config.num_layers > 1 else 0, config.num_layers)


@dataclass(frozen=True, eq=False, repr=False)
class Trace(Shown):
    """A stretch of text and what the network did on it.

    `trace["cell"]` is the matrix of one quantity: a row for each token, a column for each neuron,
    in the order of `neurons`. `trace["cell", 1]` has the columns of layer 1 alone.

    Args:
        ids: The tokens, `(T,)`.
        places: Number of each token in the text, `(T,)`, from 0; rising where rows stand in order.
        pieces: The text of each token as the vocabulary prints it, `T` of them. A character made
            of several tokens stands at the last of them, with "" before. Empty strings throughout
            if no vocabulary was given.
        arrays: `layers.<layer>.<quantity>` -> values after each token, `(T, units)`.
        units: Layer -> which neurons the columns of its arrays are, `(units,)`.
        nats: What each token cost given all before it, `(T,)`, in nats.
        next_ids: The most likely tokens after each row, best first, `(T, top)`.
        next_probabilities: Their probabilities, `(T, top)`.
        final_state: The state after the last token: hand it as `initial` to go on from here.
    """

    ids: NDArray[np.int64]
    places: NDArray[np.int64]
    pieces: tuple[str, ...]
    arrays: Mapping[str, Floats]
    units: Mapping[int, NDArray[np.int64]]
    nats: NDArray[np.float64]
    next_ids: NDArray[np.int64]
    next_probabilities: Floats
    final_state: State

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def quantities(self) -> tuple[str, ...]:
        """The quantities traced, in the order of `arrays`."""
        return tuple(dict.fromkeys(name.split(".", 2)[2] for name in self.arrays))

    @property
    def neurons(self) -> tuple[Neuron, ...]:
        """The neurons traced, as `(layer, unit)`: the columns of `trace[quantity]`."""
        return tuple((layer, int(unit)) for layer in self.units for unit in self.units[layer])

    @property
    def headline(self) -> str:
        """The text, and what is kept of it."""
        kept = ", ".join(self.quantities) or "costs only"
        told = f"{plural(len(self), 'token')}, {plural(len(self.neurons), 'neuron')}"
        return f"{quoted(''.join(self.pieces))}: {told}; {kept}"

    def parts(self) -> Iterable[Part]:
        """What there is to read, with the range of its values."""
        rows = []
        for name in self.quantities:
            values = self[name]
            shape = " x ".join(map(str, values.shape))
            ends = (float(values.min()), float(values.max())) if values.size else (None, None)
            rows.append((f'trace["{name}"]', shape, *ends))
        yield Table(("quantity", Column("shape", "tokens x neurons"), "min", "max"), rows)

    def __contains__(self, quantity: object) -> bool:
        return quantity in self.quantities

    def __getitem__(self, key: str | tuple[str, int]) -> Floats:
        """The values of a quantity, `(T, neurons)`; of one layer, `(T, units)`.

        Args:
            key: One of `quantities`, or `(quantity, layer)`.
        Raises:
            InspectionError: It was not traced.
        """
        name, layer = key if isinstance(key, tuple) and len(key) == 2 else (key, None)
        if not isinstance(name, str):
            raise InspectionError(
                f"a trace is read by quantity, and {key!r:.60} is not one; it has: "
                f"{', '.join(self.quantities)}"
            )
        quantity = self.only_quantity(name)
        if layer is None:
            parts = [self.arrays[f"layers.{each}.{quantity}"] for each in self.units]
            return np.concatenate(parts, axis=1)
        if layer not in self.units:
            layers = ", ".join(map(str, self.units))
            raise InspectionError(f"layer {layer!r} is not in this trace; it has: {layers}")
        return self.arrays[f"layers.{layer}.{quantity}"]

    def to_pandas(self) -> pandas.DataFrame:
        """A table for pandas: a row for each token.

        Returns:
            Columns `text` (the token's text) and `bits` (what it cost), then one for each quantity
            of each neuron, such as `0:75 cell`. The index is the number of the token.
        Raises:
            BackendError: pandas is not installed.
        """
        try:
            import pandas
        except ImportError:
            raise BackendError(
                "to_pandas needs pandas, which is not installed; type: pip install pandas"
            ) from None
        columns: dict[str, Any] = {"text": list(self.pieces), "bits": self.nats / np.log(2.0)}
        for quantity in self.quantities:
            values = self[quantity]
            for column, (layer, unit) in enumerate(self.neurons):
                columns[f"{layer}:{unit} {quantity}"] = values[:, column]
        return pandas.DataFrame(columns, index=pandas.Index(self.places, name="token"))

    def values(self, layer: int, unit: int, quantity: str | None = None) -> Floats:
        """One neuron's values, `(T,)`.

        Args:
            quantity: Which of `quantities`; may be left out where only one was traced.
        Raises:
            InspectionError: It was not traced.
        """
        name = self.only_quantity(quantity)
        column = self._column(layer, unit)
        return self.arrays[f"layers.{layer}.{name}"][:, column]

    def _column(self, layer: int, unit: int) -> int:
        found = np.flatnonzero(self.units.get(layer, np.empty(0)) == unit)
        if not found.size:
            raise InspectionError(f"neuron {layer}:{unit} is not in this trace")
        return int(found[0])

    def select(self, neurons: Iterable[Neuron]) -> Trace:
        """The same trace with the columns of `neurons` alone, in this order.

        Raises:
            InspectionError: One of them was not traced.
        """
        by_layer: dict[int, list[int]] = {}
        for layer, unit in dict.fromkeys(neurons):
            by_layer.setdefault(layer, []).append(self._column(layer, unit))
        return replace(
            self,
            arrays={
                f"layers.{layer}.{quantity}": self.arrays[f"layers.{layer}.{quantity}"][:, columns]
                for layer, columns in sorted(by_layer.items())
                for quantity in self.quantities
            },
            units={layer: self.units[layer][columns] for layer, columns in by_layer.items()},
        )

    def only_quantity(self, quantity: str | None) -> str:
        """`quantity` checked, or the single one traced if it is None.

        Raises:
            InspectionError: It was not traced, or None leaves the choice open.
        """
        known = self.quantities
        if quantity is None and len(known) == 1:
            return known[0]
        if quantity is None:
            raise InspectionError(
                f"this trace has several quantities; name one: {', '.join(known)}"
            )
        if quantity not in known:
            raise InspectionError(
                f"quantity {quantity!r} is not in this trace; it has: {', '.join(known)}"
            )
        return quantity


def trace(
    network: NumpyNetwork, ids: NDArray[np.integer] | Sequence[int], **settings: Any
) -> Trace:
    """Run `network` over a text and keep what it did.

    The result takes `4 * T * units * quantities` bytes a layer; for texts beyond some 100,000
    tokens use `trace_chunks`, whose `settings` these are.

    Raises:
        InspectionError: A layer, neuron, quantity or token that the model does not have.
    """
    return join_chunks(trace_chunks(network, ids, **settings))


def join_chunks(chunks: Iterable[Trace]) -> Trace:
    """Consecutive stretches, at least one, as the trace of all of them."""
    parts = list(chunks)
    if len(parts) == 1:
        return parts[0]
    return Trace(
        ids=np.concatenate([part.ids for part in parts]),
        places=np.concatenate([part.places for part in parts]),
        pieces=tuple(chain.from_iterable(part.pieces for part in parts)),
        arrays={
            name: np.concatenate([part.arrays[name] for part in parts]) for name in parts[0].arrays
        },
        units=parts[0].units,
        nats=np.concatenate([part.nats for part in parts]),
        next_ids=np.concatenate([part.next_ids for part in parts]),
        next_probabilities=np.concatenate([part.next_probabilities for part in parts]),
        final_state=parts[-1].final_state,
    )


def trace_chunks(
    network: NumpyNetwork,
    ids: NDArray[np.integer] | Sequence[int],
    *,
    vocabulary: Vocabulary | None = None,
    quantities: Sequence[str] | None = None,
    layers: Sequence[int] | None = None,
    units: Sequence[Neuron] | None = None,
    reset_at_end_marks: bool = True,
    top: int = 0,
    chunk: int = 4096,
    initial: State | None = None,
    edits: Edits = NO_EDITS,
) -> Iterator[Trace]:
    """Trace a text in pieces of `chunk` tokens, so that memory does not grow with the text.

    An empty text yields one empty trace.

    Args:
        network: The model.
        ids: The tokens, `(T,)`; may be a memory-mapped array.
        vocabulary: Gives `pieces`; None leaves them empty.
        quantities: Names from `quantities(cell)`; None: the default one; an empty sequence keeps
            none, which leaves the costs.
        layers: Which layers; None: all.
        units: Which neurons, as `(layer, unit)`; None: all of `layers`. Columns stand in this
            order.
        reset_at_end_marks: Whether an end mark within the text zeroes the state before it is read.
        top: How many of the most likely next tokens to keep; 0 is off.
        chunk: Tokens worked on at once.
        initial: The state before the first token; None: after the end mark, from zeros.
        edits: Changes of the states at every token, the end mark before the first included.
    Yields:
        Consecutive stretches; joined they equal what `trace` returns.
    Raises:
        InspectionError: A layer, neuron, quantity or token that the model does not have.
    """
    if chunk < 1:
        raise InspectionError(f"chunk is {chunk}; it must be at least 1")
    if not 0 <= top <= network.config.vocab_size:
        raise InspectionError(f"top is {top}; it must lie in 0..{network.config.vocab_size}")
    cell = network.cell
    kept = (default_quantity(cell),) if quantities is None else tuple(dict.fromkeys(quantities))
    kept_units = _columns(network.config, layers, units)
    for name in kept:
        check_quantity(cell, name)
    array, edits_B = np.asarray(ids), for_all(edits, 1)
    decoder = None if vocabulary is None else vocabulary.decoder()
    state = initial
    starts = range(0, max(len(array), 1), chunk)
    with task("reading the text", len(starts)) as reading:
        if state is None:
            _, state = network.step(np.array([END_ID]), network.zero_state(), edits_B)
        for start in starts:
            ids_T = np.asarray(array[start : start + chunk], np.int64)
            pieces = [decoder.feed(token) if decoder else "" for token in ids_T.tolist()]
            if decoder and pieces and start + chunk >= len(array):
                pieces[-1] += decoder.flush()
            arrays, outputs, state = _read(
                network, ids_T, state, kept, kept_units, reset_at_end_marks, edits_B
            )
            nats, next_ids, next_probabilities = _predictions(network, outputs, ids_T, top)
            yield Trace(
                ids=ids_T,
                places=np.arange(start, start + len(ids_T)),
                pieces=tuple(pieces),
                arrays=arrays,
                units=kept_units,
                nats=nats,
                next_ids=next_ids,
                next_probabilities=next_probabilities,
                final_state=[{name: own.copy() for name, own in layer.items()} for layer in state],
            )
            reading.advance()


def _columns(
    config: ModelConfig, layers: Sequence[int] | None, neurons: Sequence[Neuron] | None
) -> dict[int, NDArray[np.int64]]:
    """The neurons of each layer that are kept."""
    for layer in layers or ():
        check_neuron((layer, 0), config.num_layers, config.hidden_size)
    chosen = range(config.num_layers) if layers is None else sorted(set(layers))
    if neurons is None:
        return {layer: np.arange(config.hidden_size) for layer in chosen}
    by_layer: dict[int, list[int]] = {}
    for neuron in dict.fromkeys(neurons):
        check_neuron(neuron, config.num_layers, config.hidden_size)
        if neuron[0] in chosen:
            by_layer.setdefault(neuron[0], []).append(neuron[1])
    return {layer: np.array(by_layer[layer], np.int64) for layer in sorted(by_layer)}


# `check_numbers` reports states that grow without limit.
@np.errstate(over="ignore", invalid="ignore")
def _read(
    network: NumpyNetwork,
    ids_T: NDArray[np.int64],
    state: State,
    quantities: Sequence[str],
    units: Mapping[int, NDArray[np.int64]],
    reset: bool,
    edits_B: Sequence[Edits] | None,
) -> tuple[dict[str, Floats], Floats, State]:
    """The arrays of a trace, what the head reads before each token and after the last, the state.

    Raises:
        InspectionError: A token is not in the vocabulary.
    """
    count, vocab_size = len(ids_T), network.config.vocab_size
    if count and not 0 <= int(ids_T.min()) <= int(ids_T.max()) < vocab_size:
        raise InspectionError(
            f"the text has token {int(ids_T.max())}, but the model knows only "
            f"{vocab_size}: it was encoded with another vocabulary"
        )
    states = _states(network.cell)
    arrays: dict[str, Floats] = {}
    #: Of each array: its layer, whether it is a state or a gate, and what the cell calls it.
    sites = []
    for layer in units:
        for name in quantities:
            values = np.empty((count, len(units[layer])), np.float32)
            arrays[f"layers.{layer}.{name}"] = values
            sites.append((values, layer, name in states, own_name(name)))
    outputs = np.empty((count + 1, network.config.hidden_size), np.float32)
    outputs[0] = network.output(state)[0]
    for row, token in enumerate(ids_T.tolist()):
        if token == END_ID and reset:
            state = network.zero_state()
        records = network.step_traced(ids_T[row : row + 1], state, edits_B)
        state = [record.state for record in records]
        for values, layer, is_state, own in sites:
            source = records[layer].state if is_state else records[layer].gates
            values[row] = source[own][0, units[layer]]
        outputs[row + 1] = records[-1].output[0]
    return arrays, outputs, state


@np.errstate(over="ignore", invalid="ignore")
def _predictions(
    network: NumpyNetwork, outputs: Floats, ids_T: NDArray[np.int64], top: int
) -> tuple[NDArray[np.float64], NDArray[np.int64], Floats]:
    """Cost of each token, and the most likely tokens after it with their probabilities."""
    count = len(ids_T)
    nats = np.empty(count)
    next_ids = np.empty((count, top), np.int64)
    next_probabilities = np.empty((count, top), np.float32)
    rows = max(1, LOGITS_LIMIT // network.config.vocab_size)
    for start in range(0, count + 1, rows):
        stop = min(start + rows, count + 1)
        logprobs = log_softmax(network.logits(outputs[start:stop]))
        # Row r of `outputs` predicts token r, and follows token r - 1.
        end = min(stop, count)
        nats[start:end] = -logprobs[np.arange(end - start), ids_T[start:end]]
        if top:
            best = np.argsort(-logprobs, axis=1, kind="stable")[:, :top]
            probabilities = np.exp(np.take_along_axis(logprobs, best, axis=1))
            first = 1 if start == 0 else 0
            next_ids[start + first - 1 : stop - 1] = best[first:]
            next_probabilities[start + first - 1 : stop - 1] = probabilities[first:]
    return nats, next_ids, next_probabilities


def check_neuron(neuron: Neuron, num_layers: int, hidden_size: int) -> Neuron:
    """`neuron`, if a model of this shape has it.

    Raises:
        InspectionError: It has not; the message gives the allowed range.
    """
    layer, unit = neuron
    if not (0 <= layer < num_layers and 0 <= unit < hidden_size):
        raise InspectionError(
            f"there is no neuron {layer}:{unit}; this model has "
            f"layers 0..{num_layers - 1} and units 0..{hidden_size - 1}"
        )
    return neuron


def as_chunks(source: Trace | Iterable[Trace]) -> Iterator[Trace]:
    """A trace, or its chunks, one by one, each checked: every view reads a trace through this.

    Raises:
        InspectionError: A value is beyond `LARGEST`, or no number.
    """
    for chunk in (source,) if isinstance(source, Trace) else source:
        check_numbers(*chunk.arrays.values(), chunk.nats, chunk.next_probabilities)
        yield chunk


def check_numbers(*arrays: NDArray[np.floating]) -> None:
    """Refuse what a network computes once its states have grown beyond all bounds.

    Raises:
        InspectionError: A value is beyond `LARGEST`, or no number.
    """
    for array in arrays:
        # This is false for NaN too, and unlike abs() it copies nothing.
        if array.size and not (array.min() >= -LARGEST and array.max() <= LARGEST):
            raise InspectionError(
                "the states of the network grow without limit on this text, so nothing can be "
                "said about them; look at a shorter text (of a corpus: "
                f"{named('chars', 1000)}), or at another model"
            )


#: Tokens read and not kept before each stream but the first, and tokens of a chunk.
WARMUP = 256
CHUNK = 4096


def survey(
    network: Network,
    ids: NDArray[np.integer],
    *,
    quantities: Sequence[str] | None = None,
    streams: int = 64,
    edits: Edits = NO_EDITS,
) -> Iterator[Trace]:
    """Every neuron's values after every token of a text, in chunks, in no order.

    Args:
        network: The model, on an engine that reads many streams at once.
        ids: The tokens, `(N,)`; may be a memory-mapped array. An end mark resets the state.
        quantities: Names as in `trace`; None: the default one.
        streams: Stretches read in parallel; fewer for a short text.
        edits: Changes of the states at every token.
    Yields:
        Traces of some `CHUNK` tokens whose rows stand in no order (`places` says where each
        belongs), without costs and next tokens; their `final_state` means nothing.
    """
    cell, count = network.config.cell_spec, len(ids)
    names = (default_quantity(cell),) if quantities is None else tuple(quantities)
    wanted = {check_quantity(cell, name): own_name(name) for name in names}
    streams = max(1, min(streams, count // (4 * WARMUP)))
    starts_B = np.arange(streams, dtype=np.int64) * count // streams
    stops_B = np.append(starts_B[1:], count)
    warmup = WARMUP if streams > 1 else 0
    config = network.config
    units = {layer: np.arange(config.hidden_size) for layer in range(config.num_layers)}
    state = network.zero_state(streams)
    steps = warmup + int((stops_B - starts_B).max())
    at_once = max(1, CHUNK // streams)
    # The state before a text has read the end mark, as everywhere.
    edits_B = for_all(edits, streams)
    begins = range(0, steps, at_once)
    with task("reading the text", len(begins)) as reading:
        _, state = network.step(np.full(streams, END_ID), state, edits_B)
        for begin in begins:
            place_TB = np.arange(begin, min(begin + at_once, steps))[:, None] + starts_B - warmup
            read_TB = np.asarray(ids[np.clip(place_TB, 0, count - 1)])
            # Before the text's beginning the first stream reads end marks, which are zero states.
            read_TB = np.where(place_TB >= 0, read_TB, END_ID)
            records, state = network.trace(
                read_TB, state, read_TB == END_ID, names=tuple(wanted.values()), edits_B=edits_B
            )
            kept_TB = (place_TB >= starts_B) & (place_TB < stops_B)
            yield Trace(
                ids=read_TB[kept_TB].astype(np.int64),
                places=place_TB[kept_TB],
                pieces=("",) * int(kept_TB.sum()),
                arrays={
                    f"layers.{layer}.{name}": record[own][kept_TB]
                    for layer, record in enumerate(records)
                    for name, own in wanted.items()
                },
                units=units,
                nats=np.empty(0),
                next_ids=np.empty((0, 0), np.int64),
                next_probabilities=np.empty((0, 0), np.float32),
                final_state=state,
            )
            reading.advance()


def survey_model(
    config: ModelConfig,
    weights: Mapping[str, Floats],
    ids: NDArray[np.integer],
    *,
    quantities: Sequence[str],
    threads: int,
    edits: Edits = NO_EDITS,
) -> Iterator[Trace]:
    """The chunks of `survey` on the native engine, where there is one, else of `trace_chunks`."""
    network = open_reader(config, weights, threads)
    if isinstance(network, NumpyNetwork):
        return trace_chunks(network, ids, quantities=quantities, edits=edits)
    return survey(network, ids, quantities=quantities, edits=edits)


def own_name(quantity: str) -> str:
    """The cell's own name of a quantity."""
    return STATES.get(quantity, quantity.removesuffix("-gate"))


def _states(cell: Cell) -> list[str]:
    """The quantities that are states of a cell, in the order of its states."""
    return [QUANTITY_OF.get(name, name) for name in cell.state_names]  # type: ignore[call-overload]
