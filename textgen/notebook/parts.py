"""What a view is made of, as plain data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from textgen.heat import HeatRow
from textgen.table import Table

if TYPE_CHECKING:
    from textgen.terminal.chart import Chart
    from textgen.terminal.excerpt import ContextLine


@dataclass(frozen=True, eq=False)
class Colored:
    """A text that is coloured by the values of a row.

    Args:
        pieces: The text, piece by piece.
        row: A value for each piece, and their scale.
    """

    pieces: Sequence[str]
    row: HeatRow


@dataclass(frozen=True)
class Prose:
    """A text, parts of which are set off.

    Args:
        pieces: What stands there, and whether it is set off.
        meaning: What that means; "" where nothing is set off.
    """

    pieces: Sequence[tuple[str, bool]]
    meaning: str = ""


@dataclass(frozen=True)
class Excerpts:
    """Places in a text below each other: a concordance.

    Args:
        headings: Of the labels of each line.
        lines: The places, in the order to show.
    """

    headings: Sequence[str]
    lines: Sequence[ContextLine]


@dataclass(frozen=True)
class ProgressBar:
    """How far something has come.

    Args:
        done: Parts of it that are done.
        total: How many there are.
        words: What is said beside the bar.
    """

    done: int
    total: int
    words: str


@dataclass(frozen=True)
class Picture:
    """A drawing.

    Args:
        svg: The text of an SVG file.
        shows: What it shows, in words.
    """

    svg: str
    shows: str


if TYPE_CHECKING:
    #: What a view is made of. A string is a sentence; charts in a tuple stand side by side.
    Part = (
        str | Table | Chart | tuple[Chart, ...] | Colored | Prose | Excerpts | Picture | ProgressBar
    )
else:
    Part = object
