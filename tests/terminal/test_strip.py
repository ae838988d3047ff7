"""The heat map as it is written, in every depth of colour and at every width."""

from __future__ import annotations

import io
import re
import tracemalloc
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from textgen.heat import HeatRow
from textgen.terminal.palette import DIVERGING
from textgen.terminal.strip import HeatStrip
from textgen.terminal.text import cells

System = Literal["standard", "256", "truecolor"]


@dataclass(frozen=True)
class Row:
    """Values on a scale."""

    values: tuple[float, ...]
    low: float = -1.0
    high: float = 1.0
    title: str = "neuron 0:3 cell"
    mean: float = 0.25
    sd: float = 0.5
    minimum: float = -2.0
    maximum: float = 1.5
    measure: str = ""
    note: str = ""


def render(strip: HeatStrip, *, width: int = 40, system: System | None = None) -> str:
    file = io.StringIO()
    console = Console(file=file, width=width, color_system=system, force_terminal=True)
    console.print(strip)
    return file.getvalue()


def test_without_colours_blocks_tell_the_values() -> None:
    strip = HeatStrip(("a", "б", "日", "\n", "\x1b"), Row((-1.0, 0.0, 1.0, 0.4, -0.4)))
    assert render(strip, width=30) == (
        "neuron 0:3 cell  mean 0.25\n"
        "sd 0.5  min -2  max 1.5\n"
        "-1 ▁▁▁▂▂▂▃▃▃▄▄▄▅▅▅▆▆▆▇▇▇████ 1\n"
        "aб日↵\n"
        "▁▅██▆\n"
        "\\x1b\n"
        "▃▃▃▃\n"
    )


def test_colours_are_written_exactly() -> None:
    strip = HeatStrip(("a", "b"), Row((-1.0, 1.0)), header=False)
    low, high = DIVERGING.rgb(0.0), DIVERGING.rgb(1.0)
    assert render(strip, system="truecolor") == (
        "\x1b[38;2;255;255;255;48;2;{};{};{}ma\x1b[0m".format(*low)
        + "\x1b[38;2;255;255;255;48;2;{};{};{}mb\x1b[0m\n".format(*high)
    )
    assert render(strip, system="256") == (
        "\x1b[38;5;231;48;5;25ma\x1b[0m\x1b[38;5;231;48;5;124mb\x1b[0m\n"
    )
    assert render(strip, system="standard") == "\x1b[97;44ma\x1b[0m\x1b[97;41mb\x1b[0m\n"


def test_a_gate_uses_the_sequential_scale() -> None:
    strip = HeatStrip(("a", "b"), Row((0.0, 1.0), low=0.0), header=False)
    assert render(strip, system="256") == (
        "\x1b[38;5;16;48;5;230ma\x1b[0m\x1b[38;5;231;48;5;54mb\x1b[0m\n"
    )


def test_silent_pieces_take_no_column() -> None:
    strip = HeatStrip(("", "ё", "", "\u0301", "x"), Row((1.0, -1.0, 1.0, 1.0, 1.0)), header=False)
    assert render(strip) == "ё\u0301x\n▁█\n"


def test_measure_and_note_are_printed() -> None:
    row = Row(
        (1.0,), low=0.0, high=8.0, title="surprise", measure="bits", note="12 bits \x1b[in all"
    )
    text = render(HeatStrip(("a",), row), width=80)
    assert text.splitlines()[0] == "surprise  mean 0.25 bits  sd 0.5  min -2  max 1.5"
    assert text.splitlines()[2] == "12 bits \\x1b[in all"


def test_an_ascii_stream_gets_digits() -> None:
    raw = io.BytesIO()
    file = io.TextIOWrapper(raw, encoding="ascii")
    console = Console(file=file, width=40, color_system=None)
    console.print(HeatStrip(("a", "ё", "\n"), Row((-1.0, 0.0, 1.0)), header=False))
    file.flush()
    assert raw.getvalue() == b"a\\u0451\\n\n055555599\n"


