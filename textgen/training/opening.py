"""How a run comes to be: a new one is read, planned and locked; a stopped one is taken up again."""

from __future__ import annotations

import platform
import shlex
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from textgen import __version__
from textgen.cells import get_cell
from textgen.checkpoint import RESUME_NAME, SavedModel, locate_model
from textgen.corpus.corpus import CorpusOptions
from textgen.corpus.windows import Windows
from textgen.errors import ConfigError, RunFolderError, StorageError
from textgen.files import FolderLock, make_folder
from textgen.model.initialise import initial_weights
from textgen.model.opening import open_network
from textgen.ops.path import Path as ComputePath
from textgen.ops.select import select
from textgen.runtime import Choice, choose_device, choose_threads, computing_threads
from textgen.training.calibrate import (
    measure_evaluation,
    measure_step,
    probe_speed,
    saving_seconds,
)
from textgen.training.command import repeat_command
from textgen.training.data import (
    TrainingData,
    corpus_record,
    open_data,
    reopen_data,
    validation_share,
)
from textgen.training.finetune import Floats, extended_weights, parent_options
from textgen.training.folder import cut_metrics, has_checkpoint, refuse_occupied, run_folder
from textgen.training.learner import open_learner
from textgen.training.options import WORD2VEC, TrainOptions
from textgen.training.plan import DEFAULT_BUDGET, Draft, Plan, Timing, draft, finish
from textgen.training.run import Run
from textgen.training.state import Progress, RunState
from textgen.training.trainer import Trainer
from textgen.training.vectors import file_vectors, require_vectors, with_vectors


def open_run(
    paths: Sequence[str],
    options: TrainOptions,
    out: str | Path | None = None,
    *,
    resume: bool = False,
    force: bool = False,
    from_: str | None = None,
    given: Collection[str] | None = None,
    stdin: BinaryIO | None = None,
) -> AbstractContextManager[Run]:
    """A new run, or one taken up again: what `textgen train` and `textgen.train` ask for.

    Args:
        paths: Texts; with `resume` also none, or a run's folder alone.
        options: What was asked for.
        out: The run's folder; None names it after the first text.
        resume: Go on with the run that is there.
        force: Replace it.
        from_: A model to train further: a file, a run's folder, or a name.
        given: As in `resumed_run`.
        stdin: What the path `-` reads.
    Raises:
        ConfigError: No text is named, or two wishes contradict each other.
    """
    if resume and force:
        raise ConfigError("--resume goes on with a run, --force replaces it; give one")
    if resume:
        if len(paths) == 1 and has_checkpoint(Path(paths[0])):
            paths, out = [], paths[0]
        return resumed_run(
            run_folder(paths, out),
            asked=options,
            paths=paths,
            parent_name=from_ or "",
            given=given,
        )
    folder = run_folder(paths, out)
    if not paths:
        raise ConfigError("no text was named; type: textgen train corpus.txt")
    return new_run(
        paths,
        options,
        folder,
        force=force,
        parent=None if from_ is None else SavedModel.load(locate_model(from_)),
        parent_name=from_ or "",
        stdin=stdin,
    )


@contextmanager
def new_run(
    paths: Sequence[str | Path],
    options: TrainOptions,
    folder: Path,
    *,
    force: bool = False,
    parent: SavedModel | None = None,
    parent_name: str = "",
    cache: Path | None = None,
    stdin: BinaryIO | None = None,
) -> Iterator[Run]:
    """Prepare a run: read the text, choose what was left open, lock the folder.

    Args:
        paths: Files, folders, or `-` for `stdin`.
        options: What was asked for.
        folder: Where the run is kept.
        force: Replace a run that is there.
        parent: A model to train further (`--from`).
        parent_name: What to call it in the record.
        cache: The folder of encoded corpora; None is the user's.
        stdin: What `-` reads.
    Yields:
        The run; the folder is locked until the block is left.
    Raises:
        RunFolderError: There is a run already and `force` is not set, or the folder is locked.
        TextgenError: The text, an option or the device is unusable.
    """
    refuse_occupied(folder, force)
    request = _request(options, parent_name)
    if parent is not None:
        options = parent_options(options, parent)
    device, device_choice = choose_device(options.device)
    threads = choose_threads(options.threads)
    cell = get_cell(options.cell, options.nonlinearity)
    path = select(cell, device, options.precision, threads.value)
    if parent is None:
        require_vectors(options)
    data = open_data(
        paths,
        options,
        parent=None if parent is None else parent.vocabulary,
        # What is frozen cannot learn a new symbol's vector.
        extend=not options.frozen_embedding,
        cache=cache,
        stdin=stdin,
    )
    options, vectors = file_vectors(options, data.corpus.vocabulary)
    with computing_threads(threads.value, torch=path.name != "native"):
        plan, choices = _plan(options, data, path)
        make_folder(folder)
        with FolderLock(folder):
            refuse_occupied(folder, force)
            weights: Mapping[str, Floats]
            if parent is None:
                drawn = initial_weights(plan.model, plan.rng)
                weights, more = with_vectors(drawn, options, plan, data, vectors)
                choices = (*choices, *more)
            else:
                weights = extended_weights(parent, plan.model, data.corpus.vocabulary, data.train)
            learner = open_learner(open_network(plan.model, path, weights), plan)
            trainer = Trainer(learner, _windows(plan, data), plan)
            all_choices = (*_given(data, device_choice, threads, path), *choices)
            record = {
                "paths": [_absolute(p) for p in paths],
                "request": request,
                "corpus": corpus_record(data),
                "choices": [choice.to_dict() for choice in all_choices],
                "command": repeat_command(paths, options, plan)
                + (f" --from {shlex.quote(parent_name)}" if parent is not None else ""),
                "versions": _versions(path),
                "threads": threads.value,
                "precision": path.precision,
                "device": path.device,
                "path": _path_name(path),
                "parent": parent_name or None,
                # Tokens that the network sees where it is measured; None carries its state on.
                "validation_history": plan.seq_len if plan.sliding else None,
            }
            yield Run(
                folder=folder,
                plan=plan,
                record=record,
                data=data,
                trainer=trainer,
                progress=Progress(),
                best={},
                notes=_other_kind(options, parent),
            )


