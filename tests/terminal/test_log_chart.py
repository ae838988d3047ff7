"""Curves on a logarithmic scale, in the terminal and as a picture."""

from __future__ import annotations

import io
import math
import re
import struct
from pathlib import Path
from xml.etree import ElementTree

import pytest
from rich.cells import cell_len
from rich.console import Console

from textgen.errors import ConfigError
from textgen.terminal.chart import Chart, Series, TerminalChart, charts_picture, save_charts

ANSI = re.compile(r"\x1b\[[0-9;]*m")


def falling(name: str, factor: float, count: int = 201) -> Series:
    return Series(name=name, points=tuple((float(k), factor**k) for k in range(count)))


def chart(*curves: Series) -> Chart:
    return Chart(
        series=curves,
        x_label="шаги",
        y_label="доля",
        levels=(("", 0.01),),
        log_y=True,
        letters=True,
        title="«Память» за 3 $",
    )


CHART = chart(falling("старуха", 0.9), falling("gru", 0.98), falling("rnn", 0.5))


def render(shown: Chart, *, width: int = 80, color: bool = False, encoding: str = "utf-8") -> str:
    raw = io.BytesIO()
    file = io.TextIOWrapper(raw, encoding=encoding, errors="backslashreplace")
    console = Console(
        file=file, width=width, color_system="truecolor" if color else None, force_terminal=color
    )
    console.print(TerminalChart(shown))
    file.flush()
    return raw.getvalue().decode(encoding)


@pytest.mark.parametrize("color", [False, True])
@pytest.mark.parametrize("width", [24, 40, 60, 80, 140])
def test_it_fits_and_says_what_it_shows(width: int, color: bool) -> None:
    raw = render(CHART, width=width, color=color)
    assert ("\x1b[38;2;0;114;178m" in raw) == color
    text = ANSI.sub("", raw)
    lines = text.splitlines()
    assert max(map(cell_len, lines)) <= width
    for expected in ("«Память»", "a старуха", "b gru", "c rnn", "0.0001┤"):
        assert expected in text
    assert lines[-1].strip() == "шаги"
    drawn = [line for line in lines if "│" in line or "┤" in line]
    for letter in "abc":
        assert any(letter in line for line in drawn), letter


def test_letters_lie_on_their_curves() -> None:
    """Equal steps down are equal factors, so 0.9**k is a straight line."""
    lines = ANSI.sub("", render(chart(falling("one", 0.9)), width=100)).splitlines()
    frame = next(line for line in lines if "┌" in line).index("┌")
    paper = [line[frame + 1 :] for line in lines if "│" in line or "┤" in line]
    marks = [(line.index("a"), row) for row, line in enumerate(paper) if "a" in line]
    assert len(marks) == 3
    (x0, y0), (x1, y1), (x2, y2) = marks
    assert abs((y1 - y0) / (x1 - x0) - (y2 - y1) / (x2 - x1)) < 0.05
    assert x0 < x1 < x2


def test_limits_end_where_nothing_is_to_be_seen() -> None:
    (left, right), (bottom, top) = chart(falling("fast", 0.5)).limits()
    # 0.5**13.3 = 1e-4
    assert left == 0.0 and 14 <= right <= 16
    assert bottom == -4.0 and 0.0 < top < 0.5
    assert chart(falling("slow", 0.99)).limits()[0] == (0.0, 200.0)
    assert chart(falling("slow", 0.999)).limits()[1][0] == -3.0
    rising = chart(Series(name="up", points=((0.0, 1.0), (1.0, 50.0))))
    assert rising.limits()[1][1] > math.log10(50.0)


def test_what_lies_below_is_cut_where_it_crosses() -> None:
    points = ((0.0, 1.0), (1.0, 1e-6), (2.0, 1e-6), (3.0, 1e-2), (4.0, 0.0))
    series = Series(name="", points=points)
    first, second = chart(series).parts(series)
    assert first[0] == (0.0, 0.0) and first[1] == pytest.approx((4 / 6, -4.0))
    assert second[0] == pytest.approx((2.5, -4.0)) and second[1] == (3.0, -2.0)
    # Zero lies infinitely deep: the line falls steeply.
    assert second[2][0] == pytest.approx(3.0, abs=0.01)
    nothing = Series(name="", points=((0.0, 0.0), (1.0, 0.0)))
    assert chart(nothing).parts(nothing) == []
    assert render(chart(Series(name="nothing", points=((0.0, 0.0),))))
    assert render(chart(Series(name="one", points=((0.0, 1.0),))))


def test_an_ascii_stream() -> None:
    text = render(chart(falling("gru", 0.9)), encoding="ascii", width=70)
    picture = text.splitlines()[1:-1]
    assert not any("\\" in line for line in picture)
    assert "a gru  - 0.01" in picture[0]


def test_drawing_twice_is_the_same() -> None:
    before = render(CHART)
    render(chart(falling("x", 0.7)))
    assert render(CHART) == before


@pytest.mark.slow
def test_pictures(tmp_path: Path) -> None:
    charts = [CHART, chart(falling("x", 0.7)), CHART]
    first = charts_picture(charts, "png")
    assert charts_picture(charts, "png") == first
    assert struct.unpack(">II", first[16:24]) == (1536, 1008)
    assert struct.unpack(">II", charts_picture(charts[:1], "png")[16:24]) == (960, 540)
    root = ElementTree.fromstring(charts_picture(charts))
    assert root.tag.endswith("svg")
    save_charts(tmp_path / "a.SVG", charts)
    assert (tmp_path / "a.SVG").read_bytes() == charts_picture(charts, "svg")
    with pytest.raises(ConfigError, match=r"\.svg or \.png, not as 'a\.pdf'"):
        save_charts(tmp_path / "a.pdf", charts)
