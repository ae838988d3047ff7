"""How a run begins: the text is read, what was left open is chosen, the folder is locked.

A model that is trained further (fine-tuning) gives the run its shape, its symbols and its first
weights; symbols that only the new text has are added to them.
"""

from __future__ import annotations

import math
import os
import platform
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from textgen.cells import BUILT_IN, get_cell
from textgen.checkpoint import RESUME_NAME, SavedModel, has_checkpoint, locate_model
from textgen.corpus.corpus import Corpus
from textgen.corpus.corpus_options import CorpusOptions
from textgen.corpus.label_sources import documents_with_labels
from textgen.corpus.source import check_paths
from textgen.corpus.text_stream import FileReport
from textgen.corpus.vocabulary import END_ID, UNKNOWN_ID, Vocabulary
from textgen.corpus.windows import Tokens, count_tokens
from textgen.errors import ConfigError, RunFolderError, named
from textgen.files import make_folder
from textgen.messages import Message, call
from textgen.model.config import ModelConfig
from textgen.model.engine import OWN_CELL, choose_engine
from textgen.model.initialise import start_from_counts
from textgen.model.network import Engine
from textgen.options import WORD2VEC, TrainOptions, validation_share
from textgen.runtime import (
    Choice,
    available_memory,
    choose_device,
    choose_threads,
    computing_threads,
    process_rank,
)
from textgen.terminal.humanize import listed, plural
from textgen.training.data import TrainingData, corpus_record, open_data
from textgen.training.folder import (
    RunState,
    again_folder,
    refuse_occupied,
    run_folder,
)
from textgen.training.launch import check_gpus, may_be_restarted, open_ranks, was_restarted
from textgen.training.plan import Plan, repeat_command
from textgen.training.ranks import ALONE, Crew, require_streams
from textgen.training.resume import (
    More,
    absolute,
    file_digest_of,
    parse_more,
    request_of,
    resumed_run,
)
from textgen.training.run import Run
from textgen.training.run_record import RunRecord
from textgen.training.sizing import (
    DEFAULT_BUDGET,
    LSTM,
    draft,
    finish,
    has_rare_words,
    refuse_beyond_memory,
    usual_cell,
)
from textgen.training.speed import measure_timing, probe_speed
from textgen.training.trainer import first_weights, open_trainer, path_name
from textgen.training.vectors import file_vectors, require_vectors, with_vectors
from textgen.version import __version__

Floats = NDArray[np.float32]

#: Files of which each is told its encoding; of more than that the encodings are counted.
_FILES_SHOWN = 3
#: What a vocabulary counts, by level.
_SYMBOLS = {
    "char": "different characters, and two marks: unknown, end of a document",
    "byte": "different bytes, and two marks: unknown, end of a document",
    "word": "words, the characters that spell rare ones, and two marks: unknown, end of a document",
}
#: The same of words where rare ones are not spelled.
_WORDS = "words, what stands between them, and two marks: unknown word, end of a document"

#: The new symbols together start this many nats below the sum of all others. Their share of the
#: probability, e^-20 = 2e-9, changes the figures of the old text by less than float32 can show.
NEW_SYMBOL_NATS = 20.0
#: Tokens of the new text on which the size of that sum is looked at.
_LOOK_TOKENS = 512
#: What a fine-tuned model has from its parent: its shape, and how it reads a text.
_SHAPE = (
    *("cell", "nonlinearity", "hidden_size", "num_layers", "embedding_size"),
    *("tie", "residual"),
)
_READING = ("fold", "newlines", "nfc")


