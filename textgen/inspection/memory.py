"""How far back a model remembers: gradients against the lag, and what of a text can be replaced.

gradient      The mean norm of the gradient of one token's cost by what the network held `k`
              tokens before the last one it read, relative to that at lag 0. Where it has nearly
              vanished, training cannot teach the network anything over so many steps.
              Source: Bengio, Simard and Frasconi 1994; Hochreiter and Schmidhuber 1997, section 3;
              Pascanu, Mikolov and Bengio 2013, arXiv:1211.5063.
replacement   The total variation between two predictions (0: the same, 1: disjoint): after the
              text, and where the text before its last `k` tokens is that of another place.
              Source: the question of Khandelwal, He, Qi and Jurafsky 2018, arXiv:1805.04623.

Shape suffixes: `K` lags measured, `N` positions, `T` time, `V` vocabulary.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from textgen.corpus.vocabulary import END_ID
from textgen.errors import InspectionError, named
from textgen.inspection.gradients import INPUT, Place, gradient_norms
from textgen.inspection.memory_report import MemoryCurve, MemoryReport
from textgen.inspection.trace import check_numbers
from textgen.model.config import ModelConfig
from textgen.model.engine import open_reader
from textgen.model.network import Floats, State
from textgen.model.numpy_network import NumpyNetwork
from textgen.progress import task, track
from textgen.runtime import choose_threads
from textgen.steering.target import QUANTITY_OF
from textgen.view_options import MemoryOptions

Reals = NDArray[np.float64]
Places = NDArray[np.int64]

#: Tokens that the native engine reads at once: it holds what their steps did until the next.
_CHUNK = 4096


# `check_numbers` reports states that grow without limit.
@np.errstate(over="ignore", invalid="ignore")
@task("measuring memory")
def memory_curves(
    config: ModelConfig,
    weights: Mapping[str, Floats],
    ids: NDArray[np.integer],
    **settings: Any,
) -> MemoryReport:
    """Measure how far back a model remembers.

    At places spread over a text the cost of the next token is taken. A place has `max_lag + 1`
    tokens of its own document before it, and is no end mark. The state before these is that after
    `warm_up` tokens more, or all there are in the document.

    Args:
        config: The model's shape.
        weights: Its weights as `ModelConfig.tensor_shapes` names them.
        ids: The text, `(N,)`; may be a memory-mapped array. An end mark resets the state.
        settings: Fields of `MemoryOptions`.
    Raises:
        InspectionError: The text is too short for such a lag, or states or gradients grow without
            limit.
        BackendError: torch is not installed.
    """
    options = MemoryOptions(**settings)
    max_lag, rng, warm_up = options.max_lag, options.rng, options.warm_up
    places_N = spread_places(ids, max_lag=max_lag, count=options.positions, rng=rng)
    others_N = places_N
    if options.replacement:
        others_N = other_places(ids, places_N, max_lag=max_lag, rng=rng)
    count: int = choose_threads(options.threads).value
    reader = Reader(config, weights, count)
    whole_TN = windows(ids, places_N, warm_up + max_lag + 1)
    window_TN = whole_TN[warm_up:]
    state = reader.read(whole_TN[:warm_up], reader.begin(len(places_N)))
    targets_N = np.asarray(ids[places_N], np.int64)
    norms = gradient_norms(config, weights, window_TN, targets_N, state, threads=count)
    curves = tuple(_curve(place, values) for place, values in sorted(norms.items(), key=_order))
    replaced = None
    if options.replacement:
        state = reader.read(window_TN[:-1], state)
        replaced = _replace(reader, window_TN, *reader.predict(window_TN[-1], state), others_N)
    last = config.num_layers - 1
    return MemoryReport(
        cell=config.cell,
        tokens=len(ids),
        places=places_N,
        max_lag=max_lag,
        warm_up=warm_up,
        rng=rng,
        curves=curves,
        gradient_lag=next(c.lag for c in curves if (c.of, c.layer) == ("hidden", last)),
        replacement=replaced,
        replacement_lag=None if replaced is None else replaced.lag,
    )


def _order(item: tuple[Place, Reals]) -> tuple[int, str]:
    """Layer by layer, the cell state before the hidden state, the input before all."""
    place, _ = item
    name, layer = place
    return (-1 if place == INPUT else layer), name


def _curve(place: Place, norms_KN: Reals) -> MemoryCurve:
    if not np.isfinite(norms_KN).all():
        raise InspectionError(
            "the gradients grow without limit over so many steps: they explode; give a "
            f"smaller {named('max_lag')}, or look at another model"
        )
    name, layer = place
    of = QUANTITY_OF.get(name, name)  # type: ignore[call-overload]
    return MemoryCurve(of=of, layer=layer, lags_K=np.arange(len(norms_KN)), values_KN=norms_KN)


def _replace(
    reader: Reader, window_TN: Places, true_NV: Reals, after: State, others_N: Places
) -> MemoryCurve:
    """Measure at some lags, then between the last one that matters and the next.

    Args:
        reader: The model.
        window_TN: The tokens before each place, `(T, N)`.
        true_NV: The predictions there after all of the text.
        after: The state there.
        others_N: For each place the number of the one whose past takes the place of its own.
    """
    other: State = [{name: array[others_N] for name, array in s.items()} for s in after]

    def variation(kept: int) -> Reals:
        found_NV = true_NV[others_N]
        if kept:
            ids_TN = window_TN[len(window_TN) - kept :]
            found_NV, _ = reader.predict(ids_TN[-1], reader.read(ids_TN[:-1], other))
        result: Reals = 0.5 * np.abs(found_NV - true_NV).sum(axis=1)
        return result

    lags = lag_grid(len(window_TN) - 1)
    # A past takes as long as it is far back.
    known = track(lags, "replacing what stood before", sum(lags), float)
    found = {lag: variation(lag) for lag in known}
    while True:
        lags = sorted(found)
        result = MemoryCurve(
            of="replacement",
            layer=None,
            lags_K=np.array(lags, np.int64),
            values_KN=np.stack([found[lag] for lag in lags]),
        )
        below = result.lag
        above = lags[lags.index(below) - 1] if below else None
        if not below or above is None or below - above <= 1:
            return result
        middle = (below + above) // 2
        found[middle] = variation(middle)


def lag_grid(max_lag: int) -> list[int]:
    """0, 1, 2, 3, 4, 5, 6, 8, 10, 13, 16 and so on, three to a doubling, up to `max_lag`."""
    steps = np.arange(int(3 * np.log2(max_lag)) + 1)
    return sorted({0, *np.rint(2.0 ** (steps / 3)).astype(int).tolist(), max_lag})


def spread_places(ids: NDArray[np.integer], *, max_lag: int, count: int, rng: int) -> Places:
    """Draw places spread evenly over a text, each with enough of its own document before it.

    Args:
        ids: The text, `(N,)`.
        max_lag: A place has at least `max_lag + 1` tokens of its document before it.
        count: How many; as many as there are where there are fewer.
    Returns:
        Numbers of tokens, none an end mark, rising.
    Raises:
        InspectionError: There is no such place.
    """
    ends = np.append(np.flatnonzero(np.asarray(ids) == END_ID), len(ids))
    firsts = np.append(0, ends[:-1] + 1) + max_lag + 1
    room = np.maximum(ends - firsts, 0)
    total = int(room.sum())
    if not total:
        longest = int((ends - firsts).max()) + max_lag + 1
        raise InspectionError(
            f"the longest document has {longest:,} tokens; a lag of {max_lag} needs at least "
            f"{max_lag + 2}: give a longer text, or a smaller {named('max_lag')}"
        )
    if total <= count:
        drawn = np.arange(total)
    else:
        # One from each of `count` equal parts.
        bounds = np.arange(count + 1, dtype=np.int64) * total // count
        drawn = np.random.default_rng(rng).integers(bounds[:-1], bounds[1:])
    before = np.cumsum(room) - room
    document = np.searchsorted(before + room, drawn, side="right")
    result: Places = (firsts[document] + drawn - before[document]).astype(np.int64)
    return result


def other_places(
    ids: NDArray[np.integer], places_N: Places, *, max_lag: int, rng: int
) -> NDArray[np.int64]:
    """For each place the number of another, whose past takes the place of its own.

    It is drawn from all that lie in another document or more than `max_lag` tokens away.

    Raises:
        InspectionError: For some place there is none.
    """
    generator = np.random.default_rng((rng, 1))
    marks = np.flatnonzero(np.asarray(ids) == END_ID)
    document_N = np.searchsorted(marks, places_N)
    others = np.empty(len(places_N), np.int64)
    for number, place in enumerate(places_N):
        far_N = np.abs(places_N - place) > max_lag
        fitting = np.flatnonzero(far_N | (document_N != document_N[number]))
        if not len(fitting):
            raise InspectionError(
                f"the text has {len(ids):,} tokens, too few to replace a past of {max_lag} by "
                f"another past from it; give a text of {4 * max_lag + 2:,} or more, or a smaller "
                f"{named('max_lag')}"
            )
        others[number] = generator.choice(fitting)
    return others


def windows(ids: NDArray[np.integer], places_N: Places, length: int) -> NDArray[np.int64]:
    """The `length` tokens before each place, `(length, N)`, end marks before the text's start."""
    at_TN = places_N + np.arange(-length, 0)[:, None]
    found = np.asarray(ids[np.maximum(at_TN, 0)], np.int64)
    return np.where(at_TN >= 0, found, END_ID)


