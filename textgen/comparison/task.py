"""Tasks with a known answer, at each lag.

Each cell learns from the same generated pairs, prompt and answer, whose lags go up to a limit; only
the answers count in the loss. It is then asked fresh questions at each lag, beyond the limit too.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from textgen.arguments import checked
from textgen.checkpoint import SavedModel
from textgen.comparison.cells import cell_jobs
from textgen.comparison.happening import Compared, Happening, Note
from textgen.comparison.runs import (
    CellRuns,
    Comparison,
    Job,
    MeasuredRun,
    RunFigures,
    Runs,
    Stop,
    record_head,
)
from textgen.comparison.variants import Variant, check_base, parse_variants
from textgen.corpus.pairs import SEPARATOR, index_pairs, separator_id
from textgen.corpus.vocabulary import END_ID, Vocabulary
from textgen.errors import ConfigError, RunFolderError, StorageError, named
from textgen.evaluation.exact_match import measure_pairs
from textgen.evaluation.prediction import opened
from textgen.files import atomic_write_text, create_once, make_folder, os_reason, read_plain
from textgen.options import TrainOptions
from textgen.progress import task as progress_task
from textgen.progress import track
from textgen.sampling import SamplingNetworks
from textgen.table import Column, Table
from textgen.tasks import Example, GeneratedTask, get_task

if TYPE_CHECKING:
    from textgen.terminal.chart import Chart

#: Generated pairs: as many as are seen some times in as many steps as are usual here.
TRAIN_PAIRS = 50_000
#: What a run has where nothing else is asked: enough for an LSTM and a GRU to learn all three tasks
#: with lags up to 50. At four times the rate an LSTM did not learn the products of `count`, and at
#: seven times, which `textgen train` takes for texts, the plain network learned nothing at all.
TASK_PARAMS, TASK_STEPS, TASK_RATE = 100_000, 6000, 0.005
#: Questions at each lag: the standard error of an accuracy is 0.035 at most.
QUESTIONS = 200
#: Share of the pairs that validates: a thousand of them are enough to choose a model by.
TASK_VAL = "0.02"
#: Longest pair beside its lag, in characters; what fits into a window more is cut off nowhere.
_ROUND = 32


@dataclass(frozen=True, kw_only=True)
class LagScore:
    """How a network does at one lag.

    Args:
        lag: Characters of filler.
        questions: How many it was asked.
        fresh: How many of these have a prompt that was not trained on: where the lag is short
            there may be few others.
        accuracy: Share answered exactly.
        similarity: Mean `textgen.evaluation.exact_match.edit_similarity` of its answer and the
            right one.
    """

    lag: int
    questions: int
    fresh: int
    accuracy: float
    similarity: float


@dataclass(frozen=True, kw_only=True)
class TaskRun(MeasuredRun):
    """One run of one cell; `scores` are those at each lag, rising."""

    scores: tuple[LagScore, ...]

    @property
    def summary(self) -> str:
        """Its accuracy at a few lags, and its time."""
        some = self.scores[:: max(1, len(self.scores) // 4)]
        right = ", ".join(f"{score.accuracy:.2f} at {score.lag}" for score in some)
        return f"{right}; {self.figures.seconds:.0f} s"


@dataclass(frozen=True, kw_only=True)
class TaskRow(CellRuns[TaskRun]):
    """One cell with all its seeds."""

    def accuracies(self, place: int) -> tuple[float, ...]:
        """Of each seed, at the lag of that place."""
        return tuple(run.scores[place].accuracy for run in self.runs)


@dataclass(frozen=True, kw_only=True, repr=False)
class TaskComparison(Comparison[TaskRun]):
    """The outcome of `compare_task`.

    Args:
        task: Name of the task.
        description: What it asks.
        example: A question and its answer.
        chance: Share that the best constant answer gets right.
        trained_to: The largest lag that was trained on.
        lags: The lags asked, rising.
    """

    task: str
    description: str
    example: Example
    chance: float
    trained_to: int
    lags: tuple[int, ...]

    @property
    def rows(self) -> tuple[TaskRow, ...]:
        """The cells, in the order asked for."""
        return TaskRow.of(self.runs)

    def to_json(self) -> dict[str, Any]:
        """As plain data: `textgen.compare.task`, version 1."""
        return {
            **record_head("task"),
            "folder": str(self.folder),
            "task": self.task,
            "description": self.description,
            "example": asdict(self.example),
            "chance": self.chance,
            "params": self.params,
            "length": self.length,
            "trained_to": self.trained_to,
            "lags": list(self.lags),
            "cells": [
                {
                    **asdict(row.variant),
                    "runs": [
                        {**asdict(run.figures), "scores": [asdict(s) for s in run.scores]}
                        for run in row.runs
                    ],
                }
                for row in self.rows
            ],
        }

    def table(self) -> Table:
        """A row for each run and lag."""
        columns = ("cell", "nonlinearity", "rng", "lag", "accuracy", "similarity")
        records = [
            {**asdict(run.variant), "rng": run.figures.rng, **asdict(score)}
            for row in self.rows
            for run in row.runs
            for score in run.scores
        ]
        return Table.from_records((*columns, "questions", "fresh"), records)

    def chart(self) -> Chart:
        """The accuracy of each cell at each lag, beside chance."""
        from textgen.terminal.chart import Chart, Series

        series = []
        for row in self.rows:
            points, bars = [], []
            for place, lag in enumerate(self.lags):
                found = row.accuracies(place)
                points.append((float(lag), fmean(found)))
                if len(found) > 1:
                    bars.append((float(lag), min(found), max(found)))
            series.append(Series(name=row.variant.name, points=tuple(points), bars=tuple(bars)))
        return Chart(
            series=tuple(series),
            x_label=f"lag in characters, trained up to {self.trained_to}",
            y_label=f"share of {self.task} answered exactly",
            levels=(("chance", self.chance),),
            y_limits=(-0.05, 1.05),
        )

    def summary(self) -> tuple[Table, ...]:
        """The accuracy of each cell at each lag."""
        cells = self.rows
        rows: list[tuple[str | float, ...]] = [
            (
                f"{lag}" if lag <= self.trained_to else f"{lag} *",
                *(fmean(row.accuracies(place)) for row in cells),
            )
            for place, lag in enumerate(self.lags)
        ]
        columns = (
            Column("lag", unit="chars"),
            *(Column(row.variant.name, row.variant.name, ".3f") for row in cells),
        )
        neurons = ", ".join(f"{r.variant.name} {r.runs[0].figures.hidden_size}" for r in cells)
        scores = self.runs[0].scores
        note = (
            f"asked: {self.description}. One of them: {self.example.prompt!r} -> "
            f"{self.example.answer!r}. {scores[0].questions} questions at each lag, the same for "
            f"all, {_freshness(scores)}. An answer counts if every character is right; chance is "
            f"{self.chance:.3g}. * longer than any trained on. At most {self.params:,} parameters "
            f"(neurons: {neurons}), {self.length} each."
        )
        return (Table(columns, rows, notes=(note, *self.speed_note())),)


def _freshness(scores: Sequence[LagScore]) -> str:
    """Whether questions were trained on: where the lag is short there are few others."""
    stale = [
        f"{score.questions - score.fresh} at lag {score.lag}"
        for score in scores
        if score.fresh < score.questions
    ]
    return f"none trained on but {', '.join(stale)}" if stale else "none of them trained on"


@checked()
def compare_task(
    task: str,
    lags: Sequence[int],
    variants: str | Iterable[str | Variant],
    base: TrainOptions,
    *,
    train_lag: int | None = None,
    params: int = TASK_PARAMS,
    rngs: Sequence[int] = (1,),
    out: str | Path | None = None,
    resume: bool = False,
    force: bool = False,
    join: bool = False,
    pairs: int = TRAIN_PAIRS,
    questions: int = QUESTIONS,
    stop: Stop = lambda: False,
) -> Iterator[Happening | Compared[TaskComparison]]:
    """Train each cell on a task and ask it at each lag.

    Args:
        task: One of `textgen.tasks.TASKS`.
        lags: Lags asked, in characters.
        variants: The cells, by name (`"lstm"`, `"rnn:relu"`) or as `Variant` objects.
        base: Everything else that is asked of the runs; without a length it is `TASK_STEPS`
            steps, without a learning rate `TASK_RATE`. Of `val`, `TASK_VAL` is enough.
        train_lag: The largest lag trained on, each from 1 as likely; None: the median of
            `lags`, so that half of them lie beyond.
        params: Parameters of each network at most.
        rngs: Seeds of the networks. The pairs and questions are the same for all.
        out: Folder of the runs; None is `checkpoints/compare-TASK`.
        resume, force, join, stop: As in `compare_cells`.
        pairs: Generated pairs to learn from.
        questions: Fresh questions at each lag.
    Yields:
        What happens in the runs, and as the last record the result, or `Halted`.
    Raises:
        TextgenError: An option is unusable, or runs are there already.
    """
    kind = get_task(task)
    if base.steps is None and base.epochs is None and base.budget is None:
        base = replace(base, steps=TASK_STEPS)
    base = replace(base, learning_rate=base.learning_rate or TASK_RATE)
    check_base(base)
    variants = parse_variants(variants)
    asked = tuple(sorted(lags))
    limit = asked[(len(asked) - 1) // 2] if train_lag is None else train_lag
    if limit < 1:
        raise ConfigError(f"{named('train_lag')} is {limit}; it must be at least 1")
    with progress_task("making the pairs"):
        learned = list(kind.examples(pairs, range(1, limit + 1), seed="train"))
    longest = max(len(e.prompt) + len(e.answer) + 2 for e in learned)
    options = replace(base, pairs=True, seq_len=base.seq_len or -(-longest // _ROUND) * _ROUND)
    folder = Path("checkpoints") / f"compare-{task}" if out is None else Path(out)
    path = folder / "pairs.tsv"
    runs = Runs(
        folder=folder,
        paths=[str(path)],
        jobs=cell_jobs(variants, rngs, options, folder),
        params=params,
        resume=resume,
        force=force,
        join=join,
        asked={"task": task, "lags": asked, "pairs": pairs, "questions": questions},
        stop=stop,
    )
    text = "".join(f"{e.prompt}{SEPARATOR}{e.answer}\n" for e in learned)
    with progress_task("writing the pairs"):
        make_folder(folder)
        if join and create_once(path, text.encode()):
            pass  # The others find it there.
        elif not (resume or join) or not os.path.lexists(path):
            atomic_write_text(path, text)
        elif _bytes_of(path) != text.encode():
            raise RunFolderError(
                f"{path} holds other pairs than these options give: another task, "
                f"{named('train_lag')} or number; start again with {named('force', True)}, or in "
                f"another folder: {named('out', 'DIR')}"
            )
    vocabulary = runs.data.corpus.vocabulary
    yield Note(
        text=f"{kind.name}: {kind.description}; {len(runs.planned)} runs of {runs.length} on "
        f"{pairs:,} pairs with lags 1..{limit}, gradients over {options.seq_len} tokens"
    )
    unlike = frozenset(example.prompt for example in learned)
    tests = [
        _questions(kind, vocabulary, lag, questions, unlike)
        for lag in track(asked, "making the questions", len(asked))
    ]

    def measure(job: Job, figures: RunFigures, saved: SavedModel) -> TaskRun:
        scores = []
        with opened(saved, device=base.device, threads=base.threads) as network:
            writer = SamplingNetworks(saved.config, saved.weights, network.engine.threads).many
            for lag, (tokens, fresh) in zip(asked, tests, strict=True):
                index = index_pairs(tokens, separator_id(vocabulary))
                found = measure_pairs(network, writer, vocabulary, tokens, index)
                scores.append(
                    LagScore(
                        lag=lag,
                        questions=found.pairs,
                        fresh=fresh,
                        accuracy=found.exact_match,
                        similarity=found.similarity,
                    )
                )
        return TaskRun(variant=job.variant, figures=figures, scores=tuple(scores))

    finish = partial(
        TaskComparison,
        task=kind.name,
        description=kind.description,
        example=learned[0],
        chance=kind.chance,
        trained_to=limit,
        lags=asked,
    )
    yield from runs.events(measure, finish, TaskRun)


def _bytes_of(path: Path) -> bytes:
    """The bytes of a file of a comparison; a StorageError if it cannot be read, or is a link."""
    try:
        return read_plain(path)
    except OSError as error:
        raise StorageError(f"cannot read {path}: {os_reason(error)}") from error


def _questions(
    task: GeneratedTask, vocabulary: Vocabulary, lag: int, count: int, unlike: frozenset[str]
) -> tuple[NDArray[np.int64], int]:
    """Questions of one lag as tokens, an end mark after each, and how many of them are fresh."""
    ids: list[int] = []
    fresh = 0
    for example in task.examples(count, range(lag, lag + 1), seed="questions", unlike=unlike):
        ids += vocabulary.encode(f"{example.prompt}{SEPARATOR}{example.answer}").tolist()
        ids.append(END_ID)
        fresh += example.prompt not in unlike
    return np.array(ids, np.int64), fresh
