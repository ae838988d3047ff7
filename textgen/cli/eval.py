"""`textgen eval`."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from textgen.cli.boundary import guarded
from textgen.cli.help_page import ADVANCED, TEXT
from textgen.cli.moving import is_live
from textgen.cli.options import (
    DOCUMENTS_HELP,
    DOCUMENTS_METAVAR,
    CheckpointOption,
    ColorOption,
    DeviceOption,
    EncodingErrorsOption,
    EncodingOption,
    EndingOption,
    JsonOption,
    QuietOption,
    SkipBadOption,
    ThreadsOption,
)
from textgen.cli.records import print_json, print_notes
from textgen.corpus.source import DEFAULT_ENDING
from textgen.terminal.console import ColorMode
from textgen.terminal.text import visible


@guarded
def eval_command(
    paths: Annotated[
        list[str],
        typer.Argument(
            metavar="PATH...",
            help="The text: files, folders of .txt files, or - for stdin.",
            show_default=False,
        ),
    ],
    checkpoint: CheckpointOption = None,
    window: Annotated[
        int | None,
        typer.Option(
            "--window",
            metavar="N",
            help="Measure the text a second time in windows of N characters, each read without "
            "what stands before it.",
            show_default=False,
        ),
    ] = None,
    streams: Annotated[
        int,
        typer.Option(
            "--streams",
            metavar="N",
            help="Cut the text into N parts that are read side by side: much faster, and nearly "
            "the same. The 256 characters before each part are read, but not counted.",
            rich_help_panel=ADVANCED,
        ),
    ] = 1,
    history: Annotated[
        int | None,
        typer.Option(
            "--history",
            metavar="N",
            help="Let the model see only the N tokens before each prediction; 0 lets it see all "
            "that stands before. Default: as it was trained.",
            show_default=False,
        ),
    ] = None,
    pairs: Annotated[
        bool,
        typer.Option(
            "--pairs",
            help="The files hold pairs, one a line: SOURCE, a TAB, TARGET. Only the targets are "
            "measured, and how many of them the model writes exactly is counted. A model of pairs "
            "does not need --pairs.",
        ),
    ] = False,
    limit: Annotated[
        int | None,
        typer.Option(
            "--limit",
            metavar="N",
            help="With a history: measure only N tokens, spread over the text (20000 without "
            "--limit). With pairs: measure only N of them (all without --limit).",
            rich_help_panel=ADVANCED,
            show_default=False,
        ),
    ] = None,
    documents: Annotated[
        str | None,
        typer.Option(
            "--documents",
            metavar=DOCUMENTS_METAVAR,
            help=DOCUMENTS_HELP + "Default: as in training.",
            show_default=False,
            rich_help_panel=TEXT,
        ),
    ] = None,
    encoding: EncodingOption = None,
    encoding_errors: EncodingErrorsOption = "strict",
    ending: EndingOption = DEFAULT_ENDING,
    skip_bad: SkipBadOption = False,
    device: DeviceOption = "auto",
    threads: ThreadsOption = None,
    json_output: JsonOption = False,
    quiet: QuietOption = False,
    color: ColorOption = ColorMode.AUTO,
) -> None:
    """Measure how well a model predicts a text: bits per character and perplexity.

    The text is read from its beginning to its end, and every character counts. A character that
    the model does not know costs as much as the unknown symbol, and 20.08 bits more, for these
    choose one character among all of Unicode. The perplexity is that of a token. For a model of
    words bits per word are printed too: the cost of the whole text, spaces and punctuation
    included, divided by the number of its words.

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
    model = load(checkpoint)
    live = is_live(quiet=quiet, json_output=json_output)
    stdin = None if "-" not in paths else sys.stdin.buffer
    if pairs or model.saved.reads_pairs:
        if window is not None or history is not None or streams > 1 or documents is not None:
            raise ConfigError(
                "pairs are each read from the beginning: --window, --history, --streams and "
                "--documents are for models of text"
            )
        measured = model.evaluate_pairs(
            *paths,
            limit=limit,
            device=device,
            threads=threads,
            encoding=encoding,
            encoding_errors=encoding_errors,
            ending=ending,
            skip_bad=skip_bad,
            stdin=stdin,
        )
        figures = measured.to_dict()
        if json_output:
            print_json({**figures, "notes": list(measured.notes)})
        else:
            if not quiet:
                print_notes(measured.notes)
            _show(figures, None, color, heading="pairs")
        return
    seen = (model.saved.history or 0) if history is None and streams == 1 else history or 0
    if limit is not None and not seen:
        raise ConfigError("--limit goes with --history, or with pairs; --history N sees N tokens")
    whole = model.evaluate(
        *paths,
        window=window,
        streams=streams,
        history=seen,
        limit=POSITIONS if limit is None else limit,
        device=device,
        threads=threads,
        documents=documents,
        encoding=encoding,
        encoding_errors=encoding_errors,
        ending=ending,
        skip_bad=skip_bad,
        stdin=stdin,
    )
    cold = whole.cold
    record: dict[str, object] = {**whole.to_dict()}
    if cold is not None:
        record["cold"] = {"cold_window": window, **cold.to_dict("cold_")}
    record["notes"] = list(whole.notes)
    if json_output:
        print_json(record)
        return
    if not quiet:
        print_notes(whole.notes)
    if live and checkpoint is None:
        print(f"the newest model: {visible(str(model.path))}", file=sys.stderr)
    if model.saved.history and not seen and history is None and not quiet:
        print(
            f"the model was trained to see {model.saved.history} tokens at each prediction; "
            "--streams carries its state on instead: leave it out to measure it as it was trained",
            file=sys.stderr,
        )
    if seen and history is None and not quiet:
        print(
            f"the model sees {seen} tokens at each prediction, as in training; --history 0 "
            "carries its state on",
            file=sys.stderr,
        )
    _show(whole.to_dict(), None if cold is None else cold.to_dict("cold_"), color)


def _show(
    figures: Mapping[str, object],
    cold: Mapping[str, object] | None,
    color: ColorMode,
    *,
    heading: str = "whole text",
) -> None:
    from textgen.terminal.console import make_consoles
    from textgen.terminal.tables import evaluation_table

    make_consoles(color).out.print(evaluation_table(figures, cold, heading=heading))
