"""`textgen inspect memory`: how far back models remember."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from textgen.cli.boundary import guarded
from textgen.cli.help_page import ADVANCED, TEXT
from textgen.cli.inspect.output import CsvOption, NpzOption, deliver
from textgen.cli.inspect.source import (
    DEFAULT_CHARS,
    CharsOption,
    Tokens,
    open_tokens,
    say_what_is_read,
)
from textgen.cli.options import (
    ColorOption,
    EncodingErrorsOption,
    EncodingOption,
    EndingOption,
    JsonOption,
    QuietOption,
    RngOption,
    SkipBadOption,
    ThreadsOption,
    lower,
)
from textgen.cli.records import check_outputs
from textgen.corpus.source import DEFAULT_ENDING
from textgen.terminal.console import ColorMode

if TYPE_CHECKING:
    from textgen.api import Model
    from textgen.inspection.memory_report import MemoryReport


@guarded
def memory_command(
    checkpoints: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[MODEL]...",
            help="The models: files, folders, or names under ./checkpoints. Default: the newest "
            "one there.",
            show_default=False,
        ),
    ] = None,
    text: Annotated[
        str | None,
        typer.Option(
            "--text", help="Measure on this text.", show_default=False, rich_help_panel=TEXT
        ),
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option(
            "--file",
            metavar="PATH",
            help="Measure on the text of a file or a folder. Default: what each model was trained "
            "on.",
            show_default=False,
            rich_help_panel=TEXT,
        ),
    ] = None,
    max_lag: Annotated[
        int, typer.Option("--max-lag", metavar="K", help="Look K tokens back.")
    ] = 200,
    positions: Annotated[
        int,
        typer.Option(
            "--positions",
            metavar="N",
            help="Measure at N places spread over the text.",
            rich_help_panel=ADVANCED,
        ),
    ] = 200,
    show: Annotated[
        str | None,
        typer.Option(
            "--show",
            metavar="WHAT",
            help="Draw one curve of the gradient: hidden, cell, or input (the vector of a symbol). "
            "Default: all curves of one model; of several models that of hidden.",
            show_default=False,
            parser=lower,
        ),
    ] = None,
    layer: Annotated[
        int | None,
        typer.Option(
            "--layer",
            metavar="L",
            help="Draw the states of this layer, from 0. Default: the last layer.",
            rich_help_panel=ADVANCED,
            show_default=False,
        ),
    ] = None,
    picture: Annotated[
        Path | None,
        typer.Option(
            "--picture",
            metavar="FILE",
            help="Also draw the charts into a file whose name ends in .png or .svg.",
            show_default=False,
        ),
    ] = None,
    rng: RngOption = 0,
    chars: CharsOption = DEFAULT_CHARS,
    encoding: EncodingOption = None,
    encoding_errors: EncodingErrorsOption = "strict",
    ending: EndingOption = DEFAULT_ENDING,
    skip_bad: SkipBadOption = False,
    threads: ThreadsOption = None,
    json_output: JsonOption = False,
    csv: CsvOption = None,
    npz: NpzOption = None,
    quiet: QuietOption = False,
    color: ColorOption = ColorMode.AUTO,
) -> None:
    """Show how far back models remember, in gradients and in what they predict.

    It draws two curves over k, the number of symbols back. The first is the size of the gradient
    of the cost of the next symbol with respect to what the network held k symbols before. The
    second is how much the prediction changes (total variation) where all text that lies more than
    k symbols back is replaced by other text.

    textgen inspect memory --max-lag 100

    textgen inspect memory mine --file corpus.txt --picture memory.png
    """
    from textgen.api import load
    from textgen.cli.inspect.memory_sheet import figures, gradient_chart, names_of, panels
    from textgen.errors import ConfigError, InspectionError
    from textgen.inspection.memory_report import MemoryReports
    from textgen.terminal.chart import MOST_CURVES, TerminalChart, save_charts

    check_outputs(npz, picture=picture, csv=csv, json_output=json_output)
    if text is not None and file is not None:
        raise ConfigError("both --text and --file were given; give one of them")
    if show not in (None, "hidden", "cell", "input"):
        raise InspectionError(f"--show is '{show}'; choose of: hidden, cell, input")
    given: Sequence[str | None] = checkpoints or [None]
    if len(given) > MOST_CURVES:
        raise ConfigError(f"{len(given)} models were given; at most {MOST_CURVES} can be compared")
    models = [load(checkpoint) for checkpoint in given]
    for model in models:
        _check(model, layer, show if len(models) == 1 else None)
    names = names_of([model.path for model in models])
    reports, heads, said = [], [], set()
    for name, model in zip(names, models, strict=True):
        tokens = open_tokens(
            model,
            None if file is None else [str(file)],
            text,
            chars,
            encoding=encoding,
            encoding_errors=encoding_errors,
            ending=ending,
            skip_bad=skip_bad,
        )
        if not quiet and (tokens.name, tokens.note) not in said:
            say_what_is_read(tokens)
            said.add((tokens.name, tokens.note))
        report = model.memory(
            tokens.ids, max_lag=max_lag, positions=positions, rng=rng, threads=threads
        )
        if not quiet:
            _say(name, model, report, positions)
        reports.append(report)
        heads.append(_head(model, tokens))
    found = MemoryReports(names=tuple(names), heads=tuple(heads), reports=tuple(reports))
    if picture is not None:
        save_charts(picture, panels(found, layer))
        if not quiet:
            print(f"written: {picture}", file=sys.stderr)
    if deliver(found, {}, json_output=json_output, csv=csv, npz=npz, quiet=quiet):
        return
    from textgen.terminal.console import make_consoles

    out = make_consoles(color).out
    out.print(TerminalChart(gradient_chart(found, show, layer)))
    out.print(TerminalChart(panels(found, layer)[-1]))
    out.print()
    table, note = figures(found, layer)
    out.print(table)
    out.print(note)


def _check(model: Model, layer: int | None, show: str | None) -> None:
    from textgen.errors import InspectionError

    last = model.config.num_layers - 1
    if layer is not None and not 0 <= layer <= last:
        raise InspectionError(f"--layer {layer} is none of {model.path}; it has 0..{last}")
    if show == "cell" and "c" not in model.config.cell_spec.state_names:
        raise InspectionError(
            f"a model of {model.config.cell} cells has no memory cell; choose of: hidden, input"
        )


def _head(model: Model, tokens: Tokens) -> dict[str, str | int]:
    return {
        "checkpoint": str(model.path),
        "source": tokens.name,
        "chars": tokens.chars,
        "layers": model.config.num_layers,
        "hidden_size": model.config.hidden_size,
    }


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
