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
from textgen.cli.help_page import ADVANCED, RUN, TEXT
from textgen.cli.options import (
    RNG_HELP,
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
    SkipBadOption,
    ThreadsOption,
)
from textgen.corpus.source import DEFAULT_ENDING
from textgen.errors import ConfigError
from textgen.progress import task
from textgen.terminal.console import ColorMode

if TYPE_CHECKING:
    from textgen.training.events import Ended
    from textgen.training.options import TrainOptions
    from textgen.training.run import Run

#: What may be left of a length that was typed with a blank in it.
_UNIT = re.compile(r"s|secs?|seconds?|m|mins?|minutes?|h|hours?|steps?|epochs?")

_MODEL, _LENGTH = "The model", "How long"


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
    budget: Annotated[
        str | None,
        _option(
            _LENGTH,
            "--budget",
            metavar="TIME",
            help="How long to train, such as 90s, 3m or 1h. Default: 3m.",
        ),
    ] = None,
    epochs: Annotated[
        float | None,
        _option(
            _LENGTH,
            "--epochs",
            help="How many times to read the whole text, instead of --budget; 0.5 is half of it.",
        ),
    ] = None,
    steps: Annotated[
        int | None,
        _option(
            _LENGTH,
            "--steps",
            help="How many updates of the weights to make, instead of --budget. The same command "
            "then gives the same model again.",
        ),
    ] = None,
    patience: Annotated[
        int,
        _option(
            ADVANCED,
            "--patience",
            help="Stop when N evaluations one after another give no better result. Default: never.",
        ),
    ] = 0,
    out: OutOption = None,
    resume: Annotated[
        bool,
        _option(
            RUN,
            "--resume",
            help="Continue the run exactly where it was saved. Type the same command again, or "
            "the run's folder alone.",
        ),
    ] = False,
    more: Annotated[
        str | None,
        _option(
            RUN,
            "--more",
            metavar="LENGTH",
            help="Train a finished run longer, such as 2m, 500steps or 3epochs: textgen train RUN "
            "--more 2m.",
        ),
    ] = None,
    force: Annotated[
        bool,
        _option(RUN, "--force", help="Delete the run that is in the folder, and start anew."),
    ] = False,
    from_checkpoint: Annotated[
        str | None,
        _option(RUN, "--from", metavar="MODEL", help="Train this model further on another text."),
    ] = None,
    level: LevelOption = "char",
    fold: FoldOption = False,
    min_count: Annotated[
        int,
        _option(
            ADVANCED,
            "--min-count",
            help="Characters that occur fewer than N times are read as unknown. Default: 1.",
        ),
    ] = 1,
    min_word_count: Annotated[
        int,
        _option(
            ADVANCED,
            "--min-word-count",
            help="With --level word: words that occur fewer than N times are spelled in "
            "characters. Default: 2.",
        ),
    ] = 2,
    max_words: Annotated[
        int,
        _option(
            ADVANCED,
            "--max-words",
            help="With --level word: the model knows the N most frequent words, and spells the "
            "others. Default: 30000.",
        ),
    ] = 30_000,
    documents: DocumentsOption = None,
    pairs: Annotated[
        bool,
        _option(
            TEXT,
            "--pairs",
            help="The text holds pairs, one a line: SOURCE, a TAB, TARGET. The model learns to "
            "write the target after it has read the source.",
        ),
    ] = False,
    encoding: EncodingOption = None,
    encoding_errors: EncodingErrorsOption = "strict",
    ending: EndingOption = DEFAULT_ENDING,
    skip_bad: SkipBadOption = False,
    keep_newlines: Annotated[
        bool,
        _option(
            ADVANCED,
            "--keep-newlines",
            help="Leave the line ends \\r\\n and \\r as they are. Default: they become \\n.",
        ),
    ] = False,
    no_nfc: Annotated[
        bool,
        _option(
            ADVANCED,
            "--no-nfc",
            help="Leave a letter and its accent as two characters where the text has two. "
            "Default: they become one (Unicode NFC).",
        ),
    ] = False,
    val: Annotated[
        str,
        _option(
            TEXT,
            "--val",
            metavar="SHARE|FILE",
            help="The text that the model is measured on and does not learn from: a share (the "
            "end of one text, or documents drawn from many), such as 0.1, or a file. Default: 0.1.",
        ),
    ] = "0.1",
    cell: Annotated[
        str,
        _option(
            _MODEL,
            "--cell",
            metavar="CELL",
            help="The recurrent cell: lstm, gru, rnn, peephole, coupled, depth-gated or mlstm. "
            "Default: lstm.",
        ),
    ] = "lstm",
    nonlinearity: Annotated[
        str,
        _option(
            ADVANCED,
            "--nonlinearity",
            metavar="tanh|relu|identity",
            help="With --cell rnn: the function that gives the new hidden state. Default: tanh.",
        ),
    ] = "tanh",
    hidden: Annotated[
        int | None,
        _option(
            _MODEL,
            "--hidden",
            help="The number of units (neurons) in each layer. Default: chosen from the text and "
            "the time.",
        ),
    ] = None,
    layers: Annotated[
        int | None,
        _option(
            _MODEL,
            "--layers",
            help="The number of recurrent layers. Default: 1, or 2 where --residual or the cell "
            "needs two.",
        ),
    ] = None,
    embedding: Annotated[
        str | None,
        _option(
            _MODEL,
            "--embedding",
            metavar="N|word2vec|FILE",
            help="How many numbers stand for each symbol (its vector), or where the vectors come "
            "from: word2vec learns them on the training text first (word2vec:100 gives each 100 "
            "numbers); a file holds them in the format of word2vec or fastText (.vec, .bin, also "
            ".gz). Default: N follows from --hidden.",
        ),
    ] = None,
    freeze_embedding: Annotated[
        bool | None,
        _option(
            ADVANCED,
            "--freeze-embedding/--train-embedding",
            help="Keep the symbols' vectors as they are, or train them too. Default: train them; "
            "with --loss distance keep them.",
        ),
    ] = None,
    loss: Annotated[
        str,
        _option(
            ADVANCED,
            "--loss",
            metavar="cross-entropy|distance",
            help="What training makes small. cross-entropy: how badly the next symbol was "
            "predicted; distance: how far the network's output, a vector, lies from the next "
            "symbol's vector. Default: cross-entropy.",
        ),
    ] = "cross-entropy",
    distance: Annotated[
        str | None,
        _option(
            ADVANCED,
            "--distance",
            metavar="euclidean|cosine",
            help="With --loss distance: how the distance is measured. Default: euclidean.",
        ),
    ] = None,
    dropout: Annotated[
        float | None,
        _option(
            _MODEL,
            "--dropout",
            metavar="SHARE",
            help="The share of units that is left out at random in training, such as 0.2. "
            "Default: chosen by how often the text is read.",
        ),
    ] = None,
    tie: Annotated[
        bool,
        _option(
            ADVANCED,
            "--tie",
            help="Use the symbols' vectors as the weights of the output layer too.",
        ),
    ] = False,
    residual: Annotated[
        bool,
        _option(
            ADVANCED,
            "--residual",
            help="Add the input of each layer to its output, from the second layer on.",
        ),
    ] = False,
    seq_len: Annotated[
        int | None,
        _option(
            ADVANCED,
            "--seq-len",
            help="The gradients reach back N tokens. Default: 64, less for a short text.",
        ),
    ] = None,
    history: Annotated[
        int | None,
        _option(
            _MODEL,
            "--history",
            help="Train on sliding windows, as in the lecture: the model sees only the last N "
            "tokens before each prediction. Default: it sees all that stands before.",
        ),
    ] = None,
    batch_size: Annotated[
        int | None,
        _option(
            ADVANCED,
            "--batch-size",
            help="N parts of the text are read side by side. Default: 64, fewer of a short text.",
        ),
    ] = None,
    learning_rate: Annotated[
        float | None,
        _option(
            ADVANCED,
            "--learning-rate",
            "--lr",
            metavar="RATE",
            help="The highest learning rate: it rises to this value and then falls to 0. Default: "
            "chosen from the size of the network.",
        ),
    ] = None,
    weight_decay: Annotated[
        float | None,
        _option(
            ADVANCED,
            "--weight-decay",
            help="How strongly the weights are pulled towards 0 (AdamW); 0 is off. Default: 0.1.",
        ),
    ] = None,
    clip: Annotated[
        float | None,
        _option(
            ADVANCED,
            "--clip",
            help="A gradient whose norm is larger than X is scaled down to X. Default: 1.",
        ),
    ] = None,
    rng: Annotated[
        int, typer.Option("--rng", "--seed", metavar="N", help=RNG_HELP, show_default=True)
    ] = 1,
    device: DeviceOption = "auto",
    precision: Annotated[
        str,
        typer.Option(
            "--precision",
            metavar="auto|fp32|bf16",
            help="How exactly matrices are multiplied: with 32 bits a number (fp32), or with 16 "
            "(bf16), which is faster where the machine can do it.",
            rich_help_panel=ADVANCED,
        ),
    ] = "auto",
    threads: ThreadsOption = None,
    eval_every: Annotated[
        int | None,
        _option(
            ADVANCED,
            "--eval-every",
            help="Measure the model on the text of --val every N steps. Default: ten times in a "
            "run.",
        ),
    ] = None,
    save_every: Annotated[
        int | None,
        _option(
            ADVANCED,
            "--save-every",
            help="Save the run every N steps. Default: about every 25 seconds.",
        ),
    ] = None,
    explain: Annotated[
        bool,
        typer.Option(
            "--explain",
            help="Show all settings with their reasons. Default: only the main ones.",
        ),
    ] = False,
    json_output: JsonOption = False,
    quiet: QuietOption = False,
    color: ColorOption = ColorMode.AUTO,
) -> None:
    """Train a model on text.

    No option is needed. What you leave out is chosen from the text, the time and the machine; the
    main settings are printed with their reasons (--explain prints all). Ctrl-C stops and saves the
    run; --resume continues it.

    textgen train corpus.txt --budget 1m

    textgen train letters/ diary.txt.gz --out checkpoints/mine

    textgen train checkpoints/mine --resume

    textgen train checkpoints/mine --more 2m
    """
    answer = "" if json_output or quiet else "stopping after this step and saving the run ..."
    with StopSignals(answer) as stop:
        from textgen.training.start import open_run

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
