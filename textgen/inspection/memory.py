"""How far back a model remembers: gradients against the lag, and what of a text can be replaced.

gradient      The cost of one symbol is differentiated by what the network held `k` symbols before
              the last one it read: the hidden state, the cell state (the highway of an LSTM), the
              vector that the symbol entered with. The mean norm over many places, relative to that
              at lag 0, falls with `k`; where it has all but vanished, training cannot teach the
              network anything over so many steps.
              Source: Bengio, Simard and Frasconi 1994; Hochreiter and Schmidhuber 1997, section 3;
              Pascanu, Mikolov and Bengio 2013, arXiv:1211.5063.
replacement   What really happens to the prediction when only the last `k` tokens are the text's own
              and all before them is another place's past: the total variation between the two
              distributions of the next symbol (0: the same, 1: disjoint). No gradient is needed.
              Source: the question of Khandelwal, He, Qi and Jurafsky 2018, arXiv:1805.04623.

For other code, with a model's `config`, `saved.weights` and the ids of a text:

    memory_curves(config, weights, ids, *, max_lag=200, positions=200, rng=0, threads=None,
                  warm_up=512, replacement=True) -> MemoryReport
        .gradient_lag     int, or None: not within max_lag
        .replacement_lag  the same
    gradient_lag(config, weights, ids, *, max_lag=200, positions=32, rng=0, threads=None)
        -> int | None     that number alone, in a tenth of the time

Shape suffixes: `K` lags 0 to max_lag, `N` positions, `M` lags at which text was replaced.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from textgen.errors import InspectionError, named
from textgen.inspection.memory_gradient import INPUT, Place, gradient_norms
from textgen.inspection.memory_reading import (
    Pasts,
    Reader,
    of_rows,
    other_places,
    spread_places,
    windows,
)
from textgen.inspection.memory_report import MemoryCurve, MemoryReport, Replacement
from textgen.model.config import ModelConfig
from textgen.model.numpy_network import Floats
from textgen.progress import task, track
from textgen.runtime import choose_threads

Reals = NDArray[np.float64]

_SPELLED = {"h": "hidden", "c": "cell"}
MAX_LAG, POSITIONS, FEW_POSITIONS, WARM_UP = 200, 200, 32, 512


# States that grow beyond all numbers are told of in words.
@np.errstate(over="ignore", invalid="ignore")
@task("measuring memory")
def memory_curves(
    config: ModelConfig,
    weights: Mapping[str, Floats],
    ids: NDArray[np.integer],
    *,
    max_lag: int = MAX_LAG,
    positions: int = POSITIONS,
    rng: int = 0,
    threads: int | None = None,
    warm_up: int = WARM_UP,
    replacement: bool = True,
) -> MemoryReport:
    """Measure how far back a model remembers.

    At places spread over a text the cost of the next token is taken. A place has `max_lag + 1`
    tokens of its own document before it, and is no end mark. The state before these is that after
    `warm_up` tokens more, or all there are in the document.

    Args:
        config: The model's shape.
        weights: Its weights as `ModelConfig.tensor_shapes` names them.
        ids: The text, `(N,)`; may be a memory-mapped array. An end mark resets the state.
        max_lag: The largest lag, in tokens.
        positions: At so many places; fewer where the text has no more.
        rng: Seed of the places.
        threads: Threads that compute; None is all cores.
        warm_up: Tokens read before each window.
        replacement: Whether to measure what other text changes, too.
    Raises:
        InspectionError: The text is too short for such a lag, or states or gradients grow beyond
            all numbers.
        BackendError: torch is not installed.
    """
    for name, value in ((named("max_lag"), max_lag), (named("positions"), positions)):
        if value < 1:
            raise InspectionError(f"{name} is {value}; it must be at least 1")
    if warm_up < 0:
        raise InspectionError(f"the warm-up is {warm_up}; it must be 0 or more")
    if rng < 0:
        raise InspectionError(f"{named('rng')} is {rng}; it must be 0 or more")
    places_N = spread_places(ids, max_lag=max_lag, count=positions, rng=rng)
    others_N = places_N
    if replacement:
        others_N = other_places(ids, places_N, max_lag=max_lag, rng=rng)
    count: int = choose_threads(threads).value
    reader = Reader(config, weights, count)
    whole_TN = windows(ids, places_N, warm_up + max_lag + 1)
    window_TN = whole_TN[warm_up:]
    state = reader.read(whole_TN[:warm_up], reader.begin(len(places_N)))
    targets_N = np.asarray(ids[places_N], np.int64)
    norms = gradient_norms(config, weights, window_TN, targets_N, state, threads=count)
    curves = tuple(_curve(place, values) for place, values in sorted(norms.items(), key=_order))
    replaced = None
    if replacement:
        state = reader.read(window_TN[:-1], state)
        true_NV, state = reader.predict(window_TN[-1], state)
        pasts = Pasts(
            reader=reader,
            last_TN=window_TN,
            true_NV=true_NV,
            other=of_rows(state, others_N),
            other_NV=true_NV[others_N],
        )
        replaced = _replace(pasts, max_lag)
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


def gradient_lag(
    config: ModelConfig,
    weights: Mapping[str, Floats],
    ids: NDArray[np.integer],
    *,
    max_lag: int = MAX_LAG,
    positions: int = FEW_POSITIONS,
    rng: int = 0,
    threads: int | None = None,
) -> int | None:
    """The lag at which the gradient has fallen to one hundredth, alone and from few places.

    Args:
        config: The model's shape.
        weights: Its weights.
        ids: The text, `(N,)`.
        max_lag: The largest lag, in tokens.
        positions: At so many places. Of one LSTM the number lay between 15 and 22 with 32 places,
            over twelve seeds; with 200 it was 17 or 18.
        rng: Seed of the places.
        threads: Threads that compute; None is all cores.
    Returns:
        `MemoryReport.gradient_lag`; None: not within `max_lag`.
    Raises:
        InspectionError: As `memory_curves`.
        BackendError: torch is not installed.
    """
    report = memory_curves(
        config,
        weights,
        ids,
        max_lag=max_lag,
        positions=positions,
        rng=rng,
        threads=threads,
        replacement=False,
    )
    return report.gradient_lag


def _order(item: tuple[Place, Reals]) -> tuple[int, str]:
    """Layer by layer, the cell state before the hidden state, the input before all."""
    place, _ = item
    name, layer = place
    return (-1 if place == INPUT else layer), name


def _curve(place: Place, norms_KN: Reals) -> MemoryCurve:
    if not np.isfinite(norms_KN).all():
        raise InspectionError(
            "the gradients grow beyond all numbers over so many steps: they explode; give a "
            f"smaller {named('max_lag')}, or look at another model"
        )
    name, layer = place
    return MemoryCurve(of=_SPELLED.get(name, name), layer=layer, norms_KN=norms_KN)


def _replace(pasts: Pasts, max_lag: int) -> Replacement:
    """Measure at some lags, then between the last one that matters and the next."""
    lags = lag_grid(max_lag)
    # A past takes as long as it is far back.
    known = track(lags, "replacing what stood before", sum(lags), float)
    found = {lag: pasts.variation(lag) for lag in known}

    def measured() -> Replacement:
        lags = sorted(found)
        return Replacement(
            lags_M=np.array(lags, np.int64), variations_MN=np.stack([found[lag] for lag in lags])
        )

    while True:
        result = measured()
        below = result.lag
        if not below:
            return result
        above = int(result.lags_M[np.searchsorted(result.lags_M, below) - 1])
        if below - above <= 1:
            return result
        middle = (below + above) // 2
        found[middle] = pasts.variation(middle)


def lag_grid(max_lag: int) -> list[int]:
    """0, 1, 2, 3, 4, 5, 6, 8, 10, 13, 16 and so on, three to a doubling, up to `max_lag`."""
    steps = np.arange(int(3 * np.log2(max_lag)) + 1)
    return sorted({0, *np.rint(2.0 ** (steps / 3)).astype(int).tolist(), max_lag})
