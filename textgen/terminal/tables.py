"""Tables and panels of the command line. They take plain data and know neither models nor runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from rich.box import ROUNDED, SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.panel import Panel
from rich.table import Table as RichTable
from rich.text import Text

from textgen.table import Table, show_value
from textgen.terminal.text import visible

#: Columns below which a table of choices has no room for three columns; and of the first two.
NARROW, _SETTING_COLUMNS = 60, 20

#: A label and what to print beside it: text, or a number that gets its thousands set apart.
Row = tuple[str, object]


def draw_table(table: Table, words: Callable[[str], str] = str) -> RenderableType:
    """A table with its title above and its notes below.

    Words stand at the left, numbers at the right. What is too wide goes on in the next line: a
    figure that is cut off would be another figure.

    Args:
        table: The table.
        words: Puts a note into the words of the reader.
    """
    drawn = _table(*table.headings())
    for column, is_words in zip(drawn.columns, table.are_words(), strict=True):
        column.justify = "left" if is_words else "right"
    for row in table.shown():
        drawn.add_row(*map(_text, row))
    title = [Text(visible(table.title), style="bold")] if table.title else []
    return Group(*title, drawn, *(_text(words(note)) for note in table.notes))


def key_values(title: str, rows: Sequence[Row], *, note: str = "") -> Panel:
    """A panel of labels and values.

    Args:
        title: The title of the panel.
        rows: `(label, value)`; rows whose value is None are left out.
        note: A paragraph below; "" for none.
    """
    grid = RichTable.grid(padding=(0, 2))
    grid.add_column(style="dim", overflow="fold")
    grid.add_column(overflow="fold")
    for label, value in rows:
        if value is not None:
            grid.add_row(_text(label), _text(show_value(value)))
    body: RenderableType = Group(grid, Text(), _text(note)) if note else grid
    return Panel(body, title=_text(title), title_align="left", box=ROUNDED, expand=False)


def choices_table(choices: Sequence[tuple[str, object, str]], *, width: int = 80) -> RichTable:
    """What was chosen and why.

    Args:
        choices: `(name, value, reason)`, in the order to show.
        width: The columns of the terminal; below `NARROW` each reason stands below its setting.
    """
    if width < NARROW:
        return _stacked_choices(choices)
    table = _table("setting", "value", "why")
    for column in table.columns[:2]:
        column.max_width = _SETTING_COLUMNS
    table.columns[2].overflow = "fold"
    for name, value, reason in choices:
        table.add_row(_text(name), _text(show_value(value)), _text(reason))
    return table


def _stacked_choices(choices: Sequence[tuple[str, object, str]]) -> RichTable:
    """The same for a narrow terminal, where three columns leave no room for words."""
    table = RichTable.grid()
    table.add_column(overflow="fold")
    for name, value, reason in choices:
        table.add_row(_text(f"{name} {show_value(value)}"))
        table.add_row(Padding(_text(reason), (0, 0, 0, 2)))
    return table


def evaluation_table(
    result: Mapping[str, object],
    cold: Mapping[str, object] | None = None,
    *,
    heading: str = "whole text",
) -> RichTable:
    """The figures of `eval`: one stateful pass, and beside it cold windows where asked for.

    Args:
        result: Name -> figure.
        cold: The same from cold windows, its names with or without `cold_` in front.
        heading: What `result` is of.
    """
    table = _table("", heading, *([] if cold is None else ["cold windows"]))
    for column in table.columns[1:]:
        column.justify = "right"
    beside = {name.removeprefix("cold_"): value for name, value in (cold or {}).items()}
    for name in [*result, *(name for name in beside if name not in result)]:
        values = [result.get(name)] + ([] if cold is None else [beside.get(name)])
        table.add_row(
            _text(name.replace("_", " ")),
            *(_text("" if value is None else _figure(value)) for value in values),
        )
    return table


def _table(*headings: str) -> RichTable:
    table = RichTable(box=SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for heading in headings:
        table.add_column(heading, overflow="fold")
    return table


def _figure(value: object) -> str:
    """As `show_value`, but with four decimals, so that figures can be compared down a column."""
    return f"{value:,.4f}" if isinstance(value, float) else show_value(value)


def _text(text: str) -> Text:
    """As it is: no markup, and nothing in it that could steer the terminal."""
    return Text(visible(text, keep_newlines=True))
