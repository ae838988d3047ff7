"""Cells at equal parameters and equal budgets.

Each cell is trained with several seeds; the width of its layers follows from the number of
parameters. How many steps fill a budget is measured for all cells together, before the first run
(see `textgen.training.speed`). Do not expect a winner.
Source: Greff et al. 2017, "LSTM: a search space odyssey", arXiv:1503.04069, which found none.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from statistics import fmean, stdev
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from textgen.arguments import StrPath, checked, path_names
from textgen.checkpoint import SavedModel
from textgen.comparison.happening import Compared, Happening, Note
from textgen.comparison.runs import (
    CellRuns,
    Comparison,
    Job,
    MeasuredRun,
    RunFigures,
    Runs,
    Stop,
    comparison_folder,
    record_head,
    spread,
)
from textgen.comparison.variants import Variant, check_base, parse_variants
from textgen.errors import BackendError, InspectionError
from textgen.inspection.gates import gate_report
from textgen.inspection.memory import memory_curves
from textgen.inspection.trace import quantities, survey_model
from textgen.options import TrainOptions
from textgen.runtime import choose_threads
from textgen.table import Column, Table
from textgen.terminal import humanize
from textgen.view_options import MemoryOptions

if TYPE_CHECKING:
    from textgen.terminal.chart import Chart

#: Parameters of each network where none are asked for; a laptop trains them in a minute.
DEFAULT_PARAMS = 250_000
#: Validation tokens that the gates are watched on, and those that memory is measured on.
GATE_TOKENS, MEMORY_TOKENS = 16_384, 131_072


@dataclass(frozen=True, kw_only=True)
class GateShare:
    """How saturated one gate of one layer is: means over its neurons.

    Args:
        layer: The layer, from 0.
        gate: Its name, such as `forget-gate`.
        below: Share of the time below 0.1: closed.
        above: Share of the time above 0.9: open.
    """

    layer: int
    gate: str
    below: float
    above: float


@dataclass(frozen=True, kw_only=True)
class Horizon:
    """How far back a network remembers, in tokens; see `textgen.inspection.memory`.

    Args:
        gradient_lag: Where the gradient has fallen to 1 %; None: not within `max_lag`.
        replacement_lag: Before which all can be replaced by other text; None: the same.
        max_lag: The largest lag that was looked at; 0: nothing could be measured, for `reason`.
        reason: Why nothing could be measured.
    """

    gradient_lag: int | None
    replacement_lag: int | None
    max_lag: int
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class CellRun(MeasuredRun):
    """One run of the comparison.

    Args:
        gates: How saturated its gates are on the validation text; none for a cell without gates.
        memory: How far back it remembers there.
    """

    gates: tuple[GateShare, ...]
    memory: Horizon


@dataclass(frozen=True, kw_only=True)
class CellRow(CellRuns[CellRun]):
    """One cell with all its seeds."""

    @property
    def bits_per_char(self) -> tuple[float, ...]:
        """Of each run that did not diverge."""
        bits = (run.figures.bits_per_char for run in self.runs)
        return tuple(value for value in bits if value is not None)

    @property
    def mean(self) -> float | None:
        """Mean of `bits_per_char`; None where every run diverged."""
        return fmean(self.bits_per_char) if self.bits_per_char else None

    @property
    def deviation(self) -> float | None:
        """Standard deviation over the seeds (with n - 1); None with fewer than two."""
        return stdev(self.bits_per_char) if len(self.bits_per_char) > 1 else None

    def mean_of(self, figure: str) -> float:
        """The mean over the seeds of one of the figures."""
        return fmean(getattr(run.figures, figure) for run in self.runs)

    @property
    def gates(self) -> tuple[GateShare, ...]:
        """The shares of each gate, the mean over the seeds."""
        means = []
        for same in zip(*(run.gates for run in self.runs), strict=True):
            below, above = (fmean(getattr(g, side) for g in same) for side in ("below", "above"))
            means.append(replace(same[0], below=below, above=above))
        return tuple(means)

    def lag(self, name: str) -> str:
        """The mean over the seeds of one of the two lags; `> 200` where one lies beyond."""
        known = [run.memory for run in self.runs if run.memory.max_lag]
        lags = [getattr(memory, name) for memory in known]
        if not known:
            return "-"
        return f"> {known[0].max_lag}" if None in lags else f"{fmean(lags):.0f}"

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        first = asdict(self.runs[0].figures)
        names = ("hidden_size", "embedding_size", "parameters", "learning_rate")
        return {
            **asdict(self.variant),
            **{name: first[name] for name in names},
            "bits_per_char": {
                "mean": self.mean,
                "standard_deviation": self.deviation,
                "least": min(self.bits_per_char, default=None),
                "most": max(self.bits_per_char, default=None),
            },
            "chars_per_second": self.mean_of("chars_per_second"),
            "gates": [asdict(gate) for gate in self.gates],
            "runs": [
                {
                    **asdict(run.figures),
                    "gates": [asdict(gate) for gate in run.gates],
                    "memory": asdict(run.memory),
                }
                for run in self.runs
            ],
        }


@dataclass(frozen=True, kw_only=True, repr=False)
class CellComparison(Comparison[CellRun]):
    """The outcome of `compare_cells`.

    Args:
        paths: The texts.
        level: What a token is, as in `CorpusOptions`: lags are counted in them.
    """

    paths: tuple[str, ...]
    level: str = "char"

    @property
    def rows(self) -> tuple[CellRow, ...]:
        """The cells, in the order asked for."""
        return CellRow.of(self.runs)

    def to_json(self) -> dict[str, Any]:
        """As plain data: `textgen.compare.cells`, version 1."""
        return {
            **record_head("cells"),
            "paths": list(self.paths),
            "folder": str(self.folder),
            "params": self.params,
            "length": self.length,
            "gate_tokens": GATE_TOKENS,
            "level": self.level,
            "cells": [row.to_json() for row in self.rows],
        }

    def table(self) -> Table:
        """A row for each run."""
        figures = ("bits_per_char", "learning_rate", "chars_per_second", "steps", "seconds")
        lags = ("gradient_lag", "replacement_lag", "max_lag")
        columns = (
            *("cell", "nonlinearity", "rng", "hidden_size", "parameters", *figures),
            *("chars_seen", *lags, "speed_moved"),
        )
        records = [
            {**asdict(run.variant), **asdict(run.figures), **asdict(run.memory)}
            for row in self.rows
            for run in row.runs
        ]
        return Table.from_records(columns, records)

    def chart(self) -> Chart:
        """A point for each seed over the names of the cells."""
        from textgen.terminal.chart import Chart, Series

        series = []
        for place, row in enumerate(self.rows):
            bits = row.bits_per_char
            points = tuple((float(place), value) for value in bits)
            bars = ((float(place), min(bits), max(bits)),) if bits else ()
            series.append(Series(name="", points=points, bars=bars, joined=False))
        return Chart(
            series=tuple(series),
            x_label=f"cell, at most {humanize.short(self.params)} parameters, {self.length} each",
            y_label="bits/char, a point a seed",
            ticks=tuple((place, row.variant.name) for place, row in enumerate(self.rows)),
        )

    def summary(self) -> tuple[Table, ...]:
        """The figures of the cells, their speed, and their gates."""
        unit = {"char": "chars", "byte": "bytes"}.get(self.level, "tokens")
        cells = Table(
            (
                *("cell", Column("bits_per_char", "bits/char"), "seeds"),
                Column("gradient_lag", "memory (gradient)", unit=unit),
                Column("replacement_lag", "memory (replaced)", unit=unit),
            ),
            [
                (
                    row.variant.name,
                    spread(row.mean, row.deviation),
                    _seeds(row),
                    row.lag("gradient_lag"),
                    row.lag("replacement_lag"),
                )
                for row in self.rows
            ],
        )
        speeds = Table(
            (
                *("cell", Column("hidden_size", "neurons"), "parameters"),
                Column("chars_per_second", "chars/s"),
                Column("chars_seen", "chars read"),
                Column("learning_rate", format="g"),
            ),
            [
                (
                    row.variant.name,
                    row.runs[0].figures.hidden_size,
                    row.runs[0].figures.parameters,
                    round(row.mean_of("chars_per_second")),
                    round(row.mean_of("chars_seen")),
                    row.runs[0].figures.learning_rate,
                )
                for row in self.rows
            ],
        )
        gates = Table(
            (
                *("cell", "layer", "gate"),
                Column("below", "time < 0.1", humanize.percent),
                Column("above", "time > 0.9", humanize.percent),
            ),
            [
                (row.variant.name, gate.layer, gate.gate, gate.below, gate.above)
                for row in self.rows
                for gate in row.gates
            ],
        )
        tables = (cells, speeds, gates) if gates.rows else (cells, speeds)
        tables[-1].notes = self._notes()
        return tables

    def _notes(self) -> tuple[str, ...]:
        reasons = {run.memory.reason for run in self.runs} - {""}
        time = (
            "The time is wall time: a cell that computes faster reads more text. How much was "
            "fixed before the first run, by the speeds of all cells, measured in turns.",
        )
        return (
            "bits/char: mean and standard deviation over the seeds that did not diverge, on the "
            "validation text. memory: where the gradient has fallen to 1 %, and before which text "
            "can be replaced while the prediction changes by less than 0.01, the mean over the "
            "seeds. learning rate: the one that was given, or the one that suits such a cell and "
            f"width. Each run had {self.length}.",
            *(f"Where no lag is shown: {reason}." for reason in sorted(reasons)),
            *(time if self.wall_time else ()),
            *self.speed_note(),
        )


def _seeds(row: CellRow) -> str:
    """`3`, or `2 of 3` where one diverged."""
    done, all_ = len(row.bits_per_char), len(row.runs)
    return str(done) if done == all_ else f"{done} of {all_}"


@checked()
def compare_cells(
    paths: StrPath | Iterable[StrPath],
    variants: str | Iterable[str | Variant],
    base: TrainOptions,
    *,
    params: int = DEFAULT_PARAMS,
    rngs: Sequence[int] = (1,),
    out: str | Path | None = None,
    resume: bool = False,
    force: bool = False,
    join: bool = False,
    stop: Stop = lambda: False,
) -> Iterator[Happening | Compared[CellComparison]]:
    """Train each cell with each seed, equally large and equally long, and measure them.

    Args:
        paths: The text, split alike for all runs: a path, or several.
        variants: The cells, by name (`"lstm"`, `"rnn:relu"`) or as `Variant` objects.
        base: Everything else that is asked of the runs; `cell`, `nonlinearity`, `hidden_size` and
            `rng` are set for each.
        params: Parameters of each network: the width is the largest that has no more.
        rngs: Seeds.
        out: Folder of the runs; None is `checkpoints/compare-NAME` after the first text.
        resume: Go on where a comparison was interrupted: finished runs are not trained again.
        force: Replace the runs that are there.
        join: Share out the runs with all processes that do the same in the same folder, on any
            machine. What is there already goes on.
        stop: Asked after every step; once it says True the run is saved and the comparison ends.
    Yields:
        What happens in the runs, and as the last record the result, or `Halted`.
    Raises:
        TextgenError: The text or an option is unusable, or runs are there already.
    """
    check_base(base)
    paths, variants = path_names([paths], "compare_cells"), parse_variants(variants)
    folder = comparison_folder(paths, out)
    runs = Runs(
        folder=folder,
        paths=paths,
        jobs=cell_jobs(variants, rngs, base, folder),
        params=params,
        resume=resume,
        force=force,
        join=join,
        stop=stop,
    )
    num_layers = runs.planned[0].options.num_layers
    layers = "1 layer" if num_layers == 1 else f"{num_layers} layers"
    yield Note(
        text=f"{len(runs.jobs)} runs of {runs.length}, each of at most {params:,} parameters in "
        f"{layers}"
    )

    def measure(job: Job, figures: RunFigures, saved: SavedModel) -> CellRun:
        return CellRun(
            variant=job.variant,
            figures=figures,
            gates=gate_shares(saved, runs.data.val, job.options),
            memory=memory_horizon(saved, runs.data.val, job.options),
        )

    finish = partial(CellComparison, paths=tuple(paths), level=base.corpus.level)
    yield from runs.events(measure, finish, CellRun)


def cell_jobs(
    variants: Sequence[Variant], rngs: Sequence[int], base: TrainOptions, folder: Path
) -> Sequence[Job]:
    """The runs of each cell with each seed; their size follows."""
    return [
        Job(
            variant=variant,
            label=f"{variant.name}, rng {rng}",
            folder=folder / f"{variant.folder}-{rng}",
            options=replace(base, rng=rng),
        )
        for rng in rngs
        for variant in variants
    ]


def memory_horizon(saved: SavedModel, ids: NDArray[np.integer], options: TrainOptions) -> Horizon:
    """How far back a model remembers on a text of ids, `(N,)`."""
    read = np.asarray(ids[:MEMORY_TOKENS], dtype=np.int64)
    # A past is replaced by another one as long, from elsewhere in the text.
    max_lag = max(1, min(MemoryOptions.max_lag, (len(read) - 2) // 4))
    try:
        report = memory_curves(
            saved.config, saved.weights, read, max_lag=max_lag, threads=options.threads
        )
    except (InspectionError, BackendError) as error:
        return Horizon(gradient_lag=None, replacement_lag=None, max_lag=0, reason=str(error))
    return Horizon(
        gradient_lag=report.gradient_lag, replacement_lag=report.replacement_lag, max_lag=max_lag
    )


def gate_shares(
    saved: SavedModel, ids: NDArray[np.integer], options: TrainOptions
) -> tuple[GateShare, ...]:
    """The gates of a model over the first `GATE_TOKENS` of a text, `(N,)`; none without gates."""
    names = [name for name in quantities(saved.config.cell_spec) if name.endswith("-gate")]
    if not names:
        return ()
    read = np.asarray(ids[:GATE_TOKENS], dtype=np.int64)
    chunks = survey_model(
        saved.config,
        saved.weights,
        read,
        quantities=names,
        threads=choose_threads(options.threads).value,
    )
    report = gate_report(chunks)
    return tuple(
        GateShare(layer=gate.layer, gate=gate.gate, below=gate.mean_left, above=gate.mean_right)
        for gate in report.gates
    )
