"""HTML of a view: a part of a page, with its own style and without scripts, which notebooks strip.

Everything that comes from a text is shown as in the terminal (`textgen.terminal.text`), then
escaped: nothing in it is read as markup, and nothing turns the direction of what stands around it.

The view has a paper and an ink of its own, so that it can be read on any page; which of its two
themes it takes follows from the marks that notebooks put on their pages, else from the system.
"""

from __future__ import annotations

import base64
import html
import math
import re
from collections.abc import Iterable
from functools import cache
from importlib.resources import files

from textgen.heat import HeatRow
from textgen.notebook.curve_svg import chart_legend, chart_svg
from textgen.notebook.parts import Colored, Excerpts, Part, Picture, ProgressBar, Prose
from textgen.page.render import COLORS, DARK, LIGHT
from textgen.table import Table
from textgen.terminal import humanize
from textgen.terminal.chart import Chart
from textgen.terminal.palette import RGB, position
from textgen.terminal.text import each_cell, visible

#: What a view shows at most: rows of a table, characters of a text.
MOST_ROWS, MOST_CHARS = 30, 2000
#: Characters before a place and after it.
_BEFORE, _AFTER = 48, 36


def _pair(light: RGB, dark: RGB) -> str:
    """A colour of both themes."""
    return "light-dark(#{:02x}{:02x}{:02x},#{:02x}{:02x}{:02x})".format(*light, *dark)


#: The paper and the ink of the page for browsers.
_COLORS = (
    f".textgen.textgen{{--paper:{_pair(LIGHT.diverging.rgb(0.5), DARK.diverging.rgb(0.5))};"
    f"--ink:{_pair(LIGHT.ink, DARK.ink)}}}"
)
#: Between the ends of a scale, so many colours are named; a browser makes those between them.
_STOPS = 9


def to_html(headline: str, parts: Iterable[Part]) -> str:
    """A view as HTML, to stand anywhere in a page.

    Args:
        headline: What it is, in a line.
        parts: What it is made of.
    """
    drawn, steps = [], set[tuple[str, int]]()
    for part in parts:
        drawn.append(_drawn(part, steps))
    rules = "".join(f".textgen .{kind}{step}{{background:{_ground(kind, step)}}}"
                    for kind, step in sorted(steps))  # fmt: skip
    head = f'<p class="head">{_plain(headline)}</p>'
    return f'<div class="textgen"><style>{_style()}{rules}</style>{head}{"".join(drawn)}</div>'


@cache
def _style() -> str:
    """The style of all views, without what is for the readers of its file alone."""
    text = files("textgen.notebook").joinpath("view.css").read_text(encoding="utf-8")
    return _COLORS + re.sub(r"/\*.*?\*/|\n\s*", "", text, flags=re.S)


def _drawn(part: Part, steps: set[tuple[str, int]]) -> str:
    if isinstance(part, Colored):
        return _colored(part, steps)
    if isinstance(part, str):
        return _note(part)
    if isinstance(part, Table):
        return table_html(part)
    if isinstance(part, Chart):
        return _figure(part)
    if isinstance(part, tuple):
        across = 400 if len(part) < 3 else 260
        charts = "".join(_figure(chart, width=across, height=across - 30) for chart in part)
        return f'<div class="row">{charts}</div>'
    if isinstance(part, Picture):
        # As an image, so that its style stays its own.
        data = base64.b64encode(part.svg.encode()).decode("ascii")
        source = f"data:image/svg+xml;base64,{data}"
        return f'<p><img alt="{_plain(part.shows)}" src="{source}"></p>'
    if isinstance(part, ProgressBar):
        bar = f'<progress max="{part.total}" value="{part.done}"></progress>'
        return f"<p>{bar}{_plain(part.words)}</p>"
    return _prose(part) if isinstance(part, Prose) else _excerpts(part)


def _note(words: str) -> str:
    return f'<p class="note">{_plain(words)}</p>'


def table_html(table: Table) -> str:
    """A table with its title above and its notes below; a long one is cut, and a note says so."""
    kinds = [' class="word"' if words else "" for words in table.are_words()]
    heads = (f'<th scope="col"{kind}>{_plain(heading)}</th>'
             for kind, heading in zip(kinds, table.headings(), strict=True))  # fmt: skip
    shown = table.shown()
    rows = (
        "".join(f"<td{kind}>{_plain(entry)}</td>" for kind, entry in zip(kinds, row, strict=True))
        for row in shown[:MOST_ROWS]
    )
    title = f"<caption>{_plain(table.title)}</caption>" if table.title else ""
    notes = list(table.notes)
    if len(shown) > MOST_ROWS:
        notes.insert(0, f"… and {humanize.plural(len(shown) - MOST_ROWS, 'row')} more")
    # Columns of a key and its value have no headings.
    head = f"<thead><tr>{''.join(heads)}</tr></thead>" if any(table.headings()) else ""
    return (
        f"<table>{title}{head}<tbody>"
        f"{''.join(f'<tr>{row}</tr>' for row in rows)}</tbody></table>"
        f"{''.join(map(_note, notes))}"
    )


