"""`textgen serve`."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated

from textgen.cli.boundary import guarded
from textgen.cli.interruption import Interrupted, StopSignals
from textgen.cli.parameters import Only, OutputOptions, which_model, with_options
from textgen.serving import ServeOptions
from textgen.settings import setting
from textgen.terminal.text import visible

#: Says the token out of sight of other users of the machine.
TOKEN_VARIABLE = "TEXTGEN_TOKEN"


@dataclass(frozen=True, kw_only=True)
class OfferOptions:
    """The models that are offered."""

    checkpoint: tuple[str, ...] = setting(
        (),
        help="A model: its file, its folder, or its name under ./checkpoints. May be repeated; a "
        "request says which one it means, and the first is the usual one.",
        metavar="MODEL",
        by_default="the newest one there, or else a model that comes with textgen",
        short="c",
    )


@guarded
@with_options
def serve_command(
    offered: OfferOptions,
    options: ServeOptions,
    output: Annotated[OutputOptions, Only("quiet")],
) -> None:
    """Offer models to programs over HTTP, with the addresses of OpenAI's servers.

    A program that knows OpenAI's completions needs only another address: the one that is printed,
    with /v1 after it. A request with a seed gets the text that textgen sample writes with --rng.
    Ctrl-C ends the server.

    textgen serve

    textgen serve --checkpoint mine --port 0

    textgen serve --checkpoint mine --token secret --max-tokens 1000
    """
    from textgen.api import load
    from textgen.series.number_model import locate_text
    from textgen.serving import serve

    def say(line: str) -> None:
        print(visible(line), file=sys.stderr, flush=True)

    if options.token is None and (token := os.environ.get(TOKEN_VARIABLE)):
        options = replace(options, token=token)
    with StopSignals() as stop:
        paths = [locate_text(name) for name in offered.checkpoint or (None,)]
        for line in () if offered.checkpoint or output.quiet else which_model(paths[0]):
            say(line)

        def ready(address: str, models: Sequence[str]) -> None:
            if not output.quiet:
                for model in models:
                    say(f"model: {model}")
                if not (options.is_local or options.token):
                    say("anyone who reaches this address may use it; --token keeps others out")
            stop.armed = True
            print(address, flush=True)

        serve([load(path) for path in paths], options, stop.requested, ready=ready, say=say)
        if stop.signum is not None:
            raise Interrupted(stop.signum)
