"""The table of neurons and the sheet on one, at every width, with and without colours."""

from __future__ import annotations

import io
import re
from typing import Literal

import numpy as np
import pytest
from rich.cells import cell_len
from rich.console import Console, Group

from textgen.cli.inspect.show_neurons import sheet
from textgen.inspection.neuron_report import FeatureScore, NeuronProfile, NeuronReport
from textgen.inspection.neuron_stats import NeuronStats
from textgen.inspection.passages import Passage
from textgen.table import Column, Entry, Table
from textgen.terminal.excerpt import Excerpt, excerpt
from textgen.terminal.humanize import number
from textgen.terminal.tables import Histogram, NeuronTable

System = Literal["standard", "256", "truecolor"]


class Ascii(io.StringIO):
    """A stream that can say ASCII alone."""

    encoding = "ascii"


def console(width: int, system: System | None = None, *, ascii_only: bool = False) -> Console:
    file = Ascii() if ascii_only else io.StringIO()
    return Console(file=file, width=width, color_system=system, force_terminal=True, markup=False)


def render(what: object, width: int, system: System | None = None, **settings: bool) -> str:
    target = console(width, system, **settings)
    target.print(what)
    return target.file.getvalue()  # type: ignore[attr-defined, no-any-return]


LONG = "что было до этого места, довольно длинное и с \x1b[31m чужим цветом, вот "
FIGURES = ("neuron", Column("mean", format=number), Column("sd", format=".2g"))
SHARES = (Column("below_0.1", "<0.1", ".0%"), Column("above_0.9", ">0.9", ".0%"))
FOLLOWS = ("follows", Column("correlation", "r", "+.2f"))


def neuron_table(rows: list[tuple[Entry, ...]], places: list[Excerpt | None]) -> NeuronTable:
    shares = SHARES if len(rows[0]) > 5 else ()
    return NeuronTable(Table((*FIGURES, *shares, *FOLLOWS), rows), places)


PLACE = Excerpt(LONG, "ё", "лка и ещё много всего, что было после\n")
ROWS: list[tuple[Entry, ...]] = [
    ("0:137", -0.25, 0.51234, "position-in-word", -0.738),
    ("1:2", 12.5, 1e-7, "nothing", None),
    ("1:3", 0.0, 0.0, "nothing", None),
]
GATES: list[tuple[Entry, ...]] = [("0:137", 0.75, 0.0123, 0.034, 0.5, "position-in-word", -0.738)]
STATES_TABLE = neuron_table(ROWS, [PLACE, Excerpt("日本", "語", "\nя"), None])
GATES_TABLE = neuron_table(GATES, [Excerpt(LONG, "ё", "лка")])


def test_a_wide_table_has_a_column_for_passages() -> None:
    lines = render(STATES_TABLE, 80).splitlines()
    assert lines[0].split() == ["neuron", "mean", "sd", "follows", "r", "highest"]
    assert lines[2].startswith("0:137   -0.25   0.51  position-in-word  -0.74  ")
    assert "вот ▸ё◂лка" in lines[2]
    assert "nothing" in lines[3] and "日本▸語◂↵я" in lines[3]
    assert len(lines) == 5


def test_a_narrow_table_puts_them_beneath() -> None:
    lines = render(GATES_TABLE, 60).splitlines()
    assert lines[0].split() == ["neuron", "mean", "sd", "<0.1", ">0.9", "follows,", "highest"]
    assert lines[2].rstrip() == "0:137   0.75  0.012    3%   50%  position-in-word -0.74"
    assert lines[3].startswith(" " * 33) and "▸ё◂лка" in lines[3]


@pytest.mark.parametrize("width", [40, 60, 80, 100, 120])
@pytest.mark.parametrize("system", [None, "standard", "truecolor"])
@pytest.mark.parametrize(
    ("table", "rows"), [(STATES_TABLE, ROWS), (GATES_TABLE, GATES)], ids=["states", "gates"]
)
def test_nothing_overflows_or_steers_the_terminal(
    table: NeuronTable, rows: list[tuple[Entry, ...]], width: int, system: System | None
) -> None:
    text = render(table, width, system)
    plain = re.sub(r"\x1b\[[0-9;]*m", "", text)
    assert all(cell_len(line) <= width for line in plain.splitlines())
    assert "\x1b[31m" not in text
    assert ("\x1b" in text) == (system is not None)
    for row in rows:
        assert str(row[0]) in plain
        if row[-1] is not None and width >= 60:
            assert "-0.74" in plain


def test_with_colours_the_place_is_reversed_and_unmarked() -> None:
    text = render(STATES_TABLE, 100, "standard")
    assert "▸" not in text
    assert re.search(r"\x1b\[[0-9;]*7mё", text)


