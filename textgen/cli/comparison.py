"""What `textgen compare` shows: the runs while they go on, then tables and charts."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING

from textgen.cli.flags import in_flags
from textgen.cli.moving import moving_line
from textgen.terminal import humanize as fmt
from textgen.terminal.chart import Chart, Series
from textgen.terminal.text import note_line, visible
from textgen.training.events import Report, Started

if TYPE_CHECKING:
    from textgen.comparison import CellComparison, HistoryComparison, TaskComparison
    from textgen.comparison.cells import CellRow
    from textgen.comparison.events import Measured, RunEvent
    from textgen.comparison.jobs import RunFigures
    from textgen.comparison.record import Entry
    from textgen.comparison.task_result import LagScore

Rows = list[tuple[object, ...]]


class RunsView:
    """The runs as they go on, on stderr: figures beside the bar of a terminal, a line a run.

    Args:
        quiet: Show nothing.
    """

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._line = moving_line()
        self._said: set[str] = set()

    def say(self, text: str) -> None:
        """A line."""
        if not self._quiet:
            self._line.say(visible(text))

    def show(self, run: RunEvent) -> None:
        """One event of one run."""
        event = run.event
        if isinstance(event, Started):
            self._say_once(event.notes)
        if isinstance(event, Report) and event.val_bits_per_char is not None:
            self._line.figures = [f"val {event.val_bits_per_char:.3f} bits/char"]

    def measured(self, run: Measured) -> None:
        """A run is over."""
        self.say(f"{run.number}/{run.runs} {run.label}: {run.summary}")

    def _say_once(self, notes: Iterable[str]) -> None:
        """What is to be known of the text, which all runs read."""
        for note in notes:
            if note not in self._said:
                self._said.add(note)
                self.say(note_line(in_flags(note)))


def csv_text(rows: Iterable[Sequence[Entry]]) -> str:
    """Comma-separated values, lines ended by a newline alone."""
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows(rows)
    return out.getvalue()


@dataclass(frozen=True)
class Sheet:
    """What is shown of a result.

    Args:
        chart: Drawn first.
        tables: Headings and rows of each.
        note: What has to be known to read them.
    """

    chart: Chart
    tables: tuple[tuple[Sequence[str], Rows], ...]
    note: str


def sheet_of(result: CellComparison | HistoryComparison | TaskComparison) -> Sheet:
    """What is shown of a comparison, whichever it is."""
    from textgen.comparison import CellComparison, HistoryComparison

    if isinstance(result, CellComparison):
        return cells_sheet(result)
    return history_sheet(result) if isinstance(result, HistoryComparison) else task_sheet(result)


def history_sheet(result: HistoryComparison) -> Sheet:
    """A curve of what each length is worth, one of the same lengths shown to the usual network, and
    what that comes to when its state is carried on."""
    carried = result.carried
    whole = carried.at(0)
    own = [(run.history, run.bits_per_char[0]) for run in result.runs if run.history is not None]
    shown = [(t, carried.at(t)) for t, _ in own]
    rows: Rows = [
        (t, spread_text(bits, None), spread_text(cold, None))
        for (t, bits), (_, cold) in zip(own, shown, strict=True)
    ]
    rows.append(("all", "-", spread_text(whole, None)))
    first = carried.figures
    chart = Chart(
        series=(
            Series(name="trained on t and shown t", points=_known(own)),
            Series(name="state carried in training, shown t", points=_known(shown)),
        ),
        x_label=f"history t, {result.length} each, cell {result.variant.name} of "
        f"{first.hidden_size} units",
        y_label="bits/char",
        levels=(("state carried on", whole),) if whole is not None else (),
        log_x=True,
    )
    note = (
        f"bits/char on {result.positions:,} places of the validation text; each network sees "
        "exactly t tokens before what it predicts, its state from zero; the last row carries the "
        f"state through the text. Every step had as many tokens, every run {result.length}"
    )
    note += moved_note([run.figures for run in result.runs])
    headings = ("t, tokens", "trained on t, bits/char", "state carried in training, bits/char")
    return Sheet(chart, ((headings, rows),), note)


def _known(
    points: Iterable[tuple[int, float | None]],
) -> tuple[tuple[float, float], ...]:
    """The points of runs that did not diverge."""
    return tuple((float(x), y) for x, y in points if y is not None)


def task_sheet(result: TaskComparison) -> Sheet:
    """A curve of the accuracy for each cell, beside chance."""
    series = []
    for row in result.rows:
        points, bars = [], []
        for place, lag in enumerate(result.lags):
            found = row.accuracies(place)
            points.append((float(lag), fmean(found)))
            if len(found) > 1:
                bars.append((float(lag), min(found), max(found)))
        series.append(Series(name=row.variant.name, points=tuple(points), bars=tuple(bars)))
    rows: Rows = []
    for place, lag in enumerate(result.lags):
        beyond = "" if lag <= result.trained_to else " *"
        shares = (f"{fmean(row.accuracies(place)):.3f}" for row in result.rows)
        rows.append((f"{lag}{beyond}", *shares))
    sizes = ", ".join(
        f"{row.variant.name} {row.runs[0].figures.hidden_size}" for row in result.rows
    )
    chart = Chart(
        series=tuple(series),
        x_label=f"lag in characters, trained up to {result.trained_to}",
        y_label=f"share of {result.task} answered exactly",
        levels=(("chance", result.chance),),
        y_limits=(-0.05, 1.05),
    )
    scores = result.rows[0].runs[0].scores
    note = (
        f"asked: {result.description}. One of them: {result.example.prompt!r} -> "
        f"{result.example.answer!r}. {scores[0].questions} questions at each lag, the same for "
        f"all, {_freshness(scores)}; an answer counts if every character is right; "
        f"chance is {result.chance:.3g}. * longer than any trained on. At most "
        f"{result.params:,} parameters (units: {sizes}), {result.length} each"
    )
    note += moved_note([run.figures for row in result.rows for run in row.runs])
    headings = ("lag, chars", *(row.variant.name for row in result.rows))
    return Sheet(chart, ((headings, rows),), note)


def _freshness(scores: Sequence[LagScore]) -> str:
    """Whether questions were trained on: where the lag is short there are few others."""
    stale = [
        f"{score.questions - score.fresh} at lag {score.lag}"
        for score in scores
        if score.fresh < score.questions
    ]
    return f"none trained on but {', '.join(stale)}" if stale else "none of them trained on"


def cells_sheet(result: CellComparison) -> Sheet:
    """A point a seed over the names of the cells; the figures of the cells, then of their gates."""
    cells: Rows = []
    speeds: Rows = []
    gates: Rows = []
    for row in result.rows:
        name, first = row.variant.name, row.runs[0].figures
        cells.append(
            (
                *(name, spread_text(row.mean, row.deviation)),
                seeds_text(len(row.bits_per_char), len(row.runs)),
                *(_lags(row, lag) for lag in ("gradient_lag", "replacement_lag")),
            )
        )
        speeds.append(
            (
                *(name, first.hidden_size, first.parameters, round(row.chars_per_second)),
                *(round(row.chars_seen), f"{first.learning_rate:g}"),
            )
        )
        gates += [
            (name, gate.layer, gate.gate, *map(fmt.percent, (gate.below, gate.above)))
            for gate in row.gates
        ]
    unit = {"char": "chars", "byte": "bytes"}.get(result.level, "tokens")
    tables: list[tuple[Sequence[str], Rows]] = [
        (
            (
                *("cell", "bits/char", "seeds"),
                *(f"memory ({by}), {unit}" for by in ("gradient", "replaced")),
            ),
            cells,
        ),
        (("cell", "units", "parameters", "chars/s", "chars read", "learning rate"), speeds),
    ]
    if gates:
        tables.append((("cell", "layer", "gate", "time < 0.1", "time > 0.9"), gates))
    note = (
        "bits/char: mean and standard deviation over the seeds that did not diverge, on the "
        "validation text; memory: where the gradient has fallen to 1 %, and before which text can "
        "be replaced, the prediction changing by less than 0.01 (textgen inspect memory), the mean "
        "over the seeds; "
        "the learning rate is that of --learning-rate, or what textgen train chooses for such a "
        f"cell and width; each run had {result.length}"
    )
    reasons = {run.memory.reason for row in result.rows for run in row.runs} - {""}
    note += "".join(f". No lag where there is none: {reason}" for reason in sorted(reasons))
    if result.wall_time:
        note += (
            ". The time is wall time: a cell that computes faster reads more text. How much was "
            "fixed before the first run, by the speeds of all cells, measured in turns"
        )
    note += moved_note([run.figures for row in result.rows for run in row.runs])
    return Sheet(_cells_chart(result), tuple(tables), note)


def moved_note(figures: Iterable[RunFigures]) -> str:
    """What is to be known of runs during which the machine's speed changed; "" for none."""
    from textgen.comparison.jobs import SPEED_MOVED

    moved = [
        f"{Path(run.folder).name} ({run.speed_moved:+.0%})" for run in figures if run.has_moved
    ]
    if not moved:
        return ""
    return (
        f". The machine's speed moved by more than {SPEED_MOVED:.0%} between the first third and "
        f"the last of: {', '.join(moved)}; their seconds and chars/s say little, the text that "
        "they read is as planned"
    )


