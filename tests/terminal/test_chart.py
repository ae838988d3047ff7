"""Several curves in one chart, in the terminal and as a picture."""

from __future__ import annotations

import io
import struct
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

import pytest
from rich.cells import cell_len
from rich.console import Console

from textgen.errors import ConfigError
from textgen.terminal.chart import Chart, Series, TerminalChart, charts_picture, save_charts

CURVES = Chart(
    series=(
        Series(name="lstm", points=tuple((t, 4.0 - t / 32) for t in (1, 2, 4, 8, 16))),
        Series(name="«грu» $", points=((1, 4.5), (4, 3.3), (16, 3.0)), bars=((4, 3.2, 4.4),)),
    ),
    x_label="history t",
    y_label="бит на символ",
    levels=(("carried", 2.9),),
    log_x=True,
)
ROWS = Chart(
    series=tuple(
        Series(name="", points=((place, bits), (place, bits + 0.2)), joined=False)
        for place, bits in enumerate((2.0, 2.4, 2.2))
    ),
    x_label="cell",
    y_label="bits/char",
    ticks=((0, "rnn"), (1, "lstm"), (2, "depth-gated")),
)


def render(chart: Chart, *, width: int = 60, color: bool = False, encoding: str = "utf-8") -> str:
    raw = io.BytesIO()
    file = io.TextIOWrapper(raw, encoding=encoding, errors="backslashreplace")
    console = Console(
        file=file, width=width, color_system="truecolor" if color else None, force_terminal=color
    )
    console.print(TerminalChart(chart))
    file.flush()
    return raw.getvalue().decode(encoding)


@pytest.mark.parametrize("chart", [CURVES, ROWS], ids=["curves", "rows"])
@pytest.mark.parametrize("width", [20, 40, 80, 140])
def test_it_fits_and_names_its_axes(chart: Chart, width: int) -> None:
    text = render(chart, width=width)
    lines = text.splitlines()
    assert "\x1b" not in text
    assert max(map(cell_len, lines)) <= width
    assert chart.y_label in " ".join(lines[:3])
    assert lines[-1].strip() == chart.x_label


def test_the_legend_and_the_line_to_compare_with() -> None:
    text = render(CURVES, width=100)
    assert "● lstm" in text and "▲ «грu» $" in text and "carried 2.9" in text
    assert text.count("●") == 1 + 5 and text.count("▲") == 1 + 3
    assert text.count("╌") > 20


def test_equal_factors_are_equal_steps() -> None:
    """On a logarithmic axis 1, 2, 4, 8 and 16 stand equally far apart."""
    ticks = next(line for line in render(CURVES, width=100).splitlines() if " 16" in line)
    places = [ticks.index(f" {number} ") for number in ("1", "2", "4", "8", "16")]
    steps = [b - a for a, b in pairwise(places)]
    assert max(steps) - min(steps) <= 1
    even = render(replace(CURVES, log_x=False), width=100)
    ticks = next(line for line in even.splitlines() if " 16" in line)
    assert (
        ticks.index(" 8 ") - ticks.index(" 4 ") > 2 * (ticks.index(" 4 ") - ticks.index(" 2 ")) - 3
    )


def test_names_stand_below_their_points() -> None:
    """One that would run into its neighbour is left out, and the legend has them then."""
    text = render(ROWS, width=80)
    assert all(name in text for name in ("rnn", "lstm", "depth-gated"))
    legend, _, axis = render(ROWS, width=24).partition("┌")
    assert "depth-gated" in legend and "depth-gated" not in axis
    assert "depth-gated" not in text.partition("┌")[0]


def test_the_best_point_is_the_lowest() -> None:
    lines = [line for line in render(ROWS).splitlines() if "│" in line or "┤" in line]
    first = {mark: max(n for n, line in enumerate(lines) if mark in line) for mark in "●▲■"}
    assert first["●"] > first["■"] > first["▲"]


def test_colours_only_where_there_are_any() -> None:
    assert "\x1b[38;2;213;94;0m" in render(CURVES, color=True)


def test_an_ascii_stream() -> None:
    text = render(replace(CURVES, y_label="bits", series=CURVES.series[:1]), encoding="ascii")
    assert "\\u" not in text and "o lstm" in text


def test_a_single_point_and_none() -> None:
    """Nothing to join, nothing to scale by."""
    one = replace(CURVES, series=(Series(name="a", points=((3, 2.0),)),), levels=())
    assert "●" in render(one)
    assert render(replace(one, series=(Series(name="a", points=()),)))


def test_drawing_twice_is_the_same() -> None:
    before = render(ROWS)
    render(CURVES)
    assert render(ROWS) == before


def test_pictures(tmp_path: Path) -> None:
    save_charts(tmp_path / "c.png", [CURVES])
    data = (tmp_path / "c.png").read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    assert struct.unpack(">II", data[16:24]) == (960, 540)
    save_charts(tmp_path / "c.svg", [ROWS])
    assert ElementTree.fromstring((tmp_path / "c.svg").read_text("utf-8")).tag.endswith("svg")
    assert charts_picture([ROWS], "svg") == (tmp_path / "c.svg").read_bytes()
    with pytest.raises(ConfigError, match=r"\.svg or \.png"):
        save_charts(tmp_path / "c.pdf", [ROWS])


def test_bands_are_named_and_in_sight() -> None:
    """Both edges, whatever the curves take."""
    chart = replace(CURVES, bands=(("untrained", 5.5, 6.0),))
    assert chart.limits()[1][1] > 6.0
    assert "untrained 5.5 to 6" in " ".join(render(chart, width=100).split())
    svg = charts_picture([chart]).decode()
    assert svg != charts_picture([replace(CURVES, bands=(("untrained", 5.5, 5.9),))]).decode()
    assert "<!-- untrained -->" in svg


@pytest.mark.parametrize(("count", "is_below"), [(7, False), (8, True)])
def test_a_long_legend_covers_nothing(count: int, is_below: bool) -> None:
    from matplotlib.figure import Figure

    from textgen.terminal.chart import _draw

    chart = Chart(
        series=tuple(Series(name=f"s{n}", points=((0.0, n), (1.0, n))) for n in range(count)),
        x_label="x",
        y_label="y",
    )
    figure = Figure(figsize=(8.0, 4.5))
    axes = figure.add_subplot()
    _draw(axes, chart)
    figure.draw_without_rendering()
    legend = axes.get_legend()
    assert len(legend.get_texts()) == count
    assert (legend.get_window_extent().y1 < axes.bbox.y0) == is_below
