"""`textgen eval`."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from textgen.cli.boundary import guarded
from textgen.cli.parameters import ModelOptions, NeededPaths, OutputOptions, with_options
from textgen.cli.records import print_json, print_notes
from textgen.options import TEXT_ONLY, EvalOptions

if TYPE_CHECKING:
    from textgen.evaluation import Evaluation, PairsEvaluation


@guarded
@with_options
def eval_command(
    paths: NeededPaths,
    used: ModelOptions,
    asked: EvalOptions,
    output: OutputOptions,
) -> None:
    """Measure how well a model predicts a text, in bits per character and perplexity.

    The text is read from the beginning to the end, and every character counts. A character that
    the model does not know is read as the nearest one that it knows, such as – as —, and the figure
    includes what it takes to tell them apart. Without such a form it costs as much as the unknown
    token, plus 20.08 bits, which is the cost of choosing one among all characters of Unicode. The
    perplexity is per token. For a model of words, bits per word are printed too: the cost of the
    whole text, with spaces and punctuation, divided by the number of words.

    textgen eval novel.txt --window 256

    textgen eval novel.txt --streams 64

    textgen eval novel.txt --history 8
    """
    from textgen.checkpoint import has_checkpoint
    from textgen.errors import ConfigError
    from textgen.terminal.text import command_line

    for path in paths:
        if has_checkpoint(path):
            raise ConfigError(
                f"{path} is a model, and a text is expected; type: "
                f"{command_line(['textgen', 'eval', 'corpus.txt', '--checkpoint', path])}"
            )
    model = used.load(quiet=output.quiet)
    asked = replace(asked, pairs=asked.pairs or model.saved.reads_pairs)
    settings: dict[str, Any] = asdict(asked) | {"stdin": sys.stdin.buffer if "-" in paths else None}
    if settings.pop("pairs"):
        for name in TEXT_ONLY:
            settings.pop(name)
        pairs = model.evaluate_pairs(*paths, **settings)
        record = {**pairs.to_dict(), "notes": list(pairs.notes)}
        _show(pairs, record, output, heading="pairs")
        return
    whole = model.evaluate(*paths, **settings)
    seen, as_trained = whole.history, asked.history is None
    notices = []
    if model.saved.history and as_trained and not seen:
        notices.append(
            f"the model was trained to see {model.saved.history} tokens at each prediction; "
            "--streams carries its state on instead: leave it out to measure it as it was "
            "trained"
        )
    if seen and as_trained:
        notices.append(
            f"the model sees {seen} tokens at each prediction, as in training; --history 0 "
            "carries its state on"
        )
    _show(whole, whole.report(asked.window), output, whole.cold, notices=notices)


def _show(
    measured: Evaluation | PairsEvaluation,
    record: dict[str, Any],
    output: OutputOptions,
    cold: Evaluation | None = None,
    *,
    notices: Iterable[str] = (),
    heading: str = "whole text",
) -> None:
    """Print the figures, or the record as JSON; the notes and notices on stderr."""
    from textgen.terminal.console import make_consoles
    from textgen.terminal.tables import evaluation_table

    if output.json_output:
        print_json(record)
        return
    figures = measured.to_dict()
    beside = None if cold is None else cold.to_dict("cold_")
    if not output.quiet:
        print_notes(measured.notes)
        for notice in notices:
            print(notice, file=sys.stderr)
    make_consoles(output.color).out.print(evaluation_table(figures, beside, heading=heading))