@contextmanager
def resumed_run(
    folder: Path,
    *,
    asked: TrainOptions | None = None,
    paths: Sequence[str | Path] = (),
    parent_name: str = "",
    given: Collection[str] | None = None,
    cache: Path | None = None,
) -> Iterator[Run]:
    """Go on with a run where it was saved last.

    Args:
        folder: The run's folder.
        asked: The options of the command, to make sure that they are the run's own; None takes
            the run's.
        paths: The texts that the command names, to make sure of them too; none takes the run's.
        parent_name: The `--from` of the command, likewise.
        given: Names of the options that the command spells out, even those at their default; None
            takes those that differ from it.
        cache: The folder of encoded corpora; None is the user's.
    Yields:
        The run; the folder is locked until the block is left.
    Raises:
        StorageError: There is nothing to resume.
        RunFolderError: The run was started with other options or on another text, its text has
            changed, or the folder is locked.
    """
    path = folder / RESUME_NAME
    if not path.exists():
        raise StorageError(
            f"there is no run to resume in {folder} (no {RESUME_NAME}); start one: "
            f"textgen train corpus.txt --out {folder}"
        )
    with FolderLock(folder):
        state = RunState.load(path)
        record, plan = state.record, state.plan
        _refuse_other_text(folder, record, paths)
        if asked is not None:
            _refuse_other_options(folder, record["request"], _request(asked, parent_name), given)
        options = _options_of(record)
        device, _ = choose_device(record["device"])
        data = reopen_data(
            (record["corpus"]["keys"][0], record["corpus"]["keys"][1]),
            options.val,
            record["paths"],
            options,
            state.vocabulary,
            state.normalization,
            cache=cache,
        )
        threads = int(record["threads"])
        compute = select(plan.model.cell_spec, device, record["precision"], threads)
        with computing_threads(threads, torch=compute.name != "native"):
            learner = open_learner(open_network(plan.model, compute, None), plan)
            trainer = Trainer(learner, _windows(plan, data), plan)
            trainer.load(state.progress.step, state.progress.steps_counted, state.tensors)
            cut_metrics(folder, state.progress.step)
            yield Run(
                folder=folder,
                plan=plan,
                record=record,
                data=data,
                trainer=trainer,
                progress=state.progress,
                best=state.best,
                notes=(*_other_path(record, compute), *_other_measure(record, plan)),
            )


def _plan(
    options: TrainOptions, data: TrainingData, path: ComputePath
) -> tuple[Plan, tuple[Choice, ...]]:
    budgeted = options.steps is None and options.epochs is None
    speed = probe_speed(path, options.cell, options.nonlinearity) if budgeted else None
    drafted = draft(options, data.facts, speed)
    timing = _timing(drafted, options, data, path)
    plan, choices = finish(drafted, options, data.facts, timing)
    return plan, (*drafted.choices, *choices)


def _timing(drafted: Draft, options: TrainOptions, data: TrainingData, path: ComputePath) -> Timing:
    budget = options.budget or DEFAULT_BUDGET
    if drafted.plan.steps:
        # Only the rhythm of saves and reports depends on it: a glance will do.
        step = measure_step(drafted.plan, data.train, path, 0.1)
        return Timing(step=step, evaluation=0.0, save=0.0)
    step = measure_step(drafted.plan, data.train, path, min(3.0, budget / 40))
    steps = max(1, int(budget / step))
    evaluation = measure_evaluation(drafted.plan, steps, data.val, path)
    save = saving_seconds(drafted.plan.model)
    return Timing(step=step, evaluation=evaluation, save=save)


def _windows(plan: Plan, data: TrainingData) -> Windows:
    return Windows(
        data.train,
        seq_len=plan.seq_len,
        batch_size=plan.batch_size,
        sliding=plan.sliding,
        reset_every=plan.reset_every,
        separator=data.separator,
        rng=plan.rng,
    )


