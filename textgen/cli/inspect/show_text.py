"""`textgen inspect --text ...`: a text in the terminal, coloured by what the network did on it."""

from __future__ import annotations

import sys
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from textgen.cli.boundary import guarded
from textgen.cli.inspect.common import SavingOptions, deliver, say_what_is_unknown
from textgen.cli.parameters import ModelOptions, Only, spelled, with_options
from textgen.cli.records import print_notes
from textgen.corpus.corpus_options import FileOptions
from textgen.progress import task
from textgen.settings import ADVANCED, SAVED, TEXT, check, setting
from textgen.terminal.text import visible
from textgen.view_options import ViewOptions

if TYPE_CHECKING:
    from textgen.api import Model

#: How many characters `--generate` writes after its seed.
GENERATED_LENGTH = 300


@dataclass(frozen=True, kw_only=True)
class SourceOptions:
    """The text that is shown."""

    text: str | None = setting(
        None, help="The text to look at. It may be typed without --text too.", panel=TEXT
    )
    file: Path | None = setting(
        None, help="Look at the text in this file.", panel=TEXT, metavar="FILE"
    )
    generate: str | None = setting(
        None,
        help=f"Let the model write the text: {GENERATED_LENGTH} characters after this beginning.",
        panel=TEXT,
        metavar="SEED",
    )
    rng: int = setting(
        0,
        help="With --generate: the random seed.",
        panel=ADVANCED,
        at_least=0,
    )

    def __post_init__(self) -> None:
        check(self)

    @property
    def given(self) -> int:
        """In how many ways a text is given."""
        return sum(value is not None for value in (self.text, self.file, self.generate))

    @property
    def title(self) -> str:
        """A page's title: its file, the beginning of its text, or what it was written after."""
        if self.file is not None:
            return self.file.name
        if self.text is not None:
            return textwrap.shorten(self.text, 60, placeholder=" …") or "a text"
        seed = textwrap.shorten(self.generate or "", 60, placeholder=" …")
        return f"written after “{seed}”" if seed else "written"


@guarded
@with_options
def text_command(
    context: typer.Context,
    source: SourceOptions,
    options: ViewOptions,
    files: Annotated[FileOptions, Only("encoding", "encoding_errors")],
    model: ModelOptions,
    output: SavingOptions,
    html: Annotated[
        Path | None,
        typer.Option(
            "--html",
            metavar="FILE",
            help="Write an HTML page for a browser instead: the text, with all neurons to choose "
            "from (or as many as fit in 15 MB).",
            rich_help_panel=SAVED,
            show_default=False,
        ),
    ] = None,
) -> None:
    """Look at single neurons: show a text coloured by their value after each character.

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
    from textgen.errors import InspectionError

    if str(html) == "-":
        raise InspectionError(
            "--html - is not a file; a page is written to a file and opened in a browser: "
            "--html page.html"
        )
    output.check()
    if source.given != 1:
        raise InspectionError("give one of --text, --file and --generate")
    loaded = model.load(source.text or source.generate or "", quiet=output.quiet)
    text = _read(loaded, source, files)
    if not text:
        raise InspectionError("the text is empty; give at least one character")
    if not output.quiet:
        say_what_is_unknown(loaded, text)
    if html is not None:
        top = options.top if "top" in spelled(context, ViewOptions) else None
        _write_page(html, loaded, text, source.title, options, top, output.quiet)
        if not (output.json_output or output.csv or output.npz):
            return
    view = loaded.view(text, **vars(options))
    head = {"checkpoint": str(loaded.path), "text": text}
    out = deliver(view, head, output)
    if out is None:
        return
    from textgen.terminal.strip import HeatStrip

    if not output.quiet:
        # The name of the model is a message; the coloured text is the result.
        when = "of each character" if options.show == "influence" else "after each character"
        print(f"{visible(str(loaded.path))}: {view.quantity} {when}", file=sys.stderr)
    for row in view.rows:
        HeatStrip(view.pieces, row).print_to(out)


def _read(model: Model, source: SourceOptions, files: FileOptions) -> str:
    if source.text is not None:
        return source.text
    if source.file is not None:
        from textgen.corpus.reader import read_text

        notes: list[str] = []
        read = read_text(
            source.file,
            model.saved.normalization,
            encoding=files.encoding,
            encoding_errors=files.encoding_errors,
            notes=notes,
        )
        print_notes(notes)
        return read
    with task("writing the text"):
        return model.generate(source.generate or "", length=GENERATED_LENGTH, rng=source.rng)


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
        atomic_write_bytes(path, data, follow=True)
    if quiet:
        return
    if page.notice:
        print(page.notice, file=sys.stderr)
    kept = f"{page.neurons:,} of {page.neurons_in_all:,} neurons"
    told = f"{visible(str(path))} ({fmt.size(len(data))}, {kept})"
    print(f"written: {told}; open it in a browser", file=sys.stderr)


def _refuse_options_before(context: typer.Context) -> None:
    """Options of `inspect` itself would be ignored by the command after them."""
    from textgen.errors import InspectionError

    sources = ((p, context.get_parameter_source(p.name or "")) for p in context.command.params)
    given = [
        parameter.opts[0]
        for parameter, source in sources
        if source is not None and source.name not in ("DEFAULT", "DEFAULT_MAP")
    ]
    if given:
        name = context.invoked_subcommand
        verb = "is an option" if len(given) == 1 else "are options"
        raise InspectionError(
            f"{', '.join(given)} {verb} of 'textgen inspect' for looking at a text and would be "
            f"ignored before '{name}'; leave out either, or write options of '{name}' after it"
        )
