"""A chart as SVG that stands inside HTML: it takes the colours of the page around it."""

from __future__ import annotations

import html
from collections.abc import Iterator

from textgen.terminal.chart import COLORS, Chart, Points, Series
from textgen.terminal.text import visible

#: Of the drawing, in its own units; a page scales it to its width.
WIDTH, HEIGHT = 640, 300
#: Around the field of the curves: for the numbers and the labels.
_LEFT, _RIGHT, _TOP, _BOTTOM = 62, 14, 12, 44
#: Dashes tell lines apart where colours do not.
_DASHES = ("", "7 4", "7 3 2 3", "2 3")
#: Of more points than this one sees the line alone.
_MOST_MARKS = 60


def chart_svg(chart: Chart, *, width: int = WIDTH, height: int = HEIGHT) -> str:
    """A chart, without its legend (`chart_legend`), with `currentColor` for axes and words.

    Args:
        chart: What to draw.
        width: Of the drawing, in pixels where there is room.
        height: The same.
    """
    field = _Field(chart, width, height)
    words = visible(": ".join(filter(None, (chart.title, f"{chart.y_label} over {chart.x_label}"))))
    return (
        f'<svg viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img" '
        f'aria-label="{html.escape(words)}" font-size="12" fill="currentColor">'
        f"{''.join(_axes(field))}{''.join(_curves(field))}{''.join(_words(field))}</svg>"
    )


def chart_legend(chart: Chart) -> list[tuple[str, str]]:
    """What each line of a chart is: a small SVG of the line, and its name."""
    entries = [
        (_sample(chart, number), visible(series.name))
        for number, series in enumerate(chart.series)
        if series.name and series.points
    ]
    return entries + [
        ('<svg width="22" height="10" aria-hidden="true"><path d="M0 5h22" stroke="currentColor" '
         'stroke-dasharray="3 3" opacity=".6"/></svg>', visible(f"{name} {y:.3g}".strip()))
        for name, y in chart.levels
    ]  # fmt: skip


class _Field:
    """Where the places of a chart lie in the drawing."""

    def __init__(self, chart: Chart, width: int, height: int) -> None:
        self.chart = chart
        self.width, self.height = width, height
        (self._x, right), (self._y, top) = chart.limits()
        self.right, self.bottom = width - _RIGHT, height - _BOTTOM
        self._across = (self.right - _LEFT) / (right - self._x)
        self._up = (self.bottom - _TOP) / (top - self._y)

    def x(self, place: float) -> float:
        return round(_LEFT + (place - self._x) * self._across, 1)

    def y(self, place: float) -> float:
        """Places above or below the field stand on its edge."""
        y = self.bottom - (place - self._y) * self._up
        return round(min(max(y, _TOP), self.bottom), 1)

    def path(self, points: Points) -> str:
        """A line through places."""
        return "M" + "L".join(f"{self.x(x):g} {self.y(y):g}" for x, y in points)

    def dots(self, points: Points) -> str:
        """A dot at each place, as lines without length whose ends are round."""
        return "".join(f"M{self.x(x):g} {self.y(y):g}h0" for x, y in points)


def _axes(field: _Field) -> Iterator[str]:
    chart = field.chart
    grid, words = "", []
    for place, name in chart.y_ticks(max(2, field.height // 50)):
        y = field.y(place)
        grid += f"M{_LEFT} {y:g}H{field.right}"
        words.append(f'<text x="{_LEFT - 7}" y="{y + 4:g}" text-anchor="end">{_plain(name)}</text>')
    for place, name in chart.x_ticks(field.width // 7):
        x = field.x(place)
        grid += f"M{x:g} {_TOP}V{field.bottom}"
        words.append(
            f'<text x="{x:g}" y="{field.bottom + 16}" text-anchor="middle">{_plain(name)}</text>'
        )
    yield f'<path d="{grid}" stroke="currentColor" opacity=".13"/>'
    yield f'<path d="M{_LEFT} {_TOP}V{field.bottom}H{field.right}" fill="none" '
    yield f'stroke="currentColor" opacity=".5"/><g opacity=".75">{"".join(words)}</g>'


def _curves(field: _Field) -> Iterator[str]:
    chart = field.chart
    for _, y in chart.levels:
        yield f'<path d="M{_LEFT} {field.y(chart.y_place(y)):g}H{field.right}" '
        yield 'stroke="currentColor" stroke-dasharray="3 3" opacity=".6"/>'
    for number, series in enumerate(chart.series):
        stroke = f'fill="none" stroke="{_color(number)}"'
        for x, low, high in series.bars:
            bar = field.path(((chart.x_place(x), low), (chart.x_place(x), high)))
            yield f'<path d="{bar}" {stroke} stroke-width="1.5"/>'
        parts = chart.parts(series)
        if series.joined is not False:
            yield from (f'<path d="{field.path(part)}" {stroke} {_line(chart, number)}/>'
                        for part in parts if len(part) > 1)  # fmt: skip
        places = tuple(place for part in parts for place in part)
        if places and _is_marked(chart, series):
            size = 6 if series.joined is not False or len(places) <= _MOST_MARKS else 3.5
            yield f'<path d="{field.dots(places)}" {stroke} '
            yield f'stroke-width="{size:g}" stroke-linecap="round"/>'


def _words(field: _Field) -> Iterator[str]:
    """The labels of the axes, and those of single points."""
    chart, middle = field.chart, (_TOP + field.bottom) / 2
    yield f'<text x="{(_LEFT + field.right) / 2:g}" y="{field.height - 8}" '
    yield f'text-anchor="middle">{_plain(chart.x_label)}</text>'
    yield f'<text transform="translate(14 {middle:g})rotate(-90)" '
    yield f'text-anchor="middle">{_plain(chart.y_label)}</text>'
    for x, y, words in chart.labels:
        place = field.x(chart.x_place(x))
        anchor = "end" if place > field.width / 2 else "start"
        yield f'<text x="{place:g}" y="{field.y(chart.y_place(y)) - 9:g}" '
        yield f'text-anchor="{anchor}">{_plain(words)}</text>'


def _is_marked(chart: Chart, series: Series) -> bool:
    """A few marks say where something was measured; among many the line is enough."""
    if series.joined is False:
        return True
    return series.marked and not chart.letters and len(series.points) <= _MOST_MARKS


def _line(chart: Chart, number: int) -> str:
    dashes = _DASHES[number % len(_DASHES)] if chart.letters else ""
    return f'stroke-width="1.8" stroke-linejoin="round" stroke-dasharray="{dashes}"'


def _sample(chart: Chart, number: int) -> str:
    series = chart.series[number]
    stroke = f'fill="none" stroke="{_color(number)}"'
    line = "" if series.joined is False else f'<path d="M0 5h22" {stroke} {_line(chart, number)}/>'
    dot = f'<path d="M11 5h0" {stroke} stroke-width="6" stroke-linecap="round"/>'
    inside = line + (dot if _is_marked(chart, series) else "")
    return f'<svg width="22" height="10" aria-hidden="true">{inside}</svg>'


def _color(number: int) -> str:
    return "#{:02x}{:02x}{:02x}".format(*COLORS[number % len(COLORS)])


def _plain(words: str) -> str:
    return html.escape(visible(words))
