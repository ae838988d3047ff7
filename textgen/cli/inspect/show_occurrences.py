"""`textgen inspect occurrences`: every place of a word in texts."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from textgen.cli.boundary import guarded
from textgen.cli.inspect.common import SavingOptions, deliver
from textgen.cli.parameters import with_options
from textgen.cli.records import print_notes
from textgen.view_options import OccurrenceOptions

#: Forms of the word that are named.
_FORMS = 12


@guarded
@with_options
def occurrences_command(
    word: Annotated[
        str,
        typer.Argument(
            metavar="WORD",
            help="The word, or several in quotes. Only whole words count. * stands for any letters "
            "at the beginning or the end of a word, or for none; put it in quotes: 'hous*'.",
            show_default=False,
        ),
    ],
    paths: Annotated[
        list[str],
        typer.Argument(
            metavar="PATH...",
            help="Text files in any encoding (.gz too), folders of .txt files, or - for stdin.",
            show_default=False,
        ),
    ],
    options: OccurrenceOptions,
    output: SavingOptions,
) -> None:
    """List every place of a word in a text, and show how the places are spread.

    The text is divided into ten equal parts. Below the list a row of blocks shows where in the text
    the places lie, and the numbers below it say how many places each tenth has. No model is needed.

    textgen inspect occurrences 'old' corpus.txt

    textgen inspect occurrences 'wom*n' corpus.txt --limit 20 --csv places.csv
    """
    from textgen.api import occurrences

    output.check()
    given: dict[str, Any] = vars(options)
    stdin = sys.stdin.buffer if "-" in paths else None
    found = occurrences(word, *paths, stdin=stdin, **given)
    if not output.quiet:
        print_notes(found.notes)
    out = deliver(found, {}, output)
    if out is None:
        return
    from textgen.inspection.occurrences import PARTS
    from textgen.terminal.excerpt import Concordance
    from textgen.terminal.spread import Spread
    from textgen.terminal.text import visible

    if found.shown:
        excerpts = found.excerpts()
        out.print(Concordance(excerpts.headings, excerpts.lines))
        left_out = len(found) - len(found.shown)
        if left_out:
            out.out(f"... and {left_out:,} more", highlight=False)
        out.print()
        out.print(Spread(found.spread, PARTS))
        out.print()
    told = found.headline
    if len(found.forms) > 1:
        forms = [f"{form} {count:,}" for form, count in found.forms[:_FORMS]]
        more = len(found.forms) - _FORMS
        told += f": {', '.join(forms)}{f' and {more:,} other forms' if more > 0 else ''}"
    out.print(visible(told), markup=False, highlight=False)
