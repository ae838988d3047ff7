"""`textgen inspect --text ...`: a text in the terminal, coloured by what the network did on it."""

from __future__ import annotations

import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from textgen.cli.boundary import guarded
from textgen.cli.inspect.common import CsvOption, NpzOption, deliver, say_what_is_unknown
from textgen.cli.parameters import (
    CheckpointOption,
    ColorOption,
    EncodingErrorsOption,
    EncodingOption,
    JsonOption,
    QuietOption,
    lower,
)
from textgen.cli.records import check_outputs, print_notes
from textgen.progress import task
from textgen.settings import ADVANCED, TEXT
from textgen.terminal.console import ColorMode
from textgen.view_options import ViewOptions

if TYPE_CHECKING:
    from textgen.api import Model


#: `--generate` writes so many characters after its seed.
GENERATED_LENGTH = 300


@guarded
def text_command(
    context: typer.Context,
    text: Annotated[
        str | None,
        typer.Option(
            "--text",
            help="The text to look at. It may be typed without --text too.",
            rich_help_panel=TEXT,
        ),
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option(
            "--file", metavar="FILE", help="Look at the text of a file.", rich_help_panel=TEXT
        ),
    ] = None,
    generate: Annotated[
        str | None,
        typer.Option(
            "--generate",
            metavar="SEED",
            help=f"Let the model write the text: {GENERATED_LENGTH} characters after this "
            "beginning.",
            rich_help_panel=TEXT,
        ),
    ] = None,
    show: Annotated[
        str | None,
        typer.Option(
            "--show",
            metavar="WHAT",
            help="What colours the text. Of a neuron: cell, hidden, input-gate, forget-gate, "
            "output-gate, candidate. Of the network: surprise, what each character cost in bits; "
            "influence, how much each character changes the prediction after the text. Default: "
            "cell, or hidden where the network has no cell state.",
            parser=lower,
        ),
    ] = None,
    neuron: Annotated[
        list[str] | None,
        typer.Option(
            "--neuron",
            metavar="LAYER:UNIT",
            help="The neuron that colours the text: 0:17 is unit 17 of layer 0. May be repeated.",
        ),
    ] = None,
    top: Annotated[
        int,
        typer.Option(
            "--top", metavar="N", help="Without --neuron: show the N that vary most on the text."
        ),
    ] = 3,
    by: Annotated[
        str | None,
        typer.Option(
            "--by",
            metavar="gradient|omission",
            help="With --show influence: measure it by the gradient, or by leaving the character "
            "out. Default: both.",
            show_default=False,
            rich_help_panel=ADVANCED,
        ),
    ] = None,
    target: Annotated[
        str | None,
        typer.Option(
            "--target",
            metavar="CHAR",
            help="With --show influence: the influence on this next character (with a model of "
            "bytes on its first byte). Default: the likeliest one.",
            show_default=False,
            rich_help_panel=ADVANCED,
        ),
    ] = None,
    rng: Annotated[
        int,
        typer.Option(
            "--rng",
            metavar="N",
            help="With --generate: the number that fixes the random choices.",
            rich_help_panel=ADVANCED,
        ),
    ] = 0,
    encoding: EncodingOption = None,
    encoding_errors: EncodingErrorsOption = "strict",
    checkpoint: CheckpointOption = None,
    html: HtmlOption = None,
    json_output: JsonOption = False,
    csv: CsvOption = None,
    npz: NpzOption = None,
    quiet: QuietOption = False,
    color: ColorOption = ColorMode.AUTO,
) -> None:
    """Show single neurons at work: a text coloured by their values, character by character.

    textgen inspect "Это я убил тогда старуху"

    textgen inspect --text "Это я убил тогда старуху" --top 2

    textgen inspect --file page.txt --neuron 0:17 --show forget-gate

    textgen inspect --generate "старуха" --show surprise

    textgen inspect --text "What time is it ?" --show influence

    textgen inspect --file page.txt --html page.html
    """
    if context.invoked_subcommand is not None:
        _refuse_options_before(context)
        return
    from textgen.api import load
    from textgen.errors import InspectionError

    options = ViewOptions(show=show, neurons=tuple(neuron or ()), top=top, by=by, target=target)
    if html is not None:
        check_page_path(html)
    check_outputs(npz, csv=csv, json_output=json_output)
    given = [value for value in (text, file, generate) if value is not None]
    if len(given) != 1:
        raise InspectionError("give one of --text, --file and --generate")
    model = load(checkpoint)
    source = _source(model, text, file, generate, rng, encoding, encoding_errors)
    if not source:
        raise InspectionError("the text is empty; give at least one character")
    if not quiet:
        say_what_is_unknown(model, source)
    if html is not None:
        limit = top if _is_given(context, "top") else None
        _write_page(html, model, source, page_title(text, file, generate), options, limit, quiet)
        if not (json_output or csv or npz):
            return
    view = model.view(source, **vars(options))
    head = {"checkpoint": str(model.path), "text": source}
    if deliver(view, head, json_output=json_output, csv=csv, npz=npz, quiet=quiet):
        return
    from textgen.terminal.console import make_consoles
    from textgen.terminal.strip import HeatStrip

    consoles = make_consoles(color)
    if not quiet:
        # Which model is looked at is talk; what was seen is the product.
        when = "of each character" if show == "influence" else "after each character"
        print(f"{model.path}: {view.quantity} {when}", file=sys.stderr)
    for row in view.rows:
        HeatStrip(view.pieces, row).print_to(consoles.out)