@contextmanager
def open_run(
    paths: Sequence[str],
    options: TrainOptions,
    out: str | Path | None = None,
    *,
    resume: bool = False,
    more: str | None = None,
    force: bool = False,
    from_: str | None = None,
    given: Collection[str] | None = None,
    compared: bool = False,
    stdin: BinaryIO | None = None,
) -> Iterator[Run]:
    """Open a new run, or one that goes on.

    A process that `torchrun` has started takes its share of the run. It goes on with a run that is
    there already without being asked: after a failure `torchrun` starts all processes again with
    the same words.

    Args:
        paths: Texts; with `resume` or `more` also none, or the folder of a run alone.
        options: What was asked for.
        out: The folder of the run; None names it after the first text.
        resume: Go on with the run that is there.
        more: Train the finished run that is there longer; see `textgen.training.resume.parse_more`.
        force: Replace the run that is there.
        from_: A model to train further: a file, the folder of a run, or a name.
        given: As in `resumed_run`.
        compared: As in `resumed_run`.
        stdin: What the path `-` reads.
    Yields:
        The run; the folder is locked until the block is left.
    Raises:
        ConfigError: No text is named, or two settings contradict each other.
    """
    longer = None if more is None else parse_more(more)
    if force and (resume or longer):
        asked = named("resume" if longer is None else "more")
        raise ConfigError(f"{asked} goes on with a run, {named('force')} replaces it; give one")
    with nullcontext(ALONE) if compared else open_ranks() as ranks:
        if ranks.world > 1 and stdin is not None:
            raise ConfigError(
                "standard input can be read once, and each of several processes reads the text; "
                "write it to a file first"
            )
        if not compared and process_rank() is not None:
            found = ranks.broadcast(
                ranks.alone(lambda: _going_on_unasked(paths, out, force, longer))
            )
            resume, longer = resume or found != "new", None if found == "resume" else longer
            force = force and not resume
        if resume or longer:
            if len(paths) == 1 and out is None and (folder := _run_named(paths[0])):
                paths, out = [], folder
            opened = resumed_run(
                run_folder(paths, out),
                asked=options,
                paths=paths,
                parent_name=from_ or "",
                given=given,
                compared=compared,
                more=longer,
                stdin=stdin,
                ranks=ranks,
            )
        else:
            own = run_folder(paths, out if paths else None)  # Which refuses where there is no text.
            for path in paths:
                if has_checkpoint(path) and not any(Path(path).glob("**/*.txt*")):
                    raise ConfigError(
                        f"{path} is the folder of a run and contains no text; continue the run: "
                        f"{call('train', path, resume=True)}, or train it for longer: "
                        f"{call('train', path, more='2m')}"
                    )
            opened = new_run(
                paths, options, own, force=force, parent=from_, stdin=stdin, ranks=ranks
            )
        with opened as run:
            yield run


@contextmanager
def new_run(
    paths: Sequence[str | Path],
    options: TrainOptions,
    folder: Path,
    *,
    force: bool = False,
    parent: str | None = None,
    cache: Path | None = None,
    stdin: BinaryIO | None = None,
    ranks: Crew = ALONE,
) -> Iterator[Run]:
    """Prepare a run.

    Args:
        folder: Where the run is kept.
        parent: A model to train further: a file, the folder of a run, or a name.
        cache: The folder of encoded corpora; None is that of the user.
        ranks: The processes that train it together; the folder and the texts are there for all.
        paths, options, force, stdin: As in `open_run`.
    Yields:
        The run; the folder is locked until the block is left.
    Raises:
        RunFolderError: There is a run already and `force` is not set, or the folder is locked.
        TextgenError: The text, an option or the device is unusable.
    """
    # What is wrong with the command is said first, then what is wrong with the disk.
    request = request_of(options, parent or "")
    path, device_choice, threads = check_request(paths, options, fine_tuned=parent is not None)
    check_gpus(path.device, ranks)
    saved = None if parent is None else SavedModel.load(locate_model(parent))
    asked = options
    if saved is not None:
        options = parent_options(options, saved)
        path = choose_engine(saved.config.cell_spec, path.device, options.precision, threads.value)
    ranks.alone(lambda: refuse_occupied(folder, force))
    # The first process leaves the encoded text in the cache, where the others find it.
    data = ranks.in_turn(
        lambda: open_data(
            paths,
            options,
            parent=None if saved is None else saved.vocabulary,
            labels=() if saved is None else saved.config.labels,
            # A frozen embedding cannot learn the vector of a new symbol.
            extend=not options.frozen_embedding,
            cache=cache,
            stdin=stdin,
        )
    )
    if data.corpus.list_reason is not None:
        # What repeats the run says so: a later version may judge otherwise.
        options = replace(options, corpus=replace(options.corpus, documents="line"))
    options, vectors = file_vectors(options, data.corpus.vocabulary)
    with computing_threads(threads.value, torch=path.name != "native"):
        plan, choices = _plan(options, data, path, further=saved is not None, ranks=ranks)
        choices = _of_parent(choices, asked, saved)
        ranks.alone(lambda: make_folder(folder))
        with ranks.locked(folder):
            ranks.alone(lambda: refuse_occupied(folder, force))
            weights: Mapping[str, Floats]
            if saved is None:
                drawn, start = _first_weights(options, plan, data)
                weights, about = with_vectors(drawn, options, plan, data, vectors)
                about = (*start, *about)
            else:
                vocabulary = data.corpus.vocabulary
                weights = extended_weights(saved, plan.model, vocabulary, data.train)
                about = (taken_over(parent or "", saved, vocabulary),)
            windows = data.windows(plan, ranks.share)
            trainer = open_trainer(plan, path, windows, weights, ranks)
            all_choices = (*_given(data, device_choice, threads, path), *about, *choices)
            again = again_folder(folder)
            record: RunRecord = {
                "paths": [absolute(p) for p in paths],
                "request": request,
                "corpus": corpus_record(data),
                "choices": [choice.to_dict() for choice in all_choices],
                "command": repeat_command(paths, options, plan, folder=again, parent=parent or ""),
                "again": str(again),
                "vectors": file_digest_of(options.vectors),
                "versions": _versions(path),
                "threads": threads.value,
                "processes": ranks.world,
                "precision": path.precision,
                "device": path.device,
                "path": path_name(path),
                "parent": parent or None,
                # Tokens that the network sees when it is measured; None: its state is carried on.
                "validation_history": plan.seq_len if plan.sliding else None,
            }
            state = RunState(
                plan=plan,
                record=record,
                vocabulary=data.corpus.vocabulary,
                normalization=data.corpus.normalization,
                primer=data.primer,
            )
            yield Run(folder, state, data, trainer, _notes(data, options, saved))


