"""Where a word occurs in texts: each place with the text around it, and how they are spread.

A list of the places of a word is a concordance. A word is what `textgen.corpus.words` calls one:
letters, digits and marks, with apostrophes inside.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path, PurePath
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from textgen.corpus.corpus_options import CorpusOptions, FileOptions
from textgen.corpus.documents import DOCUMENT_MARK
from textgen.corpus.source import find_sources
from textgen.corpus.text_stream import TextStream
from textgen.corpus.words import MAX_WORD_CHARS, word_characters
from textgen.errors import CorpusError, EmptyCorpusError, InspectionError, StorageError
from textgen.notebook import Excerpts, Part, Shown
from textgen.table import Column, Table
from textgen.terminal.humanize import percent, plural
from textgen.terminal.text import visible
from textgen.view_options import OccurrenceOptions

#: Parts of the text in which the places are counted.
PARTS = 10
#: White space between two words of a phrase: a line end with an indent, say.
_SPACES = 64


@dataclass(frozen=True)
class Occurrence:
    """One place of the word.

    Args:
        place: The number of its first character in all texts together, from 0.
        file: The file, as it was named.
        line: The line in that file, from 1.
        before: The text before it, within the file.
        word: As it is written there.
        after: The text after it.
    """

    place: int
    file: str
    line: int
    before: str
    word: str
    after: str


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Occurrences(Shown):
    """Every place of a word in texts.

    Args:
        pattern: What was looked for.
        files: The files with a text in them, in the order in which they were read.
        chars: Characters of all texts together.
        places: The number of the first character of each place, from 0, `(N,)`, rising.
        forms: Each form in lower case and how often it occurs, the most frequent first.
        shown: The first places, as many as were asked for, with the text around them.
        notes: What a person should know of how the files were read.
    """

    pattern: str
    files: tuple[str, ...]
    chars: int
    places: NDArray[np.int64]
    forms: tuple[tuple[str, int], ...]
    shown: tuple[Occurrence, ...]
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.places)

    def spread(self, parts: int = PARTS) -> list[int]:
        """How many places lie in each of some equal parts of the text."""
        # Whole numbers, so that no place falls out of its part by rounding.
        part_N = self.places * parts // max(self.chars, 1)
        return [int(count) for count in np.bincount(part_N, minlength=parts)]

    @property
    def headline(self) -> str:
        """How many places of what in how much text."""
        named = self.files[0] if len(self.files) == 1 else plural(len(self.files), "file")
        places = f"{plural(len(self), 'place')} of {self.pattern}"
        return f"{places} in {self.chars:,} characters of {named}"

    def parts(self) -> Iterable[Part]:
        """The places, how many each tenth of the text has, and the forms."""
        if not self.shown:
            return
        yield self.excerpts()
        if left_out := len(self) - len(self.shown):
            yield f"… and {left_out:,} more"
        tenths = map(str, range(1, PARTS + 1))
        yield Table([Column(name, name) for name in tenths], [self.spread()], title="in each tenth")
        if len(self.forms) > 1:
            yield Table(("form", "count"), self.forms)

    def excerpts(self) -> Excerpts:
        """The places that are shown."""
        from textgen.terminal.excerpt import ContextLine

        headings, several = ["at", "line"], len(self.files) > 1
        lines = []
        for one in self.shown:
            labels = [percent(one.place / self.chars), f"{one.line:,}"]
            if several:
                labels.append(visible(PurePath(one.file).name))
            before = one.before + one.word
            lines.append(ContextLine(tuple(labels), before, one.after, marked=len(one.word)))
        return Excerpts([*headings, "file"] if several else headings, lines)

    def to_json(self) -> dict[str, Any]:
        """The places as plain data, ready for `json.dumps`."""
        return {
            "pattern": self.pattern,
            "files": list(self.files),
            "chars": self.chars,
            "count": len(self),
            "tenths": self.spread(),
            "forms": [{"form": form, "count": count} for form, count in self.forms],
            "occurrences": self.table().records(),
        }

    def table(self) -> Table:
        """A row for each place shown."""
        columns = [Column(item.name) for item in fields(Occurrence)]
        return Table(columns, (tuple(asdict(one).values()) for one in self.shown))

    def to_arrays(self) -> Mapping[str, NDArray[np.generic]]:
        """All `places`, `(N,)`, and how many lie in each of the `tenths`, `(10,)`."""
        return {"places": self.places, "tenths": np.array(self.spread(), np.int64)}


def find_occurrences(
    pattern: str,
    paths: Sequence[str | Path],
    options: OccurrenceOptions,
    *,
    stdin: BinaryIO | None = None,
) -> Occurrences:
    """Read texts in bounded memory, and list the places of a word.

    Args:
        pattern: A word, or several with spaces between. `*` stands for the rest of a word, or its
            beginning; it may be empty.
        paths: Files and folders.
        options: How they are read, and how much is shown.
        stdin: What the path `-` reads.
    Raises:
        InspectionError: There is no word in `pattern`.
        CorpusError: A file is not text, or there is none.
        StorageError: A file is missing or unreadable.
    """
    reading = {item.name: getattr(options, item.name) for item in fields(FileOptions)}
    settings = CorpusOptions(**reading)
    whole = settings.normalization.apply(pattern)
    finder = _PlaceFinder(whole, options)
    stream = TextStream(find_sources(paths, ending=settings.ending, stdin=stdin), settings)
    try:
        for chunk in stream.text():
            for number, part in enumerate(chunk.split(DOCUMENT_MARK)):
                if number:
                    finder.end_text()
                finder.add(part)
    except (CorpusError, StorageError) as error:
        raise stream.explain(error) from error
    finder.end_text()
    files = tuple(file.path for file in stream.files if file.chars)
    if not files:
        raise EmptyCorpusError("there is no text; name a file that has some")
    return Occurrences(
        pattern=whole,
        files=files,
        chars=sum(file.chars for file in stream.files),
        places=np.array(finder.places, np.int64),
        forms=tuple(sorted(finder.forms.items(), key=lambda pair: (-pair[1], pair[0]))),
        shown=tuple(
            Occurrence(place, files[number], line, before, word, after)
            for place, number, line, before, word, after in finder.shown
        ),
        notes=tuple(stream.notes()),
    )


class _PlaceFinder:
    """The places of a word in a text that comes in chunks."""

    def __init__(self, pattern: str, options: OccurrenceOptions) -> None:
        self.places: list[int] = []
        self.forms: Counter[str] = Counter()
        #: Place, number of the text, line, before, word, after.
        self.shown: list[tuple[int, int, int, str, str, str]] = []
        self._expression, reach = _compiled(pattern, match_case=options.match_case)
        self._context, self._limit = options.context, options.limit
        # A place is taken when so many characters after its first are there.
        self._ahead = reach + options.context
        self._text = 0
        self._buffer, self._start = "", 0
        # Characters and line ends before the buffer, of all texts and of this one.
        self._before, self._line = 0, 1

    def add(self, chunk: str) -> None:
        self._buffer += chunk
        self._search(len(self._buffer) - self._ahead)
        # What is read behind a place: its context, or an apostrophe and a letter.
        drop = max(self._start - max(self._context, 2), 0)
        self._line += self._buffer.count("\n", 0, drop)
        self._before += drop
        self._buffer, self._start = self._buffer[drop:], self._start - drop

    def end_text(self) -> None:
        self._search(len(self._buffer))
        self._before += len(self._buffer)
        self._text += 1
        self._buffer, self._start, self._line = "", 0, 1

    def _search(self, stop: int) -> None:
        """Take the places that begin before `stop`."""
        for match in self._expression.finditer(self._buffer, self._start):
            if match.start() >= stop:
                break
            self._take(match)
            self._start = match.end()
        self._start = max(self._start, stop)

    def _take(self, match: re.Match[str]) -> None:
        first, last = match.span()
        place, word = self._before + first, match.group()
        self.places.append(place)
        self.forms[" ".join(word.lower().split())] += 1
        if self._limit and len(self.shown) == self._limit:
            return
        line = self._line + self._buffer.count("\n", 0, first)
        before = self._buffer[max(first - self._context, 0) : first]
        after = self._buffer[last : last + self._context]
        self.shown.append((place, self._text, line, before, word, after))


def _compiled(pattern: str, *, match_case: bool) -> tuple[re.Pattern[str], int]:
    """The expression that finds a word, and the most characters that it looks at.

    Raises:
        InspectionError: There is no word in it.
    """
    letter, character = word_characters()
    if not re.search(character, pattern):
        raise InspectionError(
            f"there is no word in {pattern!r}; give one, such as house, or its beginning: hous*"
        )
    rest = rf"(?:{character}|['’](?={letter})){{0,{MAX_WORD_CHARS}}}"
    words = ["".join(_escaped(word, rest)) for word in pattern.split()]
    # Where the pattern begins with a word, no word may reach into it from before; nor at its end.
    first, last = pattern.strip()[0], pattern.strip()[-1]
    open_first = first == "*" or re.match(character, first)
    open_last = last == "*" or re.match(character, last)
    begin = rf"(?<!{character})(?<!{letter}['’])(?={character})" if open_first else ""
    end = rf"(?!{character}|['’]{letter})" if open_last else ""
    flags = 0 if match_case else re.IGNORECASE
    stars = pattern.count("*")
    reach = len(pattern) + MAX_WORD_CHARS * stars + _SPACES * len(words) + 2
    return re.compile(begin + rf"\s{{1,{_SPACES}}}".join(words) + end, flags), reach


def _escaped(word: str, rest: str) -> Iterator[str]:
    for part in re.split(r"(\*+)", word):
        yield rest if part.startswith("*") else re.escape(part)
