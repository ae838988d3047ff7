"""`textgen inspect similar`: where in a corpus the state is nearest to that after a text."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from textgen.cli.boundary import guarded
from textgen.cli.inspect.common import (
    CharsOption,
    CsvOption,
    NpzOption,
    SourcesArgument,
    deliver,
    read_for,
    say_what_is_unknown,
)
from textgen.cli.parameters import (
    CheckpointOption,
    ColorOption,
    EncodingErrorsOption,
    EncodingOption,
    EndingOption,
    JsonOption,
    QuietOption,
    SkipBadOption,
    lower,
)
from textgen.cli.records import check_outputs
from textgen.corpus.corpus_options import DEFAULT_ENDING
from textgen.settings import ADVANCED
from textgen.terminal.console import ColorMode
from textgen.view_options import DEFAULT_CHARS, SimilarOptions

if TYPE_CHECKING:
    from textgen.inspection.similar import SimilarPlaces
    from textgen.terminal.excerpt import Concordance


@guarded
def similar_command(
    text: Annotated[
        str,
        typer.Argument(
            metavar="TEXT",
            help="The text. The state after its end is compared with that at each place of the "
            "corpus.",
            show_default=False,
        ),
    ],
    paths: SourcesArgument = None,
    show: Annotated[
        str | None,
        typer.Option(
            "--show",
            metavar="WHAT",
            help="What is compared: cell, hidden, or a gate such as forget-gate. Default: cell, or "
            "hidden where the network has no cell state.",
            show_default=False,
            parser=lower,
        ),
    ] = None,
    layer: Annotated[
        str | None,
        typer.Option(
            "--layer",
            metavar="L|all",
            help="Compare the units of this layer, from 0, or of all. Default: the last layer.",
            show_default=False,
        ),
    ] = None,
    units: Annotated[
        int,
        typer.Option(
            "--units",
            metavar="K",
            help="Compare only the K units whose values are most unusual after TEXT; 0 compares "
            "all.",
            rich_help_panel=ADVANCED,
        ),
    ] = 0,
    top: Annotated[
        int, typer.Option("--top", metavar="N", help="Show the N places that are most similar.")
    ] = 10,
    min_apart: Annotated[
        int,
        typer.Option(
            "--min-apart",
            metavar="N",
            help="Show places that lie at least N symbols apart.",
            rich_help_panel=ADVANCED,
        ),
    ] = 64,
    not_same: Annotated[
        int,
        typer.Option(
            "--not-same",
            metavar="N",
            help="Leave out places whose last N symbols are those of TEXT, for they are alike for "
            "no other reason; 0 leaves out none. For a model of bytes a Cyrillic letter is two "
            "symbols.",
            rich_help_panel=ADVANCED,
        ),
    ] = SimilarOptions.not_same,
    chars: CharsOption = DEFAULT_CHARS,
    encoding: EncodingOption = None,
    encoding_errors: EncodingErrorsOption = "strict",
    ending: EndingOption = DEFAULT_ENDING,
    skip_bad: SkipBadOption = False,
    checkpoint: CheckpointOption = None,
    json_output: JsonOption = False,
    csv: CsvOption = None,
    npz: NpzOption = None,
    quiet: QuietOption = False,
    color: ColorOption = ColorMode.AUTO,
) -> None:
    """Find the places of a corpus where the network is in nearly the same state as after TEXT.

    Similarity is the cosine of the two states, each unit standardised over the corpus. Characters
    before a place that are the same as in TEXT are bold: these alone can make states alike.

    textgen inspect similar "the old woman said"

    textgen inspect similar "«Nobody" corpus.txt --chars 100000 --show hidden --top 5
    """
    from textgen.api import load
    from textgen.inspection.similar import resolve_similar
    from textgen.inspection.subject import encoded

    check_outputs(npz, csv=csv, json_output=json_output)
    options = SimilarOptions(
        show=show, layer=layer, units=units, top=top, min_apart=min_apart, not_same=not_same
    )
    model = load(checkpoint)
    resolve_similar(options, model.config)
    encoded(model.saved, text)
    if not quiet:
        say_what_is_unknown(model, text)
    read = read_for(
        model,
        paths,
        chars=chars,
        quiet=quiet,
        encoding=encoding,
        encoding_errors=encoding_errors,
        ending=ending,
        skip_bad=skip_bad,
    )
    found = model.similar(text, read, **vars(options))
    head = {"checkpoint": str(model.path), "source": read.name, "chars": read.chars}
    if deliver(found, head, json_output=json_output, csv=csv, npz=npz, quiet=quiet):
        return
    from textgen.terminal.console import make_consoles

    make_consoles(color).out.print(_concordance(found))
    if not quiet:
        print(_told(found, not_same), file=sys.stderr)


def _concordance(found: SimilarPlaces) -> Concordance:
    from textgen.terminal.excerpt import Concordance, ContextLine

    lines = [ContextLine(("", "", "text"), found.query, "")]
    for match in found.matches:
        shared = _shared_end(match.before, found.query)
        labels = (f"{match.similarity:.3f}", str(match.same), f"{match.passage.place:,}")
        lines.append(ContextLine(labels, match.before, match.after, marked=shared))
    return Concordance(("similarity", "same", "place"), lines)


def _shared_end(first: str, second: str) -> int:
    """How many characters at their ends are the same."""
    count = 0
    for one, other in zip(reversed(first), reversed(second), strict=False):
        if one != other:
            break
        count += 1
    return count


def _told(found: SimilarPlaces, not_same: int) -> str:
    layers = ", ".join(map(str, found.layers))
    word = "layer" if len(found.layers) == 1 else "layers"
    told = (
        f"{found.quantity} of {found.units:,} units, {word} {layers}; a place by chance has "
        f"similarity {found.mean:.3f} (sd {found.sd:.3f})"
    )
    if found.left_out:
        told += (
            f"; {found.left_out:,} places whose last {not_same} symbols are the text's were left "
            "out (--not-same 0 keeps them)"
        )
    return told
