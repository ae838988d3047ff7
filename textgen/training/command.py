"""The commands that are printed: they repeat a run exactly, go on with it, train it longer."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from textgen.options import WORD2VEC, RunOptions, TrainOptions
from textgen.repeat import command_text
from textgen.training.plan import Plan


def repeat_command(
    paths: Sequence[str | Path],
    options: TrainOptions,
    plan: Plan,
    *,
    folder: str | Path | None = None,
    parent: str = "",
) -> str:
    """`textgen train` with everything that a budget or the hardware decided spelled out.

    Args:
        paths: The texts as they were typed.
        options: What was asked for.
        plan: What became of it.
        folder: Of the new run (`again_folder`); None leaves it to the command.
        parent: The model trained further, as it was typed.
    """
    wanted = RunOptions(from_=parent or None, out=None if folder is None else str(folder))
    return command_text("train", paths, planned_options(options, plan), wanted)


def planned_options(options: TrainOptions, plan: Plan) -> TrainOptions:
    """The options with all that was chosen for this text, this time and this machine.

    What is the same for every run of a version, such as the weight decay, stays as it was asked.
    """
    model = plan.model
    said = model.tie or options.vectors not in (None, WORD2VEC)
    return replace(
        options,
        budget=None,
        epochs=None,
        steps=plan.steps,
        hidden_size=model.hidden_size,
        num_layers=model.num_layers,
        # A tied embedding is as wide as a layer, and a file says how wide its vectors are.
        embedding_size=options.embedding_size if said else model.embedding_size,
        distance=model.head if model.has_vector_output else None,
        dropout=model.dropout,
        history=plan.seq_len if plan.sliding else None,
        seq_len=None if plan.sliding else plan.seq_len,
        batch_size=plan.batch_size,
        learning_rate=plan.optimizer.learning_rate,
    )


def resume_command(folder: str | Path) -> str:
    """Goes on with a run that was stopped."""
    return command_text("train", [folder], RunOptions(resume=True))


def more_command(folder: str | Path, more: str = "2m") -> str:
    """Trains a finished run longer."""
    return command_text("train", [folder], RunOptions(more=more))


def again_folder(folder: Path) -> Path:
    """Where a repeated run is kept: NAME-2 beside NAME, or the first number that is free."""
    if folder.name in ("", ".."):
        folder = folder.resolve()  # `.` has a name of its own.
    stem, dash, number = folder.name.rpartition("-")
    if not (dash and stem and number.isdecimal() and len(number) < 4):
        stem, number = folder.name or "run", "1"
    count = int(number) + 1
    while os.path.lexists(folder.parent / f"{stem}-{count}"):
        count += 1
    return folder.parent / f"{stem}-{count}"