def _given(
    data: TrainingData, device: Choice, threads: Choice, path: ComputePath
) -> tuple[Choice, ...]:
    files = data.corpus.files
    encodings = tuple(
        Choice("encoding", report.encoding, f"{report.path}: {report.reason}")
        for report in files[:3]
    )
    if len(files) > 3:
        more = Choice("files", len(files), f"{data.corpus.chars:,} characters; the first are above")
        encodings = (*encodings, more)
    vocabulary = data.corpus.vocabulary
    return (
        *encodings,
        Choice("vocabulary", len(vocabulary), f"symbols at level {vocabulary.level}, two marks"),
        *_pairs_choice(data),
        Choice("validation", len(data.val), data.val_source),
        device,
        threads,
        Choice("path", _path_name(path), path.reason),
        Choice("precision", path.precision, "of the products; sums and weights are float32"),
    )


def _pairs_choice(data: TrainingData) -> tuple[Choice, ...]:
    if data.separator is None:
        return ()
    reason = "--pairs: a source is read, its target is written; the targets alone count"
    return (Choice("pairs", data.corpus.documents, reason),)


def _other_kind(options: TrainOptions, parent: SavedModel | None) -> tuple[str, ...]:
    """A note where a model of pairs is trained further on a text."""
    if parent is None or not parent.reads_pairs or options.pairs:
        return ()
    return (
        "the model given by --from writes the targets of pairs, and this run trains it on plain "
        "text, which it will write then; for more pairs add --pairs",
    )


def _versions(path: ComputePath) -> dict[str, str]:
    """Of all that computes: torch where the path is one of its own."""
    versions = {"textgen": __version__}
    if path.name != "native":
        versions["torch"] = metadata.version("torch")
    return versions | {
        "numpy": np.__version__,
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
    }


def _path_name(path: ComputePath) -> str:
    """The path with all that its numbers depend on, in words."""
    return f"{path.name} ({path.isa})" if path.isa else path.name


def _other_path(record: Mapping[str, Any], path: ComputePath) -> tuple[str, ...]:
    """A note where a run goes on upon another path than it began on."""
    began, now = record.get("path", "torch"), _path_name(path)
    if now == began:
        return ()
    return (
        f"this run began on the path {began} and goes on on {now}, whose roundings differ: it "
        "will not end with exactly the same weights",
    )


def _other_measure(record: Mapping[str, Any], plan: Plan) -> tuple[str, ...]:
    """A note where a run was begun by a version that measured it in another way."""
    if not plan.sliding or "validation_history" in record:
        return ()
    return (
        "the version that began this run measured it with its state carried on; from here on it is "
        f"shown {plan.seq_len} tokens, as in training, so the figures before cannot be compared",
    )


def _absolute(path: str | Path) -> str:
    return "-" if str(path) == "-" else str(Path(path).absolute())


def _request(options: TrainOptions, parent_name: str) -> dict[str, Any]:
    """What was asked for, as the record keeps it; a run may be resumed from another folder."""
    val = options.val if validation_share(options.val) is not None else _absolute(options.val)
    vectors = options.vectors
    if vectors is not None and vectors != WORD2VEC:
        vectors = _absolute(vectors)
    return {**options.to_dict(), "val": val, "vectors": vectors, "from": parent_name or None}


def _options_of(record: Mapping[str, Any]) -> TrainOptions:
    request = dict(record["request"])
    request.pop("from", None)
    return TrainOptions(**{**request, "corpus": CorpusOptions(**request["corpus"])})


def _refuse_other_options(
    folder: Path,
    ours: Mapping[str, Any],
    theirs: Mapping[str, Any],
    given: Collection[str] | None,
) -> None:
    """A resumed run goes on as it was planned; options that say otherwise are refused."""
    default, ours, theirs = map(_flat, (_request(TrainOptions(), ""), ours, theirs))
    ours = default | ours  # A run of an older version knew fewer options.
    for name, value in theirs.items():
        spelled_out = value != default[name] if given is None else name in given
        if spelled_out and value != ours[name]:
            raise RunFolderError(
                f"the run in {folder} was started with {name} = {ours[name]}, not {value}; "
                "resume it without that option, or start a new run with another --out"
            )


def _flat(request: Mapping[str, Any]) -> dict[str, Any]:
    """Each option by its own name, those on reading the text too."""
    rest = {name: value for name, value in request.items() if name != "corpus"}
    return {**rest, **request["corpus"]}


def _refuse_other_text(
    folder: Path, record: Mapping[str, Any], paths: Sequence[str | Path]
) -> None:
    asked = [_absolute(path) for path in paths]
    if asked and asked != record["paths"]:
        raise RunFolderError(
            f"the run in {folder} trains on {', '.join(record['paths'])}, not on "
            f"{', '.join(asked)}; resume it by its folder alone: textgen train "
            f"{shlex.quote(str(folder))} --resume, or start a new run with another --out"
        )
