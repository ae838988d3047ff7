"""The prompt loop of `textgen sample --interactive`."""

from __future__ import annotations

import sys
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from rich.cells import cell_len, set_cell_size

from textgen.cli.parameters import in_flags
from textgen.cli.records import form_price
from textgen.options import form_settings
from textgen.terminal.console import make_consoles
from textgen.terminal.text import MARK_CARRIER, char_width, visible

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from textgen.cli.parameters import OutputOptions
    from textgen.options import SampleOptions
    from textgen.sampling import FittedSeed, Writer
    from textgen.steering import SteeringPlan
    from textgen.writing_model import WritingModel

#: What ends the input at a prompt.
_END_KEY = "Ctrl-Z and Enter" if sys.platform == "win32" else "Ctrl-D"
# No line is wider than a narrow terminal.
HELP = f"""\
Type text and press Enter: it is added,
and the model goes on.
  Enter   the model goes on
  1 to 5  take one of the words offered
  ?       offer the likeliest tokens
  /undo   take back the last step
  /show   show the whole text
  /new    start again
  /quit   leave ({_END_KEY} too)
A space in front makes it text."""

#: How many of the most likely tokens are offered, and of the likeliest words.
OFFERED, WORDS = 9, 5
_NUMBERS = tuple("123456789")
_CUT = "... "


class _Offer(NamedTuple):
    """What a number takes."""

    take: Callable[[], str]
    text: str
    probability: float


def converse(
    model: WritingModel,
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
    form = form_settings(settings)

    def begin() -> Writer:
        writer = model.writer(steer=plan, **asdict(settings))
        if fitted.ids:
            writer.feed_ids(fitted.ids)
        return writer

    def say(text: str) -> None:
        err.print(text, soft_wrap=True)

    def go_on() -> None:
        ended, price, chars = False, 0.0, 0
        for symbol in writer.write():
            price += symbol.price
            chars += symbol.chars
            out.file.write(visible(symbol.text, keep_newlines=True))
            out.file.flush()
            ended = symbol.finish_reason == "end"
        # The document has ended: it is separated from the next one.
        out.file.write(settings.separator if ended else "\n")
        out.file.flush()
        if form and not quiet:
            say(form_price([price], chars))
        if ended and not quiet:
            say("(the document ends here; the next turn begins another)")

    def tail() -> str:
        """The end of the text, on one line."""
        text = visible(writer.text[-60:])
        while cell_len(text) > max(err.width - len(_CUT), 1):
            text = text[1:]
        return f"{_CUT}{text}"

    writer = begin()
    if not quiet:
        say(HELP)
    if form and not quiet:
        say(f"Each turn of the model keeps to {in_flags(' and '.join(form))}.")
    if fitted.text and not quiet:
        say(f"The text begins: {visible(fitted.text)}")
    offered: list[_Offer] = []
    is_new = True  # The text has changed since something was offered.

    def offer(own: list[_Offer]) -> None:
        nonlocal offered, is_new
        offered, is_new = own, False
        for line in _rows(own, err.width):
            say(line)

    while True:
        if is_new and not quiet:
            words = writer.words(WORDS)
            offer([_Offer(partial(writer.take, w), w.text, w.probability) for w in words])
        print("> ", end="", file=sys.stderr, flush=True)
        line = sys.stdin.readline()
        if not line or line.strip() == "/quit":
            return
        line = line.removesuffix("\n").removesuffix("\r")
        if line == "?":
            likeliest = writer.likeliest(OFFERED)
            offer([_Offer(partial(writer.choose, own), text, p) for own, text, p in likeliest])
        elif offered and line in _NUMBERS[: len(offered)]:
            offered[int(line) - 1].take()
            offered, is_new = [], True
            say(tail())
        elif line == "/undo":
            is_undone = writer.undo()
            offered, is_new = [], True
            say(tail() if is_undone else "nothing to take back")
        elif line == "/show":
            out.print(visible(writer.text, keep_newlines=True), soft_wrap=True)
        elif line == "/new":
            offered, is_new, writer = [], True, begin()
        elif line.startswith("/"):
            say(f"no such command: {visible(line)}")
            if not quiet:
                say(HELP)
        else:
            offered, is_new = [], True
            if line:
                # A space that keeps a line from being a command is no part of the text.
                is_kept = line[:2] == " /" or line[1:] in _NUMBERS
                typed = line.removeprefix(" ") if is_kept else line
                notice = _turn_notice(writer.feed(typed))
                if notice and not quiet:
                    say(notice)
            go_on()


def _rows(offered: list[_Offer], width: int) -> Iterator[str]:
    """What is offered, a line each: number, probability, text."""
    for number, own in enumerate(offered, start=1):
        line = f"  {number}  {own.probability:6.1%}  {_quoted(own.text)}"
        yield line if cell_len(line) <= width else set_cell_size(line, max(width - 1, 0)) + "…"


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
