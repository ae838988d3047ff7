"""`textgen inspect memory`: how far back models remember."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from textgen.cli.boundary import guarded
from textgen.cli.inspect.common import DrawingOptions, deliver, read_for, say_what_is_read
from textgen.cli.parameters import ModelOptions, Only, in_flags, with_options
from textgen.settings import ADVANCED, TEXT, setting
from textgen.view_options import MemoryOptions, ReadOptions

if TYPE_CHECKING:
    from textgen.api import Model
    from textgen.inspection.memory_report import MemoryReport


@dataclass(frozen=True, kw_only=True)
class CurveOptions:
    """Which curves are drawn."""

    show: str | None = setting(
        None,
        help="Draw only one curve of the gradient: hidden, cell, or input (the embedding vector "
        "of a token).",
        metavar="WHAT",
        by_default="all curves for one model; for several, of each the state that lasts longest",
        parse=str.lower,
    )
    layer: int | None = setting(
        None,
        help="Draw the curves of this layer; the first is 0.",
        panel=ADVANCED,
        metavar="L",
        by_default="the last layer",
    )


@guarded
@with_options
def memory_command(
    options: Annotated[MemoryOptions, Only("max_lag", "positions", "rng", "threads")],
    curves: CurveOptions,
    reading: ReadOptions,
    output: DrawingOptions,
    checkpoints: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[MODEL]...",
            help="The models: files, folders, or names under ./checkpoints. Default: the newest "
            "one there.",
            show_default=False,
        ),
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option(
            "--file",
            metavar="PATH",
            help="Read a file or a folder instead. Default: the text that each model was trained "
            "on.",
            show_default=False,
            rich_help_panel=TEXT,
        ),
    ] = None,
) -> None:
    """Show how far back models remember, in their gradients and in their predictions.

    The command draws two charts over k, the number of tokens back. The first shows the size of a
    gradient: that of the loss of the next token with respect to the state of the network k tokens
    before. An LSTM has two states, h and c; of several models the chart shows for each the state
    whose gradient lasts longest, and says which. The second shows how much the prediction changes
    (total variation) if all text more than k tokens back is replaced by other text.

    textgen inspect memory --max-lag 100

    textgen inspect memory mine --file corpus.txt --picture memory.png
    """
    from textgen.errors import ConfigError, InspectionError
    from textgen.inspection.memory_report import MemoryReports, gradient_chart, panels
    from textgen.terminal.chart import MOST_CURVES, TerminalChart, save_charts

    show, layer = curves.show, curves.layer
    output.check()
    if reading.text is not None and file is not None:
        raise ConfigError("both --text and --file were given; give one of them")
    if show not in (None, "hidden", "cell", "input"):
        raise InspectionError(f"--show is '{show}'; choose one of: hidden, cell, input")
    given: Sequence[str | None] = checkpoints or [None]
    if len(given) > MOST_CURVES:
        raise ConfigError(f"{len(given)} models were given; at most {MOST_CURVES} can be compared")
    models = [ModelOptions(checkpoint=name).load(quiet=output.quiet) for name in given]
    for model in models:
        _check(model, layer, show if len(models) == 1 else None)
    names = names_of([model.path for model in models])
    reports, heads, said = [], [], set()
    for name, model in zip(names, models, strict=True):
        text = read_for(model, None if file is None else [str(file)], reading, quiet=True)
        if not output.quiet and (text.name, text.note) not in said:
            say_what_is_read(text)
            said.add((text.name, text.note))
        report = model.memory(text, **vars(options))
        if not output.quiet:
            _say(name, model, report, options.positions)
        reports.append(report)
        heads.append(
            {
                "checkpoint": str(model.path),
                "source": text.name,
                "chars": text.chars,
                "layers": model.config.num_layers,
                "hidden_size": model.config.hidden_size,
            }
        )
    found = MemoryReports(names=tuple(names), heads=tuple(heads), reports=tuple(reports))
    output.save_picture(lambda path: save_charts(path, panels(found, layer)))
    out = deliver(found, {}, output)
    if out is None:
        return
    from textgen.terminal.tables import draw_table

    out.print(TerminalChart(gradient_chart(found, show, layer)))
    out.print(TerminalChart(panels(found, layer)[-1]))
    out.print()
    out.print(draw_table(found.lags(layer), in_flags))


def _check(model: Model, layer: int | None, show: str | None) -> None:
    from textgen.errors import InspectionError

    last = model.config.num_layers - 1
    if layer is not None and not 0 <= layer <= last:
        raise InspectionError(f"there is no layer {layer} in {model.path}; it has layers 0..{last}")
    if show == "cell" and "c" not in model.config.cell_spec.state_names:
        raise InspectionError(
            f"a model of {model.config.cell} cells has no memory cell; choose one of: hidden, input"
        )


def _say(name: str, model: Model, report: MemoryReport, asked: int) -> None:
    """What has to be known of one model's figures."""
    from textgen.terminal.text import visible

    notes = []
    if len(report.places) < asked:
        notes.append(f"the text has room for {len(report.places)} places only, not for {asked}")
    if model.saved.history:
        notes.append(
            f"it was trained to see {model.saved.history} {report.unit} from a zero state; here "
            "its state is carried on"
        )
    if notes:
        print(f"{visible(name)}: {'; '.join(notes)}", file=sys.stderr)


def names_of(paths: Sequence[Path]) -> list[str]:
    """A short name for each model's file, no two alike."""
    from textgen.checkpoint import MODEL_NAME

    short = [path.parent.name if path.name == MODEL_NAME else path.stem for path in paths]
    short = [name or str(path) for name, path in zip(short, paths, strict=True)]
    names: list[str] = []
    for name, path in zip(short, paths, strict=True):
        alike = {other for other, of in zip(paths, short, strict=True) if of == name}
        full = name if len(alike) == 1 else str(path)
        # The same model may be named twice, too.
        again = paths[: len(names)].count(path)
        names.append(f"{full} ({again + 1})" if again else full)
    return names
