"""Tables, panels and the way numbers are written."""

from __future__ import annotations

import io
import math

import pytest
from rich.cells import cell_len
from rich.console import Console, RenderableType

from textgen.table import Column, Table
from textgen.terminal import humanize as fmt
from textgen.terminal.tables import (
    NARROW,
    choices_table,
    draw_table,
    evaluation_table,
    key_values,
)


def render(renderable: RenderableType, width: int = 72) -> list[str]:
    file = io.StringIO()
    Console(file=file, width=width, color_system=None).print(renderable)
    lines = file.getvalue().splitlines()
    assert all(cell_len(line) <= width for line in lines)
    return [line.rstrip() for line in lines]


def test_labels_and_values() -> None:
    rows = [("cell", "lstm"), ("units", 1024), ("rate", 0.004), ("tied", True), ("absent", None)]
    assert render(key_values("[b]model", rows, note="made \x1b[31mby hand")) == [
        "╭─ [b]model ───────────╮",
        "│ cell   lstm          │",
        "│ units  1,024         │",
        "│ rate   0.004         │",
        "│ tied   yes           │",
        "│                      │",
        "│ made \\x1b[31mby hand │",
        "╰──────────────────────╯",
    ]


def test_choices_and_their_reasons() -> None:
    lines = render(choices_table([("hidden", 512, "fits the budget"), ("lr", 0.004, "tuned")]))
    assert [line for line in lines if line.strip("─ ")] == [
        "setting   value   why",
        "hidden    512     fits the budget",
        "lr        0.004   tuned",
    ]


def test_a_long_reason_wraps_in_its_column() -> None:
    lines = render(choices_table([("hidden", 512, "word " * 20)]), width=60)
    assert len(lines) > 4
    assert all(line.startswith(" " * 18) for line in lines[3:])
    # A long value leaves it room.
    lines = render(choices_table([("--embedding", "a/very/long/path" * 5, "short why")]), width=60)
    assert any("short why" in line for line in lines)


def test_on_a_narrow_terminal_a_reason_stands_beneath_its_setting() -> None:
    rows = [("--hidden", 1024, "about as many as learn most in 3 minutes"), ("rate", 0.1, "tuned")]
    assert render(choices_table(rows, width=30), width=30) == [
        "--hidden 1,024",
        "  about as many as learn most",
        "  in 3 minutes",
        "rate 0.1",
        "  tuned",
    ]
    assert len(render(choices_table(rows, width=NARROW), width=NARROW)) == 4


def test_a_table() -> None:
    columns = ("name", Column("bits", "bits/char", ".3f"), Column("parameters", format=fmt.short))
    table = Table(
        columns,
        [("[b]crime", 2.24, 2_400_000), ("broken\x1b", None, None)],
        title="Runs",
        notes=["of two texts"],
    )
    lines = render(draw_table(table))
    assert [line for line in lines if line.strip("─ ")] == [
        "Runs",
        "name         bits/char   parameters",
        "[b]crime         2.240       2.40 M",
        "broken\\x1b",
        "of two texts",
    ]
    assert "bits/char" in "\n".join(render(draw_table(Table(columns, []))))
    narrow = "".join(render(draw_table(Table(["gate", "units"], [("forget", 12345)])), width=14))
    assert "12,345" in narrow.replace(" ", "")


def test_evaluation() -> None:
    result = {"bits_per_char": 2.24, "chars": 1140000, "perplexity": 4.7}
    lines = render(evaluation_table(result, {"cold_bits_per_char": 2.5, "cold_window": 100}))
    assert [line for line in lines if line.strip("─ ")] == [
        "                whole text   cold windows",
        "bits per char       2.2400         2.5000",
        "chars            1,140,000",
        "perplexity          4.7000",
        "window                                100",
    ]
    assert "cold" not in "\n".join(render(evaluation_table(result)))


@pytest.mark.parametrize("width", [20, 30])
def test_narrow_terminals(width: int) -> None:
    lines = render(key_values("Done", [("speed", "68.4 k chars/s in all")]), width=width)
    assert "…" not in "".join(lines)


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (fmt.short(7), "7"),
        (fmt.short(999.4), "999"),
        (fmt.short(999.6), "1.00 k"),
        (fmt.short(12_345), "12.3 k"),
        (fmt.short(99_960), "100 k"),
        (fmt.short(-1_500_000), "-1.50 M"),
        (fmt.short(0), "0"),
        (fmt.rate(12_345), "12.3 k chars/s"),
        (fmt.size(512), "512 B"),
        (fmt.size(12_345_678), "12.3 MB"),
        (fmt.duration(0.44), "0.4 s"),
        (fmt.duration(9.96), "10 s"),
        (fmt.duration(59.6), "1 m 00 s"),
        (fmt.duration(185), "3 m 05 s"),
        (fmt.duration(3599.7), "1 h 00 m"),
        (fmt.duration(7620), "2 h 07 m"),
        (fmt.duration(math.inf), "?"),
        (fmt.percent(0.1234), "12.3 %"),
        (fmt.number(-0.0), "0"),
        (fmt.number(0.0012345), "0.00123"),
        (fmt.number(-29.46), "-29.5"),
    ],
)
def test_numbers(found: str, expected: str) -> None:
    assert found == expected
