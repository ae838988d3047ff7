"""One column of a table in CSV or TSV: each cell is a document."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

from textgen.corpus.extraction.piece import FilePiece, lines_of
from textgen.errors import ConfigError, CorpusError, named
from textgen.terminal.humanize import plural

#: Characters of a cell; a longer one is a quotation mark that nobody closed.
_LONGEST_CELL = 8 << 20
_SHOWN = 12
#: The columns of a file of DiscordChatExporter.
_CHAT = ("Author", "Content")


def read_column(
    name: str, chunks: Iterable[str], column: str | None, *, tabs: bool = False
) -> Iterator[FilePiece]:
    """The cells of one column, or the messages of a chat that Discord's exporter wrote as CSV.

    Args:
        name: Of the file, in messages.
        chunks: Its text.
        column: The name of the column in the first row, or its number from 1.
        tabs: Whether tabs separate the cells; else what separates most cells of the first row.
    Raises:
        ConfigError: There is no such column, or none was named.
        CorpusError: A cell is endless, or no row has one in that column.
    """
    lines = lines_of(chunks)
    first_lines = list(islice(lines, 1))
    if not first_lines:
        return
    delimiter = "\t" if tabs else _delimiter(first_lines[0])

    def all_lines() -> Iterator[str]:
        yield from first_lines
        yield from lines

    rows = _rows(name, csv.reader(all_lines(), delimiter=delimiter))
    _, head = next(rows, (1, []))
    if column is None and all(key in head for key in _CHAT):
        author, content = (head.index(key) for key in _CHAT)
        for line, row in rows:
            if len(row) > max(author, content) and row[content].strip():
                yield FilePiece(f"{row[author]}: {row[content].strip()}\n", "", line)
        return
    place = _place(name, head, column)
    is_number = column not in head
    found = False
    for line, row in ((1, head), *()) if is_number else ():
        if row[place].strip():
            found = True
            yield FilePiece(row[place].strip(), "", line, True)
    for line, row in rows:
        if place < len(row) and (cell := row[place].strip()):
            found = True
            yield FilePiece(cell, "", line, True)
    if not found:
        raise CorpusError(f"{name}: no row has anything in column {column}; name another one")


def _delimiter(line: str) -> str:
    return max(",;\t|", key=line.count)


def _rows(name: str, reader: Iterator[list[str]]) -> Iterator[tuple[int, list[str]]]:
    """Each row and the line where it begins."""
    while True:
        line = reader.line_num + 1  # type: ignore[attr-defined]
        before = csv.field_size_limit(_LONGEST_CELL)  # It is one for the whole process.
        try:
            row = next(reader, None)
        except csv.Error as error:
            raise CorpusError(
                f"{name}, line {line}: no table can be read from here on ({error}); look for a "
                'quotation mark (") that is not closed'
            ) from None
        finally:
            csv.field_size_limit(before)
        if row is None:
            return
        if row:
            yield line, row


def _place(name: str, head: Sequence[str], column: str | None) -> int:
    """Which column is meant, counted from 0."""
    keys = [key.strip() or f"({number})" for number, key in enumerate(head, 1)]
    shown = ", ".join(key[:40] for key in keys[:_SHOWN])
    there = f"{plural(len(keys), 'column')} ({shown}{', ...' if len(keys) > _SHOWN else ''})"
    if column is None:
        raise ConfigError(
            f"{name} is a table of {there}; say which one has the texts, by its name or its "
            f"number: {named('column', keys[-1])}"
        )
    if column in keys:
        return keys.index(column)
    if column.isdecimal() and 1 <= int(column) <= len(keys):
        return int(column) - 1
    raise ConfigError(
        f"{name} has no column {column!r}; it has {there}; give one of these names, or a number "
        f"from 1 to {len(keys)}: {named('column', keys[-1])}"
    )
