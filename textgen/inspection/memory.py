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

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from textgen.corpus.vocabulary import END_ID
from textgen.errors import InspectionError, named
from textgen.inspection.gradients import INPUT, Place, gradient_norms
from textgen.inspection.trace import check_numbers
from textgen.messages import Message
from textgen.model.config import ModelConfig
from textgen.model.engine import open_reader
from textgen.model.network import Floats, State
from textgen.model.numpy_network import NumpyNetwork
from textgen.progress import task, track
from textgen.runtime import choose_threads
from textgen.steering.target import QUANTITY_OF
from textgen.table import Column, Entry, Table
from textgen.view_options import MemoryOptions

Reals = NDArray[np.float64]
Places = NDArray[np.int64]

#: A gradient has vanished where it has fallen to this share of that at lag 0.
GRADIENT_SHARE = 0.01
#: Text is without influence where its replacement changes the prediction by less on average.
VARIATION_LIMIT = 0.01

#: Tokens that the native engine reads at once: it holds what their steps did until the next.
_CHUNK = 4096

#: How the gradient by a thing is written.
WRITTEN = {"hidden": "dL/dh", "cell": "dL/dc", "input": "dL/dx"}
_COLUMNS = ("of", "layer", "lag", "mean", "standard_error", "lower", "median", "upper")


@dataclass(frozen=True, kw_only=True, eq=False)
class MemoryCurve:
    """What was measured against the lag, at each position of the text.

    Args:
        of: `hidden`, `cell` or `input` (the vector of the token): the gradient by it. Or
            `replacement`: the change of the prediction where all text further back is other text.
        layer: The layer, from 0; 0 for the input, None for the replacement.
        lags_K: The lags, rising; for the replacement how many of the last tokens are kept.
        values_KN: The norms of the gradients in nats per unit of the thing, or the total
            variations, from 0 to 1; `(K, N)`.
    """

    of: str
    layer: int | None
    lags_K: NDArray[np.int64]
    values_KN: Reals

    @property
    def norm(self) -> float:
        """The mean at lag 0, which is the unit of all gradients below."""
        return float(self.values_KN[0].mean())

    @property
    def _scaled_KN(self) -> Reals:
        return self.values_KN if self.of == "replacement" else self.values_KN / (self.norm or 1.0)

    @property
    def mean_K(self) -> Reals:
        """The means over the positions; those of a gradient are relative to that at lag 0."""
        unit = 1.0 if self.of == "replacement" else self.norm or 1.0
        result: Reals = self.values_KN.mean(axis=1) / unit
        return result

    @property
    def standard_error_K(self) -> Reals:
        """The standard error of `mean_K`; for a gradient that of a ratio of two means."""
        off_KN = self._scaled_KN
        if self.of != "replacement":
            # The first term of a ratio's expansion.
            off_KN = off_KN - self.mean_K[:, None] * off_KN[0]
        count = off_KN.shape[1]
        if count < 2:
            return np.zeros(len(off_KN))
        result: Reals = off_KN.std(axis=1, ddof=1) / np.sqrt(count)
        return result

    @property
    def quartiles_3K(self) -> Reals:
        """Lower quartile, median and upper quartile over the positions, in the same unit."""
        result: Reals = np.quantile(self._scaled_KN, (0.25, 0.5, 0.75), axis=1)
        return result

    @property
    def lag(self) -> int | None:
        """The first lag measured from which on `mean_K` is small; None: there is none.

        Small is `GRADIENT_SHARE` at most, or less than `VARIATION_LIMIT`.
        """
        replaced = self.of == "replacement"
        large_K = ~(self.mean_K < VARIATION_LIMIT) if replaced else self.mean_K > GRADIENT_SHARE
        first = int(np.flatnonzero(large_K).max(initial=-1)) + 1
        return int(self.lags_K[first]) if first < len(large_K) else None


