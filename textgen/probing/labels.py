"""Labelled texts: from one file of labels and texts, or from two files of texts."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from textgen.corpus.reader import read_text
from textgen.errors import ConfigError, CorpusError, named
from textgen.progress import task


@dataclass(frozen=True, kw_only=True)
class LabelledTexts:
    """Texts of two kinds.

    Args:
        texts: The texts, as they are in the file.
        labels: Whether each is of the positive kind.
        positive: Name of the positive kind.
        negative: Name of the other.
        source: Where they come from, for reports.
        notes: What a person should know about how the files were read; usually empty.
        encodings: The encoding of each file.
    Raises:
        CorpusError: One of the kinds is missing.
    """

    texts: tuple[str, ...]
    labels: tuple[bool, ...]
    positive: str
    negative: str
    source: str
    notes: tuple[str, ...] = ()
    encodings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if len(self.texts) != len(self.labels):
            raise CorpusError(f"{len(self.texts)} texts but {len(self.labels)} labels")
        for name, kind in ((self.positive, True), (self.negative, False)):
            if kind not in self.labels:
                raise CorpusError(f"{self.source} has no text labelled '{name}'; give both kinds")


@task("reading the texts")
def read_labels(
    path: str | Path,
    *,
    positive: str | None = None,
    encoding: str | None = None,
    encoding_errors: str = "strict",
) -> LabelledTexts:
    """Read a table of two columns: label and text.

    A `.tsv` file, or one with a tab in its first line, has a label, a tab and a text in each line,
    without quotes. Any other file is CSV. Both may be compressed (`.gz`). The first row is taken
    for a header if its label occurs nowhere else and two more labels follow.

    Args:
        path: The file.
        positive: The label that counts as positive; None: the one that sorts last, as `1` after
            `0`, `positive` after `negative`, `yes` after `no`.
        encoding: Encoding of the file; None detects it.
        encoding_errors: `"replace"` reads what cannot be decoded as U+FFFD.
    Raises:
        CorpusError: A row is malformed (the message names its line), or there are not two labels.
        ConfigError: `positive` is not one of the labels.
        StorageError: The file is missing or unreadable.
    """
    notes, encodings = list[str](), list[str]()
    content = read_text(
        path,
        encoding=encoding,
        encoding_errors=encoding_errors,
        notes=notes,
        encodings=encodings,
    )
    rows = list(_tab_rows(content, path) if _is_tabbed(path, content) else _csv_rows(content, path))
    names = [label for label, _ in rows]
    kinds = sorted(set(names))
    if len(kinds) == 3 and names.count(names[0]) == 1:
        del rows[0]
        kinds.remove(names[0])
    if len(kinds) != 2:
        shown = ", ".join(kinds[:6]) + (", ..." if len(kinds) > 6 else "")
        raise CorpusError(
            f"{path} has {len(kinds)} labels ({shown}); two are expected, one row each: "
            "label, text (separated by a tab, or by a comma in a .csv file)"
        )
    if positive is None:
        positive = kinds[1]
    elif positive not in kinds:
        raise ConfigError(
            f"{named('positive_label')} is '{positive}', but the labels of {path} are: "
            f"{', '.join(kinds)}"
        )
    kinds.remove(positive)
    return LabelledTexts(
        texts=tuple(text for _, text in rows),
        labels=tuple(label == positive for label, _ in rows),
        positive=positive,
        negative=kinds[0],
        source=str(path),
        notes=tuple(notes),
        encodings=tuple(encodings),
    )


@task("reading the texts")
def read_two_files(
    positive: str | Path,
    negative: str | Path,
    *,
    mode: str = "blank",
    encoding: str | None = None,
    encoding_errors: str = "strict",
) -> LabelledTexts:
    """Read the texts of one kind from one file and those of the other from another.

    Args:
        positive: File of the positive kind. The name of the file becomes the name of the kind.
        negative: File of the other kind.
        mode: `blank` (blank lines separate texts) or `line` (each line that is not blank is one).
        encoding: Encoding of the files; None detects it.
        encoding_errors: As in `read_labels`.
    Raises:
        CorpusError: A file holds no text.
        StorageError: A file is missing or unreadable.
    """
    gap = r"\n\s*\n" if mode == "blank" else r"\n"
    notes, encodings = list[str](), list[str]()
    contents = [
        read_text(
            path,
            encoding=encoding,
            encoding_errors=encoding_errors,
            notes=notes,
            encodings=encodings,
        )
        for path in (positive, negative)
    ]
    first, second = (
        [part.strip() for part in re.split(gap, content) if part.strip()] for content in contents
    )
    return LabelledTexts(
        texts=(*first, *second),
        labels=(True,) * len(first) + (False,) * len(second),
        positive=Path(positive).name,
        negative=Path(negative).name,
        source=f"{positive} and {negative}",
        notes=tuple(notes),
        encodings=tuple(encodings),
    )


def _is_tabbed(path: str | Path, content: str) -> bool:
    suffix = Path(path).name.lower().removesuffix(".gz").rsplit(".", 1)[-1]
    if suffix in ("tsv", "csv"):
        return suffix == "tsv"
    return "\t" in content.split("\n", 1)[0]


def _tab_rows(content: str, path: str | Path) -> Iterator[tuple[str, str]]:
    for number, line in enumerate(content.split("\n"), 1):
        if line.strip():
            yield _row(line.split("\t", 1), number, path, "a tab")


def _csv_rows(content: str, path: str | Path) -> Iterator[tuple[str, str]]:
    # A field holds a whole text; the module's own limit is 131,072 characters.
    csv.field_size_limit(max(csv.field_size_limit(), len(content) + 1))
    reader = csv.reader(io.StringIO(content, newline=""), strict=True)
    start = 1
    try:
        for row in reader:
            if any(field.strip() for field in row):
                yield _row(row, start, path, "a comma")
            start = reader.line_num + 1
    except csv.Error as error:
        raise CorpusError(f"{path}, line {reader.line_num}: this is not CSV: {error}") from error


def _row(row: Iterable[str], number: int, path: str | Path, separator: str) -> tuple[str, str]:
    fields = list(row)
    if len(fields) != 2:
        found = "one column" if len(fields) == 1 else f"{len(fields)} columns"
        raise CorpusError(
            f"{path}, line {number}: {found} instead of two, label and text, separated by "
            f"{separator}; in a .csv file, put a text with commas in double quotes"
        )
    label, text = fields[0].strip(), fields[1].strip()
    for name, field in (("label", label), ("text", text)):
        if not field:
            raise CorpusError(f"{path}, line {number}: the {name} is empty; fill or delete the row")
    return label, text
