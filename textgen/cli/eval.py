"""`textgen eval`."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from textgen.cli.boundary import guarded
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
    symbol plus 20.08 bits, the choice of one among all of Unicode. Computed in float32.

    textgen eval novel.txt --window 256

    textgen eval novel.txt --streams 64
    """
    from textgen.api import load

    model = load(checkpoint)
    live = sys.stderr.isatty() and not quiet and not json_output

    def progress(done: int, total: int) -> None:
        if live:
            print(f"\r{done / total:4.0%} of {total:,} tokens", end="", file=sys.stderr)
            if done == total:
                print("\r" + " " * 40 + "\r", end="", file=sys.stderr, flush=True)

    stdin = None if "-" not in paths else sys.stdin.buffer
    whole, cold = model.evaluate(
        *paths,
        window=window,
        streams=streams,
        device=device,
        threads=threads,
        documents=documents,
        encoding=encoding,
        stdin=stdin,
        on_progress=progress,
    )
    record: dict[str, object] = {**whole.to_dict()}
    if cold is not None:
        record["cold"] = {"cold_window": window, **cold.to_dict("cold_")}
    if json_output:
        print_json(record)
        return
    if live and checkpoint is None:
        print(f"the newest model: {visible(str(model.path))}", file=sys.stderr)
    from textgen.terminal.console import make_consoles
    from textgen.terminal.tables import evaluation_table

    make_consoles(color).out.print(
        evaluation_table(whole.to_dict(), None if cold is None else cold.to_dict("cold_"))
    )
