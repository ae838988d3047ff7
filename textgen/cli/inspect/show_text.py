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

if TYPE_CHECKING:
    from textgen.api import Model
    from textgen.corpus.vocabulary import Ids
    from textgen.inspection import HeatView, Neuron, Trace


#: `--generate` writes so many characters after its seed.
GENERATED_LENGTH = 300

#: Up to so many tokens all neurons are kept until those to show are chosen; a longer text is read
#: a second time.
WHOLE_TRACE_TOKENS = 20_000


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

    if top < 1:
        raise InspectionError(f"--top is {top}; it must be at least 1")
    if show in ("surprise", "influence") and neuron:
        raise InspectionError(f"{show} is of the whole network; leave --neuron out")
    if show != "influence" and (by is not None or target is not None):
        raise InspectionError(
            f"{'--by' if by is not None else '--target'} asks about influence; add --show influence"
        )
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
        title = page_title(text, file, generate)
        limit = top if _is_given(context, "top") else None
        write_page(
            html, model, source, title=title, show=show, neuron=neuron, top=limit, quiet=quiet
        )
        if not (json_output or csv or npz):
            return
    if show == "influence":
        view = _influence(model, source, by, target)
    else:
        view = _view(model, source, show, neuron, top)
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


def _view(
    model: Model, source: str, show: str | None, neuron: list[str] | None, top: int
) -> HeatView:
    from dataclasses import replace

    from textgen.inspection import (
        check_quantity,
        default_quantity,
        neuron_view,
        parse_neuron,
        source_pieces,
        surprise_view,
        trace,
    )

    network, vocabulary = model.network, model.vocabulary
    text = model.saved.normalization.apply(source)
    ids = vocabulary.encode(text)

    def sourced(traced: Trace) -> Trace:
        return replace(traced, pieces=source_pieces(text, traced.pieces, traced.ids))

    if show == "surprise":
        return surprise_view(sourced(trace(network, ids, vocabulary=vocabulary, quantities=())))
    cell = model.config.cell_spec
    quantity = default_quantity(cell) if show is None else check_quantity(cell, show)
    if neuron:
        chosen = [
            parse_neuron(
                name,
                num_layers=model.config.num_layers,
                hidden_size=model.config.hidden_size,
                quantity=quantity,
            )
            for name in neuron
        ]
        traced = trace(network, ids, vocabulary=vocabulary, quantities=[quantity], units=chosen)
    else:
        chosen, traced = _most_varying(model, ids, quantity, top)
    return neuron_view(sourced(traced), chosen, quantity=quantity)


def _influence(model: Model, source: str, by: str | None, target: str | None) -> HeatView:
    from textgen.inspection import source_pieces
    from textgen.inspection.influence import MEASURES, find_target, influence_view

    vocabulary = model.vocabulary
    text = model.saved.normalization.apply(source)
    ids = vocabulary.encode(text)
    return influence_view(
        model.network,
        model.saved.weights,
        ids,
        source_pieces(text, vocabulary.pieces(ids), ids),
        vocabulary,
        by=MEASURES if by is None else (by,),
        target=None if target is None else find_target(vocabulary, target),
        asked=target or "",
    )


def _most_varying(model: Model, ids: Ids, quantity: str, top: int) -> tuple[list[Neuron], Trace]:
    """The neurons that vary most on the text, and a trace of them."""
    from textgen.inspection import join_chunks, most_varying, trace, trace_chunks

    network, vocabulary = model.network, model.vocabulary
    if len(ids) <= WHOLE_TRACE_TOKENS:
        parts = list(trace_chunks(network, ids, vocabulary=vocabulary, quantities=[quantity]))
        chosen = [stats.neuron for stats in most_varying(parts, top, quantity=quantity)]
        return chosen, join_chunks(part.select(chosen) for part in parts)
    # All neurons of a long text would fill the memory: one pass chooses, another keeps.
    chunks = model.survey(ids, [quantity])
    chosen = [stats.neuron for stats in most_varying(chunks, top, quantity=quantity)]
    traced = trace(network, ids, vocabulary=vocabulary, quantities=[quantity], units=chosen)
    return chosen, traced


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


def write_page(
    path: Path,
    model: Model,
    source: str,
    *,
    title: str,
    show: str | None = None,
    neuron: list[str] | None = None,
    top: int | None = None,
    quiet: bool = False,
) -> None:
    """Write the page of a text.

    Args:
        path: Where to; a file that is there is replaced.
        model: What reads the text.
        source: The text as it was given.
        title: What the text is.
        show: A quantity, or `surprise`; None: the default quantity.
        neuron: Neurons as typed; None or none: those that vary most.
        top: At most so many of these; None: as many as there is room for.
        quiet: Say nothing of what was written.
    Raises:
        InspectionError: The text is empty, there is no such neuron or quantity, or influence was
            asked for, which is not on the page.
        StorageError: The file cannot be written.
    """
    from textgen.errors import InspectionError
    from textgen.files import atomic_write_bytes
    from textgen.inspection import default_quantity, page_data, parse_neuron
    from textgen.page.render import render
    from textgen.terminal import humanize as fmt

    if show == "influence":
        raise InspectionError(
            "--html shows neurons and surprise, not influence; leave out --html or --show influence"
        )
    config = model.config
    page = page_data(
        model.network,
        model.vocabulary,
        model.saved.normalization.apply(source),
        quantity=show,
        neurons=[
            parse_neuron(
                name,
                num_layers=config.num_layers,
                hidden_size=config.hidden_size,
                quantity=show or default_quantity(config.cell_spec),
            )
            for name in neuron
        ]
        if neuron
        else None,
        top=top,
        survey=model.survey,
        title=title,
        facts=(_name(model), f"{config.cell.upper()} {config.num_layers} × {config.hidden_size}"),
    )
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


def _name(model: Model) -> str:
    """The run's name, not its path: pages are handed on."""
    path = model.path.resolve()
    return path.parent.name if path.name == "model.safetensors" else path.stem
