"""How a run goes on: the command must agree with the run, and the text with what it was.

The record of a run keeps what was asked for (`request_of`) and what was read. A command that
continues the run may repeat that or leave it out; anything else is refused.

A finished run can be trained longer, by a second schedule after the first (`More`). It continues
from its last weights, not its best ones, with the optimiser's moments, the streams' state and the
place in the text where it ended. The learning rate rises and falls once more. All of that is in the
resumable state, so a run that is trained longer can be stopped and resumed like any other.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO, cast

from textgen.checkpoint import RESUME_NAME
from textgen.corpus.corpus import Corpus, CorpusRecord, TextRecord
from textgen.corpus.corpus_options import CorpusOptions
from textgen.corpus.source import check_paths
from textgen.corpus.text_stream import is_same_text
from textgen.errors import (
    CheckpointError,
    ConfigError,
    RunFolderError,
    StorageError,
    TextgenError,
    named,
)
from textgen.messages import call
from textgen.model.engine import choose_engine
from textgen.model.network import Engine
from textgen.options import (
    MOST_LENGTH,
    MOST_STEPS,
    WORD2VEC,
    RunOptions,
    TrainOptions,
    validation_share,
)
from textgen.runtime import (
    Choice,
    available_memory,
    choose_device,
    choose_threads,
    computing_threads,
    parse_duration,
)
from textgen.settings import typed_words
from textgen.terminal.humanize import plural, times
from textgen.terminal.text import command_line
from textgen.training.data import reopen_data
from textgen.training.folder import RunState, again_folder, cut_metrics
from textgen.training.launch import check_gpus
from textgen.training.plan import Plan, more_command
from textgen.training.ranks import ALONE, Crew, require_streams
from textgen.training.run import Run
from textgen.training.run_record import RequestRecord, RunRecord, VectorsRecord, options_of
from textgen.training.sizing import (
    TextFacts,
    Timing,
    refuse_beyond_memory,
    steps_within,
    with_pauses,
    with_rhythm,
)
from textgen.training.speed import measure_timing
from textgen.training.trainer import open_trainer, path_name

#: Settings that say how long a run is.
_LENGTHS = ("budget", "epochs", "steps")
_COUNTED = re.compile(r"(\d+(?:\.\d+)?)\s*(steps?|epochs?)")


@dataclass(frozen=True)
class More:
    """How much longer: one of the three is given.

    Args:
        asked: As it was typed.
        seconds: Wall time.
        epochs: Passes over the training text.
        steps: Updates.
    """

    asked: str
    seconds: float | None = None
    epochs: float | None = None
    steps: int | None = None


def parse_more(text: str) -> More:
    """How much longer a text says: `2m`, `90s`, `500steps` or `3epochs`.

    Raises:
        ConfigError: It is not a length, or does not say of what.
    """
    text = str(text).strip()
    if re.fullmatch(r"[+-]?\d+(\.\d+)?", text):
        raise ConfigError(
            f"{named('more')} {text} does not say of what; type {text}steps, {text}s (seconds) or "
            f"{text}epochs"
        )
    match = _COUNTED.fullmatch(text.lower())
    if match is None:
        try:
            return More(text, seconds=parse_duration(text))
        except ConfigError as error:
            raise ConfigError(
                f"{named('more')} '{text}' is not a length; type it like 2m, 90s, 500steps or "
                "3epochs"
            ) from error
    number, unit = match.groups()
    if float(number) > (MOST_STEPS if unit.startswith("step") else MOST_LENGTH):
        raise ConfigError(f"{named('more')} {text:.40} is too long; leave out some zeros")
    if float(number) <= 0:
        raise ConfigError(f"{named('more')} {text} is nothing; give a number above zero")
    if unit.startswith("epoch"):
        return More(text, epochs=float(number))
    if not number.isdigit():
        raise ConfigError(f"{named('more')} {text}: steps are whole; type {round(float(number))}")
    return More(text, steps=int(number))


@contextmanager
def resumed_run(
    folder: Path,
    *,
    asked: TrainOptions | None = None,
    paths: Sequence[str | Path] = (),
    parent_name: str = "",
    given: Collection[str] | None = None,
    compared: bool = False,
    more: More | None = None,
    cache: Path | None = None,
    stdin: BinaryIO | None = None,
    ranks: Crew = ALONE,
) -> Iterator[Run]:
    """Go on with a run where it was saved last, or train a finished one longer.

    Args:
        folder: The folder of the run.
        asked: The options of the command, which must agree with those of the run; None is those
            of the run.
        paths: The texts that the command names, likewise.
        parent_name: The model that the command trains further, likewise.
        given: Names of the settings that the command spells out, even those at their default; None
            is those that differ from it.
        compared: Whether the run is one of a comparison, whose runs are all equally long.
        more: How much longer a finished run is trained.
        cache: The folder of encoded corpora; None is that of the user.
        stdin: What the path `-` reads.
        ranks: The processes that go on with it, of whatever number.
    Yields:
        The run; the folder is locked until the block is left.
    Raises:
        StorageError: There is nothing to resume.
        RunFolderError: The run was started with other options or on another text, its text has
            changed, or the folder is locked.
    """
    path = folder / RESUME_NAME
    if not path.exists():
        check_paths(paths)
        raise StorageError(
            f"there is no run to resume in {folder} (no {RESUME_NAME}); start one: "
            + call("train", *map(str, paths or ["corpus.txt"]), out=str(folder))
        )
    with ranks.locked(folder):
        state = RunState.load(path)
        record = state.record
        device, _ = choose_device(record["device"])
        options, threads = options_of(record), record["threads"]
        if options.threads is None and ranks.world != record.get("processes", 1):
            # What another number of processes shared out is too much now, or too little.
            threads = choose_threads(None).value
        try:
            choose_threads(threads)
            check_gpus(device, ranks)
            require_streams(ranks, state.plan.batch_size)
            available = available_memory(device)
            refuse_beyond_memory(state.plan, available, device=device, processes=ranks.world)
        except ConfigError as error:  # What is wrong here is the file, or the machine.
            raise CheckpointError(f"{path} cannot be gone on with here: {error.marked}") from error
        refuse_other_text(folder, record, paths)
        spelled = {} if asked is None else spelled_out(request_of(asked, parent_name), given)
        refuse_other_options(folder, state, spelled, compared=compared)
        if more is not None and not state.progress.finished:
            raise RunFolderError(
                f"the run in {folder} was stopped after step {state.progress.step:,} of "
                f"{state.plan.steps:,}; let it come to its end first: {_going_on(folder)}"
            )
        notes = list(
            changed_text(folder, state, paths, spelled, more=more, cache=cache, stdin=stdin)
        )
        data = ranks.in_turn(
            lambda: reopen_data(
                *(record, options, state.vocabulary, state.normalization),
                labels=state.plan.model.labels,
                cache=cache,
            )
        )
        compute = choose_engine(state.plan.model.cell_spec, device, record["precision"], threads)
        with computing_threads(threads, torch=compute.name != "native"):
            if more is not None:
                # Measured from the first step on.
                timing = measure_timing(
                    replace(state.plan, first_step=0), data, compute, more.seconds, ranks=ranks
                )
                state = _extended(state, more, options, data.facts, timing, folder)
                notes.append(_more_note(state.plan))
            plan = state.plan
            windows = data.windows(plan, ranks.share)
            trainer = open_trainer(plan, compute, windows, None, ranks)
            trainer.load(state.progress.step, state.progress.steps_counted, state.tensors)
            step = state.progress.step
            ranks.alone(lambda: cut_metrics(folder, step))
            notes += _other_numbers(record, plan, compute, ranks.world)
            yield Run(folder, state, data, trainer, notes)


def absolute(path: str | Path) -> str:
    """A path as the record keeps it; `-` stays."""
    return "-" if str(path) == "-" else str(Path(path).absolute())


def request_of(options: TrainOptions, parent_name: str) -> RequestRecord:
    """What was asked for, as the record keeps it; a run may be resumed from another folder."""
    val = options.val if validation_share(options.val) is not None else absolute(options.val)
    vectors = options.vectors
    if vectors is not None and vectors != WORD2VEC:
        vectors = absolute(vectors)
    request = {**options.to_dict(), "val": val, "vectors": vectors, "from": parent_name or None}
    return cast(RequestRecord, request)


def spelled_out(request: Mapping[str, Any], given: Collection[str] | None) -> dict[str, Any]:
    """What a command says of a run that is there already, option by option."""
    default, request = _flat(request_of(TrainOptions(), "")), _flat(request)
    return {
        name: value
        for name, value in request.items()
        if (value != default[name] if given is None else name in given)
    }


def _going_on(folder: Path) -> str:
    """What to type to go on with a run."""
    return call("train", str(folder), resume=True)


def refuse_other_options(
    folder: Path, state: RunState, spelled: Mapping[str, Any], *, compared: bool
) -> None:
    """A resumed run goes on as it was planned; options that say otherwise are refused."""
    # A run of an older version knew fewer options.
    ours = _flat(request_of(TrainOptions(), "")) | _flat(state.record["request"])
    for name, value in spelled.items():
        if value == ours[name]:
            continue
        if name in _LENGTHS and not compared:
            raise RunFolderError(_other_length(folder, state, name, value))
        began = f"with {named(name)} = {ours[name]}, not {value}"
        if ours[name] is None:
            began = f"without {named(name)}, which is now {value}"
        raise RunFolderError(
            f"the run in {folder} was started {began}; resume it without that option: "
            f"{_going_on(folder)}, or start a new run with another {named('out')}"
        )


def _other_length(folder: Path, state: RunState, name: str, value: Any) -> str:
    """What to type where a run that is there is asked to be of another length."""
    step, steps = state.progress.step, state.plan.steps
    asked = f"{named(name)} {value:.12g}{'s' if name == 'budget' else ''}"
    left = value
    if name == "steps" and state.progress.finished and value > step:
        left = value - step  # To the step that was asked for.
    longer = call("train", str(folder), more=f"{left:.12g}{'s' if name == 'budget' else name}")
    begun = f"the run in {folder} was begun to end at step {steps:,}"
    if state.progress.finished:
        return f"{begun} and has; {asked} does not change that. Train it longer: {longer}"
    return (
        f"{begun} and is at step {step:,}; {asked} does not change that. Let it come to its end "
        f"first: {_going_on(folder)}, then train it longer: {longer}"
    )


def _flat(request: Mapping[str, Any]) -> dict[str, Any]:
    """Each option by its own name, those on reading the text too."""
    rest = {name: value for name, value in request.items() if name != "corpus"}
    return {**rest, **request["corpus"]}


def refuse_other_text(folder: Path, record: RunRecord, paths: Sequence[str | Path]) -> None:
    """Refuse texts of other names than the run's."""
    asked = [absolute(path) for path in paths]
    if asked and asked != record["paths"]:
        check_paths(paths)
        raise RunFolderError(
            f"the run in {folder} trains on {', '.join(record['paths'])}, not on "
            f"{', '.join(asked)}; resume it by its folder alone: {_going_on(folder)}, or start "
            f"a new run with another {named('out')}"
        )


