"""`textgen train`."""

from __future__ import annotations

import shlex
import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING, Annotated, Any

import typer

from textgen.cli.boundary import StopSignals, guarded
from textgen.cli.options import (
    ColorOption,
    DeviceOption,
    DocumentsOption,
    EncodingOption,
    FoldOption,
    JsonOption,
    LevelOption,
    OutOption,
    PathsArgument,
    QuietOption,
    RngOption,
    ThreadsOption,
)
from textgen.progress import task
from textgen.terminal.color import ColorMode

if TYPE_CHECKING:
    from textgen.training.events import Ended
    from textgen.training.run import Run

#: Options whose setting has another name.
_SETTINGS = {
    "hidden": "hidden_size",
    "layers": "num_layers",
    "embedding": "embedding_size",
    "clip": "clip_norm",
    "keep_newlines": "newlines",
    "no_nfc": "nfc",
    "from_checkpoint": "from",
}

_TEXT, _MODEL, _LENGTH, _SPEED = "The text", "The model", "How long", "The machine"


def _option(panel: str, *flags: str, help: str, metavar: str | None = None) -> Any:
    return typer.Option(
        *flags, help=help, metavar=metavar, rich_help_panel=panel, show_default=False
    )


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
            help="Share of the text at its end that validates, or a file. Default: 0.1.",
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
    json_output: JsonOption = False,
    quiet: QuietOption = False,
    color: ColorOption = ColorMode.AUTO,
) -> None:
    """Train a model on text.

    Everything left out is chosen from the text, the time and the machine, and printed with its
    reason. Ctrl-C saves the run; --resume goes on with it.

    textgen train corpus.txt --budget 1m

    textgen train letters/ diary.txt.gz --out checkpoints/mine

    textgen train checkpoints/mine --resume
    """
    answer = "" if json_output or quiet else "stopping after this step and saving the run ..."
    with StopSignals(answer) as stop:
        from textgen.corpus.corpus import CorpusOptions
        from textgen.runtime import parse_duration
        from textgen.training.opening import open_run
        from textgen.training.options import TrainOptions

        embedding_size, vectors = None, None
        if embedding is not None:
            embedding_size, vectors = TrainOptions.parse_embedding(embedding)
        options = TrainOptions(
            corpus=CorpusOptions(
                level=level,
                fold=fold,
                min_count=min_count,
                min_word_count=min_word_count,
                max_words=max_words,
                documents=documents,
                encoding=encoding,
                newlines=not keep_newlines,
                nfc=not no_nfc,
            ),
            cell=cell,
            nonlinearity=nonlinearity,
            hidden_size=hidden,
            num_layers=layers,
            embedding_size=embedding_size,
            vectors=vectors,
            freeze_embedding=freeze_embedding,
            loss=loss,
            distance=distance,
            dropout=dropout,
            tie=tie,
            residual=residual,
            seq_len=seq_len,
            batch_size=batch_size,
            history=history,
            learning_rate=learning_rate,
            weight_decay=weight_decay,
            clip_norm=clip,
            budget=None if budget is None else parse_duration(budget),
            epochs=epochs,
            steps=steps,
            rng=rng,
            val=val,
            patience=patience,
            device=device,
            precision=precision,
            threads=threads,
            eval_every=eval_every,
            save_every=save_every,
            pairs=pairs,
        )
        opened = open_run(
            paths or [],
            options,
            out,
            resume=resume,
            force=force,
            from_=from_checkpoint,
            given=_given(context),
            stdin=sys.stdin.buffer if "-" in (paths or []) else None,
        )
        with ExitStack() as running:
            with task("preparing the run"):
                run = running.enter_context(opened)
            ended = _follow(run, stop, json_output=json_output, quiet=quiet, color=color)
    if ended.reason == "stopped" and stop.signum is not None:
        if not json_output:
            command = f"textgen train {shlex.quote(ended.folder)} --resume"
            print(
                f"stopped after step {ended.step:,} of {ended.steps:,}; go on: {command}",
                file=sys.stderr,
            )
        raise typer.Exit(128 + stop.signum)


def _given(context: typer.Context) -> set[str]:
    """The options that the command line spells out, by the names of the settings."""
    given = {
        _SETTINGS.get(name, name)
        for name in context.params
        if (source := context.get_parameter_source(name)) and source.name == "COMMANDLINE"
    }
    return given | ({"vectors"} if "embedding_size" in given else set())


def _follow(
    run: Run, stop: StopSignals, *, json_output: bool, quiet: bool, color: ColorMode
) -> Ended:
    """Show the run's events until it ends."""
    from textgen.cli.progress import JsonLines, Progress, Silence
    from textgen.training.events import Ended

    if json_output:
        view: JsonLines | Progress | Silence = JsonLines()
    elif quiet:
        view = Silence()
    else:
        view = Progress(color)
    with view:
        for event in run.events(stop.requested):
            # From the first event on there is a step to finish and a state to save.
            stop.armed = True
            view.show(event)
            if isinstance(event, Ended):
                ended = event
    return ended
