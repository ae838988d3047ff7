"""The prompt loop of `textgen sample --interactive`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from textgen.terminal.color import ColorMode
from textgen.terminal.console import make_consoles
from textgen.terminal.text import visible

if TYPE_CHECKING:
    from textgen.api import Model
    from textgen.sampling import FittedSeed

HELP = """\
Type text and press Enter: it is added and the model goes on.
  Enter alone   the model goes on
  ?             show the likeliest next symbols; then type a number to take one
  /undo         take back the last turn
  /show         show the whole text
  /new          start again
  /quit         leave (Ctrl-D too)
A line that begins with / or is ? is a command; begin it with a space to add it as text."""

#: How many of the likeliest symbols are offered.
OFFERED = 9


def converse(model: Model, fitted: FittedSeed, settings: dict[str, Any], color: ColorMode) -> None:
    """Take turns with the person at the prompt until they leave."""
    consoles = make_consoles(color)
    err, out = consoles.err, consoles.out

    def begin() -> Any:
        writer = model.writer(**settings)
        if fitted.ids:
            writer.feed_ids(fitted.ids)
        return writer

    def say(text: str) -> None:
        err.print(text, soft_wrap=True)

    def go_on() -> None:
        for symbol in writer.write():
            out.file.write(visible(symbol.text, keep_newlines=True))
            out.file.flush()
        out.file.write("\n")
        out.file.flush()

    writer = begin()
    say(HELP)
    if fitted.text:
        say(f"The text begins: {visible(fitted.text)}")
    offered: list[tuple[int, str, float]] = []
    while True:
        print("> ", end="", file=sys.stderr, flush=True)
        line = sys.stdin.readline()
        if not line or line.strip() == "/quit":
            return
        line = line.removesuffix("\n").removesuffix("\r")
        if line == "?":
            offered = writer.likeliest(OFFERED)
            for number, (_, text, probability) in enumerate(offered, start=1):
                say(f"  {number}  {visible(text) or 'end of the document'}  {probability:.1%}")
        elif offered and line.strip().isdigit() and 1 <= int(line) <= len(offered):
            token, _, _ = offered[int(line) - 1]
            writer.choose(token)
            say(f"... {visible(writer.text[-60:])}")
            offered = []
        elif line == "/undo":
            offered = []
            say(f"... {visible(writer.text[-60:])}" if writer.undo() else "nothing to take back")
        elif line == "/show":
            out.print(visible(writer.text, keep_newlines=True), soft_wrap=True)
        elif line == "/new":
            offered, writer = [], begin()
        elif line.startswith("/"):
            say(f"no such command: {visible(line)}")
            say(HELP)
        else:
            offered = []
            if line:
                notice = writer.feed(line.removeprefix(" ") if line[:2] == " /" else line).notice
                if notice:
                    say(notice)
            go_on()