def changed_text(
    folder: Path,
    state: RunState,
    paths: Sequence[str | Path],
    spelled: Mapping[str, Any],
    *,
    more: More | None,
    cache: Path | None,
    stdin: BinaryIO | None,
) -> Iterator[str]:
    """Notes where the files of a run are not what they were when it began.

    A run goes on with the text that it began with, which the cache keeps. A file that the command
    names is taken at its word: one that has changed is refused.

    Raises:
        RunFolderError: A file that is named has changed.
    """
    record, corpus = state.record, state.record["corpus"]
    request = record["request"]
    idle = state.progress.finished and more is None  # Nothing will be learned from the text.
    seen: list[tuple[str, Sequence[str], str, bool]] = []
    if paths or not idle:
        now = _text_now(record["paths"], corpus, stdin if paths else None)
        seen.append(("the text", record["paths"], now, bool(paths)))
    is_named = "val" in spelled
    if (is_named or not idle) and (val := _validation_text(corpus, cache)) is not None:
        now = _text_now([request["val"]], val, None)
        seen.append(("the validation text", [request["val"]], now, is_named))
    if "vectors" in spelled and (vectors := record.get("vectors")) is not None:
        # The weights have them already: only a file that is named is looked at.
        now = "same" if file_digest_of(request["vectors"]) == vectors else "has changed"
        seen.append(("the file of vectors", [str(request["vectors"])], now, True))
    for what, names, now, is_named in seen:
        if now == "same":
            continue
        shown = ", ".join(names)
        if now == "has changed" and is_named:
            further = {"from_": str(folder), "out": str(again_folder(folder))}
            raise RunFolderError(
                f"{what} ({shown}) has changed since the run in {folder} began, and a run "
                f"continues with what it began with. To continue it: {_going_on(folder)}. To train "
                "its model further on what is there now: "
                + call("train", *record["paths"], **further)
            )
        yield f"{what} ({shown}) {now} since this run began; it continues with the old one"


