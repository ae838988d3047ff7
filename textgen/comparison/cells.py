"""Cells at equal parameters and equal budgets: `textgen compare --cells`.

Each cell is trained with several seeds, the width of its layers following from the number of
parameters. How many steps fill a budget is measured for all cells together, before the first run
(see `textgen.training.speed`). Do not expect a winner.
Source: Greff et al. 2017, "LSTM: a search space odyssey", arXiv:1503.04069, which found none.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from textgen.arguments import StrPath, checked, path_names
from textgen.comparison.events import Compared, Halted, Measured, Note, RunEvent
from textgen.comparison.jobs import (
    Job,
    RunFigures,
    Stop,
    check_folders,
    comparison_folder,
    plan_jobs,
    run_length,
    run_task,
    train_job,
)
from textgen.comparison.measure import (
    GATE_TOKENS,
    GateShare,
    Horizon,
    gate_shares,
    memory_horizon,
)
from textgen.comparison.record import Entry, record_head, save_record
from textgen.comparison.variant import Variant, as_variants, check_base
from textgen.comparison.width import width_for
from textgen.model.config import ModelConfig
from textgen.options import TrainOptions
from textgen.training.data import open_data
from textgen.training.sizing import usual_layers
from textgen.training.start import check_request

#: Parameters of each network where none are asked for: a minute trains so many on a laptop.
DEFAULT_PARAMS = 250_000


@dataclass(frozen=True, kw_only=True)
class CellRun:
    """One run of the comparison.

    Args:
        figures: What training came to.
        gates: How saturated its gates are on the validation text; none for a cell without gates.
        memory: How far back it remembers there.
    """

    figures: RunFigures
    gates: tuple[GateShare, ...]
    memory: Horizon


@dataclass(frozen=True, kw_only=True)
class CellRow:
    """One cell with all its seeds.

    Args:
        variant: The cell.
        runs: In the order of the seeds.
    """

    variant: Variant
    runs: tuple[CellRun, ...]

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

    @property
    def chars_per_second(self) -> float:
        """Mean over the seeds."""
        return fmean(run.figures.chars_per_second for run in self.runs)

    @property
    def chars_seen(self) -> float:
        """Mean over the seeds."""
        return fmean(run.figures.chars_seen for run in self.runs)

    @property
    def gates(self) -> tuple[GateShare, ...]:
        """Each gate's shares, the mean over the seeds."""
        means = []
        for same in zip(*(run.gates for run in self.runs), strict=True):
            below, above = (fmean(getattr(g, side) for g in same) for side in ("below", "above"))
            means.append(replace(same[0], below=below, above=above))
        return tuple(means)

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        first = self.runs[0].figures
        return {
            "cell": self.variant.cell,
            "nonlinearity": self.variant.nonlinearity,
            "hidden_size": first.hidden_size,
            "embedding_size": first.embedding_size,
            "parameters": first.parameters,
            "learning_rate": first.learning_rate,
            "bits_per_char": {
                "mean": self.mean,
                "standard_deviation": self.deviation,
                "least": min(self.bits_per_char, default=None),
                "most": max(self.bits_per_char, default=None),
            },
            "chars_per_second": self.chars_per_second,
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


@dataclass(frozen=True, kw_only=True)
class CellComparison:
    """The outcome of `compare_cells`.

    Args:
        folder: Where the runs are kept.
        paths: The texts.
        params: Parameters asked for.
        length: How long each run was, in words, such as `60 s` or `500 steps`.
        wall_time: Whether that is time, and not steps.
        rows: The cells, in the order asked for.
        level: What a token is, as in `CorpusOptions`: lags are counted in them.
    """

    folder: Path
    paths: tuple[str, ...]
    params: int
    length: str
    wall_time: bool
    rows: tuple[CellRow, ...]
    level: str = "char"

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

    def to_rows(self) -> Iterator[tuple[Entry, ...]]:
        """A row for each run."""
        yield (
            *("cell", "nonlinearity", "rng", "hidden_size", "parameters", "bits_per_char"),
            "learning_rate",
            *("chars_per_second", "steps", "seconds", "chars_seen"),
            *("gradient_lag", "replacement_lag", "max_lag", "speed_moved"),
        )
        for row in self.rows:
            for run in row.runs:
                done = run.figures
                yield (
                    *(row.variant.cell, row.variant.nonlinearity, done.rng, done.hidden_size),
                    *(done.parameters, done.bits_per_char, done.learning_rate),
                    *(done.chars_per_second, done.steps),
                    *(done.seconds, done.chars_seen, run.memory.gradient_lag),
                    *(run.memory.replacement_lag, run.memory.max_lag, done.speed_moved),
                )


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
    stop: Stop = lambda: False,
) -> Iterator[RunEvent | Note | Measured | Halted | Compared[CellComparison]]:
    """Train each cell with each seed, equally large and equally long, and measure them.

    Args:
        paths: The text, split alike for all runs: a path, or several.
        variants: The cells, by name (`"lstm"`, `"rnn:relu"`) or as `Variant`s.
        base: Everything else that is asked of the runs; `cell`, `nonlinearity`, `hidden_size` and
            `rng` are set for each.
        params: Parameters of each network: the width is the largest that has no more.
        rngs: Seeds.
        out: Folder of the runs; None is `checkpoints/compare-NAME` after the first text.
        resume: Go on where a comparison was interrupted: finished runs are not trained again.
        force: Replace the runs that are there.
        stop: Asked after every step; once it says True the run is saved and the comparison ends.
    Yields:
        What happens in the runs, and as the last record the result, or `Halted`.
    Raises:
        TextgenError: The text or an option is unusable, or runs are there already.
    """
    check_base(base)
    paths, variants = path_names([paths], "compare_cells"), as_variants(variants)
    folder = comparison_folder(paths, out)
    check_request(paths, base)
    folders = {(v, rng): folder / f"{v.folder}-{rng}" for rng in rngs for v in variants}
    check_folders(folders.values(), resume=resume, force=force)
    data = open_data(paths, base)
    base = replace(base, num_layers=common_layers(variants, base))
    widths = {
        variant: width_for(
            params,
            variant_config(variant, base, len(data.corpus.vocabulary)),
            embedding_size=base.embedding_size,
        )
        for variant in variants
    }
    jobs: Sequence[Job] = [
        Job(
            variant=variant,
            label=f"{variant.name}, rng {rng}",
            folder=where,
            paths=tuple(paths),
            options=replace(
                base,
                cell=variant.cell,
                nonlinearity=variant.nonlinearity,
                hidden_size=widths[variant],
                rng=rng,
            ),
        )
        for (variant, rng), where in folders.items()
    ]
    jobs = plan_jobs(jobs, data, folder, resume=resume)
    length, wall_time = run_length(base)
    layers = "1 layer" if base.num_layers == 1 else f"{base.num_layers} layers"
    yield Note(
        text=f"{len(jobs)} runs of {length}, each of at most {params:,} parameters in {layers}"
    )
    done: dict[Variant, list[CellRun]] = {variant: [] for variant in variants}
    for number, job in enumerate(jobs, 1):
        with run_task(job, number, len(jobs)):
            trained = yield from train_job(
                job, number, len(jobs), resume=resume, force=force, stop=stop
            )
            if trained is None:
                return
            gates = gate_shares(trained.saved, data.val, job.options)
            memory = memory_horizon(trained.saved, data.val, job.options)
            done[job.variant].append(CellRun(figures=trained.figures, gates=gates, memory=memory))
        yield Measured(
            label=job.label, number=number, runs=len(jobs), summary=trained.figures.summary
        )
        if stop() and number < len(jobs):
            yield Halted(label=job.label, number=number, runs=len(jobs))
            return
    result = CellComparison(
        folder=folder,
        paths=tuple(paths),
        params=params,
        length=length,
        wall_time=wall_time,
        level=base.corpus.level,
        rows=tuple(CellRow(variant=variant, runs=tuple(runs)) for variant, runs in done.items()),
    )
    save_record(folder, result.to_json())
    yield Compared(result)


def common_layers(variants: Sequence[Variant], base: TrainOptions) -> int:
    """Layers of every network: what is asked for, else the most that one of them needs."""
    if base.num_layers is not None:
        return base.num_layers
    wishes = [
        replace(base, cell=variant.cell, nonlinearity=variant.nonlinearity) for variant in variants
    ]
    return max(usual_layers(wish)[0] for wish in wishes)


def variant_config(variant: Variant, base: TrainOptions, vocab_size: int) -> ModelConfig:
    """The shape of a variant's network, of one unit, to be made as wide as is wanted."""
    return ModelConfig(
        vocab_size=vocab_size,
        embedding_size=1,
        hidden_size=1,
        num_layers=base.num_layers or 1,
        cell=variant.cell,
        nonlinearity=variant.nonlinearity,
        tie=base.tie,
        residual=base.residual,
    )
