"""Places beneath each other, with their context; and tables of figures."""

from __future__ import annotations

import io

import pytest
from rich.cells import cell_len
from rich.console import Console, RenderableType

from textgen.terminal.excerpt import Concordance, ContextLine

LINES = [
    ContextLine(("", "text"), "Дураки", ""),
    ContextLine(("0.91", "1,234"), "в доме жили не дураки", ", а люди\nвсякие", marked=5),
    ContextLine(("0.90", "7"), "\x1b[31m漢字漢字", "字" * 90),
]


def render(
    what: RenderableType, *, width: int, color: bool = False, encoding: str = "utf-8"
) -> str:
    raw = io.BytesIO()
    file = io.TextIOWrapper(raw, encoding=encoding, errors="backslashreplace")
    console = Console(
        file=file, width=width, color_system="truecolor" if color else None, force_terminal=color
    )
    console.print(what)
    file.flush()
    return raw.getvalue().decode(encoding)


@pytest.mark.parametrize("width", [40, 60, 80, 120])
def test_places_stand_in_one_column(width: int) -> None:
    text = render(Concordance(("alike", "place"), LINES), width=width)
    assert "\x1b" not in text
    lines = text.splitlines()
    assert lines[0].split() == ["alike", "place"]
    assert all(cell_len(line) <= width for line in lines)
    assert len({cell_len(line.split("│")[0]) for line in lines[1:]}) == 1
    assert "раки│, а л" in lines[2]
    assert lines[3].lstrip().startswith("0.90")


def test_newlines_and_controls_are_shown() -> None:
    text = render(Concordance(("alike", "place"), LINES), width=120)
    assert "люди↵всякие" in text
    assert "\\x1b[31m漢字漢字│字" in text


def test_what_is_the_same_is_set_off() -> None:
    text = render(Concordance(("alike", "place"), LINES), width=80, color=True)
    assert "в доме жили не д\x1b[1mураки\x1b[0m" in text


def test_an_ascii_stream() -> None:
    text = render(
        Concordance(("a",), [ContextLine(("1",), "ab", "cd")]), width=40, encoding="ascii"
    )
    assert "ab|cd" in text


def test_no_place() -> None:
    assert render(Concordance(("alike",), []), width=40).strip() == "alike"
