"""`textgen inspect similar`: where in a corpus the state is nearest to that after a text."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from textgen.cli.boundary import guarded
from textgen.cli.inspect.common import (
    SavingOptions,
    SourcesArgument,
    deliver,
    read_for,
    say_what_is_unknown,
)
from textgen.cli.parameters import ModelOptions, Only, with_options
from textgen.view_options import ReadOptions, SimilarOptions

if TYPE_CHECKING:
    from textgen.inspection.similar import SimilarPlaces


@guarded
@with_options
def similar_command(
    text: Annotated[
        str,
        typer.Argument(
            metavar="TEXT",
            help="The text. The state after its end is compared with the state at each place in "
            "the corpus.",
            show_default=False,
        ),
    ],
    options: SimilarOptions,
    reading: Annotated[
        ReadOptions, Only("chars", "encoding", "encoding_errors", "ending", "skip_bad")
    ],
    model: ModelOptions,
    output: SavingOptions,
    paths: SourcesArgument = None,
) -> None:
    """Find places in a corpus where the state of the network is nearly the same as after TEXT.

    Similarity is the cosine of the two states; each neuron is standardised over the corpus first.
    Characters before a place that are the same as in TEXT are bold, because the same characters
    alone can make two states similar.

    textgen inspect similar "the old woman said"

    textgen inspect similar "«Nobody" corpus.txt --chars 100000 --show hidden --top 5
    """
    from textgen.inspection.similar import resolve_similar
    from textgen.inspection.subject import encoded

    output.check()
    loaded = model.load(text, quiet=output.quiet)
    resolve_similar(options, loaded.config)
    encoded(loaded.saved, text)
    if not output.quiet:
        say_what_is_unknown(loaded, text)
    corpus = read_for(loaded, paths, reading, quiet=output.quiet)
    found = loaded.similar(text, corpus, **vars(options))
    head = {"checkpoint": str(loaded.path), "source": corpus.name, "chars": corpus.chars}
    out = deliver(found, head, output)
    if out is None:
        return
    from textgen.terminal.excerpt import Concordance

    excerpts = found.excerpts()
    out.print(Concordance(excerpts.headings, excerpts.lines))
    if not output.quiet:
        print(_told(found, options.not_same, not_asked=options.warm_up > 0), file=sys.stderr)


def _told(found: SimilarPlaces, not_same: int, *, not_asked: bool) -> str:
    layers = ", ".join(map(str, found.layers))
    word = "layer" if len(found.layers) == 1 else "layers"
    told = (
        f"{found.quantity} of {found.units:,} neurons, {word} {layers}; a random place has "
        f"similarity {found.mean:.3f} (sd {found.sd:.3f})"
    )
    if found.contexts:
        told += (
            f"; the text was read after {found.contexts} other passages of {found.warm_up} tokens, "
            "and the mean of the states was looked for (the single ones have similarity "
            f"{found.agreement:.3f} with it)"
        )
    else:
        told += "; the text was read as the beginning of a document"
        if not_asked:
            told += ", because no document is long enough to read it after other text"
    if found.left_out:
        told += (
            f"; {found.left_out:,} places where the last {not_same} tokens are the same as in "
            "the text were left out (--not-same 0 keeps them)"
        )
    return told
