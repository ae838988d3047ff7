"""Points in the unit square, in the terminal and as a picture."""

from __future__ import annotations

import io
import re
import struct
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from rich.cells import cell_len
from rich.console import Console

from textgen.errors import ConfigError
from textgen.terminal.scatter import (
    Scatter,
    ScatterSheet,
    TerminalScatters,
    save_scatters,
    scatter_picture,
)

ANSI = re.compile(r"\x1b\[[0-9;]*m")


def sheet(rows: int = 2, columns: int = 3) -> ScatterSheet:
    rng = np.random.default_rng(0)

    def plot(title: str) -> Scatter:
        x = rng.random(40) / 2
        return Scatter(title=title, x=x, y=rng.random(40) * (1 - x))

    return ScatterSheet(
        rows=tuple(
            (f"слой {row}", tuple(plot(f"gate-{n}") for n in range(columns))) for row in range(rows)
        ),
        x_label="share below",
        y_label="share above",
        noun="units",
    )


def one(*points: tuple[float, float]) -> ScatterSheet:
    x, y = np.array(points).T
    return ScatterSheet(rows=(("t", (Scatter(title="p", x=x, y=y),)),), x_label="x", y_label="y")


def render(
    shown: ScatterSheet, *, width: int = 80, color: bool = False, encoding: str = "utf-8"
) -> str:
    raw = io.BytesIO()
    file = io.TextIOWrapper(raw, encoding=encoding, errors="backslashreplace")
    console = Console(
        file=file, width=width, color_system="truecolor" if color else None, force_terminal=color
    )
    console.print(TerminalScatters(shown))
    file.flush()
    return raw.getvalue().decode(encoding)


@pytest.mark.parametrize("color", [False, True])
@pytest.mark.parametrize(("width", "beside"), [(20, 1), (40, 2), (60, 3), (80, 3), (120, 3)])
def test_as_many_stand_side_by_side_as_fit(width: int, beside: int, color: bool) -> None:
    text = ANSI.sub("", render(sheet(), width=width, color=color))
    lines = text.splitlines()
    assert max(map(cell_len, lines)) <= width
    titled = [line.split() for line in lines if "gate-" in line]
    assert max(map(len, titled)) == beside
    assert [title for row in titled for title in row] == [
        f"gate-{n}" for _ in range(2) for n in range(3)
    ]
    assert [line.strip() for line in lines if line.startswith("слой")] == ["слой 0", "слой 1"]
    assert "↑ share above" in text and "share below →" in text


def papers(text: str) -> list[str]:
    """The rows of the first plot, the upper one first, without the axis."""
    lines = ANSI.sub("", text).splitlines()
    first = next(n for n, line in enumerate(lines) if line.startswith("1"))
    last = next(n for n, line in enumerate(lines) if line.startswith("└"))
    return [line[1:].rstrip() for line in lines[first:last]]


def test_points_lie_where_they_are() -> None:
    rows = papers(render(one((0.0, 1.0)), width=18))
    assert rows[0] == "⠁" and not any(rows[1:])
    rows = papers(render(one((1.0, 0.0)), width=18))
    assert rows[-1] == " " * 15 + "⢀" and not any(rows[:-1])
    rows = papers(render(one((0.0, 0.0), (0.001, 0.001)), width=18))
    assert rows[-1] == "⡀" and not any(rows[:-1])


def test_colours_tell_how_many() -> None:
    text = render(one(*[(0.0, 0.0)] * 9, (0.5, 0.0), (0.5, 0.3)), width=18, color=True)
    assert "points in one\nplace:\n1 " in ANSI.sub("", text)
    assert ANSI.sub("", text).splitlines()[-1].endswith(" 9")
    lowest = [line for line in text.splitlines() if ANSI.sub("", line).startswith("│")][-1]
    # Nine, one, and none: three colours of paper.
    assert len(set(re.findall(r"48;2;[0-9;]+?m", lowest))) == 3
    # Above the diagonal no point can be, and is no paper.
    assert papers(text)[0].strip() == "▀▀▄"


def test_a_point_above_the_diagonal_is_not_lost() -> None:
    assert len(papers(render(one((1.0, 1.0)), width=18, color=True))[0]) == 16


def test_an_ascii_stream() -> None:
    text = render(one((0.0, 0.0), (0.0, 0.0), (0.9, 0.0)), width=18, encoding="ascii")
    assert "\\u" not in text
    assert "|:             ." in text
    assert ". one of the" in text


def test_pictures() -> None:
    first = scatter_picture(sheet(), "png")
    assert scatter_picture(sheet(), "png") == first
    assert struct.unpack(">II", first[16:24])[0] == 1212
    root = ElementTree.fromstring(scatter_picture(sheet()))
    assert root.tag.endswith("svg")
    ragged = ScatterSheet(
        rows=(*sheet(1).rows, *sheet(1, 1).rows), x_label="$x", y_label="y", noun="units"
    )
    assert scatter_picture(ragged)


@pytest.mark.slow
def test_saving(tmp_path: Path) -> None:
    save_scatters(tmp_path / "a.SVG", sheet())
    assert (tmp_path / "a.SVG").read_bytes() == scatter_picture(sheet(), "svg")
    with pytest.raises(ConfigError, match=r"not as 'a\.pdf'"):
        save_scatters(tmp_path / "a.pdf", sheet())
