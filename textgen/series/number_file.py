"""A series of numbers, read from a text file: a list, or a column of a table.

Nothing is guessed and nothing is left out: what is no number is an error that says where it is.
"""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from textgen.corpus.reader import read_text
from textgen.errors import ConfigError, CorpusError, EmptyCorpusError, SamplingError, named

Numbers = NDArray[np.float64]

_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+(?:[eE][+-]?\d+)?", re.ASCII)
#: What programs write where a number is missing.
_MISSING = frozenset({"", "na", "n/a", "nan", "null", "none", "-", "?", "#n/a"})
_INFINITE = re.compile(r"[+-]?(?:inf(?:inity)?|∞)", re.IGNORECASE)
#: As much of a cell, and as many columns, as a message quotes.
_QUOTED, _LISTED = 40, 8


@dataclass(frozen=True, kw_only=True, eq=False)
class NumberSeries:
    """Numbers in their order.

    Args:
        values: The numbers, `(N,)`, all finite.
        source: The path as it was typed.
        layout: How they stand in the file, in words.
        column: The name or the number of the column that was read; None for a plain list.
        notes: What should be known of the file.
    """

    values: Numbers
    source: str
    layout: str
    column: str | None = None
    notes: tuple[str, ...] = ()


def read_series(
    path: str | Path,
    column: str | None = None,
    *,
    encoding: str | None = None,
    encoding_errors: str = "strict",
    stdin: BinaryIO | None = None,
) -> NumberSeries:
    """Return the numbers in a file.

    One number on each line; numbers separated by white space, or in one line by commas, which are
    read line after line; or a column of a table, whose columns are separated by a comma, a
    semicolon or a tab, with or without a line of names above.

    Args:
        path: A file, a `.gz` file, or `-` for standard input.
        column: Which column, by its name or its number from 1; None is the only one.
        encoding: Overrides the detection.
        encoding_errors: As for a text.
        stdin: What `-` reads.
    Raises:
        CorpusError: The file has no numbers, or something else among them.
        ConfigError: The column is not there, or none was chosen of several.
        StorageError: The file is missing or unreadable.
    """
    notes: list[str] = []
    text = read_text(
        path, encoding=encoding, encoding_errors=encoding_errors, notes=notes, stdin=stdin
    )
    name = "standard input" if str(path) == "-" else str(path)
    lines = [(at, line) for at, line in enumerate(text.split("\n"), 1) if line.strip()]
    if not lines:
        raise EmptyCorpusError(f"{name} is empty: it has no number; write one on each line")
    if column is None and _is_list(lines):
        values, layout = _list(name, lines)
        found = None
    else:
        values, layout, found = _column(name, text, lines, column)
    return NumberSeries(
        values=np.array(values), source=str(path), layout=layout, column=found, notes=tuple(notes)
    )


def given_series(values: Iterable[float]) -> NumberSeries:
    """A series from numbers that a program has.

    Raises:
        CorpusError: One is not finite, or no number at all.
    """
    numbers: list[float] = []
    for place, value in enumerate(values):
        try:
            number = float(value)
        except (TypeError, ValueError, OverflowError):
            number = math.nan
        if not math.isfinite(number):
            raise CorpusError(
                f"number {place} of the series, counted from 0, is {value!r:.60}; a finite number "
                "is expected"
            )
        numbers.append(number)
    return NumberSeries(values=np.array(numbers, np.float64), source="", layout="given as numbers")


def parse_numbers(text: str) -> list[float]:
    """Numbers as they are typed: with commas, semicolons or white space between them.

    Raises:
        SamplingError: Something among them is no number, or a comma may be a decimal one.
    """
    words = text.split()
    commas = [word for word in words if _DECIMAL_COMMA.fullmatch(word)]
    if commas and len(words) > 1:
        raise SamplingError(
            f"'{commas[0]}' may be one number with a decimal comma, or two numbers; write a "
            "decimal point, and one separator everywhere: 1.5,2.5 or 1,5,2,5"
        )
    if not words:
        return []
    numbers = []
    for part in re.split(r"\s*[,;]\s*|\s+", text.strip()):
        number = _number(part)
        if number is None:
            raise SamplingError(
                f"'{_short(part)}' among the numbers '{_short(text.strip())}' is no finite number; "
                "numbers are expected, such as 1,1,2,3,5"
            )
        numbers.append(number)
    return numbers


def _is_list(lines: Sequence[tuple[int, str]]) -> bool:
    """Whether the first line begins with a number and has no columns of a table."""
    first = lines[0][1]
    if len(lines) == 1 and "," in first:
        return ";" not in first
    return not re.search(r"[,;]", first) and _number(first.split()[0]) is not None


def _list(name: str, lines: Sequence[tuple[int, str]]) -> tuple[list[float], str]:
    """The numbers of a list, and how they stand there."""
    if len(lines) == 1 and "," in lines[0][1]:
        at, line = lines[0]
        cells = [cell.strip() for cell in line.rstrip(", \t").split(",")]
        return [_value(name, at, cell) for cell in cells], "separated by commas"
    rows = [(at, line.split()) for at, line in lines]
    lengths = {len(row) for _, row in rows}
    if lengths == {1} and len(lines) != lines[-1][0] - lines[0][0] + 1:
        before = next(at for (at, _), (after, _) in pairwise(lines) if after != at + 1)
        raise _gap(name, before + 1, "the line is empty")
    values = [_value(name, at, word) for at, row in rows for word in row]
    if lengths == {1}:
        return values, "one on each line"
    if len(lengths) == 1 and len(rows) > 1:
        return values, f"{lengths.pop()} on each line, read line after line"
    return values, "separated by white space"


