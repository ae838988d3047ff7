"""Activations of a network at labelled examples, read from many documents in parallel.

Documents are sorted by length and padded. Only sums and the states at chosen places are kept, so
memory does not grow with the number or the length of the documents.

Shape suffixes: `T` time, `B` streams, `U` units of all layers, `N` examples, `D` documents,
`M` held-out examples, `K` draws.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from textgen.corpus.vocabulary import END_ID, Ids, Vocabulary
from textgen.evaluation.nll import charge_escapes
from textgen.inspection.dictionary import Dictionary
from textgen.inspection.neuron_stats import Moments
from textgen.inspection.trace import STATES
from textgen.model.edit import Edits, for_all
from textgen.model.network import Network, State
from textgen.probing.examples import Examples
from textgen.probing.statistics import Bools, Doubles, Floats, Ints
from textgen.progress import task
from textgen.steering.target import Target

#: Streams read in parallel, and tokens read at once over all streams.
STREAMS, CHUNK = 64, 4096


@dataclass(frozen=True, kw_only=True, eq=False)
class Features:
    """The activations of every neuron at the examples, or what else was computed of the states.

    Unit `u` of layer `l` is column `l * H + u`; other coordinates are the columns in their order.

    Args:
        raw_NU: The quantity itself, at the example's place or as the mean over the document.
        seen_NU: The visible value, which the rest of the network reads: `tanh` of a cell state
            (which may grow far beyond the range where tanh can distinguish values), else `raw_NU`.
        chance_MKU: The visible value after single tokens drawn at random, for held-out examples.
        mean_U: Mean of the quantity over all tokens read, without those that are context only.
        sd_U: Its standard deviation there.
        tokens: The number of these tokens.
    """

    raw_NU: Floats
    seen_NU: Floats
    chance_MKU: Floats
    mean_U: Doubles
    sd_U: Doubles
    tokens: int

    def columns(self, which: slice) -> Features:
        """Some of the columns."""
        return Features(
            raw_NU=self.raw_NU[:, which],
            seen_NU=self.seen_NU[:, which],
            chance_MKU=self.chance_MKU[:, :, which],
            mean_U=self.mean_U[which],
            sd_U=self.sd_U[which],
            tokens=self.tokens,
        )


@dataclass(frozen=True)
class Coordinates:
    """What is kept of the states in place of every neuron: something computed of them.

    Args:
        count: How many values come of each state.
        read: Computes them: of one quantity of every layer, `(T, B, H)` each, `(T, B, count)`.
    """

    count: int
    read: Callable[[Sequence[Floats]], Floats]


def coordinate_of(target: Target) -> Coordinates:
    """The one value that a target reads."""
    return Coordinates(1, lambda layers: target.readings(layers[target.layer])[:, :, None])


def latents_and_neurons(dictionary: Dictionary) -> Coordinates:
    """What the latents of a dictionary read, and then the visible values of its neurons.

    A latent that cannot be moved along its own direction reads 0 here, so that none is chosen that
    cannot be held.
    """
    layer, still_K = dictionary.layer, ~dictionary.movable_K
    neurons = dictionary.encoder_KH.shape[1]

    def read(layers: Sequence[Floats]) -> Floats:
        x_TBH = layers[layer]
        x_NH = x_TBH.reshape(-1, neurons)
        a_NK = dictionary.encode(x_NH)
        a_NK[:, still_K] = 0.0
        both = np.concatenate((a_NK, seen(x_NH, dictionary.source)), axis=1)
        return both.reshape(*x_TBH.shape[:2], -1)

    return Coordinates(dictionary.size + neurons, read)


class Projection:
    """Running mean and variance of `x . read`, and its covariance with every neuron of `x`.

    The sums are merged pairwise and need no matrix of all pairs of neurons. Source: Chan, Golub and
    LeVeque 1983, equation 2.1.

    Args:
        read_H: The vector that the state is projected on.
    """

    def __init__(self, read_H: Floats) -> None:
        self._read_H = read_H.astype(np.float64)
        self._read32_H = read_H.astype(np.float32)
        self._count = 0
        self._mean_H = np.zeros(len(read_H))
        self._products_H = np.zeros(len(read_H))

    def add(self, values_TH: Floats) -> None:
        """Add the states after some tokens."""
        count = len(values_TH)
        if not count:
            return
        mean_H = values_TH.mean(axis=0, dtype=np.float64)
        # In float32, which is far faster; what differs from the mean loses nothing in it.
        moved_TH = values_TH - mean_H.astype(np.float32)
        delta_H = mean_H - self._mean_H
        total = self._count + count
        self._products_H += (moved_TH @ self._read32_H) @ moved_TH
        self._products_H += delta_H * (delta_H @ self._read_H) * (self._count * count / total)
        self._mean_H += delta_H * (count / total)
        self._count = total

    @property
    def mean(self) -> float:
        """Mean of the projection."""
        return float(self._mean_H @ self._read_H)

    @property
    def sd(self) -> float:
        """Its standard deviation."""
        return float(np.sqrt(max(self._squares, 0.0) / max(self._count, 1)))

    @property
    def pattern_H(self) -> Doubles | None:
        """Covariance with each neuron divided by the variance, so that `read . pattern` is 1.

        It is how far each neuron moves on average when the projection moves by 1; None if the
        projection does not vary.
        """
        return self._products_H / self._squares if self._squares > 0.0 else None

    @property
    def _squares(self) -> float:
        return float(self._products_H @ self._read_H)


def seen(values: Floats, quantity: str) -> Floats:
    """The visible values of `quantity`: what the rest of the network reads."""
    result: Floats = np.tanh(values) if quantity == "cell" else values
    return result


def unseen(value: float, quantity: str) -> float:
    """The inverse of `seen` for one value."""
    if quantity != "cell":
        return value
    # Where tanh is flat, float32 cannot say how far out a value was.
    return float(np.arctanh(np.clip(value, -1.0 + 1e-12, 1.0 - 1e-12)))


def read_features(
    network: Network,
    examples: Examples,
    quantity: str,
    *,
    coordinates: Coordinates | None = None,
    edits: Edits = (),
    only_N: Bools | None = None,
) -> Features:
    """Read the documents and keep the activations at the examples.

    Args:
        network: Reads the documents.
        examples: The labelled examples.
        quantity: `cell` or `hidden`.
        coordinates: Keep these, which are computed of that quantity; None: every neuron.
        edits: Changes of the states while reading.
        only_N: Read only the documents of these examples, without chance positions; the rows of
            the others are zero. None: all.
    """
    units = network.config.num_layers * network.config.hidden_size
    if coordinates is not None:
        units = coordinates.count
    count, mean = len(examples.labels_N), examples.protocol == "mean"
    # What is not a neuron's cell state is seen as it is.
    plain = quantity != "cell" or coordinates is not None
    wanted = np.arange(count) if only_N is None else np.flatnonzero(only_N)
    raw_NU = np.zeros((count, units), np.float32)
    seen_NU = raw_NU if plain else np.zeros_like(raw_NU)
    kept = [raw_NU] if plain else [raw_NU, seen_NU]
    test = np.flatnonzero(examples.held_out_N)
    draws = 0 if only_N is not None else examples.chance_NK.shape[1]
    chance_RU = np.zeros((len(test) * draws, units), np.float32)
    chance_document = np.repeat(examples.document_N[test], draws)
    chance_place = examples.chance_NK[test, :draws].ravel()
    moments = Moments(units)
    numbers = np.unique(examples.document_N[wanted])
    for batch in _batches(examples.documents, numbers):
        own = _Places(batch, examples.document_N[wanted], examples.place_N[wanted], wanted)
        by_chance = _Places(batch, chance_document, chance_place, np.arange(len(chance_RU)))
        state = network.zero_state(len(batch.numbers))
        for begin, ids_TB in batch.windows():
            layers, state = _states(network, ids_TB, state, quantity, edits)
            if coordinates is not None:
                raw_TBU = coordinates.read(layers)
            else:
                raw_TBU = layers[0] if len(layers) == 1 else np.concatenate(layers, axis=2)
            seen_TBU = raw_TBU if plain else seen(raw_TBU, quantity)
            inside_TB = batch.inside(begin, len(ids_TB), examples.skip_D)
            whole = bool(inside_TB.all())
            moments.add(raw_TBU.reshape(-1, units) if whole else raw_TBU[inside_TB])
            for values_TBU, values_NU in zip((raw_TBU, seen_TBU), kept, strict=False):
                if mean:
                    values_NU[own.rows] += _sums(values_TBU, inside_TB)[own.streams]
                else:
                    own.copy(begin, values_TBU, values_NU)
            by_chance.copy(begin, seen_TBU, chance_RU)
    if mean:
        for values_NU in kept:
            values_NU /= (examples.place_N + 1).astype(np.float32)[:, None]
    mean_U, sd_U, _, _ = moments.summary()
    return Features(
        raw_NU=raw_NU,
        seen_NU=seen_NU,
        chance_MKU=chance_RU.reshape(len(test), draws, units),
        mean_U=mean_U,
        sd_U=sd_U,
        tokens=moments.count,
    )


def read_projection(
    network: Network, examples: Examples, quantity: str, layer: int, read_H: Floats
) -> Projection:
    """The distribution of a projection of one layer's state over all tokens, from one pass."""
    projection = Projection(read_H)
    for batch in _batches(examples.documents, np.arange(len(examples.documents))):
        state = network.zero_state(len(batch.numbers))
        for begin, ids_TB in batch.windows():
            layers, state = _states(network, ids_TB, state, quantity, ())
            inside_TB = batch.inside(begin, len(ids_TB), examples.skip_D)
            projection.add(layers[layer][inside_TB])
    return projection


