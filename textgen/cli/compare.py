"""`textgen compare`."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from textgen.cli.boundary import StopSignals, guarded
from textgen.cli.parameters import (
    ColorOption,
    DeviceOption,
    DocumentsOption,
    EncodingErrorsOption,
    EncodingOption,
    EndingOption,
    FoldOption,
    JsonOption,
    LevelOption,
    PathsArgument,
    QuietOption,
    SkipBadOption,
    ThreadsOption,
)
from textgen.cli.records import check_outputs, print_json
from textgen.corpus.corpus_options import DEFAULT_ENDING
from textgen.errors import ConfigError
from textgen.settings import ADVANCED, TEXT
from textgen.terminal.console import ColorMode

if TYPE_CHECKING:
    from collections.abc import Iterator

    from textgen.cli.comparison import RunsView
    from textgen.comparison import CellComparison, HistoryComparison, TaskComparison

    Result = CellComparison | HistoryComparison | TaskComparison

_WHAT, _RUNS, _OUT = "What is compared", "The runs", "What is shown"


def _option(panel: str, *flags: str, help: str, metavar: str | None = None) -> Any:
    return typer.Option(
        *flags, help=help, metavar=metavar, rich_help_panel=panel, show_default=False
    )


@guarded
def compare_command(
    paths: PathsArgument = None,
    cells: Annotated[
        str | None,
        _option(
            _WHAT,
            "--cells",
            metavar="NAME,...",
            help="The cells to compare, such as rnn,rnn:relu,lstm,gru. With --history one. "
            "Default: rnn,lstm,gru.",
        ),
    ] = None,
    history: Annotated[
        str | None,
        _option(
            _WHAT,
            "--history",
            metavar="T,...",
            help="Compare lengths instead of cells: one cell (lstm) sees windows of T tokens, "
            "such as 1,2,4,8,16. This shows what a longer history is worth.",
        ),
    ] = None,
    task: Annotated[
        str | None,
        _option(
            _WHAT,
            "--task",
            metavar="recall|count|copy",
            help="Compare the cells on generated questions with a known answer, at each --lag.",
        ),
    ] = None,
    lag: Annotated[
        str | None,
        _option(
            _WHAT,
            "--lag",
            metavar="K,...",
            help="With --task: how many characters lie between what must be remembered and the "
            "question, such as 5,10 or 10..100:10 (in steps of 10). Default: 10..100:10.",
        ),
    ] = None,
    train_lag: Annotated[
        int | None,
        _option(
            _WHAT,
            "--train-lag",
            metavar="K",
            help="With --task: the largest lag in training. Default: the median of --lag.",
        ),
    ] = None,
    params: Annotated[
        str | None,
        _option(
            _WHAT,
            "--params",
            metavar="N",
            help="Each network has at most N parameters, such as 250k or 1M; its width follows. "
            "Default: 250k, with --task 100k.",
        ),
    ] = None,
    rng: Annotated[
        str,
        _option(
            _WHAT,
            "--rng",
            metavar="N,...",
            help="The numbers that fix the random choices, such as 1,2,3: each cell is trained "
            "once with each of them. Default: 1.",
        ),
    ] = "1",
    budget: Annotated[
        str | None,
        _option(
            _RUNS,
            "--budget",
            metavar="TIME",
            help="How long each run trains, such as 90s, 3m or 1h. Default: 3m.",
        ),
    ] = None,
    steps: Annotated[
        int | None,
        _option(
            _RUNS,
            "--steps",
            metavar="N",
            help="How many updates each run trains, instead of --budget. Default with --task: "
            "6000.",
        ),
    ] = None,
    layers: Annotated[
        int | None, _option(_RUNS, "--layers", metavar="N", help="The number of recurrent layers.")
    ] = None,
    residual: Annotated[
        bool, _option(ADVANCED, "--residual", help="Add the input of each layer to its output.")
    ] = False,
    dropout: Annotated[
        float | None,
        _option(
            ADVANCED,
            "--dropout",
            metavar="SHARE",
            help="The share of units that is left out at random in training, such as 0.2.",
        ),
    ] = None,
    seq_len: Annotated[
        int | None,
        _option(ADVANCED, "--seq-len", metavar="N", help="The gradients reach back N tokens."),
    ] = None,
    batch_size: Annotated[
        int | None,
        _option(
            ADVANCED,
            "--batch-size",
            metavar="N",
            help="N parts of the text are read side by side.",
        ),
    ] = None,
    learning_rate: Annotated[
        float | None,
        _option(
            ADVANCED,
            "--learning-rate",
            "--lr",
            metavar="RATE",
            help="The highest learning rate, the same for every cell.",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        _option(
            _RUNS,
            "--out",
            "-o",
            metavar="DIR",
            help="The folder of the runs. Default: ./checkpoints/compare-NAME, called after the "
            "text (compare-history-NAME, compare-TASK).",
        ),
    ] = None,
    resume: Annotated[
        bool,
        _option(
            _RUNS,
            "--resume",
            help="Go on with a comparison that was interrupted; runs that are done are kept.",
        ),
    ] = False,
    force: Annotated[
        bool,
        _option(_RUNS, "--force", help="Delete the runs that are in the folder, and start anew."),
    ] = False,
    level: LevelOption = "char",
    fold: FoldOption = False,
    documents: DocumentsOption = None,
    encoding: EncodingOption = None,
    encoding_errors: EncodingErrorsOption = "strict",
    ending: EndingOption = DEFAULT_ENDING,
    skip_bad: SkipBadOption = False,
    val: Annotated[
        str | None,
        _option(
            TEXT,
            "--val",
            metavar="SHARE|FILE",
            help="What is measured on: a share of the text (the end of one text, or documents "
            "drawn from many), such as 0.1, or a file. Default: 0.1, with --task 0.02.",
        ),
    ] = None,
    device: DeviceOption = "auto",
    threads: ThreadsOption = None,
    picture: Annotated[
        Path | None,
        _option(
            _OUT,
            "--picture",
            metavar="FILE",
            help="Also draw the chart into a file whose name ends in .png or .svg.",
        ),
    ] = None,
    json_output: JsonOption = False,
    csv: Annotated[
        Path | None,
        _option(
            _OUT,
            "--csv",
            metavar="FILE",
            help="Write the figures of every run as a table; - is standard output.",
        ),
    ] = None,
    quiet: QuietOption = False,
    color: ColorOption = ColorMode.AUTO,
) -> None:
    """Train several networks in the same way and show them side by side.

    The cells get the same number of parameters and the same training. With --history one cell is
    trained several times and sees more and more of the text. With --task the cells answer
    generated questions with a known answer. Do not expect one cell to win: a large comparison
    found no winner (Greff et al. 2017).

    textgen compare corpus.txt --cells rnn,lstm --params 20k --steps 20 --rng 1,2

    textgen compare corpus.txt --history 1,2,4 --params 20k --steps 20

    textgen compare --task recall --lag 5,10 --cells lstm --params 20k --steps 20
    """
    _refuse_contradictions(paths, history, task, lag, train_lag, rng)
    if task is not None:
        _refuse_text_options(
            level=level != "char",
            fold=fold,
            documents=documents,
            encoding=encoding,
            encoding_errors=encoding_errors != "strict",
            ending=ending != DEFAULT_ENDING,
            skip_bad=skip_bad,
        )
    check_outputs(picture=picture, csv=csv, json_output=json_output)
    from textgen.cli.comparison import RunsView

    view = RunsView(quiet=quiet)
    answer = "" if quiet else "stopping after this step and saving the run ..."
    with StopSignals(answer) as stop:
        from textgen.comparison import (
            compare_cells,
            compare_history,
            compare_task,
            parse_numbers,
            parse_variants,
        )
        from textgen.comparison.task import TASK_VAL
        from textgen.comparison.width import parse_count
        from textgen.corpus.corpus_options import CorpusOptions
        from textgen.options import TrainOptions
        from textgen.runtime import parse_duration

        base = TrainOptions(
            corpus=CorpusOptions(
                level=level,
                fold=fold,
                documents=documents,
                encoding=encoding,
                encoding_errors=encoding_errors,
                ending=ending,
                skip_bad=skip_bad,
            ),
            num_layers=layers,
            residual=residual,
            dropout=dropout,
            seq_len=seq_len,
            batch_size=batch_size,
            learning_rate=learning_rate,
            budget=None if budget is None else parse_duration(budget),
            steps=steps,
            val=val or (TASK_VAL if task is not None else "0.1"),
            device=device,
            threads=threads,
        )
        shared: dict[str, Any] = {
            "out": out,
            "resume": resume,
            "force": force,
            "stop": stop.requested,
        }
        if params is not None:
            shared["params"] = parse_count(params)
        rngs = parse_numbers(rng, "--rng", least=0)
        variants = parse_variants(cells or ("lstm" if history else "rnn,lstm,gru"))
        events: Iterator[Any]
        if task is not None:
            lags = parse_numbers(lag or "10..100:10", "--lag")
            events = compare_task(
                task, lags, variants, base, train_lag=train_lag, rngs=rngs, **shared
            )
        elif history is not None:
            if len(variants) > 1:
                raise ConfigError("--history compares lengths for one cell; name one: --cells lstm")
            histories = parse_numbers(history, "--history")
            base = replace(base, rng=rngs[0])
            events = compare_history(paths or [], histories, base, variant=variants[0], **shared)
        else:
            events = compare_cells(paths or [], variants, base, rngs=rngs, **shared)
        result = _follow(events, stop, view)
    _show(result, picture=picture, json_output=json_output, csv=csv, quiet=quiet, color=color)


def _refuse_contradictions(
    paths: list[str] | None,
    history: str | None,
    task: str | None,
    lag: str | None,
    train_lag: int | None,
    rng: str,
) -> None:
    """Raise `ConfigError` where options do not go together."""
    if task is not None and history is not None:
        raise ConfigError("--task and --history are two comparisons; give one")
    if task is not None and paths:
        raise ConfigError(f"--task {task} generates its text; leave {paths[0]} out")
    if task is None and (lag is not None or train_lag is not None):
        raise ConfigError("--lag and --train-lag belong to --task; give it, or leave them out")
    if history is not None and not rng.strip().isdigit():
        raise ConfigError(f"--history has one run a length, not of seeds {rng}; give one --rng")


def _refuse_text_options(**given: object) -> None:
    """Raise `ConfigError` where a generated text is to be read in another way."""
    for name, value in given.items():
        if value:
            raise ConfigError(f"--task generates its text; leave --{name.replace('_', '-')} out")


def _follow(events: Iterator[Any], stop: StopSignals, view: RunsView) -> Result:
    """Show the runs until the last is over.

    Raises:
        typer.Exit: They were stopped.
    """
    from textgen.comparison import Compared, Halted, Measured, Note, RunEvent
    from textgen.terminal.text import command_line

    for event in events:
        # From the first event on there is a run to save.
        stop.armed = True
        if isinstance(event, RunEvent):
            view.show(event)
        elif isinstance(event, Measured):
            view.measured(event)
        elif isinstance(event, Note):
            view.say(event.text)
        elif isinstance(event, Halted):
            view.say(
                f"stopped in run {event.number} of {event.runs} ({event.label}), which is saved; "
                "go on:"
            )
            words = [word for word in sys.argv[1:] if word not in ("--resume", "--force")]
            view.say(command_line(["textgen", *words, "--resume"]))
            raise typer.Exit(128 + (stop.signum or 0))
        elif isinstance(event, Compared):
            result: Result = event.result
            return result
    raise AssertionError("a comparison ends with its result or is halted")


def _show(
    result: Result,
    *,
    picture: Path | None,
    json_output: bool,
    csv: Path | None,
    quiet: bool,
    color: ColorMode,
) -> None:
    from textgen.cli.comparison import csv_text, sheet_of
    from textgen.comparison.record import RECORD_NAME
    from textgen.files import atomic_write_bytes
    from textgen.terminal.chart import TerminalChart, save_charts
    from textgen.terminal.console import make_consoles
    from textgen.terminal.figures import figures_table

    written = [picture] if picture is not None else []
    sheet = sheet_of(result)
    if picture is not None:
        save_charts(picture, [sheet.chart])
    if csv is not None:
        text = csv_text(result.to_rows())
        if str(csv) == "-":
            sys.stdout.write(text)
        else:
            atomic_write_bytes(csv, text.encode("utf-8"))
            written.append(csv)
    if not quiet:
        for path in (*written, result.folder / RECORD_NAME):
            print(f"written: {path}", file=sys.stderr)
    if json_output:
        print_json(result.to_json())
    if json_output or csv is not None:
        return
    out = make_consoles(color).out
    out.print(TerminalChart(sheet.chart, height=16))
    for headings, rows in sheet.tables:
        out.print()
        out.print(figures_table(headings, rows))
    out.print()
    out.print(sheet.note)