def _figure(chart: Chart, **size: int) -> str:
    legend = "".join(f"<span>{line}{_plain(name)}</span>" for line, name in chart_legend(chart))
    title = f"<b>{_plain(chart.title)}</b> " if chart.title else ""
    head = f"<figcaption>{title}{legend}</figcaption>" if title or legend else ""
    return f"<figure>{head}{chart_svg(chart, **size)}</figure>"


def _colored(part: Colored, steps: set[tuple[str, int]]) -> str:
    """A text on the colours of its values, which can be read where one points; used colours are
    put into `steps`."""
    row = part.row
    kind, values, spans = _kind(row), row.values.tolist(), []
    for count, cell in enumerate(each_cell(part.pieces)):
        if count == MOST_CHARS:
            spans.append(f"</pre>{_cut(sum(map(len, part.pieces)))}")
            break
        place = position(values[cell.piece], row.low, row.high)
        shown = html.escape(cell.shown) + ("\n" if cell.ends_row else "")
        if math.isnan(place):
            spans.append(shown)
            continue
        step = round(place * (COLORS - 1))
        steps.add((kind, step))
        value = f"{humanize.number(values[cell.piece])} {row.measure}".strip()
        spans.append(f'<span class="{kind}{step}" title="{_plain(value)}">{shown}</span>')
    else:
        spans.append("</pre>")
    return f'{_scale(row, kind)}<pre dir="auto">{"".join(spans)}'


def _scale(row: HeatRow, kind: str) -> str:
    """What a text is coloured by, its figures, and what the colours mean."""
    measure = f" {row.measure}" if row.measure else ""
    figures = (
        f"mean {humanize.number(row.mean)}{measure}, sd {humanize.number(row.sd)}, min "
        f"{humanize.number(row.minimum)}, max {humanize.number(row.maximum)}"
    )
    stops = (_ground(kind, round(k * (COLORS - 1) / (_STOPS - 1))) for k in range(_STOPS))
    bar = f'<span class="scale" style="background:linear-gradient(to right,{",".join(stops)})">'
    low, high = humanize.number(row.low), humanize.number(row.high)
    note = _note(row.note) if row.note else ""
    return (
        f"<p><b>{_plain(row.title)}</b> <span>{_plain(figures)}</span></p>{note}"
        f'<p class="note">{low}{bar}</span>{high}</p>'
    )


def _kind(row: HeatRow) -> str:
    """`d` of a diverging scale, `q` of a sequential one, as the page calls them."""
    return "d" if row.low < 0.0 < row.high else "q"


def _ground(kind: str, step: int) -> str:
    light, dark = (
        (theme.diverging if kind == "d" else theme.sequential).rgb(step / (COLORS - 1))
        for theme in (LIGHT, DARK)
    )
    return _pair(light, dark)


def _prose(part: Prose) -> str:
    pieces, left = [], MOST_CHARS
    for text, is_marked in part.pieces:
        shown = html.escape(visible(text[:left], keep_newlines=True))
        pieces.append(f"<mark>{shown}</mark>" if is_marked and shown else shown)
        left -= len(text)
        if left <= 0:
            break
    length = sum(len(text) for text, _ in part.pieces)
    cut = _cut(length) if length > MOST_CHARS else ""
    meaning = f'<p class="note"><mark>marked</mark>: {_plain(part.meaning)}</p>'
    return f'<pre dir="auto">{"".join(pieces)}</pre>{cut}{meaning if part.meaning else ""}'


def _cut(length: int) -> str:
    return f'<p class="note">… the first {MOST_CHARS:,} of {length:,} characters</p>'


def _excerpts(part: Excerpts) -> str:
    heads = "".join(f'<th scope="col">{_plain(heading)}</th>' for heading in part.headings)
    rows = []
    for line in part.lines[:MOST_ROWS]:
        labels = "".join(f"<td>{_plain(label)}</td>" for label in line.labels)
        before = line.before[-_BEFORE:]
        border = max(len(before) - line.marked, 0)
        set_off = f"<b>{_plain(before[border:])}</b>" if line.marked else ""
        rows.append(
            f'<tr>{labels}<td class="text before">{_plain(before[:border])}{set_off}</td>'
            f'<td class="text after">{_plain(line.after[:_AFTER])}</td></tr>'
        )
    more = len(part.lines) - MOST_ROWS
    note = _note(f"… and {humanize.plural(more, 'place')} more") if more > 0 else ""
    return (
        f'<table><thead><tr>{heads}<th scope="col" colspan="2"></th></tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table>{note}"
    )


def _plain(words: str) -> str:
    return html.escape(visible(words))
