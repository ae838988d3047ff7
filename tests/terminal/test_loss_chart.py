"""The loss curve in the terminal and as a picture."""

from __future__ import annotations

import io
import math
import struct
import sys
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

import pytest
from rich.cells import cell_len
from rich.console import Console

from textgen.errors import ConfigError, StorageError
from textgen.terminal.chart import (
    Chart,
    TerminalChart,
    charts_picture,
    loss_chart,
    save_charts,
)

TRAIN = [(step, 2.0 + 6.0 * math.exp(-step / 100)) for step in range(0, 3001, 20)]
VALIDATION = [(step, 2.2 + 6.0 * math.exp(-step / 100)) for step in range(200, 3001, 200)]


def drawable(
    train: Sequence[tuple[float, float]], validation: Sequence[tuple[float, float]], **words: str
) -> Chart:
    chart = loss_chart(train, validation, **words)
    assert chart is not None
    return chart


CURVE = drawable(
    TRAIN,
    VALIDATION,
    x_label="шаги",
    y_label="бит на символ",
    title="«Преступление и наказание» за 3 $",
)


def render(curve: Chart, *, width: int = 60, color: bool = False, encoding: str = "utf-8") -> str:
    raw = io.BytesIO()
    file = io.TextIOWrapper(raw, encoding=encoding, errors="backslashreplace")
    console = Console(
        file=file, width=width, color_system="truecolor" if color else None, force_terminal=color
    )
    console.print(TerminalChart(curve))
    file.flush()
    return raw.getvalue().decode(encoding)


@pytest.mark.parametrize("width", [20, 40, 60, 140])
def test_it_fits_and_names_its_axes(width: int) -> None:
    text = render(CURVE, width=width)
    lines = text.splitlines()
    assert "\x1b" not in text
    assert max(map(cell_len, lines)) <= width
    assert len(lines) <= 19
    assert "бит на символ" in lines[0]
    assert lines[-1].strip() == "шаги"
    assert "●" in text
    assert any("\u2801" <= char <= "\u28ff" for char in text)
    assert any("2,000" in line for line in lines)


def test_the_curve_falls() -> None:
    lines = [line.split("│", 1)[1] for line in render(CURVE).splitlines() if "│" in line]
    first, last = (
        min(n for n, line in enumerate(lines) if line[columns].strip(" │"))
        for columns in (slice(0, 8), slice(45, 54))
    )
    assert first < last


def test_colours_only_where_there_are_any() -> None:
    assert "\x1b[38;2;213;94;0m" in render(CURVE, color=True)


def test_an_ascii_stream() -> None:
    text = render(drawable(TRAIN, VALIDATION), encoding="ascii")
    assert "\\u" not in text
    assert ". training  o validation" in text


def test_drawing_twice_is_the_same() -> None:
    """Plotext keeps one figure for the process; nothing of the first may be in the second."""
    other = drawable([], [(1, 3.0), (2, 2.0)])
    before = render(other)
    render(CURVE)
    assert render(other) == before


def test_a_short_run_has_no_curve() -> None:
    for points in ([], [(1.0, 2.0)], [(1.0, 2.0), (2.0, math.nan), (3.0, math.inf)]):
        assert loss_chart(points, []) is None
        assert loss_chart([], points) is None


def test_limits_leave_out_the_steep_opening() -> None:
    (left, right), (bottom, top) = CURVE.limits()
    assert (left, right) == (0.0, 3000.0)
    assert bottom < 2.0 and 2.5 < top < 5.0
    few = drawable([(0, 9.0), (100, 2.0)], [])
    assert few.limits()[1][1] > 9.0
    flat = drawable([(5, 1.0), (5, 1.0)], [])
    (left, right), (bottom, top) = flat.limits()
    assert left < right and bottom < 1.0 < top
    assert render(flat)


def test_svg_is_the_same_every_time_and_says_what_it_shows() -> None:
    first = charts_picture([CURVE], "svg")
    assert charts_picture([CURVE], "svg") == first
    root = ElementTree.fromstring(first)
    assert root.tag.endswith("svg")
    assert b"<dc:date>" not in first


def test_png_is_the_same_every_time() -> None:
    first = charts_picture([CURVE], "png")
    assert charts_picture([CURVE], "png") == first
    assert first[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = struct.unpack(">II", first[16:24])
    assert (width, height) == (960, 540)
    assert b"Software" not in first


def test_pictures_leave_pyplot_alone() -> None:
    charts_picture([CURVE])
    assert "matplotlib.pyplot" not in sys.modules


@pytest.mark.parametrize("kind", ["svg", "png"])
def test_saving(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"loss.{kind}"
    save_charts(path, [CURVE])
    assert path.read_bytes() == charts_picture([CURVE], kind)
    assert [p.name for p in tmp_path.glob("*") if p.is_file()] == [f"loss.{kind}"]


def test_where_it_cannot_be_saved(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"not as 'loss\.pdf'"):
        save_charts(tmp_path / "loss.pdf", [CURVE])
    with pytest.raises(StorageError):
        save_charts(tmp_path / "none" / "loss.svg", [CURVE])