@dataclass(frozen=True, kw_only=True, eq=False)
class MemoryReport:
    """How far back a model remembers.

    Args:
        cell: Name of the model's cell.
        tokens: Tokens of the text.
        places: Which of them were predicted, `(N,)`, rising.
        max_lag: The largest lag measured, in tokens.
        warm_up: Tokens read before that, where the document has as many.
        rng: Seed of the places.
        curves: Of each layer's states and of the input.
        gradient_lag: The lag at which the gradient by the last layer's hidden state, which every
            cell has, has fallen to `GRADIENT_SHARE` of that at lag 0 and stays there; None: not
            within `max_lag`.
        replacement: The curve of what other text changes; None where that was not asked for.
        replacement_lag: The smallest `k` such that all more than `k` tokens back can be replaced
            by other text of the corpus, the prediction changing by less than `VARIATION_LIMIT` in
            the mean; None: not within `max_lag`.
        unit: What a lag counts, in the plural.
        chars_per_token: Characters that a token of the text has on average.
    """

    cell: str
    tokens: int
    places: Places
    max_lag: int
    warm_up: int
    rng: int
    curves: tuple[MemoryCurve, ...]
    gradient_lag: int | None
    replacement: MemoryCurve | None
    replacement_lag: int | None
    unit: str = "tokens"
    chars_per_token: float = 1.0

    def curve(self, of: str, layer: int | None = None) -> MemoryCurve | None:
        """One of the curves; None: the cell has no such state.

        Args:
            of: `hidden`, `cell` or `input`.
            layer: The layer; None is the last that has it.
        """
        found = [c for c in self.curves if c.of == of and layer in (None, c.layer)]
        return found[-1] if found else None

    def longest(self, layer: int | None = None) -> MemoryCurve:
        """The curve of the state that lasts longest: its gradient is the last to vanish.

        Of an LSTM it is that by the cell state, unless training went wrong; a cell with one state
        has no choice.

        Args:
            layer: The layer; None is the last.
        """
        states = [curve for of in QUANTITY_OF.values() if (curve := self.curve(of, layer))]
        # Where two reach equally far, or beyond the largest lag, more is left of the larger one.
        return max(
            states,
            key=lambda curve: (
                np.inf if curve.lag is None else curve.lag,
                float(np.log(curve.mean_K + 1e-300).mean()),
            ),
        )

    def within(self, lag: int | None) -> int | str:
        """A lag, or `> 200` where it lies beyond the largest one measured."""
        return f"> {self.max_lag:,}" if lag is None else lag

    def to_json(self) -> dict[str, Any]:
        """The report as plain data, ready for `json.dumps`."""
        replaced = self.replacement
        return {
            "cell": self.cell,
            "unit": self.unit,
            "chars_per_token": self.chars_per_token,
            "tokens": self.tokens,
            "positions": len(self.places),
            "max_lag": self.max_lag,
            "warm_up": self.warm_up,
            "rng": self.rng,
            "gradient_share": GRADIENT_SHARE,
            "gradient_lag": self.gradient_lag,
            "longest_state": self.longest().of,
            "longest_lag": self.longest().lag,
            "variation_limit": VARIATION_LIMIT,
            "replacement_lag": self.replacement_lag,
            "curves": [
                {
                    "of": curve.of,
                    "layer": curve.layer,
                    "lag": curve.lag,
                    "norm": curve.norm,
                    "relative": curve.mean_K.tolist(),
                    "standard_error": curve.standard_error_K.tolist(),
                    "quartiles": curve.quartiles_3K.tolist(),
                }
                for curve in self.curves
            ],
            "replacement": None
            if replaced is None
            else {
                "lags": replaced.lags_K.tolist(),
                "variation": replaced.mean_K.tolist(),
                "standard_error": replaced.standard_error_K.tolist(),
                "quartiles": replaced.quartiles_3K.tolist(),
            },
            "places": self.places.tolist(),
        }

    @property
    def _all(self) -> tuple[MemoryCurve, ...]:
        return self.curves if self.replacement is None else (*self.curves, self.replacement)

    def table(self) -> Table:
        """A row for each lag of each curve; those of the replacement have no layer."""
        rows: list[tuple[Entry, ...]] = []
        for curve in self._all:
            columns = (curve.lags_K, curve.mean_K, curve.standard_error_K, *curve.quartiles_3K)
            values = zip(*(column.tolist() for column in columns), strict=True)
            rows += [(curve.of, curve.layer, *row) for row in values]
        return Table(_COLUMNS, rows)

    def to_arrays(self) -> Mapping[str, NDArray[np.generic]]:
        """`<of>.<layer>`, the norms `(K, N)`; `replacement`, `(K, N)`, and `replacement.lags`;
        `places`, `(N,)`."""
        arrays: dict[str, NDArray[np.generic]] = {"places": self.places}
        for curve in self._all:
            name = curve.of if curve.layer is None else f"{curve.of}.{curve.layer}"
            arrays[name] = curve.values_KN
        if self.replacement is not None:
            arrays["replacement.lags"] = self.replacement.lags_K
        return arrays