@pytest.mark.parametrize("width", [3, 4, 10, 25, 200])
def test_an_excerpt_fits_and_holds_its_place(width: int) -> None:
    drawn = excerpt(PLACE, width, "utf-8", console(width)).plain
    assert "▸ё◂" in drawn
    assert cell_len(drawn) <= width
    if width == 25:  # what one side does not need is the other's
        assert cell_len(drawn) == width
        end = excerpt(Excerpt("а" * 50, "б", ""), width, "utf-8", console(width)).plain
        assert end == "а" * 22 + "▸б◂"
        start = excerpt(Excerpt("", "б", "а" * 50), width, "utf-8", console(width)).plain
        assert start == "▸б◂" + "а" * 22


def test_an_excerpt_of_what_has_no_column_of_its_own() -> None:
    assert excerpt(Excerpt("е", "\u0301", "ж"), 9, "utf-8", console(9)).plain == "▸е\u0301◂ж"
    assert excerpt(Excerpt("", "\n", "ж"), 9, "utf-8", console(9)).plain == "▸↵◂ж"
    assert excerpt(Excerpt("a", "b", ""), 9, "ascii", console(9)).plain == "a>b<"


def neuron_sheet() -> Group:
    pieces = ("о", "к", "\x07", "но", "\n")
    values = np.array([-1.0, 0.0, 0.5, 1.0, np.nan], np.float32)
    vowel = FeatureScore("vowel", False, 0.5, 0.52, 0.871)
    profile = NeuronProfile(
        stats=NeuronStats(0, 137, "cell", 0.5, 0.25, -1.0, 2.0, 0.25),
        saturation=None,
        scores=(vowel, FeatureScore("position-in-line", True, None, None, None)),
        follows=vowel,
        histogram=np.array([0, 1, 2, 1] * 16),
        highest=(Passage(3, 1.0, pieces, 3, values),),
        lowest=(Passage(4, -1.0, pieces, 4, None),),
    )
    report = NeuronReport(
        quantity="cell",
        seen="tanh(c)",
        tokens=1000,
        chosen_on=500,
        scored_on=500,
        stretch=250,
        threshold=0.3,
        enough=300,
        total=1,
        edges=np.linspace(-1, 1, 65),
        profiles=(profile,),
    )
    return Group(*sheet(report, profile))


def test_the_sheet_without_colours() -> None:
    text = render(neuron_sheet(), 60)
    lines = [line.rstrip() for line in text.splitlines()]
    assert lines[0] == "neuron 0:137 cell  mean 0.5  sd 0.25  min -1  max 2"
    assert "follows vowel: r +0.52 on 500 tokens that did not choose it" in lines
    assert "vowel                  +0.50       +0.52  0.871" in lines
    assert "position-in-line" in lines
    place = lines.index("highest 1: 1 after token 3")
    assert lines[place + 1 : place + 3] == ["ок\\x07▸но◂↵", "▁▅▇▇▇▇ ██"]
    place = lines.index("lowest 1: -1 after token 4")
    assert lines[place + 1] == "ок\\x07но▸↵"


@pytest.mark.parametrize("width", [40, 60, 80, 120])
@pytest.mark.parametrize("system", [None, "256", "truecolor"])
def test_the_sheet_fits(width: int, system: System | None) -> None:
    text = re.sub(r"\x1b\[[0-9;]*m", "", render(neuron_sheet(), width, system))
    assert all(cell_len(line) <= width for line in text.splitlines())
    assert "\x1b" not in text and "\x07" not in text


def test_a_histogram_joins_bins_and_says_shares() -> None:
    counts = np.zeros(64, np.int64)
    counts[:4] = 10
    counts[60] = 20
    lines = render(Histogram(counts, np.linspace(0, 1, 65)), 50).splitlines()
    assert len(lines) == 16
    assert lines[0] == "     0 to 0.0625   66.7% " + "█" * 24
    assert lines[-1] == "0.9375 to      1   33.3% ████████████".replace("0.9375", " 0.938")
    assert lines[5].rstrip() == " 0.312 to  0.375    0.0%"


def test_an_endless_histogram_in_ascii() -> None:
    edges = np.concatenate([[-np.inf], np.linspace(-3, 3, 15), [np.inf]])
    text = render(Histogram(np.ones(16, np.int64), edges), 50, ascii_only=True)
    assert "-inf to     -3    6.2% #####" in text
    assert text.isascii()
    assert render(Histogram(np.zeros(16, np.int64), edges), 50).count("0.0%") == 16