def _lags(row: CellRow, name: str) -> str:
    """The mean over the seeds of one of the two lags; `> 200` where one lies beyond."""
    known = [run.memory for run in row.runs if run.memory.max_lag]
    lags = [getattr(memory, name) for memory in known]
    if not known:
        return "-"
    if None in lags:
        return f"> {known[0].max_lag}"
    return f"{fmean(lags):.0f}"


def _cells_chart(result: CellComparison) -> Chart:
    series = []
    for place, row in enumerate(result.rows):
        bits = row.bits_per_char
        series.append(
            Series(
                name="",
                points=tuple((place, value) for value in bits),
                bars=((place, min(bits), max(bits)),) if bits else (),
                joined=False,
            )
        )
    return Chart(
        series=tuple(series),
        x_label=f"cell, at most {fmt.short(result.params)} parameters, {result.length} each",
        y_label="bits/char, a point a seed",
        ticks=tuple((place, row.variant.name) for place, row in enumerate(result.rows)),
    )


def spread_text(mean: float | None, deviation: float | None) -> str:
    """`2.251 ± 0.012`, the deviation where there is one."""
    if mean is None:
        return "diverged"
    return f"{mean:.3f}" if deviation is None else f"{mean:.3f} ± {deviation:.3f}"


def seeds_text(done: int, all_: int) -> str:
    """`3`, or `2 of 3` where one diverged."""
    return str(done) if done == all_ else f"{done} of {all_}"
