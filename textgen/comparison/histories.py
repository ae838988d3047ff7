"""How much a network gains from seeing further back.

One network is trained for each length of history `t`, on sliding windows, and measured while it
sees exactly `t` tokens; one more carries its state on from window to window and is measured so. All
are of one shape, and a step learns from equally many tokens in each, so equal steps are equal
amounts of text.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from textgen.arguments import StrPath, checked, path_names
from textgen.checkpoint import SavedModel
from textgen.comparison.cells import DEFAULT_PARAMS
from textgen.comparison.happening import Compared, Happening, Note
from textgen.comparison.runs import (
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
from textgen.comparison.variants import Variant, check_base, refuse_twice
from textgen.errors import ConfigError, named
from textgen.evaluation.nll import nll_in_streams, nll_with_history
from textgen.evaluation.prediction import opened
from textgen.options import TrainOptions
from textgen.table import Column, Table
from textgen.training.data import TrainingData
from textgen.training.sizing import BATCH_SIZE, SEQ_LEN

if TYPE_CHECKING:
    from textgen.terminal.chart import Chart

LSTM = Variant("lstm")
#: Validation tokens that are measured, spread evenly over the text; each takes `t` steps.
POSITIONS = 8192


@dataclass(frozen=True, kw_only=True)
class HistoryRun(MeasuredRun):
    """One run of the comparison.

    Args:
        history: Tokens that it saw in training; None: its state was carried on.
        shown: How many tokens it saw when it was measured; 0: its state was carried on.
        bits_per_char: The figure for each of `shown`; None where training diverged.
    """

    history: int | None
    shown: tuple[int, ...]
    bits_per_char: tuple[float | None, ...]

    def at(self, shown: int) -> float | None:
        """The figure when it sees `shown` tokens; None: not measured, or diverged."""
        return dict(zip(self.shown, self.bits_per_char, strict=True)).get(shown)

    @property
    def summary(self) -> str:
        """Its figures in a few words."""
        last = self.bits_per_char[-1]
        bits = "diverged" if last is None else f"{last:.3f} bits/char"
        return f"{bits}, {self.figures.speed_text}"


@dataclass(frozen=True, kw_only=True, repr=False)
class HistoryComparison(Comparison[HistoryRun]):
    """The outcome of `compare_history`: one run for each history, rising, and at the end the one
    whose state was carried on.

    Args:
        paths: The texts.
        positions: Validation tokens that each figure was measured on, at most.
    """

    paths: tuple[str, ...]
    positions: int

    @property
    def variant(self) -> Variant:
        """The cell, the same for all runs."""
        return self.carried.variant

    @property
    def carried(self) -> HistoryRun:
        """The run whose state was carried on in training: the usual network."""
        return self.runs[-1]

    def curves(self) -> tuple[list[tuple[int, float | None]], list[tuple[int, float | None]]]:
        """By number of tokens: bits per character of the networks trained on as many, and of the
        usual network that sees as many."""
        own = [(run.history, run.bits_per_char[0]) for run in self.runs if run.history is not None]
        return own, [(tokens, self.carried.at(tokens)) for tokens, _ in own]

    def to_json(self) -> dict[str, Any]:
        """As plain data: `textgen.compare.history`, version 1."""
        return {
            **record_head("history"),
            "paths": list(self.paths),
            "folder": str(self.folder),
            **asdict(self.variant),
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

    def table(self) -> Table:
        """A row for each run and what it saw; a state that is carried on has no number."""
        figures = ("hidden_size", "parameters", "steps", "seconds", "chars_seen")
        records = [
            {
                **asdict(run.variant),
                **asdict(run.figures),
                "trained_on": run.history,
                "shown": shown or None,
                "bits_per_char": bits,
            }
            for run in self.runs
            for shown, bits in zip(run.shown, run.bits_per_char, strict=True)
        ]
        columns = ("cell", "nonlinearity", "rng", "trained_on", "shown", "bits_per_char", *figures)
        return Table.from_records(columns, records)

    def chart(self) -> Chart:
        """What each length is worth, and what the usual network makes of the same lengths."""
        from textgen.terminal.chart import Chart, Series

        own, shown = self.curves()
        whole = self.carried.at(0)
        neurons = self.carried.figures.hidden_size
        return Chart(
            series=(
                Series(name="trained on t and shown t", points=_known(own)),
                Series(name="state carried in training, shown t", points=_known(shown)),
            ),
            x_label=f"history t, {self.length} each, cell {self.variant.name} of {neurons} neurons",
            y_label="bits/char",
            levels=(("state carried on", whole),) if whole is not None else (),
            log_x=True,
        )

    def summary(self) -> tuple[Table, ...]:
        """What each length is worth, and what the usual network makes of it."""
        own, shown = self.curves()
        rows: list[tuple[int | str, str, str]] = [
            (tokens, spread(bits), spread(usual))
            for (tokens, bits), (_, usual) in zip(own, shown, strict=True)
        ]
        rows.append(("all", "-", spread(self.carried.at(0))))
        columns = (
            Column("history", "t", unit="tokens"),
            Column("trained", "trained on t", unit="bits/char"),
            Column("carried", "state carried in training", unit="bits/char"),
        )
        note = (
            f"bits/char on {self.positions:,} places of the validation text. Each network sees "
            "exactly t tokens before what it predicts, its state from zero; the last row carries "
            "the state through the text. Every step had as many tokens, every run "
            f"{self.length}."
        )
        return (Table(columns, rows, notes=(note, *self.speed_note())),)


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
    join: bool = False,
    stop: Stop = lambda: False,
) -> Iterator[Happening | Compared[HistoryComparison]]:
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
        resume, force, join, stop: As in `compare_cells`.
    Yields:
        What happens in the runs, and as the last record the result, or `Halted`.
    Raises:
        ConfigError: A length is not shorter than the text to train on.
        TextgenError: The text or an option is unusable, or runs are there already.
    """
    lengths = tuple(sorted(histories))
    refuse_twice(lengths, "history")
    check_base(base)
    paths = path_names([paths], "compare_history")
    folder = comparison_folder(paths, out, "history-")
    runs = Runs(
        folder=folder,
        paths=paths,
        jobs=[_job(variant, base, history, folder) for history in (*lengths, None)],
        params=params,
        resume=resume,
        force=force,
        join=join,
        stop=stop,
    )
    data = runs.data
    if lengths[-1] >= len(data.train):
        raise ConfigError(
            f"{named('history', lengths[-1])} is longer than the text to train on, which has "
            f"{len(data.train):,} tokens; leave it out, or give a longer text"
        )
    yield Note(
        text=f"{len(runs.planned)} runs of {runs.length}, each of at most {params:,} parameters"
    )

    def measure(job: Job, figures: RunFigures, saved: SavedModel) -> HistoryRun:
        history = job.options.history
        shown = (*lengths, 0) if history is None else (history,)
        return HistoryRun(
            variant=variant,
            figures=figures,
            history=history,
            shown=shown,
            bits_per_char=_bits_per_char(saved, figures, job.options, shown, data),
        )

    positions = min(POSITIONS, len(data.val))
    finish = partial(HistoryComparison, paths=tuple(paths), positions=positions)
    yield from runs.events(measure, finish, HistoryRun)


def _known(points: Iterable[tuple[int, float | None]]) -> tuple[tuple[float, float], ...]:
    """The points of runs that did not diverge."""
    return tuple((float(x), y) for x, y in points if y is not None)


def _job(variant: Variant, base: TrainOptions, history: int | None, folder: Path) -> Job:
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
        options=options,
    )


def _bits_per_char(
    saved: SavedModel,
    figures: RunFigures,
    options: TrainOptions,
    shown: Sequence[int],
    data: TrainingData,
) -> tuple[float | None, ...]:
    """Bits per character when the network sees as many tokens as each of `shown`."""
    if figures.bits_per_char is None:
        return (None,) * len(shown)
    found: list[float | None] = []
    with opened(saved, device=options.device, threads=options.threads) as network:
        for length in shown:
            if length:
                nll = nll_with_history(
                    network, data.val, length, limit=POSITIONS, escape=data.escape
                )
            else:
                nll = nll_in_streams(network, data.val, limit=POSITIONS, escape=data.escape)
            bits = nll.mean / data.val_chars_per_token / math.log(2)
            found.append(bits if math.isfinite(bits) else None)
    return tuple(found)
