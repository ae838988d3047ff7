"""`textgen train --numbers` and `textgen sample --numbers`: series of numbers instead of text."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Mapping, Sequence, Set
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from textgen.cli.interruption import StopSignals
from textgen.cli.moving import moving_line
from textgen.cli.parameters import OutputOptions, in_flags
from textgen.cli.records import print_json, print_notes
from textgen.errors import ConfigError, SamplingError, TextgenError, named
from textgen.messages import call
from textgen.terminal.console import ColorMode
from textgen.terminal.text import visible

if TYPE_CHECKING:
    from textgen.options import RunOptions, TrainOptions
    from textgen.series.number_events import NumbersEnded
    from textgen.series.number_options import SeriesOptions
    from textgen.training.events import Event

#: How many numbers are written where nothing is said.
LENGTH = 10
#: Settings of `sample` that mean something for numbers.
_SAMPLED = {"numbers", "seed", "seed_file", "checkpoint", "length"}
#: Choices that are shown with all others alone.
_DETAILS = ("num_layers", "readout", "precision", "threads", "loss")


def train_on_numbers(
    paths: Sequence[str],
    which: SeriesOptions,
    options: TrainOptions,
    wanted: RunOptions,
    given: Set[str],
    output: OutputOptions,
    *,
    explain: bool,
) -> None:
    """Train on a series; `given` are the settings that were typed, by name."""
    from textgen.series.number_events import NumbersEnded
    from textgen.series.number_file import read_series
    from textgen.series.number_options import NumberOptions
    from textgen.settings import settings_of, value_of

    _check_run(wanted, given)
    names = [item.name for item in settings_of(NumberOptions)]
    _refuse(given - set(names) - _run_names(), ConfigError)
    own = NumberOptions(**{name: value_of(options, name) for name in names})
    if len(paths) != 1:
        found = "no file was named" if not paths else f"{len(paths)} paths were given"
        raise ConfigError(
            f"{found}, and a series of numbers is one file; type: "
            f"{call('train_numbers', 'numbers.csv')}"
        )
    series = read_series(
        paths[0],
        which.column,
        encoding=own.encoding,
        encoding_errors=own.encoding_errors,
        stdin=sys.stdin.buffer if paths[0] == "-" else None,
    )
    from textgen.runtime import require_torch

    require_torch("training on numbers")
    from textgen.series.number_training import open_number_run

    show = _NumbersView(output, explain=explain)
    is_silent = output.json_output or output.quiet
    answer = "" if is_silent else "stopping after this step and saving the model ..."
    with (
        StopSignals(answer) as stop,
        open_number_run(series, own, wanted.out, force=wanted.force) as run,
    ):

        def asked() -> bool:
            # After the first step, for which torch loads much, there is a model to save.
            stop.armed = True
            return stop.requested()

        for event in run.events(asked):
            if isinstance(event, NumbersEnded):
                ended, stop.armed = event, False  # All is saved.
            show(event)
    if ended.reason == "stopped" and stop.signum is not None:
        if not output.json_output:
            print(
                f"stopped after step {ended.step:,} of {ended.steps:,}; the best model so far is "
                "saved, and the run cannot be resumed. To train it to the end:",
                file=sys.stderr,
            )
            print(run.command, file=sys.stderr)
        raise typer.Exit(128 + stop.signum)


def _run_names() -> set[str]:
    from textgen.options import RunOptions
    from textgen.settings import settings_of

    return {item.name for item in settings_of(RunOptions)}


def _check_run(wanted: RunOptions, given: Set[str]) -> None:
    """Refuse to go on with a run of numbers, which keeps no state for that."""
    for name in ("resume", "more", "from_"):
        if name in given and getattr(wanted, name):
            raise _cannot_go_on(name)


def refuse_going_on(paths: Sequence[str], wanted: RunOptions) -> None:
    """Refuse `--resume` and `--more` where a path is the folder of a run of numbers."""
    from textgen.checkpoint import MODEL_NAME
    from textgen.series.number_model import holds_numbers

    found = False
    for path in [*paths, *([wanted.out] if wanted.out else [])]:
        for folder in (Path(path), Path("checkpoints", path)):
            # What is wrong with a file is told by what reads it.
            with contextlib.suppress(TextgenError):
                if holds_numbers(folder / MODEL_NAME):
                    found = True
    if found:
        raise _cannot_go_on("more" if wanted.more else "resume")


def _cannot_go_on(name: str) -> ConfigError:
    return ConfigError(
        f"{named(name)} goes on from a saved state, and a run of numbers keeps none: it takes "
        f"seconds; train it anew, with {named('force')} in the same folder"
    )


def _refuse(names: Set[str], error: type[ConfigError]) -> None:
    """Refuse settings that were typed and mean nothing."""
    if names:
        told = ", ".join(named(name) for name in sorted(names))
        what = "these settings are for text; leave them out"
        if len(names) == 1:
            what = "this setting is for text; leave it out"
        raise error(f"{told}: {what} with a series of numbers")


class _NumbersView:
    """Shows the events of a run on numbers, as `TrainView` those of a run on text."""

    def __init__(self, output: OutputOptions, *, explain: bool) -> None:
        from textgen.terminal.console import make_consoles

        self._json, self._quiet = output.json_output, output.quiet
        self._explain = explain
        self._console = make_consoles(output.color).err
        self._line = moving_line()

    def __call__(self, event: Event) -> None:
        """Show it."""
        from textgen.series.number_events import NumbersEnded, NumbersReport, NumbersStarted

        if self._json:
            print_json(event.to_dict())
        elif self._quiet:
            pass
        elif isinstance(event, NumbersStarted):
            self._start(event)
        elif isinstance(event, NumbersReport):
            self._report(event)
        elif isinstance(event, NumbersEnded):
            self._end(event)

    def _start(self, event: Any) -> None:
        from textgen.cli.train_view import label_of
        from textgen.terminal.tables import choices_table

        rows = [
            (label_of(choice.name), choice.value, in_flags(choice.reason))
            for choice in event.choices
            if self._explain or choice.name not in _DETAILS
        ]
        self._console.print(choices_table(rows, width=self._console.width))
        hidden = len(event.choices) - len(rows)
        if hidden:
            self._console.print(f"{hidden} more with --explain", style="dim")
        print_notes(event.notes)
        self._console.print(
            f"{event.parameters:,} weights, {event.windows:,} windows to train on; to repeat this "
            "run:",
            soft_wrap=True,
        )
        self._line.say(visible(event.command))

    def _report(self, event: Any) -> None:
        if self._line.goes_back:
            self._line.figures = event.figures()
        elif event.step * 10 // event.steps > (event.step - 1) * 10 // event.steps:
            # About ten lines of a run.
            self._line.say(f"step {event.step:,}/{event.steps:,}  {'  '.join(event.figures())}")

    def _end(self, event: NumbersEnded) -> None:

        self._console.print(_summary(event))
        self._line.say("try next:")
        self._line.say(visible(_sample_command(event)))


def _summary(event: NumbersEnded) -> Any:
    """The panel at the end."""
    from textgen.terminal.humanize import duration
    from textgen.terminal.tables import key_values

    ended = {
        "finished": f"after {event.step:,} steps",
        "converged": f"after {event.step:,} of {event.steps:,} steps: the loss no longer falls",
        "patience": f"after {event.step:,} of {event.steps:,} steps: no new best (--patience)",
        "stopped": f"after {event.step:,} of {event.steps:,} steps: interrupted",
    }
    rows: list[tuple[str, object]] = []
    if event.val_rmse is not None and event.naive_val_rmse is not None:
        last = "the last number" if event.val_numbers == 1 else f"the last {event.val_numbers:,}"
        rows.append((f"RMSE on {last}", _beside(event.val_rmse, event.naive_val_rmse)))
    rows += [
        ("RMSE in training", _beside(event.train_rmse, event.naive_train_rmse)),
        ("naive guess", "the next number is the last one"),
        ("best at step", event.best_step),
    ]
    if event.weights:
        rows.append(("the network", event.equation))
        rows.append(("its weights", weights_in_words(event.weights, event.equation, event.example)))
    rows += [
        ("ended", f"{ended[event.reason]}, {duration(event.seconds)}"),
        ("checkpoint", event.folder),
    ]
    return key_values("Training ended" if event.reason == "stopped" else "Training finished", rows)


def _beside(rmse: float, naive: float) -> str:
    return f"{rmse:.4g}; naive guess {naive:.4g}"


def weights_in_words(weights: Mapping[str, float], equation: str, series: Sequence[float]) -> str:
    """w, b and v, rounded to what can be told apart in a series of such numbers."""
    size = max(map(abs, series), default=0.0) or 1.0
    # b has the units of the series; inside tanh it has none, and w their inverse.
    sizes = {"w": 1.0 / size} if "tanh" in equation else {"b": size}
    return ", ".join(
        f"{name} = {rounded(value, sizes.get(name, 1.0))}" for name, value in weights.items()
    )


def rounded(value: float, size: float = 1.0) -> str:
    """A number to six places after the point of its `size`: 1 for 0.99999999."""
    near = round(value / size, 6) * size
    return f"{near + 0.0:.6g}"


def _sample_command(event: NumbersEnded) -> str:
    """The command to try next."""
    from textgen.terminal.text import quote

    last = ",".join(f"{number:.6g}" for number in event.example)
    command = f"textgen sample --numbers --checkpoint {quote(event.folder)}"
    # A series of many numbers is gone on with from its end, which need not be typed.
    return f"{command} --seed {quote(last)}" if len(event.example) <= 4 else command


def sample_numbers(
    path: Path,
    seed: str,
    length: int | None,
    given: Set[str],
    output: OutputOptions,
    note: str | None,
) -> None:
    """Write the numbers that follow a seed, or the series that the model was trained on.

    Args:
        path: The model's file.
        seed: What was typed, or read from a file; "" is the end of the series.
        length: How many numbers; None is `LENGTH`.
        given: The settings that were typed, by name.
        output: How it is shown.
        note: What else a person should know; None for nothing.
    """
    from textgen.series.number_file import parse_numbers
    from textgen.series.number_model import NumbersModel

    _refuse(given - _SAMPLED, SamplingError)
    model = NumbersModel.load(path)
    length = LENGTH if length is None else length
    if note and not output.quiet:
        print_notes([note])
    numbers = model.stream(seed, length)
    if output.json_output:
        print_json(
            {
                "checkpoint": str(path),
                "seed": parse_numbers(seed) or list(model.last),
                "history": model.history,
                "numbers": list(numbers),
            }
        )
        return
    if not output.quiet:
        after = "the numbers given" if seed.strip() else "the series that it was trained on"
        network = f"{path}: {model.cell_words}, history {model.history}"
        told = f"{network}; the next {length:,} after {after}"
        print(visible(told), file=sys.stderr, flush=True)
    for number in numbers:
        print(f"{number:.10g}", flush=True)


def may_be_numbers(seed: str, given: Set[str]) -> bool:
    """Whether a model of numbers can do what was typed.

    Args:
        seed: What is to be continued.
        given: The settings that were typed, by name.
    """
    from textgen.series.number_file import parse_numbers

    is_read = not any(map(str.isalpha, seed))  # What is wrong with such numbers is told.
    with contextlib.suppress(SamplingError):
        parse_numbers(seed)
        is_read = True
    return given <= _SAMPLED and is_read


def show_numbers(path: Path, json_output: bool, color: ColorMode) -> None:
    """What is in a model of numbers, for `inspect checkpoint`."""
    from textgen.series.number_model import NumbersModel

    model = NumbersModel.load(path)
    weights = {name: list(array.shape) for name, array in model.weights.items()}
    config, info, scaling = model.config, model.info, model.scaling
    if json_output:
        print_json(
            {
                "path": str(path),
                "config": {
                    "cell": config.cell,
                    "nonlinearity": config.nonlinearity,
                    "hidden_size": config.hidden_size,
                    "num_layers": config.num_layers,
                    "history": model.history,
                },
                "parameters": model.parameters,
                "scaling": {"shift": scaling.shift, "divisor": scaling.divisor},
                "equation": model.equation,
                "own_weights": model.own_weights,
                "last": list(model.last),
                "weights": weights,
                "info": info,
            }
        )
        return
    from textgen.cli.train_view import label_of
    from textgen.terminal.console import make_consoles
    from textgen.terminal.tables import choices_table, key_values

    out = make_consoles(color).out
    series = info.get("series", {})
    versions = ", ".join(f"{key} {value}" for key, value in info.get("versions", {}).items())
    rows: list[tuple[str, object]] = [
        ("model", model.summary),
        ("parameters", model.parameters),
        ("series", f"{series.get('numbers')} numbers in {series.get('path') or 'a program'}"),
        ("its end", ", ".join(f"{number:.6g}" for number in model.last)),
    ]
    if model.own_weights:
        told = weights_in_words(model.own_weights, model.equation, model.last)
        rows += [("the network", model.equation), ("its weights", told)]
    out.print(key_values(visible(str(path)), [*rows, ("versions", versions)]))
    if command := info.get("command"):
        out.print("to repeat this run:")
        out.print(visible(command), soft_wrap=True)
    choices = [
        (label_of(choice["name"]), choice["value"], choice["reason"])
        for choice in info.get("choices", [])
    ]
    if choices:
        out.print(choices_table(choices))
    shapes = [(name, " x ".join(map(str, shape))) for name, shape in weights.items()]
    out.print(key_values("weights", shapes))