def bits_per_char(
    network: Network,
    examples: Examples,
    vocabulary: Vocabulary,
    *,
    edits: Edits = (),
    limit: int,
) -> float:
    """The negative log-likelihood of the held-out documents, each read from its start, in bits.

    Documents are taken in their order until they have `limit` tokens.
    """
    numbers = np.unique(examples.document_N[examples.held_out_N])
    sizes = np.cumsum([len(examples.documents[i]) for i in numbers.tolist()])
    numbers = numbers[: int(np.searchsorted(sizes, limit)) + 1]
    lengths_V = vocabulary.symbol_lengths()
    nats, chars = 0.0, 0
    for batch in _batches(examples.documents, numbers):
        state = network.zero_state(len(batch.numbers))
        for begin, ids_TB in batch.windows():
            targets_TB = batch.tokens(begin + 1, len(ids_TB))
            nll_TB, state = network.nll(
                ids_TB, targets_TB, state, ids_TB == END_ID, for_all(edits, ids_TB.shape[1])
            )
            inside_TB = batch.inside(begin + 1, len(ids_TB), examples.skip_D)
            targets = targets_TB[inside_TB]
            nats += float(charge_escapes(nll_TB[inside_TB], targets).sum())
            chars += int(lengths_V[targets].sum())
    return nats / max(chars, 1) / float(np.log(2.0))


