"""What was found, drawn at several widths."""

from __future__ import annotations

import io

import pytest
from rich.cells import cell_len
from rich.console import Console

from textgen.terminal.finding import ControlRow, Finding, FindingRow, draw_finding

FINDING = Finding(
    question=["model: which units tell 'да' (+) from '\x1b[31mнет' (-)?", "10 texts"],
    rows=[
        FindingRow(
            name="neuron 0:7 cell", sign="-", accuracy=0.91, auc=0.9512, p_value=3e-9, note="chosen"
        ),
        FindingRow(name="L1 probe, 12 of 64 units", accuracy=0.95, auc=0.99),
    ],
    left_out=3,
    verdict="4 of 64 units carry it.",
    controls=[
        ControlRow(
            name="permuted", figure="0.502", holds=True, meaning="luck is not it " * 5 + "at all"
        ),
        ControlRow(name="ngram", figure="0.990", holds=False, meaning="the text tells it"),
        ControlRow(name="other", figure="0.990", holds=None, meaning="a scale"),
    ],
    subject="neuron 0:7",
)


def lines_of(width: int) -> list[str]:
    file = io.StringIO()
    Console(file=file, width=width, color_system=None).print(draw_finding(FINDING))
    lines = file.getvalue().splitlines()
    assert all(cell_len(line) <= width for line in lines)
    return [line.rstrip() for line in lines]


def test_all_of_it_at_a_hundred_columns() -> None:
    assert [line for line in lines_of(100) if line.strip("─ ")] == [
        "model: which units tell 'да' (+) from '\\x1b[31mнет' (-)?",
        "10 texts",
        "on held-out examples       sign   accuracy     AUC         p",
        "neuron 0:7 cell               -      0.910   0.951   3.0e-09   chosen",
        "L1 probe, 12 of 64 units             0.950   0.990",
        "and 3 more; --json has all",
        "4 of 64 units carry it.",
        "controls (accuracy) of the claim that neuron 0:7 carries it:",
        "✓ permuted  0.502",
        "  " + " ".join(["luck is not it"] * 5) + " at all",
        "✗ ngram     0.990",
        "  the text tells it",
        "· other     0.990",
        "  a scale",
    ]


@pytest.mark.parametrize("width", [60, 80, 120])
def test_nothing_is_lost_at_any_width(width: int) -> None:
    text = " ".join(" ".join(lines_of(width)).split())
    for figure in ("0.910", "0.951", "3.0e-09", "0.502", "0.990"):
        assert figure in text
