"""The prompt loop of `textgen sample --interactive`."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

from textgen.terminal.console import make_consoles
from textgen.terminal.text import MARK_CARRIER, char_width, visible

if TYPE_CHECKING:
    from textgen.api import Model
    from textgen.cli.parameters import OutputOptions
    from textgen.options import SampleOptions
    from textgen.sampling import FittedSeed, Writer
    from textgen.steering import SteeringPlan

#: What ends the input at a prompt.
_END_KEY = "Ctrl-Z and Enter" if sys.platform == "win32" else "Ctrl-D"
HELP = f"""\
Type text and press Enter: it is added and the model goes on.
  Enter alone   the model goes on
  ?             show the most likely next tokens; then type a number to take one
  /undo         take back the last turn
  /show         show the whole text
  /new          start again
  /quit         leave ({_END_KEY} too)
A line that begins with / or is ? is a command; begin it with a space to add it as text."""

#: How many of the most likely tokens are offered.
OFFERED = 9


def converse(
    model: Model,
    fitted: FittedSeed,
    settings: SampleOptions,
    output: OutputOptions,
    plan: SteeringPlan | None = None,
) -> None:
    """Take turns with the person at the prompt until they leave.

    Args:
        model: Writes.
        fitted: What the text begins with.
        settings: Of the text.
        output: Colours, and whether to leave out help and notices.
        plan: What is done to neurons while the model reads and writes; None: nothing.
    """
    quiet, consoles = output.quiet, make_consoles(output.color)
    err, out = consoles.err, consoles.out

    def begin() -> Writer:
        writer = model.writer(steer=plan, **asdict(settings))
        if fitted.ids:
            writer.feed_ids(fitted.ids)
        return writer

    def say(text: str) -> None:
        err.print(text, soft_wrap=True)

    def go_on() -> None:
        ended = False
        for symbol in writer.write():
            out.file.write(visible(symbol.text, keep_newlines=True))
            out.file.flush()
            ended = symbol.finish_reason == "end"
        # The document has ended: it is separated from the next one.
        out.file.write(settings.separator if ended else "\n")
        out.file.flush()
        if ended and not quiet:
            say("(the document ends here; the next turn begins another)")

    writer = begin()
    if not quiet:
        say(HELP)
    if fitted.text and not quiet:
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
                say(f"  {number}  {_quoted(text)}  {probability:.1%}")
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
            if not quiet:
                say(HELP)
        else:
            offered = []
            if line:
                typed = line.removeprefix(" ") if line[:2] == " /" else line
                notice = _turn_notice(writer.feed(typed))
                if notice and not quiet:
                    say(notice)
            go_on()


def _quoted(symbol: str) -> str:
    """A symbol in quotes, so that a space is seen; a mark stands on a carrier, not on a quote."""
    if not symbol:
        return "end of the document"
    carrier = MARK_CARRIER if char_width(symbol[0]) == 0 else ""
    return f"'{carrier}{visible(symbol)}'"


def _turn_notice(fitted: FittedSeed) -> str | None:
    """The notice on a seed, worded for text that is typed in the middle of another."""
    if fitted.notice is None:
        return None
    notice = fitted.notice.removeprefix("seed: ")
    if fitted.ids:
        return notice
    return f"{notice.removesuffix('; continuing without a seed')}; nothing of this turn is added"
