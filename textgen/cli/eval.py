"""`textgen eval`."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from textgen.cli.boundary import guarded
from textgen.cli.parameters import ModelOptions, OutputOptions, with_options
from textgen.cli.records import print_json, print_notes
from textgen.corpus.corpus_options import CorpusOptions, FileOptions
from textgen.options import ComputeOptions
from textgen.settings import ADVANCED, check, setting, setting_like
from textgen.terminal.text import visible

if TYPE_CHECKING:
    from textgen.evaluation import Evaluation, PairsEvaluation


@dataclass(frozen=True, kw_only=True)
class EvalOptions(ModelOptions):
    """What is measured.

    Raises:
        ConfigError: A value is out of range.
    """

    window: int | None = setting(
        None,
        help="Measure the text a second time, in windows of N characters; the model reads each "
        "window without the text before it.",
        at_least=1,
    )
    streams: int = setting(
        1,
        help="Split the text into N parts that are read at the same time: much faster, with "
        "nearly the same result. The 256 characters before each part are read but not "
        "counted.",
        panel=ADVANCED,
        at_least=1,
    )
    history: int | None = setting(
        None,
        help="Let the model see only the last N tokens before each prediction; 0 lets it see all "
        "of them.",
        by_default="as in training",
        at_least=0,
    )
    pairs: bool = setting(
        False,
        help="The text consists of pairs, one on each line: SOURCE, a tab, TARGET. Only the "
        "targets are measured, and those that the model writes exactly are counted. A model "
        "of pairs does this without the option.",
    )
    limit: int | None = setting(
        None,
        help="With --history: measure only N tokens, spread over the text (default: 20000). With "
        "pairs: measure only N of them (default: all).",
        panel=ADVANCED,
        at_least=1,
    )
    documents: str | None = setting_like(CorpusOptions, "documents", by_default="as in training")

    def __post_init__(self) -> None:
        check(self)


@guarded
@with_options
def eval_command(
    paths: Annotated[
        list[str],
        typer.Argument(
            metavar="PATH...",
            help="Text files in any encoding (.gz too), folders of .txt files, or - for stdin.",
            show_default=False,
        ),
    ],
    asked: EvalOptions,
    files: FileOptions,
    computing: ComputeOptions,
    output: OutputOptions,
) -> None:
    """Measure how well a model predicts a text, in bits per character and perplexity.

    The text is read from the beginning to the end, and every character counts. A character that
    the model does not know costs as much as the unknown token, plus 20.08 bits, which is the cost
    of choosing one among all characters of Unicode. The perplexity is per token. For a model of
    words, bits per word are printed too: the cost of the whole text, with spaces and punctuation,
    divided by the number of words.

    textgen eval novel.txt --window 256

    textgen eval novel.txt --streams 64

    textgen eval novel.txt --history 8
    """
    from textgen.api import load
    from textgen.errors import ConfigError
    from textgen.evaluation import POSITIONS
    from textgen.terminal.text import command_line
    from textgen.training.folder import has_checkpoint

    for path in paths:
        if has_checkpoint(Path(path)):
            raise ConfigError(
                f"{path} is a model, and a text is expected; type: "
                f"{command_line(['textgen', 'eval', 'corpus.txt', '--checkpoint', path])}"
            )
    model = load(asked.checkpoint)
    reading: dict[str, Any] = {
        **asdict(files),
        **asdict(computing),
        "stdin": sys.stdin.buffer if "-" in paths else None,
    }
    if asked.pairs or model.saved.reads_pairs:
        if asked.window or asked.history is not None or asked.streams > 1 or asked.documents:
            raise ConfigError(
                "pairs are each read from the beginning: --window, --history, --streams and "
                "--documents are for models of text"
            )
        measured = model.evaluate_pairs(*paths, limit=asked.limit, **reading)
        _show(measured, output, heading="pairs")
        return
    as_trained = asked.history is None
    seen = asked.history or 0
    if as_trained and asked.streams == 1:
        seen = model.saved.history or 0
    if asked.limit is not None and not seen:
        raise ConfigError("--limit goes with --history, or with pairs; --history N sees N tokens")
    whole = model.evaluate(
        *paths,
        window=asked.window,
        streams=asked.streams,
        history=seen,
        limit=POSITIONS if asked.limit is None else asked.limit,
        documents=asked.documents,
        **reading,
    )
    notices = []
    if sys.stderr.isatty() and asked.checkpoint is None:
        notices.append(f"the newest model: {visible(str(model.path))}")
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
    _show(whole, output, whole.cold, window=asked.window, notices=notices)


def _show(
    measured: Evaluation | PairsEvaluation,
    output: OutputOptions,
    cold: Evaluation | None = None,
    *,
    window: int | None = None,
    notices: Iterable[str] = (),
    heading: str = "whole text",
) -> None:
    """Print the figures; the notes and notices on stderr."""
    from textgen.terminal.console import make_consoles
    from textgen.terminal.tables import evaluation_table

    figures = measured.to_dict()
    beside = None if cold is None else cold.to_dict("cold_")
    if output.json_output:
        record = {} if beside is None else {"cold": {"cold_window": window, **beside}}
        print_json({**figures, **record, "notes": list(measured.notes)})
        return
    if not output.quiet:
        print_notes(measured.notes)
        for notice in notices:
            print(notice, file=sys.stderr)
    make_consoles(output.color).out.print(evaluation_table(figures, beside, heading=heading))
