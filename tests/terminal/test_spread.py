"""Where in a text places lie."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
import pytest
from rich.cells import cell_len
from rich.console import Console

from textgen.terminal.spread import Spread

PLACES = np.array([0, 150, 151, 152, 155, 199, 820, 999])


def count(parts: int) -> Sequence[int]:
    found: list[int] = np.bincount(PLACES * parts // 1000, minlength=parts).tolist()
    return found


def render(width: int, encoding: str = "utf-8") -> list[str]:
    raw = io.BytesIO()
    file = io.TextIOWrapper(raw, encoding=encoding, errors="backslashreplace")
    Console(file=file, width=width, color_system=None).print(Spread(count, 10))
    file.flush()
    return raw.getvalue().decode(encoding).splitlines()


@pytest.mark.parametrize("width", [30, 40, 61, 80, 200])
def test_the_row_is_divided_as_the_counts_are(width: int) -> None:
    row, numbers = render(width)
    assert cell_len(row) <= width
    parts = row.strip("│").split("│")
    assert len(parts) == 10 and len({len(part) for part in parts}) == 1
    assert [part.strip("·") != "" for part in parts] == [number > 0 for number in count(10)]
    assert numbers.split() == ["1", "5", "0", "0", "0", "0", "0", "0", "1", "1"]
    # A number stands below its part.
    step = len(parts[0]) + 1
    assert all(numbers[start + 1 : start + step].strip() for start in range(0, 10 * step, step))


def test_the_fullest_column_is_the_highest() -> None:
    row, _ = render(80)
    assert "█" in row.split("│")[2]
    assert row.split("│")[1][0] == "▂" and row.split("│")[10][-1] == "▂"


def test_an_ascii_stream() -> None:
    row, _ = render(80, "ascii")
    assert row.split("|")[2].startswith("...9")
    assert row.split("|")[3] == "......"