class Reader:
    """A model that reads many stretches in parallel, in float32."""

    def __init__(self, config: ModelConfig, weights: Mapping[str, Floats], threads: int) -> None:
        self._steps = NumpyNetwork(config, weights)
        # bf16 would show as a change of the prediction where there is none.
        self._network = open_reader(config, weights, threads, "fp32")

    def begin(self, count: int) -> State:
        """Return the state after the end mark, for `count` streams."""
        return self.read(np.full((1, count), END_ID), self._network.zero_state(count))

    def read(self, ids_TN: NDArray[np.integer], state: State) -> State:
        """Return the state after more tokens; an end mark resets it before it is read."""
        at_once = max(1, _CHUNK // ids_TN.shape[1])
        for start in range(0, len(ids_TN), at_once):
            part_TN = ids_TN[start : start + at_once]
            # Without a name nothing is recorded, and no prediction is made.
            _, state = self._network.trace(part_TN, state, part_TN == END_ID, names=())
        return state

    def predict(self, ids_N: NDArray[np.integer], state: State) -> tuple[Reals, State]:
        """The distributions after one more token, none an end mark, `(N, V)`; and the state.

        Raises:
            InspectionError: The states have grown beyond all numbers.
        """
        logits_NV, after = self._steps.step(ids_N, state)
        wide_NV = logits_NV.astype(np.float64)
        check_numbers(wide_NV)
        wide_NV -= wide_NV.max(axis=1, keepdims=True)
        np.exp(wide_NV, out=wide_NV)
        wide_NV /= wide_NV.sum(axis=1, keepdims=True)
        return wide_NV, after
