"""`textgen eval`."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Annotated

import typer

from textgen.cli.boundary import guarded
from textgen.cli.moving import is_live
from textgen.cli.options import (
    CheckpointOption,
    ColorOption,
    DeviceOption,
    EncodingOption,
    JsonOption,
    QuietOption,
    ThreadsOption,
)
from textgen.cli.records import print_json
from textgen.terminal.color import ColorMode
from textgen.terminal.text import visible


@guarded
def eval_command(
    paths: Annotated[
        list[str],
        typer.Argument(metavar="PATH...", help="Texts to evaluate on.", show_default=False),
    ],
    checkpoint: CheckpointOption = None,
    window: Annotated[
        int | None,
        typer.Option(
            "--window",
            help="Also read the text in windows of so many characters, each from a zero state.",
            show_default=False,
        ),
    ] = None,
    streams: Annotated[
        int,
        typer.Option(
            "--streams",
            help="Read so many parts of the text side by side, each after 256 characters that are "
            "not charged: much faster, and nearly the same.",
        ),
    ] = 1,
    history: Annotated[
        int | None,
        typer.Option(
            "--history",
            metavar="N",
            help="Instead of one pass, let the network see exactly the N tokens before each, its "
            "state from zero before them; 0 carries the state on. Default: as the model was "
            "trained.",
            show_default=False,
        ),
    ] = None,
    pairs: Annotated[
        bool,
        typer.Option(
            "--pairs",
            help="The files hold pairs, SOURCE, a TAB, TARGET: the cost of the targets, and how "
            "many are written exactly. A model of pairs is always measured so.",
        ),
    ] = False,
    limit: Annotated[
        int | None,
        typer.Option(
            "--limit",
            metavar="N",
            help="Charge at most N tokens with a history (20000 unless given), or N pairs (all), "
            "spread over the text.",
            show_default=False,
        ),
    ] = None,
    documents: Annotated[
        str | None,
        typer.Option(
            "--documents",
            metavar="blank|line|file",
            help="What separates documents: blank lines, line ends, or files only. "
            "Default: as in training.",
            show_default=False,
        ),
    ] = None,
    encoding: EncodingOption = None,
    device: DeviceOption = "auto",
    threads: ThreadsOption = None,
    json_output: JsonOption = False,
    quiet: QuietOption = False,
    color: ColorOption = ColorMode.AUTO,
) -> None:
    """Measure the cost of a text under a model, in one pass that carries the state.

    Every character is charged. One outside the vocabulary costs what the model gives the unknown
    symbol plus 20.08 bits, the choice of one among all of Unicode. Computed in float32. At word
    level also bits per word: all that the text costs, spaces and punctuation too, over its words,
    the runs of letters and digits, spelled ones too; perplexity is per token.

    textgen eval novel.txt --window 256

    textgen eval novel.txt --streams 64

    textgen eval novel.txt --history 8
    """
    from textgen.api import load
    from textgen.errors import ConfigError
    from textgen.training.history import POSITIONS

    model = load(checkpoint)
    live = is_live(quiet=quiet, json_output=json_output)
    stdin = None if "-" not in paths else sys.stdin.buffer
    if pairs or model.saved.reads_pairs:
        if window is not None or history is not None or streams > 1 or documents is not None:
            raise ConfigError(
                "pairs are each read from the beginning: --window, --history, --streams and "
                "--documents are for models of text"
            )
        figures = model.evaluate_pairs(
            *paths,
            limit=limit,
            device=device,
            threads=threads,
            encoding=encoding,
            stdin=stdin,
        ).to_dict()
        if json_output:
            print_json(figures)
        else:
            _show(figures, None, color, heading="pairs")
        return
    seen = (model.saved.history or 0) if history is None and streams == 1 else history or 0
    if limit is not None and not seen:
        raise ConfigError("--limit goes with --history, or with pairs; --history N sees N tokens")
    whole, cold = model.evaluate(
        *paths,
        window=window,
        streams=streams,
        history=seen,
        limit=POSITIONS if limit is None else limit,
        device=device,
        threads=threads,
        documents=documents,
        encoding=encoding,
        stdin=stdin,
    )
    record: dict[str, object] = {**whole.to_dict()}
    if cold is not None:
        record["cold"] = {"cold_window": window, **cold.to_dict("cold_")}
    if json_output:
        print_json(record)
        return
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
