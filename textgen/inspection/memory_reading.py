"""Reading before many places of a text at once.

Shape suffixes: `T` time, `N` positions, `V` vocabulary.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from textgen.corpus.vocabulary import END_ID
from textgen.errors import InspectionError, named
from textgen.inspection.trace import check_numbers
from textgen.model.config import ModelConfig
from textgen.model.engine import open_reader
from textgen.model.network import Floats, State
from textgen.model.numpy_network import NumpyNetwork

Reals = NDArray[np.float64]
Places = NDArray[np.int64]

#: Tokens that the native engine reads at once: it holds what their steps did until the next.
_CHUNK = 4096


def spread_places(ids: NDArray[np.integer], *, max_lag: int, count: int, rng: int) -> Places:
    """Draw places spread evenly over a text, each with enough of its own document before it.

    Args:
        ids: The text, `(N,)`.
        max_lag: A place has at least `max_lag + 1` tokens of its document before it.
        count: How many; as many as there are where there are fewer.
        rng: Seed.
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
    """A model that reads many stretches side by side, in float32."""

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