def test_a_value_that_is_no_number_has_no_colour() -> None:
    strip = HeatStrip(("a", "b"), Row((float("nan"), 1.0)), header=False)
    assert render(strip) == "ab\n █\n"
    assert render(strip, system="standard") == "a\x1b[97;41mb\x1b[0m\n"


def test_it_draws_rows_of_a_view() -> None:
    row = HeatRow(
        name="layers.0.cell[0]",
        layer=0,
        unit=0,
        quantity="cell",
        values=np.zeros(1, np.float32),
        mean=0.0,
        sd=0.0,
        minimum=0.0,
        maximum=0.0,
        low=-1.0,
        high=1.0,
    )
    assert "neuron 0:0 cell  mean 0" in render(HeatStrip(("a",), row))


def test_what_cannot_be_drawn() -> None:
    with pytest.raises(ValueError, match="1 pieces but 2 values"):
        HeatStrip(("a",), Row((0.0, 1.0)))
    with pytest.raises(ValueError, match="no extent"):
        HeatStrip(("a",), Row((0.0,), low=1.0))


@pytest.mark.parametrize("width", [20, 33, 80])
@pytest.mark.parametrize("system", [None, "standard", "256", "truecolor"])
def test_no_line_is_wider_than_the_terminal(width: int, system: System | None) -> None:
    text = "Он благополучно избегнул встречи\tс 日本語日本語日本語, й́ \x1b[31m\n" * 3
    values = tuple(n % 21 / 10 - 1 for n in range(len(text)))
    strip = HeatStrip(text, Row(values, note="a note of several words that must wrap"))
    out = render(strip, width=width, system=system)
    plain = re.sub(r"\x1b\[[0-9;]*m", "", out)
    assert "\x1b" not in plain
    assert ("\x1b" in out) is (system is not None)
    assert max(map(cell_len, plain.splitlines())) <= width
    # Nothing is cut off at the edge either.
    assert plain.count("↵") == 3


@given(
    st.lists(st.text(st.characters(), max_size=4), max_size=30),
    st.integers(12, 50),
    st.sampled_from([None, "truecolor"]),
)
def test_any_text_is_drawn_whole(pieces: list[str], width: int, system: System | None) -> None:
    values = tuple(n % 5 / 2 - 1 for n in range(len(pieces)))
    lines = re.sub(
        r"\x1b\[[0-9;]*m",
        "",
        render(HeatStrip(pieces, Row(values), header=False), width=width, system=system),
    ).split("\n")
    if system is None:
        text, marks = lines[:-1:2], lines[1::2]
        assert [cell_len(line) for line in text] == [len(line) for line in marks]
    else:
        text = lines[:-1]
    assert "".join(text) == "".join(cell.shown for cell in cells(pieces))
    assert all(cell_len(line) <= width for line in text)


@pytest.mark.parametrize("system", [None, "256"])
def test_printed_in_blocks_it_is_the_same(system: System | None) -> None:
    text = "Он встретил 漢字, й́ и e\u0301\n" * 500
    strip = HeatStrip(text, Row(tuple(n % 21 / 10 - 1 for n in range(len(text)))))
    file = io.StringIO()
    strip.print_to(Console(file=file, width=40, color_system=system, force_terminal=True))
    assert file.getvalue() == render(strip, system=system)
    assert file.getvalue().count("↵") == 500


def test_memory_of_drawing_does_not_grow_with_the_text() -> None:
    class Nowhere(io.StringIO):
        def write(self, text: str) -> int:
            return len(text)

    def peak(count: int) -> int:
        values = np.zeros(count, np.float32)
        row = HeatRow(
            name="surprise", values=values, mean=0, sd=0, minimum=0, maximum=0, low=0, high=1
        )
        console = Console(file=Nowhere(), width=40, color_system=None)
        strip = HeatStrip("и" * count, row)
        tracemalloc.start()
        strip.print_to(console)
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    peak(100)  # what is allocated once
    # A block is some 10,000 characters; held whole, 20,000 more cells would take above 2 MB.
    assert peak(40_000) < peak(20_000) + 300_000
