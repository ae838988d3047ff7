"""What `textgen inspect memory` draws: the charts, and the table of the numbers to quote."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from textgen.checkpoint import locate
from textgen.inspection.memory_report import GRADIENT_SHARE, VARIATION_LIMIT
from textgen.terminal.chart import Chart, Series
from textgen.terminal.figures import figures_table

if TYPE_CHECKING:
    from rich.table import Table

    from textgen.inspection.memory_report import MemoryCurve, MemoryReport, MemoryReports

#: What a gradient is taken by, in the order in which it is shown, and how it is written.
_WRITTEN = {"hidden": "dL/dh", "cell": "dL/dc", "input": "dL/dx"}
_SPELLED = {
    "hidden": "dL/dh: by the hidden state",
    "cell": "dL/dc: by the cell state",
    "input": "dL/dx: by the symbol's vector",
}
_RELATIVE = "mean norm of the gradient, relative to lag 0"


def names_of(paths: Sequence[Path]) -> list[str]:
    """A short name for each model's file, no two alike."""
    short = [path.parent.name if path.name == locate.MODEL_NAME else path.stem for path in paths]
    short = [name or str(path) for name, path in zip(short, paths, strict=True)]
    names: list[str] = []
    for name, path in zip(short, paths, strict=True):
        alike = {other for other, of in zip(paths, short, strict=True) if of == name}
        full = name if len(alike) == 1 else str(path)
        # The same model may be named twice, too.
        again = paths[: len(names)].count(path)
        names.append(f"{full} ({again + 1})" if again else full)
    return names


def gradient_chart(found: MemoryReports, show: str | None, layer: int | None) -> Chart:
    """The gradients: of one model all of them, of several those by one thing."""
    if show is None and len(found.reports) == 1:
        report = found.reports[0]
        curves = [(text, report.curve(of, _layer(of, layer))) for of, text in _SPELLED.items()]
        title = f"{_RELATIVE}{_of_layer(found, layer)}"
    else:
        of = show or "hidden"
        curves = [
            (name, report.curve(of, _layer(of, layer)))
            for name, report in zip(found.names, found.reports, strict=True)
        ]
        title = f"{_SPELLED[of]}; {_RELATIVE}"
        title += "" if of == "input" else _of_layer(found, layer)
    # Of several models one that has none keeps its place, so that all look the same in every chart.
    keep = show is not None or len(found.reports) > 1
    return Chart(
        series=tuple(_drawn(name, curve) for name, curve in curves if keep or curve is not None),
        x_label=f"lag, in {_unit(found)}",
        y_label="relative to lag 0",
        levels=(("", GRADIENT_SHARE),),
        log_y=True,
        letters=True,
        title=title,
    )


def panels(found: MemoryReports, layer: int | None) -> list[Chart]:
    """The charts of a picture; the last is that of the replacement."""
    charts = []
    if len(found.reports) == 1:
        charts.append(gradient_chart(found, None, layer))
    else:
        for of in _WRITTEN:
            chart = gradient_chart(found, of, layer)
            if any(series.points for series in chart.series):
                charts.append(chart)
    replaced = [
        Series(
            name=name,
            points=()
            if report.replacement is None
            else tuple(
                zip(
                    map(float, report.replacement.lags_M),
                    map(float, report.replacement.mean_M),
                    strict=True,
                )
            ),
        )
        for name, report in zip(found.names, found.reports, strict=True)
    ]
    return [
        *charts,
        Chart(
            series=tuple(replaced),
            x_label=f"{_unit(found)} that are kept",
            y_label="total variation",
            levels=(("", VARIATION_LIMIT),),
            log_y=True,
            letters=True,
            title="change of the prediction where all text before is replaced",
        ),
    ]


def figures(found: MemoryReports, layer: int | None) -> tuple[Table, str]:
    """The lags of each model as a table, and what they mean."""
    quantities = [
        of
        for of in _WRITTEN
        if any(report.curve(of, _layer(of, layer)) for report in found.reports)
    ]
    unit = {"characters": "chars"}.get(_unit(found), _unit(found))
    headings = (
        "model",
        "cell",
        *(f"{_WRITTEN[of]} to 1 %, {unit}" for of in quantities),
        f"can be replaced, {unit}",
    )
    rows = []
    for name, report in zip(found.names, found.reports, strict=True):
        lags = []
        for of in quantities:
            curve = report.curve(of, _layer(of, layer))
            lags.append("-" if curve is None else _lag(curve.lag, report))
        rows.append((name, report.cell, *lags, _lag(report.replacement_lag, report)))
    places = sorted({len(report.places) for report in found.reports})
    note = (
        f"lags in {_unit(found)}, over {' to '.join(f'{n:,}' for n in places)} places of the text; "
        "can be replaced: what lies more than so many back, by other text, and the prediction "
        f"changes by less than {VARIATION_LIMIT:g} (mean total variation)"
    )
    beyond = sorted({text.removeprefix("> ") for row in rows for text in row if text[:1] == ">"})
    if beyond:
        note += f"; > {beyond[0]}: not within {beyond[0]} (--max-lag looks further)"
    parts = sorted({f"{r.chars_per_token:.2f}" for r in found.reports if r.unit != "characters"})
    if parts:
        note += f"; a token has {' to '.join(parts)} characters in the mean"
    return figures_table(headings, rows), note


def _drawn(name: str, curve: MemoryCurve | None) -> Series:
    return Series(
        name=name,
        points=()
        if curve is None
        else tuple((float(lag), float(y)) for lag, y in enumerate(curve.relative_K)),
    )


def _layer(of: str, layer: int | None) -> int | None:
    """The symbol's vector enters below all layers."""
    return None if of == "input" else layer


def _of_layer(found: MemoryReports, layer: int | None) -> str:
    """Of which layer the states are, where there are several."""
    if all(head["layers"] == 1 for head in found.heads):
        return ""
    return "; of the last layer" if layer is None else f"; of layer {layer}"


def _lag(lag: int | None, report: MemoryReport) -> str:
    return f"> {report.max_lag:,}" if lag is None else f"{lag:,}"


def _unit(found: MemoryReports) -> str:
    units = sorted({report.unit for report in found.reports})
    return units[0] if len(units) == 1 else "tokens of each model"
