"""`textgen train`."""

from __future__ import annotations

import signal
import sys
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from textgen.cli.boundary import guarded
from textgen.cli.interruption import StopSignals
from textgen.cli.moving import speaks
from textgen.cli.parameters import OutputOptions, PathsArgument, spelled, with_options
from textgen.errors import ConfigError, StorageError, named
from textgen.options import RunOptions, TrainOptions
from textgen.progress import task
from textgen.runtime import process_rank
from textgen.series.number_options import SeriesOptions

if TYPE_CHECKING:
    from textgen.training.events import Ended
    from textgen.training.run import Run


@guarded
@with_options
def train_command(
    context: typer.Context,
    options: TrainOptions,
    series: SeriesOptions,
    wanted: RunOptions,
    output: OutputOptions,
    paths: PathsArgument = None,
    explain: Annotated[
        bool,
        typer.Option(
            "--explain",
            help="Show all settings with their reasons. Default: only the main ones.",
        ),
    ] = False,
) -> None:
    """Train a model on text.

    No option is needed. Settings that you leave out are chosen from the text, the time and the
    machine; the main ones are printed with their reasons (--explain prints all). Ctrl-C stops the
    run and saves it; --resume continues it.

    textgen train corpus.txt --budget 1m

    textgen train numbers.csv --numbers --history 2

    textgen train letters/ diary.txt.gz --out checkpoints/mine

    textgen train checkpoints/mine --resume

    textgen train checkpoints/mine --more 2m
    """
    paths = paths or []
    given = spelled(context, TrainOptions)
    if series.numbers:
        from textgen.cli.numbers import train_on_numbers

        given |= spelled(context, RunOptions)
        if (rank := process_rank()) is not None and rank.world > 1:
            raise ConfigError(f"{named('numbers')} takes one process; start it without torchrun")
        train_on_numbers(paths, series, options, wanted, given, output, explain=explain)
        return
    if series.column is not None:
        raise ConfigError(f"{named('column')} needs {named('numbers')}; give both")
    if wanted.resume or wanted.more:
        from textgen.cli.numbers import refuse_going_on

        refuse_going_on(paths, wanted)
    if not speaks():  # The first of several processes speaks for all.
        output = replace(output, json_output=False, quiet=True)
    is_silent = output.json_output or output.quiet
    answer = "" if is_silent else "stopping and saving the run ..."
    with StopSignals(answer) as stop:
        from textgen.training.start import open_run

        opened = open_run(
            paths,
            options,
            wanted.out,
            resume=wanted.resume,
            more=wanted.more,
            force=wanted.force,
            from_=wanted.from_,
            given=given if wanted.from_ is None else given | {"from"},
            stdin=sys.stdin.buffer if "-" in paths else None,
        )
        with ExitStack() as running:
            with task("preparing the run"):
                run = running.enter_context(opened)
            ended, without_curve = _follow(run, stop, output, explain=explain)
    # Of several processes another one may have got the signal.
    signum = stop.signum or (signal.SIGTERM if process_rank() is not None else None)
    if ended.reason == "stopped" and signum is not None:
        if speaks() and not output.json_output:
            from textgen.training.plan import resume_command

            where = f"step {ended.step:,} of {ended.steps:,}"
            print(f"stopped after {where}; continue:", file=sys.stderr)
            print(resume_command(ended.folder), file=sys.stderr)
        raise typer.Exit(128 + signum)
    if without_curve is not None:
        raise without_curve


def _follow(
    run: Run, stop: StopSignals, output: OutputOptions, *, explain: bool
) -> tuple[Ended, StorageError | None]:
    """Show the run's events until it ends; return its end, and why its loss curve is not saved."""
    from textgen.cli.train_view import (
        TrainView,
        lacks_curve,
        print_json_line,
        read_curve,
        save_curve,
    )
    from textgen.training.events import Ended

    shows = not (output.json_output or output.quiet)
    view = TrainView(output.color, explain=explain) if shows else None
    without_curve = None
    for event in run.events(stop.requested):
        # From the first event on there is a step to finish and a state to save, until all is saved.
        stop.armed = not isinstance(event, Ended)
        if output.json_output:
            print_json_line(event)
        if isinstance(event, Ended):
            ended = event
            # Who stops a run waits for its end: what draws takes longer to load than it to save.
            if speaks() and lacks_curve(event) and not stop.requested():
                curve = picture = None
                try:
                    curve = read_curve(Path(event.folder))
                    if curve is not None:
                        picture = save_curve(Path(event.folder), curve)
                except StorageError as error:
                    # The run is saved; what else there is to say is said first.
                    without_curve = StorageError(
                        f"the run is saved, but not its loss curve: {error.marked}"
                    )
                if view is not None:
                    view.curve, view.picture = curve, picture
        if view is not None:
            view.show(event)
    return ended, without_curve