def check_request(
    paths: Sequence[str | Path], options: TrainOptions, *, fine_tuned: bool = False
) -> tuple[Engine, Choice, Choice]:
    """Refuse what a new run cannot do, before a text is read or a folder looked at.

    Args:
        fine_tuned: Whether a model gives the run its cell and its vectors.
    Returns:
        What computes, and the choices of the device and of the threads.
    Raises:
        TextgenError: An option has an impossible value, or a file is missing.
    """
    # The usual cell, which is not chosen yet, is computed by what computes an LSTM. A parent's
    # nonlinearity may be named without its cell.
    cell = get_cell(options.cell or LSTM, "tanh" if fine_tuned else options.nonlinearity)
    threads = choose_threads(options.threads)
    device, choice = choose_device(options.device)
    path = choose_engine(cell, device, options.precision, threads.value)
    if not fine_tuned:
        require_vectors(options)
    check_paths([*paths, *_other_files(options)])
    return path, choice, threads


def _going_on_unasked(
    paths: Sequence[str], out: str | Path | None, force: bool, longer: More | None
) -> str:
    """What a process that `torchrun` started does with a run that is there.

    Returns:
        `resume`; `more` where it is to be trained longer and has not begun that; `new` where there
        is none, or another is to take its place.
    """
    named_run = _run_named(paths[0]) if len(paths) == 1 and out is None else None
    folder = Path(named_run) if named_run else run_folder(paths, out)
    if not (folder / RESUME_NAME).exists():
        return "new"
    is_first = not was_restarted()
    begun = force
    if longer is not None:
        state = RunState.load(folder / RESUME_NAME)
        begun = [part["asked"] for part in state.record.get("more", [])][-1:] == [longer.asked]
    if is_first and begun and may_be_restarted():
        # After a loss nobody could tell what this start has done from what was there before.
        raise RunFolderError(
            f"{folder} holds a run already, and a process that torchrun starts anew would take it "
            "for its own; give another folder, or start torchrun so that it starts none anew"
        )
    if longer is None:
        return "new" if force and is_first else "resume"
    return "resume" if begun and not is_first else "more"


def _run_named(name: str) -> str | None:
    """The folder of a run that a path means: itself, or of that name under `checkpoints`."""
    if has_checkpoint(name):
        return name
    below = Path("checkpoints") / name
    return str(below) if not os.path.exists(name) and has_checkpoint(below) else None


