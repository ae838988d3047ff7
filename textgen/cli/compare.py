"""`textgen compare`."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from textgen.cli.boundary import guarded
from textgen.cli.interruption import Interrupted, StopSignals
from textgen.cli.parameters import (
    Only,
    OutputOptions,
    PathsArgument,
    at_prompt,
    in_flags,
    spelled,
    with_options,
)
from textgen.cli.records import check_outputs, print_csv, print_json, say_written
from textgen.corpus.corpus_options import CorpusOptions
from textgen.errors import ConfigError, named
from textgen.options import RunOptions, TrainOptions
from textgen.settings import (
    COMPARED,
    RUN,
    SAVED,
    check,
    setting,
    setting_like,
    settings_of,
    typed_words,
    value_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from textgen.comparison import Comparison, SearchResult


@dataclass(frozen=True, kw_only=True)
class CompareOptions:
    """What is compared, where it is kept and what is shown."""

    cells: str | None = setting(
        None,
        help="The cells to compare, such as rnn,rnn:relu,lstm,gru.",
        panel=COMPARED,
        metavar="NAME,...",
        by_default=f"rnn,lstm,gru; with {named('history')}, lstm",
    )
    history: str | None = setting(
        None,
        help="Compare history lengths instead of cells: train one cell several times, on windows "
        "of T tokens, such as 1,2,4,8,16. The result shows what a longer history is worth.",
        panel=COMPARED,
        metavar="T,...",
    )
    task: str | None = setting(
        None,
        help="Compare the cells on generated questions with a known answer, at each distance in "
        f"{named('lag')}.",
        panel=COMPARED,
        metavar="recall|count|copy",
    )
    lag: str | None = setting(
        None,
        help=f"With {named('task')}: how many characters lie between what the model must remember "
        "and the question, such as 5,10 or 10..100:10 (in steps of 10).",
        panel=COMPARED,
        metavar="K,...",
        by_default="10..100:10",
    )
    train_lag: int | None = setting(
        None,
        help=f"With {named('task')}: the largest lag in training.",
        panel=COMPARED,
        metavar="K",
        by_default=f"the median of {named('lag')}",
    )
    search: str | None = setting(
        None,
        help="Look for good settings instead: in ranges such as hidden=128..1024:log (where equal "
        "factors are equally likely), and among values such as cell=lstm|gru. Bad runs are given "
        "up early. It needs optuna.",
        panel=COMPARED,
        metavar="NAME=LOW..HIGH,...",
    )
    trials: int | None = setting(
        None,
        help=f"With {named('search')}: how many runs to make.",
        panel=COMPARED,
        metavar="N",
        by_default="40",
        at_least=1,
    )
    params: str | None = setting(
        None,
        help="The largest number of parameters of each network, such as 250k or 1M. The number "
        "of neurons follows from it.",
        panel=COMPARED,
        metavar="N",
        by_default=f"250k; with {named('task')}, 100k",
    )
    rng: str = setting(
        "1",
        help="The random seeds, such as 1,2,3: each cell is trained once with each seed.",
        panel=COMPARED,
        metavar="N,...",
    )
    out: str | None = setting_like(
        RunOptions,
        "out",
        help="The folder of the runs.",
        by_default="./checkpoints/compare-NAME, with the name of the text or the task",
    )
    resume: bool = setting_like(
        RunOptions,
        "resume",
        help="Continue a comparison that was stopped. Finished runs are kept.",
    )
    force: bool = setting_like(
        RunOptions,
        "force",
        help="Delete the runs that are already in the folder, and start again.",
    )
    join: bool = setting(
        False,
        help="Share out the runs with all processes that do the same in the same folder, on one "
        "machine or on many. Each takes the next run that nobody has, goes on with those of "
        "processes that died, and the last one draws the table.",
        panel=RUN,
    )
    submit: str | None = setting(
        None,
        help=f"Start workers that {named('join')}, and return: as an array of jobs of Slurm, or on "
        "this machine. They go on when the terminal is closed. It needs submitit.",
        panel=RUN,
        choices=("slurm", "local"),
    )
    workers: int | None = setting(
        None,
        help=f"With {named('submit')}: how many workers to start.",
        panel=RUN,
        metavar="N",
        by_default="2",
        at_least=1,
    )
    slurm: str | None = setting(
        None,
        help=f"With {named('submit', 'slurm')}: what Slurm is asked for, as for sbatch, such as "
        "partition=cpu,time=120 (minutes).",
        panel=RUN,
        metavar="NAME=VALUE,...",
    )
    status: bool = setting(
        False,
        help=f"Show where the runs of {named('join')} and {named('submit')} stand: what runs "
        "where, what is done, what failed and why.",
        panel=RUN,
    )
    picture: Path | None = setting(
        None,
        help="Save the chart as a picture too, in a file whose name ends in .png or .svg.",
        panel=SAVED,
        metavar="FILE",
    )
    csv: Path | None = setting(
        None,
        help="Save the numbers of every run as a table (CSV) in a file; - prints it.",
        panel=SAVED,
        metavar="FILE",
    )


#: The picture of a search, in its folder.
STUDY_PICTURE = "study.svg"
#: What every kind of comparison takes.
_SHARED = ("out", "resume", "force", "join")


@guarded
@with_options
def compare_command(
    context: typer.Context,
    what: CompareOptions,
    training: Annotated[
        TrainOptions,
        Only(
            *("budget", "steps", "num_layers", "residual", "dropout", "seq_len", "batch_size"),
            *("learning_rate", "level", "fold", "documents", "encoding", "encoding_errors"),
            *("ending", "skip_bad", "val", "device", "threads"),
        ),
    ],
    output: OutputOptions,
    paths: PathsArgument = None,
) -> None:
    """Train several networks in the same way and compare their results.

    The command compares types of recurrent cell. All networks get about the same number of
    parameters and the same training; --budget and --steps are for each network. With --history,
    one cell is trained several times and sees more and more of the text. With --task, the cells
    answer generated questions with a known answer; then --steps is 6000 and --val is 0.02 unless
    you change them. Do not expect one cell to win: a large comparison found no winner (Greff et
    al. 2017).

    textgen compare corpus.txt --cells rnn,lstm --params 20k --steps 20 --rng 1,2

    textgen compare corpus.txt --history 1,2,4 --params 20k --steps 20

    textgen compare --task recall --lag 5,10 --cells lstm --params 20k --steps 20

    textgen compare corpus.txt --cells rnn,lstm --params 20k --steps 20 --out shared --join

    textgen compare --status --out shared

    textgen compare corpus.txt --search "hidden=8..32:log,dropout=0..0.5" --trials 3 --steps 20
    """
    if what.status:
        _refuse_beside_status(what)
        _show_status(_folder_of(what, paths or []), output)
        return
    check(what)
    _refuse_contradictions(what, training, paths or [])
    if what.task is not None and "val" not in spelled(context, TrainOptions):
        from textgen.comparison.task import TASK_VAL

        training = replace(training, val=TASK_VAL)
    if what.submit is not None:
        _submit(what, training, paths or [], output)
        return
    check_outputs(picture=what.picture, csv=what.csv, json_output=output.json_output)
    answer = "" if output.quiet else "stopping and saving the run ..."
    with StopSignals(answer) as stop:
        events = _begin(what, training, paths or [], stop.requested)
        result = _follow(events, stop, quiet=output.quiet, join=what.join)
    _show(result, what, output)


def _folder_of(what: CompareOptions, paths: list[str]) -> Path:
    """The folder of the comparison that is named."""
    from textgen.comparison.runs import comparison_folder

    if what.out is not None:
        return Path(what.out)
    if what.task is not None:
        return Path("checkpoints") / f"compare-{what.task}"
    if not paths:
        raise ConfigError(f"no comparison was named; give its folder: {named('out', 'DIR')}")
    kind = "" if what.history is None else "history-"
    return comparison_folder(paths, None, kind if what.search is None else "search-")


def _refuse_beside_status(what: CompareOptions) -> None:
    """Raise `ConfigError` where more is asked for than where the runs stand."""
    for name in ("resume", "force", "join", "submit", "workers", "slurm", "picture", "csv"):
        if getattr(what, name):
            raise ConfigError(
                f"{named('status')} only shows where the runs of a folder stand; leave "
                f"{named(name)} out"
            )


def _show_status(folder: Path, output: OutputOptions) -> None:
    from textgen.comparison import sweep_status
    from textgen.terminal.console import make_consoles
    from textgen.terminal.tables import draw_table

    status = sweep_status(folder, at_prompt)
    if output.json_output:
        print_json(status.to_json())
        return
    out = make_consoles(output.color).out
    out.print(draw_table(status.table(), in_flags))
    if status.jobs:
        out.print()
        out.print(draw_table(status.job_table(), in_flags))


def _submit(
    what: CompareOptions, training: TrainOptions, paths: list[str], output: OutputOptions
) -> None:
    """Start workers that share out the runs, each with this command."""
    from textgen.comparison import submit_workers
    from textgen.comparison.submission import slurm_settings
    from textgen.comparison.sweep import Sweep
    from textgen.runtime import choose_threads
    from textgen.terminal.text import command_line, visible

    assert what.submit is not None
    for name in ("resume", "force", "picture", "csv"):
        if getattr(what, name):
            raise ConfigError(
                f"{named('submit')} starts workers, which go on with what is there; leave "
                f"{named(name)} out" + _drawn_later(name)
            )
    workers = what.workers or 2
    folder = _folder_of(what, paths)
    # Runs that were begun go on with as many threads as they have.
    if training.threads is None and not Sweep(folder, object).is_begun:
        # Slurm's jobs have the cores that they are given, and this machine may be any other.
        cores = slurm_settings(what.slurm or "").get("cpus_per_task", 1)
        if what.submit == "local":
            cores = max(1, choose_threads(None).value // workers)
        training = replace(training, threads=cores if isinstance(cores, int) else 1)
    worker = replace(what, join=True, submit=None, workers=None, slurm=None)
    if what.submit == "local" or training.steps is not None or training.epochs is not None:
        # What is wrong with the command is said here, and not by each worker. A time becomes steps
        # on the machines that have it.
        next(_begin(worker, training, paths, lambda: False))
    # A task has another share of validation than the option's default.
    always = ["val"] if what.task is not None else []
    words = ["compare", *paths, *typed_words(worker), *typed_words(training, always=always)]
    jobs = submit_workers(
        folder, words, where=what.submit, workers=workers, settings=what.slurm or ""
    )
    if output.json_output:
        print_json({"folder": str(folder), "jobs": [job.id for job in jobs]})
    elif not output.quiet:
        print(visible(f"{len(jobs)} workers were started: {', '.join(job.id for job in jobs)}"))
        print("what they do:")
        print(visible(command_line(["textgen", "compare", "--status", "--out", str(folder)])))


def _drawn_later(name: str) -> str:
    if name not in ("picture", "csv"):
        return ""
    return f", and give it with {named('join')} once all runs are done"


def _refuse_contradictions(what: CompareOptions, training: TrainOptions, paths: list[str]) -> None:
    """Raise `ConfigError` where options do not go together."""
    task, history = named("task"), named("history")
    for name, needed in (("trials", "search"), ("workers", "submit"), ("slurm", "submit")):
        if getattr(what, name) is not None and getattr(what, needed) is None:
            raise ConfigError(f"{named(name)} belongs to {named(needed)}; give it, or leave it out")
    if what.search is not None:
        for name in ("cells", "history", "task", "params"):
            if getattr(what, name) is not None:
                how = {"cells": "cell=lstm|gru", "params": "hidden=64..512:log"}.get(name)
                search_it = f", or search it: {named('search', how)}" if how else ""
                raise ConfigError(
                    f"{named(name)} and {named('search')} are two comparisons; leave one out"
                    + search_it
                )
    if what.task is not None and what.history is not None:
        raise ConfigError(f"{task} and {history} are two comparisons; give one")
    if what.task is not None:
        changed = [
            named(item.name)
            for item in settings_of(CorpusOptions)
            if value_of(training, item.name) != item.default
        ]
        for other in (*paths, *changed):
            raise ConfigError(f"{task} generates its text; leave {other} out")
    elif not paths:
        raise ConfigError("no text was named; type: textgen compare corpus.txt")
    elif what.lag is not None or what.train_lag is not None:
        raise ConfigError(
            f"{named('lag')} and {named('train_lag')} belong to {task}; give it, or leave them out"
        )
    if what.search is not None and not what.rng.strip().isdigit():
        raise ConfigError(f"{named('search')} has one {named('rng')}, and {what.rng} is none")
    if what.history is not None and not what.rng.strip().isdigit():
        raise ConfigError(
            f"{history} has one run for each length, not for each of the seeds {what.rng}; give "
            f"one {named('rng')}"
        )


def _begin(
    what: CompareOptions, base: TrainOptions, paths: list[str], stop: Callable[[], bool]
) -> Iterator[Any]:
    """The events of the comparison that was asked for."""
    from textgen.comparison import (
        compare_cells,
        compare_history,
        compare_task,
        parse_numbers,
        parse_variants,
        search_settings,
    )
    from textgen.comparison.settings_search import TRIALS
    from textgen.comparison.variants import parse_count

    shared: dict[str, Any] = {name: getattr(what, name) for name in _SHARED}
    shared["stop"] = stop
    if what.params is not None:
        shared["params"] = parse_count(what.params)
    rngs = parse_numbers(what.rng, "rng", least=0)
    if what.search is not None:
        base = replace(base, rng=rngs[0])
        return search_settings(paths, what.search, base, trials=what.trials or TRIALS, **shared)
    variants = parse_variants(what.cells or ("lstm" if what.history else "rnn,lstm,gru"))
    if what.task is not None:
        lags = parse_numbers(what.lag or "10..100:10", "lag")
        return compare_task(
            what.task, lags, variants, base, train_lag=what.train_lag, rngs=rngs, **shared
        )
    if what.history is None:
        return compare_cells(paths, variants, base, rngs=rngs, **shared)
    if len(variants) > 1:
        raise ConfigError(
            f"{named('history')} compares lengths for one cell; name one: {named('cells', 'lstm')}"
        )
    histories = parse_numbers(what.history, "history")
    base = replace(base, rng=rngs[0])
    return compare_history(paths, histories, base, variant=variants[0], **shared)


def _follow(
    events: Iterator[Any], stop: StopSignals, *, quiet: bool, join: bool
) -> Comparison[Any] | SearchResult:
    """Show the runs on stderr until the last is over: a line for each, figures beside the bar.

    Raises:
        typer.Exit: They were stopped.
    """
    from textgen.cli.moving import moving_line
    from textgen.comparison import Compared, Failed, Halted, Measured, Note, RunEvent
    from textgen.terminal.text import command_line, note_line, visible
    from textgen.training.events import Ended, Report, Started

    line = moving_line()
    said: set[str] = set()

    def say(text: str) -> None:
        if not quiet:
            line.say(visible(text))

    def say_how_to_go_on() -> None:
        words = [word for word in sys.argv[1:] if word not in ("--resume", "--force")]
        say(command_line(["textgen", *words, *([] if join else ["--resume"])]))

    begun = False
    try:
        for event in events:
            told = event.event if isinstance(event, RunEvent) else None
            # While a run is trained there is a step to finish; between two there is none.
            stop.armed = told is not None and not isinstance(told, Ended)
            if told is not None:
                begun = True
                if isinstance(told, Started):
                    # All runs read the same text, so its notes are printed once.
                    for note in dict.fromkeys(told.notes):
                        if note not in said:
                            say(note_line(in_flags(note)))
                    said.update(told.notes)
                elif isinstance(told, Report) and told.val_bits_per_char is not None:
                    line.figures = [f"val {told.val_bits_per_char:.3f} bits/char"]
            elif isinstance(event, Measured):
                say(f"{event.number}/{event.runs} {event.label}: {event.summary}")
            elif isinstance(event, Failed):
                reason = in_flags(event.reason)
                say(f"{event.number}/{event.runs} {event.label} failed: {reason}")
            elif isinstance(event, Note):
                say(event.text)
            elif isinstance(event, Halted):
                which = f"run {event.number} of {event.runs} ({event.label})"
                say(f"stopped in {which}, which is saved; go on:")
                say_how_to_go_on()
                raise typer.Exit(128 + (stop.signum or 0))
            elif isinstance(event, Compared):
                result: Comparison[Any] | SearchResult = event.result
                return result
    except Interrupted:
        if begun:
            say("what was trained so far is saved; go on:")
            say_how_to_go_on()
        raise
    raise AssertionError("a comparison ends with its result or is halted")


def _show(
    result: Comparison[Any] | SearchResult, what: CompareOptions, output: OutputOptions
) -> None:
    from textgen.comparison.sweep import RECORD_NAME
    from textgen.files import atomic_write_bytes
    from textgen.terminal.chart import TerminalChart, save_charts
    from textgen.terminal.console import make_consoles
    from textgen.terminal.tables import draw_table

    chart = result.chart()
    pictures = [what.picture] if what.picture is not None else []
    if what.search is not None:
        pictures.append(result.folder / STUDY_PICTURE)
    for picture in pictures:
        save_charts(picture, [chart])
    written = list(pictures)
    if what.csv is not None:
        text = result.table().to_csv()
        if str(what.csv) == "-":
            print_csv(text)
        else:
            atomic_write_bytes(what.csv, text.encode("utf-8"), follow=True)
            written.append(what.csv)
    if not output.quiet:
        for path in (*written, result.folder / RECORD_NAME):
            say_written(path)
    if output.json_output:
        print_json(result.to_json())
    if output.json_output or what.csv is not None:
        return
    out = make_consoles(output.color).out
    out.print(TerminalChart(chart))
    for table in result.summary():
        out.print()
        out.print(draw_table(table, in_flags))
