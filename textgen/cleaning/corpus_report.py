"""The report on what would be trained on: files, documents, symbols, what may not belong there."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from textgen.corpus.extraction import KINDS
from textgen.messages import Message, call, named
from textgen.notebook import Part, Shown
from textgen.table import Column, Table
from textgen.terminal.humanize import plural

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

#: A symbol that occurs fewer times is rare: a model hardly learns when to write it.
RARE = 10
#: Places that are kept of each kind; the counts are of all.
KEPT = 1000
#: The word for all kinds of pieces that look like none of the author's text.
BOILERPLATE = "boilerplate"
#: Formats whose text `textgen train` reads as it stands here.
AS_THEY_ARE = frozenset(("text", "chat", "screenplay", "epub", "docx"))
_CONTROLS = {"\n": "NEWLINE", "\t": "TAB"}
#: Rows that people look at.
_SHOWN_ROWS = 12


@dataclass(frozen=True)
class ReadFile:
    """A file, and how it was read.

    Args:
        path: As it was typed.
        format: One of the formats' names, and `called` what that is in words.
        encoding: The one it was read in, with the `confidence` and the `reason` of the detection;
            formats that name it themselves have confidence 1.
        bytes: Its length, decompressed.
        chars: Characters of its text, with what is left out.
        documents: How many it has.
        notes: What the user should know about it, without its name.
    """

    path: str
    format: str
    called: str
    encoding: str
    confidence: float
    reason: str
    bytes: int
    chars: int
    documents: int
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Boilerplate:
    """What looks like none of the author's text, of one kind in one file.

    Args:
        kind: A key of `textgen.corpus.extraction.KINDS`.
        file: The path of the file.
        count: How many pieces there are.
        chars: Characters of all of them.
        places: The lines of the first ones, from the first to the last line of each. Of a file that
            is no text these are lines of the text in it.
        excerpt: How the first one begins.
        dropped: Whether they were left out.
    """

    kind: str
    file: str
    count: int
    chars: int
    places: tuple[tuple[int, int], ...]
    excerpt: str
    dropped: bool


@dataclass(frozen=True)
class Repeat:
    """A passage that is the same, or nearly the same, as one before.

    Args:
        kind: `duplicates` or `near-duplicates`.
        unit: `document` or `paragraph`.
        file, line: Where it begins.
        of_file, of_line: Where the earlier one begins.
        chars: Its length.
        similarity: The share of common shingles; 1 of duplicates.
        excerpt: How it begins.
    """

    kind: str
    unit: str
    file: str
    line: int
    of_file: str
    of_line: int
    chars: int
    similarity: float
    excerpt: str


@dataclass(frozen=True)
class RepeatCount:
    """How many such passages there are, and their characters."""

    kind: str
    unit: str
    count: int
    chars: int
    dropped: bool


@dataclass(frozen=True)
class SymbolCount:
    """A symbol of the text, and where it occurs first.

    Args:
        symbol: The character.
        count: How often it occurs.
        file, line: Of its first place, also where that is left out.
    """

    symbol: str
    count: int
    file: str
    line: int

    @property
    def name(self) -> str:
        """Its name in Unicode, or its code."""
        code = f"U+{ord(self.symbol):04X}"
        return unicodedata.name(self.symbol, _CONTROLS.get(self.symbol, code))


@dataclass(frozen=True, repr=False)
class CorpusReport(Shown):
    """What would be trained on; `textgen.describe_corpus` makes one.

    Args:
        paths: What was named.
        files: The files that were read.
        documents, chars, utf8_bytes: Of the text with everything left out that was asked for.
        separator: The value of the option `documents` that cuts the written text as it is now;
            None where there is one document.
        symbols: The symbols of that text, the most frequent first.
        boilerplate: What looks like none of the author's text.
        repeat_counts, repeats: Passages that stood there before; `repeats` has the first `KEPT`.
        dropped: The kinds that were left out.
        out: The file that was written; None where there is none.
        notes: What the user should know.
        training: The settings with which `textgen.train` reads the files as they were read here;
            None where it cannot.
    """

    paths: tuple[str, ...]
    files: tuple[ReadFile, ...]
    documents: int
    chars: int
    utf8_bytes: int
    separator: str | None
    symbols: tuple[SymbolCount, ...]
    boilerplate: tuple[Boilerplate, ...]
    repeat_counts: tuple[RepeatCount, ...]
    repeats: tuple[Repeat, ...]
    dropped: tuple[str, ...] = ()
    out: str | None = None
    notes: tuple[str, ...] = ()
    training: Mapping[str, Any] | None = None

    def advice(self) -> tuple[str, ...]:
        """What to do next, in sentences with commands."""
        told = []
        kinds = [BOILERPLATE for own in self.boilerplate if not own.dropped]
        kinds += [own.kind for own in self.repeat_counts if not own.dropped]
        if kinds:
            told.append(
                Message(f"to leave it out: {named('drop', ','.join(dict.fromkeys(kinds)))}")
            )
        if self.out is not None:
            cut = call("train", self.out, documents=self.separator or "file")
            told.append(Message(f"to train on it: {cut}"))
        elif self.training is not None:
            again = call("train", *self.paths, **self.training)
            told.append(Message(f"to train on it: {again}"))
        else:
            told.append(Message(f"to write this text into a file: {named('out', 'FILE')}"))
        return tuple(told)

    @property
    def rare(self) -> tuple[SymbolCount, ...]:
        """The symbols that occur fewer than `RARE` times, the rarest last."""
        return tuple(own for own in self.symbols if own.count < RARE)

    @property
    def headline(self) -> str:
        """What there is, in a line."""
        return (
            f"{plural(len(self.files), 'file')}, {plural(self.documents, 'document')}, "
            f"{plural(self.chars, 'character')}, {plural(len(self.symbols), 'symbol')}"
        )

    def parts(self) -> Iterable[Part]:
        """The tables."""
        yield self.file_table()
        if self.boilerplate or self.repeat_counts:
            yield self.table()
        if self.repeats:
            yield self.repeat_table()
        if self.rare:
            yield self.rare_table()

    def file_table(self, most: int = _SHOWN_ROWS) -> Table:
        """A row for each of the first files."""
        left = len(self.files) - most
        return Table(
            ("file", "format", "encoding", Column("chars", "characters"), "documents"),
            [
                (own.path, own.called, own.encoding, own.chars, own.documents)
                for own in self.files[:most]
            ],
            notes=[f"and {plural(left, 'more file')}"] if left > 0 else (),
        )

    def table(self) -> Table:
        """What may not belong to the text: a row for each kind and file."""
        rows: list[tuple[Any, ...]] = [
            (own.kind, own.file, own.count, own.chars, _lines(own), own.dropped)
            for own in self.boilerplate
        ]
        rows += [
            (own.kind, f"{own.unit}s", own.count, own.chars, self._repeat_lines(own), own.dropped)
            for own in self.repeat_counts
        ]
        return Table(
            (
                *("kind", Column("where", "where"), "count", Column("chars", "characters")),
                *("lines", Column("dropped", "left out")),
            ),
            rows,
            title="What may not belong to the text",
        )

    def _repeat_lines(self, counted: RepeatCount) -> str:
        kinds = (counted.kind, counted.unit)
        own = [one.line for one in self.repeats if (one.kind, one.unit) == kinds]
        return _some([str(line) for line in own], counted.count)

    def repeat_table(self, most: int = _SHOWN_ROWS) -> Table:
        """A row for each of the first passages that stood there before."""
        left = sum(own.count for own in self.repeat_counts) - min(most, len(self.repeats))
        return Table(
            (
                *("place", Column("as", "as"), Column("similarity", "same", ".0%")),
                *(Column("chars", "characters"), Column("excerpt", "begins")),
            ),
            [
                (
                    f"{own.file}:{own.line}",
                    f"{own.of_file}:{own.of_line}",
                    own.similarity,
                    own.chars,
                    own.excerpt,
                )
                for own in self.repeats[:most]
            ],
            title="Passages that stood there before",
            notes=[f"and {left:,} more"] if left > 0 else (),
        )

    def rare_table(self, most: int = _SHOWN_ROWS) -> Table:
        """A row for each of the rarest symbols."""
        rare = self.rare[::-1]
        left = len(rare) - most
        return Table(
            ("symbol", "name", "count", Column("place", "first place")),
            [
                (_seen(own.symbol), own.name, own.count, f"{own.file}:{own.line}")
                for own in rare[:most]
            ],
            title=f"Symbols that occur fewer than {RARE} times",
            notes=[f"and {left:,} more"] if left > 0 else (),
        )

    def to_json(self) -> dict[str, Any]:
        """The whole report; notes may have marks."""
        return {
            "paths": list(self.paths),
            "files": [asdict(own) for own in self.files],
            "documents": self.documents,
            "chars": self.chars,
            "utf8_bytes": self.utf8_bytes,
            "separator": self.separator,
            "symbols": [asdict(own) | {"name": own.name} for own in self.symbols],
            "rare": [own.symbol for own in self.rare],
            "boilerplate": [asdict(own) for own in self.boilerplate],
            "repeat_counts": [asdict(own) for own in self.repeat_counts],
            "repeats": [asdict(own) for own in self.repeats],
            "dropped": list(self.dropped),
            "out": self.out,
            "notes": list(self.notes),
            "advice": list(self.advice()),
        }

    def to_arrays(self) -> Mapping[str, NDArray[np.generic]]:
        """The symbols, their counts, and the columns of `table`."""
        import numpy as np

        return {
            "symbols": np.array([own.symbol for own in self.symbols], np.str_),
            "counts": np.array([own.count for own in self.symbols], np.int64),
            **self.table().to_arrays(),
        }


def _lines(own: Boilerplate) -> str:
    places = [f"{first}-{last}" if last > first else str(first) for first, last in own.places]
    return _some(places, own.count)


def _some(places: list[str], count: int, most: int = 3) -> str:
    left = count - min(most, len(places))
    return ", ".join(places[:most]) + (f" and {left:,} more" if left > 0 else "")


def _seen(symbol: str) -> str:
    return symbol if symbol.isprintable() and not symbol.isspace() else f"U+{ord(symbol):04X}"


#: The kinds of what may not belong to a text, in the order of the report.
KIND_ORDER = {kind: number for number, kind in enumerate(KINDS)}
