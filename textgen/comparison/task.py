"""Tasks with a known answer, at each lag: `textgen compare --task`.

Each cell learns from the same generated pairs, prompt and answer, whose lags go up to a limit; the
loss is of the answers alone. It is then asked fresh questions at each lag, beyond the limit too.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from textgen.arguments import checked
from textgen.comparison.cells import common_layers, variant_config
from textgen.comparison.events import Compared, Halted, Measured, Note, RunEvent
from textgen.comparison.jobs import (
    Job,
    Stop,
    check_folders,
    plan_jobs,
    run_length,
    run_task,
    train_job,
)
from textgen.comparison.record import save_record
from textgen.comparison.task_result import LagScore, TaskComparison, TaskRow, TaskRun
from textgen.comparison.variant import Variant, as_variants, check_base
from textgen.comparison.width import width_for
from textgen.corpus.pairs import SEPARATOR, index_pairs, separator_id
from textgen.corpus.vocabulary import END_ID, Vocabulary
from textgen.errors import ConfigError, RunFolderError, named
from textgen.evaluation.exact_match import measure_pairs
from textgen.evaluation.prediction import opened
from textgen.files import atomic_write_text, make_folder
from textgen.options import TrainOptions
from textgen.progress import task as progress_task
from textgen.progress import track
from textgen.sampling import SamplingNetworks
from textgen.tasks import Task, get_task
from textgen.training.data import open_data
from textgen.training.start import check_request

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
    pairs: int = TRAIN_PAIRS,
    questions: int = QUESTIONS,
    stop: Stop = lambda: False,
) -> Iterator[RunEvent | Note | Measured | Halted | Compared[TaskComparison]]:
    """Train each cell on a task and ask it at each lag.

    Args:
        task: One of `textgen.tasks.TASKS`.
        lags: Lags asked, in characters.
        variants: The cells, by name (`"lstm"`, `"rnn:relu"`) or as `Variant`s.
        base: Everything else that is asked of the runs; without a length it is `TASK_STEPS`
            steps, without a learning rate `TASK_RATE`. Of `val`, `TASK_VAL` is enough.
        train_lag: The largest lag trained on, each from 1 as likely; None: the median of
            `lags`, so that half of them lie beyond.
        params: Parameters of each network at most.
        rngs: Seeds of the networks. The pairs and questions are the same for all.
        out: Folder of the runs; None is `checkpoints/compare-TASK`.
        resume: Go on where a comparison was interrupted.
        force: Replace the runs that are there.
        pairs: Generated pairs to learn from.
        questions: Fresh questions at each lag.
        stop: Asked after every step.
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
    variants = as_variants(variants)
    asked = tuple(sorted(lags))
    limit = asked[(len(asked) - 1) // 2] if train_lag is None else train_lag
    if limit < 1:
        raise ConfigError(f"{named('train_lag')} is {limit}; it must be at least 1")
    folder = Path("checkpoints") / f"compare-{task}" if out is None else Path(out)
    with progress_task("making the pairs"):
        learned = list(kind.examples(pairs, range(1, limit + 1), seed="train"))
    path = folder / "pairs.tsv"
    text = "".join(f"{e.prompt}{SEPARATOR}{e.answer}\n" for e in learned)
    longest = max(len(e.prompt) + len(e.answer) + 2 for e in learned)
    options = replace(
        base,
        pairs=True,
        seq_len=base.seq_len or -(-longest // _ROUND) * _ROUND,
    )
    options = replace(options, num_layers=common_layers(variants, options))
    jobs_at = {
        (variant, rng): folder / f"{variant.folder}-{rng}" for rng in rngs for variant in variants
    }
    check_request([], options)
    if not resume or not path.is_file():
        check_folders(jobs_at.values(), resume=resume, force=force)
        make_folder(folder)
        atomic_write_text(path, text)
    elif _digest(path.read_text("utf-8")) != _digest(text):
        raise RunFolderError(
            f"{path} holds other pairs than these options give: another task, "
            f"{named('train_lag')} or number; start anew with {named('force')}, or in another "
            f"folder: {named('out')}"
        )
    data = open_data([str(path)], options)
    vocabulary = data.corpus.vocabulary
    jobs: Sequence[Job] = [
        Job(
            variant=variant,
            label=f"{variant.name}, rng {rng}",
            folder=where,
            paths=(str(path),),
            options=replace(
                options,
                cell=variant.cell,
                nonlinearity=variant.nonlinearity,
                hidden_size=width_for(
                    params,
                    variant_config(variant, options, len(vocabulary)),
                    embedding_size=base.embedding_size,
                ),
                rng=rng,
            ),
        )
        for (variant, rng), where in jobs_at.items()
    ]
    check_folders(jobs_at.values(), resume=resume, force=force)
    jobs = plan_jobs(jobs, data, folder, resume=resume)
    words, _ = run_length(base)
    yield Note(
        text=f"{kind.name}: {kind.description}; {len(jobs)} runs of {words} on {pairs:,} pairs "
        f"with lags 1..{limit}, gradients over {options.seq_len} tokens"
    )
    unlike = frozenset(example.prompt for example in learned)
    tests = [
        _questions(kind, vocabulary, lag, questions, unlike)
        for lag in track(asked, "making the questions", len(asked))
    ]
    done: dict[Variant, list[TaskRun]] = {variant: [] for variant in variants}
    for number, job in enumerate(jobs, 1):
        with run_task(job, number, len(jobs)):
            trained = yield from train_job(
                job, number, len(jobs), resume=resume, force=force, stop=stop
            )
            if trained is None:
                return
            saved, scores = trained.saved, []
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
        done[job.variant].append(TaskRun(figures=trained.figures, scores=tuple(scores)))
        right = ", ".join(
            f"{score.accuracy:.2f} at {score.lag}" for score in scores[:: max(1, len(scores) // 4)]
        )
        yield Measured(
            label=job.label,
            number=number,
            runs=len(jobs),
            summary=f"{right}; {trained.figures.seconds:.0f} s",
        )
        if stop() and number < len(jobs):
            yield Halted(label=job.label, number=number, runs=len(jobs))
            return
    result = TaskComparison(
        folder=folder,
        task=kind.name,
        description=kind.description,
        example=learned[0],
        chance=kind.chance,
        params=params,
        length=words,
        trained_to=limit,
        lags=asked,
        rows=tuple(TaskRow(variant=variant, runs=tuple(runs)) for variant, runs in done.items()),
    )
    save_record(folder, result.to_json())
    yield Compared(result)


def _questions(
    task: Task, vocabulary: Vocabulary, lag: int, count: int, unlike: frozenset[str]
) -> tuple[NDArray[np.int64], int]:
    """Questions of one lag as tokens, an end mark after each, and how many of them are fresh."""
    ids: list[int] = []
    fresh = 0
    for example in task.examples(count, range(lag, lag + 1), seed="questions", unlike=unlike):
        ids += vocabulary.encode(f"{example.prompt}{SEPARATOR}{example.answer}").tolist()
        ids.append(END_ID)
        fresh += example.prompt not in unlike
    return np.array(ids, np.int64), fresh


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