def _other_files(options: TrainOptions) -> Iterator[str]:
    """Files besides the text that a run reads."""
    if validation_share(options.val) is None:
        yield options.val
    if options.vectors is not None and options.vectors != WORD2VEC:
        yield options.vectors


def _first_weights(
    options: TrainOptions, plan: Plan, data: TrainingData
) -> tuple[Mapping[str, Floats], tuple[Choice, ...]]:
    """The drawn weights, those of many words changed for them; and what is to be said of that."""
    drawn, model = first_weights(plan), plan.model
    if model.has_vector_output or not has_rare_words(options, data.facts):
        return drawn, ()
    counts_V = count_tokens(data.train, model.vocab_size)
    # A tied vector is the output's weight as well, and a frozen or a given one stays as it is.
    shorten = not (model.tie or model.frozen_embedding or options.vectors)
    reason = "the first prediction of a word is its share of the text"
    if shorten:
        reason += ", and all words have short vectors, so that rare ones disturb less"
    return start_from_counts(drawn, counts_V, shorten=shorten), (
        Choice("start", "word counts", reason),
    )


def _plan(
    options: TrainOptions, data: TrainingData, path: Engine, *, further: bool, ranks: Crew
) -> tuple[Plan, tuple[Choice, ...]]:
    cell = usual_cell(options, data.facts, path)
    options = replace(options, cell=cell.value)
    budgeted = options.steps is None and options.epochs is None
    speed = probe_speed(path, cell.value, options.nonlinearity, ranks) if budgeted else None
    drafted = draft(options, data.facts, speed, further=further)
    require_streams(ranks, drafted.plan.batch_size)
    refuse_beyond_memory(
        drafted.plan, available_memory(path.device), device=path.device, processes=ranks.world
    )
    budget = None if drafted.plan.steps else options.budget or DEFAULT_BUDGET
    timing = measure_timing(drafted.plan, data, path, budget, ranks=ranks)
    plan, choices = finish(drafted, options, data.facts, timing)
    return plan, (cell, *drafted.choices, *choices)


def _given(data: TrainingData, device: Choice, threads: Choice, path: Engine) -> tuple[Choice, ...]:
    vocabulary = data.corpus.vocabulary
    return (
        *_encodings(data.corpus),
        Choice("vocabulary", len(vocabulary), _vocabulary_reason(data)),
        *_of_parts(data),
        Choice("validation", len(data.val), f"tokens to measure the model on: {data.val_source}"),
        device,
        threads,
        Choice("path", path_name(path), path.reason),
        Choice("precision", path.precision, "of the numbers that are multiplied; sums are float32"),
    )


def _vocabulary_reason(data: TrainingData) -> str:
    if data.corpus.vocabulary.spelled:
        return _SYMBOLS[data.corpus.vocabulary.level]
    if not data.unknown_share:
        return f"{_WORDS}; it has every word of the text"
    return (
        f"{_WORDS}; {data.unknown_share:.1%} of the text's words are rarer ones, which are read as "
        "unknown and never written"
    )


def _encodings(corpus: Corpus) -> tuple[Choice, ...]:
    """A choice for each file, or for each encoding where there are many files."""
    files = corpus.files
    if len(files) <= _FILES_SHOWN:
        return tuple(
            Choice("encoding", report.encoding, f"{report.path}: {report.reason}")
            for report in files
        )
    groups: dict[str, list[FileReport]] = {}
    for report in files:
        groups.setdefault(report.encoding, []).append(report)
    choices = [Choice("files", len(files), f"{corpus.chars:,} characters in all")]
    for encoding, reports in sorted(groups.items(), key=lambda group: -len(group[1])):
        # The report that is least sure says most.
        report = min(reports, key=lambda report: report.confidence)
        count = f"{len(reports):,} of {len(files):,} files, such as"
        choices.append(Choice("encoding", encoding, f"{count} {report.path}: {report.reason}"))
    return tuple(choices)


def _of_parent(
    choices: tuple[Choice, ...], asked: TrainOptions, parent: SavedModel | None
) -> tuple[Choice, ...]:
    """The choices, with the reason of those that a parent has made."""
    if parent is None:
        return choices
    return tuple(
        replace(choice, reason="that of the model that is trained further")
        if choice.name in _SHAPE and getattr(asked, choice.name) is None
        else choice
        for choice in choices
    )