def _validation_text(corpus: CorpusRecord, cache: Path | None) -> TextRecord | None:
    """What is known of a file that validates; None where there is none."""
    if (told := corpus.get("validation_text")) is not None:
        return told
    # An older version kept no more than its place in the cache.
    _, key = corpus.get("keys", ("", None))
    kept = Corpus.from_cache(key, cache) if key else None
    return None if kept is None else cast(TextRecord, kept.summary())


def _text_now(names: Sequence[str], then: TextRecord, stdin: BinaryIO | None) -> str:
    """What became of files: `same`, `has changed`, or `is gone`."""
    if "-" in names and (stdin is None or stdin.isatty()):
        return "same"  # What was read once is in the cache or nowhere.
    sizes = [file["bytes"] for file in then["files"]]
    try:
        check_paths(names)
    except StorageError:
        return "is gone"
    try:
        options = CorpusOptions(**then.get("options", {}))
        same = is_same_text(names, options, sizes=sizes, sha256=then["sha256"], stdin=stdin)
    except TextgenError:
        return "is gone"
    return "same" if same else "has changed"


def file_digest_of(name: str | None) -> VectorsRecord | None:
    """Size and hash of a file of vectors, to see later whether it has changed."""
    if name is None or name == WORD2VEC:
        return None
    with open(name, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return {"bytes": os.fstat(file.fileno()).st_size, "sha256": digest}


def _other_numbers(record: RunRecord, plan: Plan, path: Engine, processes: int) -> Iterator[str]:
    """Notes where a run goes on otherwise than it began: its path, its processes, or how it is
    measured."""
    began, now = record.get("path", "torch"), path_name(path)
    if now != began:
        yield (
            f"this run began on the path {began} and continues on {now}, which rounds differently: "
            "it will not end with exactly the same weights"
        )
    if processes != (before := record.get("processes", 1)):
        yield (
            f"this run began with {plural(before, 'process', 'processes')} and continues with "
            f"{processes}, whose sums round differently: it will not end with exactly the same "
            "weights"
        )
    if plan.sliding and "validation_history" not in record:
        yield (
            "the version that began this run measured it with its state carried on; from here on "
            f"it is shown {plan.seq_len} tokens, as in training, so the figures before cannot be "
            "compared"
        )


def _extended(
    state: RunState,
    more: More,
    options: TrainOptions,
    facts: TextFacts,
    timing: Timing,
    folder: Path,
) -> RunState:
    """The state of a finished run with a second schedule ahead of it."""
    first = state.progress.step
    steps, reason = _more_steps(state.plan, more, options, facts, timing)
    # `eval_tokens` stays, for the best model so far was measured on as many; so does the peak: with
    # a half or a quarter of it a run learned less (docs/log.md).
    plan = replace(state.plan, first_step=first, steps=first + steps)
    plan = with_pauses(with_rhythm(plan, options, steps), options, steps, timing)
    rate = plan.optimizer.learning_rate
    choices = (
        Choice("more", plural(steps, "step"), f"{reason}: steps {first + 1:,} to {plan.steps:,}"),
        Choice("steps", plan.steps, f"{first:,} before, and {steps:,} more"),
        Choice("learning_rate", rate, f"from step {first + 1:,} on; falls to zero once more"),
    )
    record = state.record.copy()
    again = record.get("again")
    if again is None:  # A run of an older version, whose command leaves the folder open.
        again = str(again_folder(folder))
        record["command"] += " " + command_line(typed_words(RunOptions(out=again)))
    record |= {
        "again": again,
        "command": f"{record['command']} && {more_command(again, f'{steps}steps')}",
        "choices": [*record["choices"], *(choice.to_dict() for choice in choices)],
        "more": [
            *record.get("more", []),
            {"asked": more.asked, "first_step": first, "steps": steps, "learning_rate": rate},
        ],
    }
    progress = replace(state.progress, finished=False, reason="", without_best=0)
    return replace(state, plan=plan, record=record, progress=progress)


def _more_note(plan: Plan) -> str:
    """What is and what is not the same as one long run."""
    return (
        f"this run was finished at step {plan.first_step:,} and now continues to step "
        f"{plan.steps:,}: from its last weights, with a learning rate that rises and falls again. "
        f"The result differs from one run of {plan.steps:,} steps, where the learning rate falls "
        "only once. The best model of both parts is kept"
    )


def _more_steps(
    plan: Plan, more: More, options: TrainOptions, facts: TextFacts, timing: Timing
) -> tuple[int, str]:
    """How many steps that are, and why."""
    if more.steps is not None:
        return more.steps, "asked for"
    if more.epochs is not None:
        tokens = facts.train_tokens
        if plan.sliding:
            tokens = (tokens - plan.seq_len) * plan.seq_len
        count = max(1, round(more.epochs * tokens / plan.tokens_per_step))
        return count, f"the text is read {times(more.epochs)} more"
    seconds = more.seconds or 0.0
    steps = steps_within(seconds, timing, options)
    return steps, f"{seconds:g} s at {timing.step * 1e3:.3g} ms a step"
