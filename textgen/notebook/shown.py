"""What shows itself: a result says in plain data what people look at, and is drawn from that."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable

from textgen.notebook.parts import Part
from textgen.terminal.text import visible

#: Characters of a text in a headline.
_QUOTED = 40


def quoted(text: str) -> str:
    """The beginning of a text as Python writes it, for a headline."""
    return repr(text if len(text) <= _QUOTED else f"{text[: _QUOTED - 1]}…")


class Shown(ABC):
    """A result that shows itself: a line at a prompt, a view in a notebook."""

    @property
    @abstractmethod
    def headline(self) -> str:
        """What it is and what came out, in a line."""

    @abstractmethod
    def parts(self) -> Iterable[Part]:
        """What people look at, from top to bottom."""

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {visible(self.headline)}>"

    def _repr_html_(self) -> str:
        """The view, as notebooks ask for it: HTML without scripts."""
        from textgen.notebook.fragment import to_html

        return to_html(self.headline, self.parts())