def _column(
    name: str, text: str, lines: Sequence[tuple[int, str]], column: str | None
) -> tuple[list[float], str, str | None]:
    """The numbers of one column of a table, how they stand there, and the column's name."""
    rows = _rows(text, lines)
    at, first = rows[0]
    has_names = any(map(_is_name, first))
    if not any(_number(cell) is not None for _, row in rows for cell in row):
        if not has_names:
            _value(name, at, first[0])
        raise CorpusError(
            f"{name} has no number; line {at} is '{_short(lines[0][1].strip())}', and numbers are "
            "expected, such as one on each line"
        )
    names = first if has_names else []
    place = _place(name, names, rows, column)
    if len(first) == 1:
        what = f"one on each line below '{_short(first[0])}'" if has_names else "one on each line"
    else:
        shown = f"'{_short(names[place])}'" if has_names else str(place + 1)
        what = f"column {shown} of {len(first)}"
    values = []
    previous = at
    for line, row in rows[1:] if has_names else rows:
        if len(first) == 1 and line > previous + 1:
            raise _gap(name, previous + 1, "the line is empty")
        previous = line
        if len(row) > len(first):
            raise CorpusError(
                f"line {line} of {name} has {len(row)} cells, and line {at} has {len(first)}; as "
                "many are expected (a decimal comma would make two cells of one number: write a "
                "decimal point)"
            )
        if place >= len(row):
            raise _gap(name, line, f"it has {len(row)} cells, and column {place + 1} is missing")
        values.append(_value(name, line, row[place]))
    found = None if len(first) == 1 else names[place] if has_names else str(place + 1)
    return values, what, found


def _rows(text: str, lines: Sequence[tuple[int, str]]) -> list[tuple[int, list[str]]]:
    """The cells of each line that is not blank, with the number of the line."""
    first = lines[0][1]
    separator = next((mark for mark in ";\t," if mark in first), "")
    if separator:
        reader = csv.reader(io.StringIO(text), delimiter=separator, skipinitialspace=True)
        found = [(reader.line_num, [cell.strip() for cell in row]) for row in reader]
        return [(at, row) for at, row in found if any(row) or len(row) > 1]
    # A heading of several words stands over one column, unless as many cells stand below.
    words = [(at, line.split()) for at, line in lines]
    is_table = len(words[0][1]) > 1 and all(len(row) > 1 for _, row in words)
    return words if is_table else [(at, [line.strip().strip('"')]) for at, line in lines]


def _place(
    name: str, names: Sequence[str], rows: Sequence[tuple[int, list[str]]], column: str | None
) -> int:
    """Which column is meant, counted from 0."""
    width = len(rows[0][1])
    listed = ", ".join(f"'{_short(own)}'" for own in names[:_LISTED])
    listed += f" and {width - _LISTED} more" if names and width > _LISTED else ""
    there = f"{width} columns" + (f": {listed}" if names else "")
    if column is None:
        if width == 1:
            return 0
        example = next((own for own in reversed(names) if own), str(width))
        hint = ""
        if width == 2 and not names:
            hint = "; if the comma is a decimal comma, write a decimal point"
        raise ConfigError(f"{name} has {there}; choose one: {named('column', example)}{hint}")
    if column in names:
        if list(names).count(column) > 1:
            raise ConfigError(
                f"{name} has several columns '{_short(column)}'; choose one by its number, counted "
                f"from 1: {named('column', str(names.index(column) + 1))}"
            )
        return names.index(column)
    if column.isdecimal() and 1 <= int(column) <= width:
        return int(column) - 1
    near = [own for own in names if own.lower() == column.strip().lower()]
    hint = f"; did you mean {named('column', near[0])}?" if near else ""
    which = "" if width == 1 else f"; a name among them or a number from 1 to {width} is expected"
    columns = there if width > 1 else "1 column" + (f", {listed}" if names else "")
    raise ConfigError(f"{name} has no column '{_short(column)}': it has {columns}{hint or which}")


def _value(name: str, line: int, cell: str) -> float:
    """The number in a cell."""
    number = _number(cell)
    if number is not None:
        return number
    where = f"line {line} of {name}"
    if cell.lower() in _MISSING:
        raise _gap(name, line, f"'{cell}' stands there" if cell else "the cell is empty")
    if _INFINITE.fullmatch(cell) or _NUMBER.fullmatch(cell):
        raise CorpusError(f"{where} is '{_short(cell)}'; a finite number is expected")
    if _DECIMAL_COMMA.fullmatch(cell):
        raise CorpusError(
            f"{where} is '{_short(cell)}', with a decimal comma; a decimal point is expected: "
            f"{_short(cell.replace(',', '.'))}"
        )
    raise CorpusError(f"{where} is '{_short(cell)}'; a number is expected, such as 3 or -1.5e3")


def _gap(name: str, line: int, what: str) -> CorpusError:
    return CorpusError(
        f"line {line} of {name} has no number ({what}); a series without gaps is expected: write "
        "the number, or take the line out if nothing is missing there"
    )


def _is_name(cell: str) -> bool:
    """Whether a cell of the first line names a column; dates and damaged numbers do not."""
    missing = cell.lower() in _MISSING or _INFINITE.fullmatch(cell)
    return not missing and cell[0] not in "+-.0123456789\N{MINUS SIGN}"


def _number(cell: str) -> float | None:
    """The finite number that a cell holds."""
    cell = cell.replace("\N{MINUS SIGN}", "-")
    if not _NUMBER.fullmatch(cell):
        return None
    number = float(cell)
    return number if math.isfinite(number) else None


def _short(text: str) -> str:
    return text if len(text) <= _QUOTED else f"{text[: _QUOTED - 1]}…"