def _source(
    model: Model,
    text: str | None,
    file: Path | None,
    seed: str | None,
    rng: int,
    encoding: str | None,
    encoding_errors: str,
) -> str:
    if text is not None:
        return text
    if file is not None:
        from textgen.corpus.reader import read_text

        notes: list[str] = []
        read = read_text(
            file,
            model.saved.normalization,
            encoding=encoding,
            encoding_errors=encoding_errors,
            notes=notes,
        )
        print_notes(notes)
        return read
    with task("writing the text"):
        return model.generate(seed or "", length=GENERATED_LENGTH, rng=rng)


def _is_given(context: typer.Context, name: str) -> bool:
    """Whether an option was typed, not left at its default."""
    source = context.get_parameter_source(name)
    return source is not None and source.name not in ("DEFAULT", "DEFAULT_MAP")


def _refuse_options_before(context: typer.Context) -> None:
    """Options of `inspect` itself would be ignored by the command after them."""
    from textgen.errors import InspectionError

    given = [
        parameter.opts[0]
        for parameter in context.command.params
        if parameter.name is not None and _is_given(context, parameter.name)
    ]
    if given:
        name = context.invoked_subcommand
        verb = "is an option" if len(given) == 1 else "are options"
        raise InspectionError(
            f"{', '.join(given)} {verb} of 'textgen inspect' for looking at a text and would be "
            f"ignored before '{name}'; leave out either, or write options of '{name}' after it"
        )


HtmlOption = Annotated[
    Path | None,
    typer.Option(
        "--html",
        metavar="FILE",
        help="Write a page for a browser instead: the text with all neurons to choose from (as "
        "many as 15 MB hold).",
        show_default=False,
    ),
]


def check_page_path(path: Path) -> None:
    """Refuse `-`, which is standard output elsewhere and would be a file's name here.

    Raises:
        InspectionError: It is that.
    """
    from textgen.errors import InspectionError

    if str(path) == "-":
        raise InspectionError(
            "--html - is no file; a page is written to one and opened in a browser: "
            "--html page.html"
        )


def _write_page(
    path: Path,
    model: Model,
    source: str,
    title: str,
    options: ViewOptions,
    top: int | None,
    quiet: bool,
) -> None:
    """Write the page of a text; `top` is the most neurons, None as many as there is room for."""
    from textgen.files import atomic_write_bytes
    from textgen.inspection.page_data import page_of
    from textgen.page.render import render
    from textgen.terminal import humanize as fmt

    page = page_of(model, source, title=title, show=options.show, neurons=options.neurons, top=top)
    with task("writing the page"):
        data = render(page).encode("utf-8", errors="backslashreplace")
        atomic_write_bytes(path, data)
    if quiet:
        return
    if page.notice:
        print(page.notice, file=sys.stderr)
    kept = f"{page.neurons:,} of {page.neurons_in_all:,} neurons"
    print(f"written: {path} ({fmt.size(len(data))}, {kept}); open it in a browser", file=sys.stderr)


def page_title(text: str | None, file: Path | None, seed: str | None) -> str:
    """What a page is called: its file, the beginning of its text, or what it was written after."""
    if file is not None:
        return file.name
    if text is not None:
        return textwrap.shorten(text, 60, placeholder=" …") or "a text"
    return f"written after “{textwrap.shorten(seed, 60, placeholder=' …')}”" if seed else "written"
