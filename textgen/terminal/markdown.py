"""A page of Markdown in the terminal: plain headings, and code that is never cut."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from rich.console import Console, ConsoleOptions, RenderResult
from rich.markdown import CodeBlock, Heading, Markdown
from rich.text import Text
from rich.theme import Theme

from textgen.terminal.text import visible

#: Code within a sentence has a black ground with rich, a spot on a light terminal.
_THEME = Theme({"markdown.code": "cyan"})
_TITLE, _SECTION, _CODE, _DIM, _WRONG = "bold underline", "bold", "cyan", "dim", "bold red"


class _PlainHeading(Heading):
    """A heading at the left margin; where nothing is bold, it keeps its number signs."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        signs = "" if console.color_system else "#" * int(self.tag[1:]) + " "
        yield Text(f"{signs}{self.text.plain}", style=_TITLE if self.tag == "h1" else _SECTION)


class _PlainCode(CodeBlock):
    """Code in its own lines, whole, so that it can be copied; the terminal breaks long ones."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for line in str(self.text).rstrip().splitlines():
            yield Text(f"    {line}", style=_CODE, no_wrap=True, overflow="ignore")


class _Page(Markdown):
    elements: ClassVar = {
        **Markdown.elements,
        "heading_open": _PlainHeading,
        "fence": _PlainCode,
        "code_block": _PlainCode,
    }


def print_page(console: Console, text: str) -> int:
    """Print Markdown; the address of a link stands behind its words. Returns how many lines."""
    # The usual justification fills each line with spaces.
    page = _Page(visible(text, keep_newlines=True), justify="default", hyperlinks=False)
    if not console.color_system:
        for token in page.parsed:
            for part in token.children or ():
                if part.type == "code_inline":
                    part.content = f"`{part.content}`"
    with console.use_theme(_THEME):
        console.print(page, crop=False)
        return len(console.render_lines(page))


def print_code(console: Console, code: str) -> None:
    """Print an example of Python as a person types it, behind `>>>` and `...`."""
    for number, line in enumerate(code.splitlines()):
        prompt = Text("... " if number else ">>> ", style=_DIM)
        _print_line(console, prompt, Text(visible(line), style=_CODE))


def print_result(console: Console, got: str, *, page: str, agrees: bool) -> None:
    """Print what an example gave; where the page says something else, that too.

    Args:
        console: Where to print.
        got: What it gave.
        page: What the page says.
        agrees: Whether they are the same.
    """
    if agrees:
        _print_lines(console, got.splitlines())
        return
    _print_line(console, Text("This differs from the page. It gives:", style=_WRONG))
    _print_lines(console, got.splitlines() or ["(nothing)"], indent="    ")
    _print_line(console, Text("The page says:", style=_WRONG))
    _print_lines(console, page.splitlines() or ["(nothing)"], indent="    ")


def _print_lines(console: Console, lines: Iterable[str], indent: str = "") -> None:
    for line in lines:
        _print_line(console, Text(f"{indent}{visible(line)}"))


def _print_line(console: Console, *parts: Text) -> None:
    console.print(Text.assemble(*parts), soft_wrap=True)
