"""Labels of documents: whose each is, told by the folder or the file, a column or a line before it.

folder    the name of the folder that a file lies in
file      the name of the file, without its ending
column    the first column of a table, CSV (`.csv`) or separated by TABs: each row is a document,
          what stands after the first column is its text
tag       a line `[NAME]` begins a document of that label, and belongs to none
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

from textgen.corpus.documents import documents_in_words
from textgen.corpus.extraction.piece import lines_of
from textgen.corpus.extraction.table_column import LONGEST_LINE, table_rows
from textgen.errors import ConfigError, CorpusError, named

#: Characters of a label in a text at most.
MOST_LABEL_CHARS = 100
_TAG = re.compile(rf"\s*\[([^\[\]\r\n]{{1,{MOST_LABEL_CHARS}}})\]\s*")
#: Only so many characters of a line are looked at for a tag.
_HEAD = 200
#: Rows of a text that are looked at to know whether it is a table.
_FIRST_ROWS = 3


def label_of_path(path: Path | None, way: str) -> str:
    """Return the label of a file, by `folder` or `file`.

    Raises:
        ConfigError: The text is no file, or its folder has no name.
    """
    if path is None:
        raise ConfigError(
            f"{named('label_from', way)} takes labels from the names of files, and standard input "
            "has none; name files or folders"
        )
    name = path.parent.name if way == "folder" else path.name
    if way == "file":
        name = name.removesuffix(".gz")
        name = name.rpartition(".")[0] or name
    if not name:
        raise ConfigError(f"{path} lies in no folder that has a name; move it into one")
    return name


def documents_with_labels(documents: str | None, way: str | None) -> str:
    """Return a description of what a document is; see `documents_in_words`."""
    if way == "column":
        return "each row of the table is one"
    if way == "tag":
        return "each begins after a line [label]"
    return documents_in_words(documents)


def labelled_documents(chunks: Iterable[str], way: str, name: str) -> Iterator[tuple[str, str]]:
    """Yield the documents of a text in which labels stand: label and text of each.

    Args:
        chunks: The text, in pieces of any length.
        way: `column` or `tag`.
        name: That of the file: what ends in `.csv` is CSV.
    Raises:
        CorpusError: A row has one column, or a text in the first one; or no line is a tag.
    """
    lines = lines_of(chunks, LONGEST_LINE)
    if way == "tag":
        return _tagged(lines, name)
    return _rows(lines, name, is_csv=name.lower().removesuffix(".gz").endswith(".csv"))


def has_labels(chunks: Iterable[str], way: str, name: str) -> bool:
    """Whether labels stand in a text: a tag in any line, or two columns in its first rows.

    One row is not enough, for a line of a text may have a TAB. What is wrong further down is a
    mistake in a table.
    """
    documents = labelled_documents(chunks, way, name)
    try:
        looked_at = documents if way == "tag" else islice(documents, _FIRST_ROWS)
        # All are looked at, so that a row that is none is seen.
        return sum(bool(label) for label, _ in looked_at) > 0
    except CorpusError:
        return False


def _tagged(lines: Iterable[str], name: str) -> Iterator[tuple[str, str]]:
    label, kept, any_tag = "", [], False
    for line in lines:
        match = _TAG.fullmatch(line) if len(line) <= _HEAD else None
        if match is None:
            kept.append(line)
            continue
        yield label, "".join(kept)
        label, kept, any_tag = match[1].strip(), [], True
    if not any_tag:
        raise CorpusError(
            f"{name}: no line is a label in brackets, such as [Chekhov]; put one before each "
            f"document, or take the labels from elsewhere: {named('label_from')} folder, file or "
            "column"
        )
    yield label, "".join(kept)


def _rows(lines: Iterable[str], name: str, *, is_csv: bool) -> Iterator[tuple[str, str]]:
    if is_csv:
        delimiter, between, expected = ",", " ", "each row needs a label, a comma and a text"
    else:
        delimiter = between = "\t"
        expected = (
            "each line needs a label, a TAB and a text (a table with commas is read where the name "
            "of its file ends in .csv)"
        )
    for number, row in table_rows(name, lines, delimiter):
        if len(row) == 1:
            raise CorpusError(f"{name}: line {number:,} has one column; {expected}")
        yield _column_label(row[0], name, number), between.join(row[1:])


def _column_label(field: str, name: str, line: int) -> str:
    label = field.strip()
    if len(label) > MOST_LABEL_CHARS:
        raise CorpusError(
            f"{name}: line {line:,} has {len(label):,} characters in its first column, which is "
            f"the label and has {MOST_LABEL_CHARS} at most; put the label first, and the text "
            "behind it"
        )
    return label
