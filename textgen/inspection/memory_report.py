"""How far back models remember, as plain data: JSON, a table, arrays, charts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from textgen.errors import named
from textgen.messages import Message
from textgen.notebook import Part, Shown
from textgen.steering.target import QUANTITY_OF
from textgen.table import Column, Entry, Table

if TYPE_CHECKING:
    from textgen.terminal.chart import Chart, Series

Reals = NDArray[np.float64]
Places = NDArray[np.int64]

#: A gradient has vanished where it has fallen to this share of that at lag 0.
GRADIENT_SHARE = 0.01
#: Text is without influence where its replacement changes the prediction by less on average.
VARIATION_LIMIT = 0.01

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


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class MemoryReport(Shown):
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

    @property
    def headline(self) -> str:
        """How far back it remembers, by both measures."""
        longest = self.longest()
        return (
            f"{self.cell}, lags in {self.unit}: {WRITTEN[longest.of]} to {GRADIENT_SHARE:.0%} "
            f"{self.within(longest.lag)}, can be replaced {self.within(self.replacement_lag)}"
        )

    def parts(self) -> Iterable[Part]:
        """As those of several models."""
        head = {"layers": 1 + max(curve.layer or 0 for curve in self.curves)}
        return MemoryReports(names=(self.cell,), heads=(head,), reports=(self,)).parts()

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


@dataclass(frozen=True, kw_only=True, repr=False)
class MemoryReports(Shown):
    """The memory of several models.

    Args:
        names: What to call each.
        heads: What stands before each in the JSON: the checkpoint, the text.
        reports: One a model.
    """

    names: tuple[str, ...]
    heads: tuple[Mapping[str, Any], ...]
    reports: tuple[MemoryReport, ...]

    @property
    def headline(self) -> str:
        """Of which models."""
        return f"memory of {', '.join(self.names)}"

    def parts(self) -> Iterable[Part]:
        """The gradients, the replacement, and the lags to quote."""
        yield gradient_chart(self, None, None)
        yield panels(self, None)[-1]
        yield self.lags()

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


#: What a gradient is taken by, in the order in which it is shown.
_SPELLED = {
    "hidden": "dL/dh: by the hidden state",
    "cell": "dL/dc: by the cell state",
    "input": "dL/dx: by the embedding vector",
}
_RELATIVE = "mean norm of the gradient, relative to lag 0"


def gradient_chart(found: MemoryReports, show: str | None, layer: int | None) -> Chart:
    """The gradients: of one model all of them; of several those by one thing, or by the state that
    lasts longest in each."""
    from textgen.terminal.chart import Chart

    if show is None and len(found.reports) == 1:
        report = found.reports[0]
        curves = [(text, report.curve(of, _layer(of, layer))) for of, text in _SPELLED.items()]
        title = f"{_RELATIVE}{_of_layer(found, layer)}"
    elif show is None:
        longest = [report.longest(layer) for report in found.reports]
        curves = [
            (f"{name}, {WRITTEN[curve.of]}", curve)
            for name, curve in zip(found.names, longest, strict=True)
        ]
        title = (
            "the gradient by the state that lasts longest in each model (h: hidden state, c: cell "
            f"state); {_RELATIVE}{_of_layer(found, layer)}"
        )
    else:
        curves = [
            (name, report.curve(show, _layer(show, layer)))
            for name, report in zip(found.names, found.reports, strict=True)
        ]
        title = f"{_SPELLED[show]}; {_RELATIVE}"
        title += "" if show == "input" else _of_layer(found, layer)
    # Of several models one that has none keeps its place, so that all look the same in every chart.
    keep = show is not None or len(found.reports) > 1
    return Chart(
        series=tuple(_series(name, curve) for name, curve in curves if keep or curve is not None),
        x_label=f"lag, in {found.unit}",
        y_label="relative to lag 0",
        levels=(("", GRADIENT_SHARE),),
        log_y=True,
        letters=True,
        title=title,
    )


def panels(found: MemoryReports, layer: int | None) -> list[Chart]:
    """The charts of a picture; the last is that of the replacement."""
    from textgen.terminal.chart import Chart

    charts = []
    if len(found.reports) == 1:
        charts.append(gradient_chart(found, None, layer))
    else:
        for of in _SPELLED:
            chart = gradient_chart(found, of, layer)
            if any(series.points for series in chart.series):
                charts.append(chart)
    replaced = [report.replacement for report in found.reports]
    return [
        *charts,
        Chart(
            series=tuple(map(_series, found.names, replaced)),
            x_label=f"{found.unit} that are kept",
            y_label="total variation",
            levels=(("", VARIATION_LIMIT),),
            log_y=True,
            letters=True,
            title="change of the prediction where all text before is replaced",
        ),
    ]


def _series(name: str, curve: MemoryCurve | None) -> Series:
    from textgen.terminal.chart import Series

    if curve is None:
        return Series(name=name, points=())
    points = zip(map(float, curve.lags_K), map(float, curve.mean_K), strict=True)
    return Series(name=name, points=tuple(points))


def _layer(of: str, layer: int | None) -> int | None:
    """The vector of a token enters below all layers."""
    return None if of == "input" else layer


def _of_layer(found: MemoryReports, layer: int | None) -> str:
    """The layer of the states, in words, where there are several."""
    if all(head["layers"] == 1 for head in found.heads):
        return ""
    return "; of the last layer" if layer is None else f"; of layer {layer}"