def _of_parts(data: TrainingData) -> Iterator[Choice]:
    """What the text is made of: documents, pairs; nothing of one text."""
    options = data.corpus.options
    if (lengths := data.lengths) is not None:
        reason = (
            f"{documents_with_labels(options.documents, options.label_from)}; the shortest has "
            f"{lengths.shortest:,} characters, the median {lengths.median:,}, the longest "
            f"{lengths.longest:,}"
        )
        if (why := data.corpus.list_reason) is not None:
            # The row of the table has the name of the option.
            reason = f"{reason}. It is {why}. Give 'file' to read it as one text instead"
        yield Choice("documents", lengths.count, reason)
    if (label_D := data.corpus.label_D) is not None:
        counts = np.bincount(label_D, minlength=len(data.corpus.labels) + 1)
        names = [
            f"{name} ({plural(int(count), 'document')})"
            for name, count in zip(data.corpus.labels, counts[1:], strict=True)
        ]
        none = f"; {plural(int(counts[0]), 'document has', 'documents have')} none"
        reason = f"voices of one model: {listed(names)}{none if counts[0] else ''}"
        yield Choice("labels", len(data.labels), reason)
    if data.separator is not None:
        reason = "a source is read, its target is written; only the targets count"
        yield Choice("pairs", data.corpus.documents, reason)


def _versions(path: Engine) -> dict[str, str]:
    """The versions of everything that computes."""
    versions = {"textgen": __version__}
    if path.name != "native":
        versions["torch"] = metadata.version("torch")
    return versions | {
        "numpy": np.__version__,
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
    }


def _notes(data: TrainingData, options: TrainOptions, parent: SavedModel | None) -> Iterator[str]:
    """What a person should know of the model that a new run begins with."""
    if parent is not None and parent.reads_pairs and not options.pairs:
        yield Message(
            "the model that is trained further writes the targets of pairs, and this run trains it "
            "on plain text, which it will write afterwards; for more pairs add "
            + named("pairs", True)
        )
    # Other notes tell of bytes that stand for no character.
    lost = sum(file.replaced for file in data.corpus.files)
    unknown = data.corpus.unknown_chars - lost
    spells = data.corpus.vocabulary.spelled
    if parent is not None and spells and unknown > 0 and options.corpus.min_count == 1:
        yield Message(
            f"{unknown:,} of the {data.corpus.chars:,} characters of the text are unknown to "
            "the model that is trained further, whose frozen embedding learns no new ones; add "
            + named("freeze_embedding", False)
        )
    if (val := data.val_corpus) is not None and val.unknown_chars:
        yield (
            f"{val.unknown_chars:,} of the {val.chars:,} characters of {options.val} "
            f"({val.unknown_chars / val.chars:.2%}) are unknown to the model: the training text "
            "has none like them, so each counts as the unknown character"
            if spells
            else f"{val.unknown_tokens:,} of the {len(val):,} tokens of {options.val} "
            f"({val.unknown_tokens / len(val):.2%}) are words that the model does not know; each "
            "counts as the unknown word, and its letters are charged to it"
        )
    if options.cell not in (None, *BUILT_IN):
        yield OWN_CELL.format(name=options.cell)


def parent_options(options: TrainOptions, parent: SavedModel) -> TrainOptions:
    """The options with the parent's shape and tokens, which a fine-tuned model keeps.

    Raises:
        ConfigError: Something else was asked for.
    """
    shape, normalization = parent.config, parent.normalization
    default = TrainOptions()
    if (options.members or 1) > 1:
        raise ConfigError(
            f"{named('members', options.members)}: the model given by {named('from_')} is trained "
            f"further as one network; leave {named('members')} out"
        )
    _check_loss(options, shape)
    kept_corpus = {
        "level": parent.vocabulary.level,
        **{name: getattr(normalization, name) for name in _READING},
        "spell_rare": parent.vocabulary.level == "word" and parent.vocabulary.spelled,
    }
    kept_shape = {name: getattr(shape, name) for name in _SHAPE}
    for asked, usual, kept in (
        (options, default, kept_shape),
        (options.corpus, default.corpus, kept_corpus),
    ):
        for name, own in kept.items():
            value = getattr(asked, name)
            if value not in (getattr(usual, name), own):
                raise ConfigError(
                    f"{named(name)} {value} was asked for, but the model given by "
                    f"{named('from_')} has {own}; leave it out"
                )
    return replace(
        options,
        corpus=replace(options.corpus, **kept_corpus),
        **kept_shape,
        loss="distance" if shape.has_vector_output else "cross-entropy",
        distance=shape.head if shape.has_vector_output else None,
        freeze_embedding=shape.frozen_embedding
        if options.freeze_embedding is None
        else options.freeze_embedding,
    )