def _states(
    network: Network, ids_TB: Ints, state: State, quantity: str, edits: Edits
) -> tuple[list[Floats], State]:
    """Return one quantity of every layer `(T, B, H)`, and the state after the window."""
    name, streams = STATES[quantity], ids_TB.shape[1]
    records, after = network.trace(
        ids_TB, state, ids_TB == END_ID, names=(name,), edits_B=for_all(edits, streams)
    )
    return [record[name] for record in records], after


class _Batch:
    """Documents of similar length, read in parallel. Row 0 is the start mark."""

    def __init__(self, documents: Sequence[Ids], numbers: Ints, on_read: Callable[[int], object]):
        self.numbers = numbers
        self.lengths_B = np.array([len(documents[i]) for i in numbers.tolist()], np.int64)
        self._ids_RB = np.full((int(self.lengths_B.max()) + 2, len(numbers)), END_ID, np.int64)
        for b, number in enumerate(numbers.tolist()):
            self._ids_RB[1 : 1 + self.lengths_B[b], b] = documents[number]
        self._on_read = on_read

    def windows(self) -> Iterator[tuple[int, Ints]]:
        """The first row of each window, and its tokens `(T, B)`."""
        at_once = max(1, CHUNK // len(self.numbers))
        rows = len(self._ids_RB) - 1
        for begin in range(0, rows, at_once):
            steps = min(at_once, rows - begin)
            yield begin, self._ids_RB[begin : begin + steps]
            stop = begin + steps
            self._on_read(int(np.clip(self.lengths_B - begin, 0, stop - begin).sum()))

    def tokens(self, begin: int, steps: int) -> Ints:
        """Rows from `begin` on."""
        return self._ids_RB[begin : begin + steps]

    def inside(self, begin: int, steps: int, skip_D: Ints) -> Bools:
        """Which rows from `begin` on are tokens of a document, and not context only, `(T, B)`."""
        place_T1 = np.arange(begin - 1, begin - 1 + steps)[:, None]
        result: Bools = (place_T1 >= skip_D[self.numbers]) & (place_T1 < self.lengths_B)
        return result


class _Places:
    """The tokens of a batch whose states are copied, each to its row."""

    def __init__(self, batch: _Batch, document_E: Ints, place_E: Ints, row_E: Ints) -> None:
        stream_D = np.full(int(max(document_E.max(initial=0), batch.numbers.max())) + 1, -1)
        stream_D[batch.numbers] = np.arange(len(batch.numbers))
        here = np.flatnonzero(stream_D[document_E] >= 0)
        here = here[np.argsort(place_E[here], kind="stable")]
        self.streams: Ints = stream_D[document_E[here]]
        self.rows: Ints = row_E[here]
        self._places: Ints = place_E[here] + 1

    def copy(self, begin: int, values_TBU: Floats, out_RU: Floats) -> None:
        """Copy the places in the window of rows from `begin` on."""
        window = slice(*np.searchsorted(self._places, (begin, begin + len(values_TBU))))
        source = self._places[window] - begin, self.streams[window]
        out_RU[self.rows[window]] = values_TBU[source]


def _sums(values_TBU: Floats, inside_TB: Bools) -> Floats:
    """Sum over the tokens inside, `(B, U)`."""
    if inside_TB.all():
        result: Floats = values_TBU.sum(axis=0)
    else:
        result = np.einsum("tbu,tb->bu", values_TBU, inside_TB.astype(np.float32))
    return result


def _batches(documents: Sequence[Ids], numbers: Ints) -> Iterator[_Batch]:
    lengths = np.array([len(documents[i]) for i in numbers.tolist()], np.int64)
    order = numbers[np.argsort(-lengths, kind="stable")]
    with task("reading the texts", int(lengths.sum())) as reading:
        for start in range(0, len(order), STREAMS):
            yield _Batch(documents, order[start : start + STREAMS], reading.advance)
