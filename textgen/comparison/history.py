"""How much a network gains from seeing further back: `textgen compare --history`.

One network is trained for each length of history `t`, on the lecture's sliding windows, and
measured seeing exactly `t` tokens; one more carries its state on from window to window and is
measured so. All are of one shape, and a step learns from equally many tokens in each, so that equal
steps are equal amounts of text.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from textgen.arguments import StrPath, checked, path_names
from textgen.comparison.cells import DEFAULT_PARAMS, common_layers, variant_config
from textgen.comparison.events import Compared, Halted, Measured, Note, RunEvent
from textgen.comparison.jobs import (
    Job,
    RunFigures,
    Stop,
    Trained,
    check_folders,
    comparison_folder,
    plan_jobs,
    run_length,
    run_task,
    train_job,
)
from textgen.comparison.record import Entry, record_head, save_record
from textgen.comparison.variant import Variant, check_base, refuse_twice
from textgen.comparison.width import width_for
from textgen.errors import ConfigError
from textgen.evaluation.nll import nll_in_streams, nll_with_history
from textgen.evaluation.prediction import opened
from textgen.options import TrainOptions
from textgen.training.data import TrainingData, open_data
from textgen.training.sizing import BATCH_SIZE, SEQ_LEN
from textgen.training.start import check_request

LSTM = Variant("lstm")
#: Validation tokens charged, spread evenly over the text; each costs a window of `t` steps.
POSITIONS = 8192


@dataclass(frozen=True, kw_only=True)
class HistoryRun:
    """One run of the comparison.

    Args:
        history: Tokens that it was trained on; None: its state was carried on in training.
        figures: What training came to.
        shown: How many tokens it was shown when it was measured; 0: its state was carried on.
        bits_per_char: Its cost then, one for each of `shown`; None where training diverged.
    """

    history: int | None
    figures: RunFigures
    shown: tuple[int, ...]
    bits_per_char: tuple[float | None, ...]

    def at(self, shown: int) -> float | None:
        """Its cost when it is shown so many tokens; None: not measured, or diverged."""
        return dict(zip(self.shown, self.bits_per_char, strict=True)).get(shown)


@dataclass(frozen=True, kw_only=True)
class HistoryComparison:
    """The outcome of `compare_history`.

    Args:
        folder: Where the runs are kept.
        paths: The texts.
        variant: The cell.
        params: Parameters asked for.
        length: How long each run was, in words.
        wall_time: Whether that is time, and not steps.
        positions: Validation tokens that each cost was measured on, at most.
        runs: One for each history, rising, and the one whose state was carried last.
    """

    folder: Path
    paths: tuple[str, ...]
    variant: Variant
    params: int
    length: str
    wall_time: bool
    positions: int
    runs: tuple[HistoryRun, ...]

    @property
    def carried(self) -> HistoryRun:
        """The run whose state was carried on in training: the usual network."""
        return self.runs[-1]

    def to_json(self) -> dict[str, Any]:
        """As plain data: `textgen.compare.history`, version 1."""
        return {
            **record_head("history"),
            "paths": list(self.paths),
            "folder": str(self.folder),
            "cell": self.variant.cell,
            "nonlinearity": self.variant.nonlinearity,
            "params": self.params,
            "length": self.length,
            "positions": self.positions,
            "runs": [
                {
                    "history": run.history,
                    **asdict(run.figures),
                    "shown": list(run.shown),
                    "bits_per_char_shown": list(run.bits_per_char),
                }
                for run in self.runs
            ],
        }

    def to_rows(self) -> Iterator[tuple[Entry, ...]]:
        """A row for each run and what it was shown; a carried state has no number."""
        yield (
            *("cell", "nonlinearity", "rng", "trained_on", "shown", "bits_per_char"),
            *("hidden_size", "parameters", "steps", "seconds", "chars_seen"),
        )
        for run in self.runs:
            done = run.figures
            for shown, bits in zip(run.shown, run.bits_per_char, strict=True):
                yield (
                    *(self.variant.cell, self.variant.nonlinearity, done.rng),
                    *(run.history, shown or None, bits, done.hidden_size, done.parameters),
                    *(done.steps, done.seconds, done.chars_seen),
                )


@checked()
def compare_history(
    paths: StrPath | Iterable[StrPath],
    histories: Sequence[int],
    base: TrainOptions,
    *,
    variant: Variant = LSTM,
    params: int = DEFAULT_PARAMS,
    out: str | Path | None = None,
    resume: bool = False,
    force: bool = False,
    stop: Stop = lambda: False,
) -> Iterator[RunEvent | Note | Measured | Halted | Compared[HistoryComparison]]:
    """Train a network for each history, and measure each seeing exactly so much.

    Args:
        paths: The text, split alike for all runs: a path, or several.
        histories: Tokens of a window, each once.
        base: Everything else that is asked of the runs. `seq_len` is that of the network whose
            state is carried; `batch_size` is its streams; the two set the tokens of a step for
            all.
        variant: The cell.
        params: Parameters of each network at most.
        out: Folder of the runs; None is `checkpoints/compare-history-NAME` after the first text.
        resume: Go on where a comparison was interrupted: finished runs are not trained again.
        force: Replace the runs that are there.
        stop: Asked after every step.
    Yields:
        What happens in the runs, and as the last record the result, or `Halted`.
    Raises:
        ConfigError: A length is not shorter than the text to train on.
        TextgenError: The text or an option is unusable, or runs are there already.
    """
    lengths = tuple(sorted(histories))
    refuse_twice(lengths, "--history")
    check_base(base)
    paths = path_names([paths], "compare_history")
    folder = comparison_folder(paths, out, "history-")
    check_request(paths, base)
    folders = [_job(variant, base, length, folder, paths).folder for length in (*lengths, None)]
    check_folders(folders, resume=resume, force=force)
    data = open_data(paths, base)
    if lengths[-1] >= len(data.train):
        raise ConfigError(
            f"--history {lengths[-1]} is longer than the text to train on, which has "
            f"{len(data.train):,} tokens; leave it out, or give a longer text"
        )
    base = replace(base, num_layers=common_layers([variant], base))
    shape = variant_config(variant, base, len(data.corpus.vocabulary))
    base = replace(
        base,
        cell=variant.cell,
        nonlinearity=variant.nonlinearity,
        hidden_size=width_for(params, shape, embedding_size=base.embedding_size),
    )
    seen = (*lengths, None)
    jobs: Sequence[Job] = [_job(variant, base, history, folder, paths) for history in seen]
    jobs = plan_jobs(jobs, data, folder, resume=resume)
    words, wall_time = run_length(base)
    yield Note(text=f"{len(jobs)} runs of {words}, each of at most {params:,} parameters")
    runs = []
    for number, (history, job) in enumerate(zip(seen, jobs, strict=True), 1):
        with run_task(job, number, len(jobs)):
            trained = yield from train_job(
                job, number, len(jobs), resume=resume, force=force, stop=stop
            )
            if trained is None:
                return
            shown = (*lengths, 0) if history is None else (history,)
            run = HistoryRun(
                history=history,
                figures=trained.figures,
                shown=shown,
                bits_per_char=_costs(trained, job.options, shown, data),
            )
        runs.append(run)
        last = run.bits_per_char[-1]
        cost = "diverged" if last is None else f"{last:.3f} bits/char"
        summary = f"{cost}, {run.figures.speed_text}"
        yield Measured(label=job.label, number=number, runs=len(jobs), summary=summary)
        if stop() and number < len(jobs):
            yield Halted(label=job.label, number=number, runs=len(jobs))
            return
    result = HistoryComparison(
        folder=folder,
        paths=tuple(paths),
        variant=variant,
        params=params,
        length=words,
        wall_time=wall_time,
        positions=min(POSITIONS, len(data.val)),
        runs=tuple(runs),
    )
    save_record(folder, result.to_json())
    yield Compared(result)


def _job(
    variant: Variant, base: TrainOptions, history: int | None, folder: Path, paths: Sequence[str]
) -> Job:
    """A run; its steps have as many tokens whatever the window."""
    name, options = "carried", base
    if history is not None:
        name = f"history {history}"
        tokens = (base.batch_size or BATCH_SIZE) * (base.seq_len or SEQ_LEN)
        options = replace(base, history=history, seq_len=None, batch_size=max(1, tokens // history))
    return Job(
        variant=variant,
        label=f"{variant.name}, {name}",
        folder=folder / f"{variant.folder}-{name.replace(' ', '-')}-{base.rng}",
        paths=tuple(paths),
        options=options,
    )


def _costs(
    trained: Trained, options: TrainOptions, shown: Sequence[int], data: TrainingData
) -> tuple[float | None, ...]:
    """Bits a character when the network sees so many tokens, for each of `shown`."""
    if trained.figures.bits_per_char is None:
        return (None,) * len(shown)
    found: list[float | None] = []
    with opened(trained.saved, device=options.device, threads=options.threads) as network:
        for length in shown:
            if length:
                nll = nll_with_history(network, data.val, length, limit=POSITIONS)
            else:
                nll = nll_in_streams(network, data.val, limit=POSITIONS)
            bits = nll.mean / data.val_chars_per_token / math.log(2)
            found.append(bits if math.isfinite(bits) else None)
    return tuple(found)
