"""`textgen corpus`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from textgen.cleaning import CleanOptions
from textgen.cli.boundary import guarded
from textgen.cli.compress import refuse_replacing
from textgen.cli.parameters import OutputOptions, in_flags, with_options
from textgen.cli.records import print_json, print_notes, say_written
from textgen.messages import Message, marks_of
from textgen.settings import setting

if TYPE_CHECKING:
    from rich.console import Console

    from textgen.cleaning import CorpusReport
    from textgen.table import Table

#: Symbols that are listed with their counts.
_SYMBOLS = 200
#: What white space is called in that list.
_NAMES = {" ": "space", "\n": "newline", "\t": "tab", "\u00a0": "no-break space"}


@dataclass(frozen=True, kw_only=True)
class WrittenOptions:
    """The file that is written."""

    out: Path | None = setting(
        None,
        help="Write the text into this file, in UTF-8, without what --drop names.",
        metavar="FILE",
        by_default="none is written",
    )
    force: bool = setting(False, help="Replace the file if it exists.")


@guarded
@with_options
def corpus_command(
    paths: Annotated[
        list[str],
        typer.Argument(
            metavar="PATH...",
            help="Files in any encoding (.gz too), folders of them, or - for stdin: plain text, "
            "WhatsApp's .txt, Telegram's or Discord's .json, .srt, .vtt, .fountain, .html, .epub, "
            ".docx, .csv, .tsv.",
            show_default=False,
        ),
    ],
    written: WrittenOptions,
    options: CleanOptions,
    output: OutputOptions,
) -> None:
    """Show what would be trained on, and write the text of books, chats, pages and tables.

    The report has the files with their format and encoding, the symbols with their counts, rare
    symbols, what looks like none of the author's text (licences, menus, times of messages), and
    what stands there twice, with the lines. Nothing is left out but what --drop names. Web pages,
    EPUB and Word need lxml, chats in JSON ijson: pip install "textgen-char[files]"

    textgen corpus novel.txt

    textgen corpus letters --out letters-clean.txt --drop boilerplate,duplicates

    textgen corpus reviews.tsv --column 2 --out sentences.txt
    """
    from textgen.api import describe_corpus

    if written.out is not None:
        refuse_replacing(written.out, force=written.force)
    given: dict[str, Any] = asdict(options)
    stdin = sys.stdin.buffer if "-" in paths else None
    report = describe_corpus(*paths, out=written.out, stdin=stdin, **given)
    if output.json_output:
        print_json(report.to_json())
        return
    if not output.quiet:
        print_notes(report.notes)
        print_notes(
            Message(f"{own.path} {marks_of(note)}") for own in report.files for note in own.notes
        )
    from textgen.terminal.console import make_consoles

    _show(report, make_consoles(output.color).out)
    if written.out is not None and not output.quiet:
        say_written(written.out)


def _show(report: CorpusReport, out: Console) -> None:
    from textgen.table import Table
    from textgen.terminal.tables import NARROW, draw_table
    from textgen.terminal.text import visible

    def say(text: str) -> None:
        out.print(visible(in_flags(text)), markup=False, highlight=False)

    say(report.headline)
    for part in report.parts():
        assert isinstance(part, Table)
        out.print()
        if out.width >= NARROW:
            out.print(draw_table(part, in_flags))
        else:
            for line in _stacked(part):
                say(line)
    out.print()
    say(f"Symbols: {_symbols(report)}")
    out.print()
    for line in report.advice():
        say(line)


def _stacked(table: Table) -> Iterator[str]:
    """The lines of a table where there is no room for its columns."""
    if table.title:
        yield f"{table.title}:"
    for first, *rest in table.shown():
        named = zip(table.headings()[1:], rest, strict=True)
        yield f"{first}: {', '.join(f'{key} {value}' for key, value in named if value)}"
    yield from table.notes


def _symbols(report: CorpusReport) -> str:
    """The symbols and their counts in a row."""
    told = [
        f"{_NAMES.get(own.symbol, own.symbol)} {own.count:,}" for own in report.symbols[:_SYMBOLS]
    ]
    left = len(report.symbols) - len(told)
    return "  ".join(told) + (f"  and {left:,} others" if left > 0 else "")