def taken_over(name: str, parent: SavedModel, vocabulary: Vocabulary) -> Choice:
    """What a fine-tuned model with that vocabulary has from its parent, `name`, in one line."""
    marks = UNKNOWN_ID + 1
    kept, added = len(parent.vocabulary) - marks, len(vocabulary) - len(parent.vocabulary)
    shape, own = parent.config, parent.normalization
    usual = CorpusOptions()
    reading = [
        words
        for words, differs in (
            (f"level {vocabulary.level}", vocabulary.level != usual.level),
            ("lower case, letters only", own.fold),
            ("line ends as they are", not own.newlines),
            ("characters not composed", not own.nfc),
        )
        if differs
    ]
    step = parent.info.get("metrics", {}).get("step")
    reason = (
        f"weights of {name}: {shape.cell} {shape.num_layers} x {shape.hidden_size}"
        + (f", at step {step:,}" if isinstance(step, int) else "")
        + (f"; the text is read as its was: {', '.join(reading)}" if reading else "")
    )
    return Choice("from", f"{kept:,} symbols kept, {added:,} new", reason)


def _check_loss(options: TrainOptions, shape: ModelConfig) -> None:
    if options.vectors is not None:
        raise ConfigError(
            f"{named('vectors')} {options.vectors} was asked for, but the model given by "
            f"{named('from_')} has vectors of its own, which its weights were trained with; leave "
            "it out"
        )
    if options.loss == "distance" and options.head != shape.head:
        raise ConfigError(
            f"{named('loss')} distance ({options.head}) was asked for, but the head of the model "
            f"given by {named('from_')} is: {shape.head}; leave it out"
        )


def extended_weights(
    parent: SavedModel, config: ModelConfig, vocabulary: Vocabulary, text: Tokens
) -> Mapping[str, Floats]:
    """The parent's weights, with rows for the symbols and labels that the parent lacks.

    `text`, in ids of `vocabulary`, is looked at for the size of the logits. The cost of a text
    without new symbols is what the parent gives.
    """
    added = len(vocabulary) - len(parent.vocabulary)
    weights = dict(parent.weights)
    if config.labels:
        rows = np.zeros(config.tensor_shapes()["labels.weight"], np.float32)
        rows[: len(parent.config.labels)] = weights.get("labels.weight", 0.0)
        weights["labels.weight"] = rows
    if added == 0:
        return weights
    floor = _least_logsumexp(parent, text) - NEW_SYMBOL_NATS - math.log(added)
    for name in ("embedding.weight", "head.weight"):
        if name in weights:
            old = weights[name]
            weights[name] = np.concatenate([old, np.zeros((added, old.shape[1]), np.float32)])
    bias = weights["head.bias"]
    weights["head.bias"] = np.concatenate([bias, np.full(added, floor, np.float32)])
    assert all(weights[name].shape == shape for name, shape in config.tensor_shapes().items())
    return weights


def _least_logsumexp(parent: SavedModel, text: Tokens) -> float:
    """The least logarithm of the softmax's denominator that the parent shows on some text."""
    network = parent.network()
    state = network.zero_state()
    ids = [END_ID, *(int(i) for i in text[:_LOOK_TOKENS] if i < len(parent.vocabulary))]
    least = np.inf
    for token in ids:
        logits_BV, state = network.step(np.array([token]), state)
        top = float(logits_BV.max())
        least = min(least, top + float(np.log(np.exp(logits_BV - top).sum())))
    return float(least)
