"""What was found, as a table of neurons, the probe beside it, and a sentence for each control."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from textgen.terminal.text import visible

_SIGNS = {True: "✓", False: "✗", None: "·"}


@dataclass(frozen=True, kw_only=True)
class FindingRow:
    """One line of figures on held-out text.

    Args:
        name: Such as `neuron 0:137`.
        sign: `+` or `-`; "" where there is none.
        accuracy: Mean of the two kinds' accuracies.
        auc: The AUC.
        p_value: Corrected for all units; None where there is none.
        note: Anything more; "" for nothing.
    """

    name: str
    accuracy: float
    auc: float
    sign: str = ""
    p_value: float | None = None
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class ControlRow:
    """One control.

    Args:
        name: Its name.
        figure: What it reached, as it is printed.
        holds: Whether the claim survives it.
        meaning: A plain sentence.
    """

    name: str
    figure: str
    holds: bool | None
    meaning: str


@dataclass(frozen=True, kw_only=True)
class Finding:
    """All of it.

    Args:
        question: What was asked, in lines.
        rows: Neurons and probe.
        left_out: How many neurons more were found than are shown.
        verdict: What came out, in a sentence.
        controls: The controls.
        subject: What the controls are of.
    """

    question: Sequence[str]
    rows: Sequence[FindingRow]
    left_out: int
    verdict: str
    controls: Sequence[ControlRow]
    subject: str


def draw_finding(finding: Finding) -> RenderableType:
    """What was asked, what came out, and the controls, in this order."""
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False)
    table.add_column("on held-out examples", overflow="fold")
    for heading in ("sign", "accuracy", "AUC", "p"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("", overflow="fold")
    for row in finding.rows:
        table.add_row(
            _text(row.name),
            _text(row.sign),
            f"{row.accuracy:.3f}",
            f"{row.auc:.3f}",
            "" if row.p_value is None else f"{row.p_value:.1e}",
            _text(row.note),
        )
    widest = max((len(control.name) for control in finding.controls), default=0)
    controls: list[RenderableType] = []
    for control in finding.controls:
        head = f"{_SIGNS[control.holds]} {control.name.ljust(widest)}  {control.figure}"
        controls += [_text(head), Padding(_text(control.meaning), (0, 0, 0, 2))]
    more = [_text(f"and {finding.left_out:,} more; --json has all")] if finding.left_out else []
    return Group(
        *(_text(line) for line in finding.question),
        Text(),
        table,
        *more,
        Text(),
        _text(finding.verdict),
        Text(),
        _text(f"controls (accuracy) of the claim that {finding.subject} carries it:"),
        *controls,
    )


def _text(text: str) -> Text:
    return Text(visible(text, keep_newlines=True))
