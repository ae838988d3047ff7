"""`textgen train`."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from typing import TYPE_CHECKING, Annotated, Any

import typer

from textgen.cli.boundary import StopSignals, guarded
from textgen.cli.options import (
    ColorOption,
    DeviceOption,
    DocumentsOption,
    EncodingErrorsOption,
    EncodingOption,
    EndingOption,
    FoldOption,
    JsonOption,
    LevelOption,
    OutOption,
    PathsArgument,
    QuietOption,
    RngOption,
    SkipBadOption,
    ThreadsOption,
)
from textgen.corpus.source import DEFAULT_ENDING
from textgen.errors import ConfigError
from textgen.progress import task
from textgen.terminal.color import ColorMode

if TYPE_CHECKING:
    from textgen.training.events import Ended
    from textgen.training.options import TrainOptions
    from textgen.training.run import Run

#: What may be left of a length that was typed with a blank in it.
_UNIT = re.compile(r"s|secs?|seconds?|m|mins?|minutes?|h|hours?|steps?|epochs?")

_TEXT, _MODEL, _LENGTH, _SPEED = "The text", "The model", "How long", "The machine"


def _option(panel: str, *flags: str, help: str, metavar: str | None = None) -> Any:
    return typer.Option(
        *flags, help=help, metavar=metavar, rich_help_panel=panel, show_default=False
    )


def meant_option(name: str) -> str:
    """The option that is meant: `--hidden_size`, `--num-layers` and `--seed` are understood."""
    from textgen.training.options import meant_flag

    return meant_flag(name)


@guarded
def train_command(
    context: typer.Context,
    paths: PathsArgument = None,
    out: OutOption = None,
    budget: Annotated[
        str | None,
        _option(_LENGTH, "--budget", help="Wall time, like 90s, 3m (the default) or 1h."),
    ] = None,
    epochs: Annotated[
        float | None, _option(_LENGTH, "--epochs", help="Passes over the text, instead.")
    ] = None,
    steps: Annotated[
        int | None, _option(_LENGTH, "--steps", help="Updates, instead: repeats exactly.")
    ] = None,
    patience: Annotated[
        int,
        _option(
            _LENGTH,
            "--patience",
            help="Stop after so many evaluations without a new best. Default: never.",
        ),
    ] = 0,
    resume: Annotated[
        bool,
        _option(
            _LENGTH,
            "--resume",
            help="Go on with the run exactly where it was saved: the same command again, or "
            "the run's folder alone.",
        ),
    ] = False,
    more: Annotated[
        str | None,
        _option(
            _LENGTH,
            "--more",
            metavar="LENGTH",
            help="Train a finished run longer, by 2m, 500steps or 3epochs: textgen train RUN "
            "--more 2m.",
        ),
    ] = None,
    force: Annotated[
        bool, _option(_LENGTH, "--force", help="Replace the run that is in the folder.")
    ] = False,
    from_checkpoint: Annotated[
        str | None,
        _option(
            _LENGTH, "--from", metavar="MODEL", help="Train this model further on another text."
        ),
    ] = None,
    level: LevelOption = "char",
    fold: FoldOption = False,
    min_count: Annotated[
        int,
        _option(_TEXT, "--min-count", help="Rarer characters count as unknown. Default: 1."),
    ] = 1,
    min_word_count: Annotated[
        int,
        _option(
            _TEXT, "--min-word-count", help="At word level rarer words are spelled. Default: 2."
        ),
    ] = 2,
    max_words: Annotated[
        int,
        _option(_TEXT, "--max-words", help="At word level, words at most. Default: 30000."),
    ] = 30_000,
    documents: DocumentsOption = None,
    pairs: Annotated[
        bool,
        _option(
            _TEXT,
            "--pairs",
            help="Each line is a pair, SOURCE, a TAB, TARGET: learn to write the target after the "
            "source was read. Only the targets count. What validates is drawn by the source.",
        ),
    ] = False,
    encoding: EncodingOption = None,
    encoding_errors: EncodingErrorsOption = "strict",
    ending: EndingOption = DEFAULT_ENDING,
    skip_bad: SkipBadOption = False,
    keep_newlines: Annotated[
        bool, _option(_TEXT, "--keep-newlines", help="Leave \\r\\n and \\r as they are.")
    ] = False,
    no_nfc: Annotated[
        bool, _option(_TEXT, "--no-nfc", help="Leave characters uncomposed (no Unicode NFC).")
    ] = False,
    val: Annotated[
        str,
        _option(
            _TEXT,
            "--val",
            metavar="SHARE|FILE",
            help="Share of the text that validates, the end of one text or documents drawn from "
            "many; or a file. Default: 0.1.",
        ),
    ] = "0.1",
    cell: Annotated[
        str,
        _option(
            _MODEL,
            "--cell",
            metavar="CELL",
            help="The recurrent cell: lstm (the default), gru, rnn, peephole, coupled, "
            "depth-gated or mlstm.",
        ),
    ] = "lstm",
    nonlinearity: Annotated[
        str,
        _option(
            _MODEL,
            "--nonlinearity",
            metavar="tanh|relu|identity",
            help="Of the cell rnn. Default: tanh.",
        ),
    ] = "tanh",
    hidden: Annotated[int | None, _option(_MODEL, "--hidden", help="Units of a layer.")] = None,
    layers: Annotated[int | None, _option(_MODEL, "--layers", help="Recurrent layers.")] = None,
    embedding: Annotated[
        str | None,
        _option(
            _MODEL,
            "--embedding",
            metavar="N|word2vec|FILE",
            help="Width of a symbol's vector; or where the vectors come from: word2vec learns them "
            "on the training text first (word2vec:100 for their width), or a file of word2vec or "
            "fastText (.vec, .bin, also .gz).",
        ),
    ] = None,
    freeze_embedding: Annotated[
        bool | None,
        _option(
            _MODEL,
            "--freeze-embedding/--train-embedding",
            help="Whether the vectors stay as they are. Default: trained; with --loss distance "
            "frozen.",
        ),
    ] = None,
    loss: Annotated[
        str,
        _option(
            _MODEL,
            "--loss",
            metavar="cross-entropy|distance",
            help="Of the scores of all symbols, or the distance of the output, a vector, from the "
            "next symbol's vector. Default: cross-entropy.",
        ),
    ] = "cross-entropy",
    distance: Annotated[
        str | None,
        _option(
            _MODEL,
            "--distance",
            metavar="euclidean|cosine",
            help="Of --loss distance. Default: euclidean.",
        ),
    ] = None,
    dropout: Annotated[
        float | None, _option(_MODEL, "--dropout", help="Share of units dropped in training.")
    ] = None,
    tie: Annotated[
        bool, _option(_MODEL, "--tie", help="Use the embedding as the output's weight too.")
    ] = False,
    residual: Annotated[
        bool,
        _option(
            _MODEL,
            "--residual",
            help="Add each layer's input to its output, from the second layer on.",
        ),
    ] = False,
    seq_len: Annotated[
        int | None, _option(_MODEL, "--seq-len", help="Tokens that gradients reach back.")
    ] = None,
    history: Annotated[
        int | None,
        _option(
            _MODEL,
            "--history",
            help="Train on the lecture's sliding windows of so many tokens instead.",
        ),
    ] = None,
    batch_size: Annotated[
        int | None, _option(_MODEL, "--batch-size", help="Streams read side by side.")
    ] = None,
    learning_rate: Annotated[
        float | None, _option(_MODEL, "--learning-rate", "--lr", help="Its peak.")
    ] = None,
    weight_decay: Annotated[
        float | None, _option(_MODEL, "--weight-decay", help="Decay of the matrices.")
    ] = None,
    clip: Annotated[
        float | None, _option(_MODEL, "--clip", help="Largest norm of the gradient.")
    ] = None,
    rng: RngOption = 1,
    device: DeviceOption = "auto",
    precision: Annotated[
        str, typer.Option("--precision", metavar="auto|fp32|bf16", help="Of the products.")
    ] = "auto",
    threads: ThreadsOption = None,
    eval_every: Annotated[
        int | None, _option(_SPEED, "--eval-every", help="Steps between evaluations.")
    ] = None,
    save_every: Annotated[
        int | None, _option(_SPEED, "--save-every", help="Steps between saves.")
    ] = None,
    explain: Annotated[
        bool,
        typer.Option("--explain", help="Show every setting with the reason for it, not five."),
    ] = False,
    json_output: JsonOption = False,
    quiet: QuietOption = False,
    color: ColorOption = ColorMode.AUTO,
) -> None:
    """Train a model on text.

    Everything left out is chosen from the text, the time and the machine, and printed with its
    reason: the main settings, with --explain all. Ctrl-C saves the run; --resume goes on with it.

    textgen train corpus.txt --budget 1m

    textgen train letters/ diary.txt.gz --out checkpoints/mine

    textgen train checkpoints/mine --resume

    textgen train checkpoints/mine --more 2m
    """
    answer = "" if json_output or quiet else "stopping after this step and saving the run ..."
    with StopSignals(answer) as stop:
        from textgen.training.opening import open_run

        refuse_split_value(context.params)
        options = train_options(context.params)
        opened = open_run(
            paths or [],
            options,
            out,
            resume=resume,
            more=more,
            force=force,
            from_=from_checkpoint,
            given=_given(context),
            stdin=sys.stdin.buffer if "-" in (paths or []) else None,
        )
        with ExitStack() as running:
            with task("preparing the run"):
                run = running.enter_context(opened)
            ended = _follow(
                run, stop, json_output=json_output, quiet=quiet, explain=explain, color=color
            )
    if ended.reason == "stopped" and stop.signum is not None:
        if not json_output:
            from textgen.training.command import resume_command

            print(f"stopped after step {ended.step:,} of {ended.steps:,}; go on:", file=sys.stderr)
            print(resume_command(ended.folder), file=sys.stderr)
        raise typer.Exit(128 + stop.signum)


def train_options(parameters: Mapping[str, Any]) -> TrainOptions:
    """The options of a run from what the command line made of their flags.

    Args:
        parameters: Values by the names of the command's parameters.
    Raises:
        ConfigError: A value is out of range, or two contradict each other.
    """
    from textgen.settings import settings_of, with_values
    from textgen.training.options import TrainOptions

    values: dict[str, Any] = {}
    for item in settings_of(TrainOptions):
        if item.parameter not in parameters or item.how.joint is not None:
            continue
        value = parameters[item.parameter]
        if item.how.inverted:
            value = not value
        elif item.how.parse is not None and value is not None:
            value = item.how.parse(value)
        values[item.name] = value
    if (embedding := parameters.get("embedding")) is not None:
        size, vectors = TrainOptions.parse_embedding(embedding)
        values |= {"embedding_size": size, "vectors": vectors}
    options: TrainOptions = with_values(TrainOptions, values)
    return options


def refuse_split_value(parameters: Mapping[str, Any]) -> None:
    """Raise `ConfigError` where a blank cut a value in two, as in `--budget 1 m`."""
    for flag in ("budget", "more"):
        value = parameters.get(flag)
        for path in parameters.get("paths") or []:
            cut = value is not None and value.strip().replace(".", "", 1).isdigit()
            if cut and _UNIT.fullmatch(path.lower()) and not os.path.exists(path):
                raise ConfigError(
                    f"'{path}' is taken for a text, and there is none of that name; did you mean "
                    f"--{flag} {value}{path}, without a blank?"
                )


def _given(context: typer.Context) -> set[str]:
    """The settings that the command line spells out, by the names of their fields."""
    from textgen.settings import settings_of
    from textgen.training.options import TrainOptions

    spelled = {
        name
        for name in context.params
        if (source := context.get_parameter_source(name)) and source.name == "COMMANDLINE"
    }
    given = {item.name for item in settings_of(TrainOptions) if item.parameter in spelled}
    return given | ({"from"} if "from_checkpoint" in spelled else set())


def _follow(
    run: Run,
    stop: StopSignals,
    *,
    json_output: bool,
    quiet: bool,
    explain: bool,
    color: ColorMode,
) -> Ended:
    """Show the run's events until it ends."""
    from textgen.cli.progress import JsonLines, Progress, Silence
    from textgen.training.events import Ended

    if json_output:
        view: JsonLines | Progress | Silence = JsonLines()
    elif quiet:
        view = Silence()
    else:
        view = Progress(color, explain=explain)
    with view:
        for event in run.events(stop.requested):
            # From the first event on there is a step to finish and a state to save.
            stop.armed = True
            view.show(event)
            if isinstance(event, Ended):
                ended = event
    return ended