@dataclass(frozen=True, kw_only=True)
class MemoryReports:
    """The memory of several models.

    Args:
        names: What to call each.
        heads: What stands before each in the JSON: the checkpoint, the text.
        reports: One a model.
    """

    names: tuple[str, ...]
    heads: tuple[Mapping[str, Any], ...]
    reports: tuple[MemoryReport, ...]

    def to_json(self) -> dict[str, Any]:
        """A list of models."""
        parts = zip(self.names, self.heads, self.reports, strict=True)
        return {"models": [{"name": n, **head, **report.to_json()} for n, head, report in parts]}

    def table(self) -> Table:
        """The rows of each, with its name before them."""
        reports = zip(self.names, self.reports, strict=True)
        return Table(
            ("model", *_COLUMNS),
            ((name, *row) for name, report in reports for row in report.table().rows),
        )

    @property
    def unit(self) -> str:
        """What a lag counts, in the plural."""
        units = sorted({report.unit for report in self.reports})
        return units[0] if len(units) == 1 else "tokens of each model"

    def lags(self, layer: int | None = None) -> Table:
        """The lags of each model, which are the numbers to quote.

        Args:
            layer: The layer whose states it is; None: the last one.
        """
        of_layer = {"hidden": layer, "cell": layer, "input": None}
        shown = [of for of in of_layer if any(r.curve(of, of_layer[of]) for r in self.reports)]
        unit = {"characters": "chars"}.get(self.unit, self.unit)
        rows: list[list[Entry]] = []
        for name, report in zip(self.names, self.reports, strict=True):
            row: list[Entry] = [name, report.cell]
            for of in shown:
                curve = report.curve(of, of_layer[of])
                row.append("-" if curve is None else report.within(curve.lag))
            rows.append([*row, report.within(report.replacement_lag)])
        return Table(
            (
                *("model", "cell"),
                *(Column(f"{of}_lag", f"{WRITTEN[of]} to 1 %", unit=unit) for of in shown),
                Column("replacement_lag", "can be replaced", unit=unit),
            ),
            rows,
            notes=[self._lags_note(rows)],
        )

    def _lags_note(self, rows: Sequence[Sequence[Entry]]) -> str:
        places = sorted({len(report.places) for report in self.reports})
        note = (
            f"lags in {self.unit}, over {' to '.join(f'{n:,}' for n in places)} places of the "
            "text; can be replaced: if all text further back is replaced by other text, the "
            f"prediction changes by less than {VARIATION_LIMIT:g} (mean total variation)"
        )
        beyond = sorted({str(v)[2:] for row in rows for v in row[2:] if str(v).startswith(">")})
        if beyond:
            note += f"; > {beyond[0]}: not within {beyond[0]} ({named('max_lag')} looks further)"
        parts = sorted({f"{r.chars_per_token:.2f}" for r in self.reports if r.unit != "characters"})
        if parts:
            note += f"; a token has {' to '.join(parts)} characters on average"
        return Message(note)

    def to_arrays(self) -> Mapping[str, NDArray[np.generic]]:
        """Those of each, `<number>.` before their names, and `names`."""
        arrays: dict[str, NDArray[np.generic]] = {"names": np.array(self.names)}
        for number, report in enumerate(self.reports):
            arrays |= {f"{number}.{name}": values for name, values in report.to_arrays().items()}
        return arrays


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
