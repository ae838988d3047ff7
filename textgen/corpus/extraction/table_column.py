"""One column of a table in CSV or TSV: each cell is a document."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain

from textgen.corpus.extraction.piece import FilePiece, lines_of
from textgen.errors import ConfigError, CorpusError, named
from textgen.terminal.humanize import plural

#: Characters of a cell; a longer one is a quotation mark that nobody closed.
_LONGEST_CELL = 8 << 20
#: Characters of a line of a table; a longer one would be cut.
LONGEST_LINE = 16 << 20
_SHOWN = 12
#: The columns of a file of DiscordChatExporter.
_CHAT = ("AuthorID", "Author", "Content")
#: The lines in which the first row ends, at most.
_FIRST_ROW = 100
_QUOTED = re.compile(r'"[^"]*"')
#: A cell of a heading: a few words, with no number alone and no sentence.
_HEADING = re.compile(r"(?!-?\d[\d.,]*$)[^.!?;,\n]{0,40}")
_HEADING_WORDS = 3


def read_column(
    name: str, chunks: Iterable[str], column: str | None, *, tabs: bool = False
) -> Iterator[FilePiece]:
    """The cells of one column, or the messages of a chat that Discord's exporter wrote as CSV.

    Rows that are too short to have the column are there whole, set apart; and so is the first row
    where the column is given by its number and that row looks like a heading.

    Args:
        name: Of the file, in messages.
        chunks: Its text.
        column: The name of the column in the first row, or its number from 1.
        tabs: Whether tabs separate the cells; else what separates most cells of the first row.
    Raises:
        ConfigError: There is no such column, or none was named.
        CorpusError: A cell does not end, or no row has one in that column.
    """
    lines = lines_of(chunks, LONGEST_LINE)
    first_lines = list(_first_row(lines))
    if not first_lines:
        return
    delimiter = "\t" if tabs else _delimiter("".join(first_lines))
    rows = table_rows(name, chain(first_lines, lines), delimiter)
    first, head = next(rows, (1, []))
    if column is None and all(key in head for key in _CHAT):
        yield from _chat(head, rows, delimiter)
        return
    place, is_number = _place(name, head, column)
    found = False
    if is_number and head[place].strip():
        found = not _is_heading(head)
        yield FilePiece(head[place].strip(), "" if found else "table", first, True)
    for line, row in rows:
        if place >= len(row):
            if text := delimiter.join(row).strip():
                yield FilePiece(text, "table", line, True)
            continue
        if cell := row[place].strip():
            found = True
            yield FilePiece(cell, "", line, True)
        # Behind the last column stands the rest of a text without quotation marks.
        more = row[len(head) :] if place + 1 == len(head) else []
        if any(own.strip() for own in more):
            yield FilePiece(delimiter + delimiter.join(more).rstrip(), "table", line, not cell)
    if not found:
        raise CorpusError(f"{name}: no row has anything in column {column}; name another one")


def table_rows(name: str, lines: Iterable[str], delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Each row of a table that is not blank, and the line where it begins.

    In tables with tabs quotation marks are those of the text: programs that write such tables put
    none around a cell.

    Args:
        name: Of the file, in messages.
        lines: Each with its end.
        delimiter: What separates cells.
    Raises:
        CorpusError: A quotation mark is not closed, or what follows it is no new cell.
    """
    whole = _whole(name, lines)
    if delimiter == "\t":
        for number, text in enumerate(whole, 1):
            if text.strip():
                yield number, text.rstrip("\r\n").split(delimiter)
        return
    reader = csv.reader(whole, delimiter=delimiter, strict=True)
    while True:
        line = reader.line_num + 1
        before = csv.field_size_limit(_LONGEST_CELL)  # It is one for the whole process.
        try:
            row = next(reader, None)
        except csv.Error as error:
            raise CorpusError(
                f"{name}, line {line}: no table can be read from here on ({error}); look for a "
                'quotation mark (") that is not closed, or that stands in a cell and is not doubled'
            ) from None
        finally:
            csv.field_size_limit(before)
        if row is None:
            return
        if any(cell.strip() for cell in row):
            yield line, row


def _whole(name: str, lines: Iterable[str]) -> Iterator[str]:
    """The same lines; one that was cut is refused."""
    for number, line in enumerate(lines, 1):
        if len(line) >= LONGEST_LINE and not line.endswith("\n"):
            raise CorpusError(
                f"{name}, line {number:,} has more than {LONGEST_LINE:,} characters, which no row "
                "of a table has; divide it into several rows"
            )
        yield line


def _chat(
    head: Sequence[str], rows: Iterable[tuple[int, list[str]]], delimiter: str
) -> Iterator[FilePiece]:
    """The messages of a chat."""
    _, author, content = (head.index(key) for key in _CHAT)
    for line, row in rows:
        if len(row) <= max(author, content):
            yield FilePiece(f"{delimiter.join(row).strip()}\n", "table", line)
        elif row[content].strip():
            yield FilePiece(f"{row[author]}: {row[content].strip()}\n", "", line)


def _first_row(lines: Iterator[str]) -> Iterator[str]:
    """The lines of the first row: a cell may have several."""
    marks = 0
    for number, line in enumerate(lines, 1):
        yield line
        marks += line.count('"')
        if (line.strip() and marks % 2 == 0) or number == _FIRST_ROW:
            return


def _delimiter(row: str) -> str:
    outside = _QUOTED.sub("", row)
    return max(",;\t|", key=outside.count)


def _is_heading(row: Sequence[str]) -> bool:
    """Whether the first row looks like the names of the columns."""
    cells = [cell.strip() for cell in row]
    return len(set(cells)) == len(cells) and all(
        _HEADING.fullmatch(cell) is not None and len(cell.split()) <= _HEADING_WORDS
        for cell in cells
    )


def _place(name: str, head: Sequence[str], column: str | None) -> tuple[int, bool]:
    """Which column is meant, counted from 0, and whether by its number."""
    keys = [key.strip() or f"({number})" for number, key in enumerate(head, 1)]
    shown = ", ".join(key[:40] for key in keys[:_SHOWN])
    there = f"{plural(len(keys), 'column')} ({shown}{', ...' if len(keys) > _SHOWN else ''})"
    if column is None:
        raise ConfigError(
            f"{name} is a table of {there}; say which one has the texts, by its name or its "
            f"number: {named('column', keys[-1])}"
        )
    if column in keys:
        return keys.index(column), False
    if column.isdecimal() and 1 <= int(column) <= len(keys):
        return int(column) - 1, True
    raise ConfigError(
        f"{name} has no column {column!r}; it has {there}; give one of these names, or a number "
        f"from 1 to {len(keys)}: {named('column', keys[-1])}"
    )
