"""Pairs of a source and a target, one on each line with a TAB between them.

A pair is a document whose tokens hold one separator, the TAB. Training counts the tokens from the
one after the separator to the end mark:

    END  s o u r c e  TAB  t a r g e t  END
                           ^^^^^^^^^^^^^^^^ counted

So a token counts if and only if the last mark before it, TAB or END, is a TAB.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from textgen.corpus.corpus import Corpus
from textgen.corpus.corpus_options import CorpusOptions
from textgen.corpus.encoding import detect
from textgen.corpus.extraction.piece import lines_of
from textgen.corpus.normalization import Normalization
from textgen.corpus.reader import SourceText
from textgen.corpus.source import STDIN_NAME, open_sources
from textgen.corpus.spans import find_documents, places
from textgen.corpus.vocabulary import Vocabulary
from textgen.corpus.windows import Tokens
from textgen.errors import CorpusError
from textgen.terminal.humanize import listed, plural

SEPARATOR = "\t"
#: How many malformed lines a message quotes, and how many characters of each.
_QUOTED, _QUOTE_CHARS = 4, 30


def separator_id(vocabulary: Vocabulary) -> int:
    """Return the token between source and target.

    Raises:
        CorpusError: The vocabulary has no TAB, so no line of its text has one.
    """
    found = vocabulary.symbol_index().get(SEPARATOR)
    if found is None:
        raise CorpusError(
            "no line has a TAB; a file of pairs has one pair on each line: SOURCE, a TAB, TARGET"
        )
    return found


@dataclass(frozen=True, eq=False)
class PairIndex:
    """Where the pairs of a token array are, 24 bytes each.

    Args:
        starts: The first token of each source, `(P,)`.
        separators: The separators, `(P,)`.
        stops: One after the last token of each target, `(P,)`.
    """

    starts: NDArray[np.int64]
    separators: NDArray[np.int64]
    stops: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.starts)

    def take(self, numbers: NDArray[np.int64]) -> PairIndex:
        """Return the pairs at some indices, in their order, or where a mask is true."""
        return PairIndex(self.starts[numbers], self.separators[numbers], self.stops[numbers])

    @property
    def counted(self) -> int:
        """The number of tokens that count: those of the targets, and an end mark each."""
        return int((self.stops - self.separators).sum())

    def first_within(self, tokens: int) -> PairIndex:
        """Return the first pairs with at most so many tokens and end marks; at least one pair."""
        sizes = np.cumsum(self.stops - self.starts + 1)
        count = max(1, int(np.searchsorted(sizes, tokens, side="right")))
        return self.take(np.arange(min(count, len(self))))


def index_pairs(tokens: Tokens, separator: int) -> PairIndex:
    """Find the pairs of a token array, `(N,)`; it may begin and end with an end mark.

    Raises:
        MalformedPairs: A document is not a pair.
    """
    documents, separators = find_documents(tokens), places(tokens, separator)
    starts, stops = documents.starts, documents.stops
    first = np.searchsorted(separators, starts)
    counts = np.searchsorted(separators, stops) - first
    bad = counts != 1
    good = np.flatnonzero(~bad)
    middles = separators[first[good]]
    bad[good] = (middles == starts[good]) | (middles + 1 == stops[good])
    if bad.any():
        raise MalformedPairs(np.flatnonzero(bad), len(starts))
    return PairIndex(starts, middles, stops)


class MalformedPairs(CorpusError):
    """Documents (`numbers`, of `count`) with no separator or several, or with an empty side."""

    def __init__(self, numbers: NDArray[np.int64], count: int) -> None:
        self.numbers, self.count = numbers, count
        lines = listed([f"{number + 1:,}" for number in numbers.tolist()], _QUOTED)
        super().__init__(_not_pairs(len(numbers), count, f"line {lines} (blank lines not counted)"))


def find_pairs(corpus: Corpus, paths: Sequence[str | Path] = ()) -> PairIndex:
    """Find the pairs of a corpus.

    Args:
        corpus: Opened with `documents="line"`.
        paths: Its files, to tell which of their lines are malformed.
    Raises:
        CorpusError: A line is not a pair; the message names files and lines.
    """
    try:
        return index_pairs(corpus.tokens, separator_id(corpus.vocabulary))
    except MalformedPairs as error:
        # The files that were read; a path may be a folder.
        files = [file.path for file in corpus.files] if paths else []
        lines = [] if STDIN_NAME in files else list(_malformed_lines(files, corpus.options))
        if not lines:
            raise
        raise CorpusError(_not_pairs(len(lines), error.count, listed(lines, _QUOTED))) from error


def _not_pairs(bad: int, count: int, which: str) -> str:
    verb = "is not a pair" if bad == 1 else "are not pairs"
    return (
        f"{bad:,} of {plural(count, 'line')} {verb}: {which}; a pair is SOURCE, one TAB, TARGET, "
        "neither of them empty"
    )


def _malformed_lines(paths: Sequence[str | Path], options: CorpusOptions) -> Iterator[str]:
    """Descriptions of the malformed lines."""
    for source in open_sources(paths):
        text = SourceText(source, detect(source, options))
        chunks = text.chunks(Normalization(newlines=True, nfc=False))
        for number, ended in enumerate(lines_of(chunks), start=1):
            line = ended.removesuffix("\n")
            if not line.strip():
                continue
            left, tab, right = line.partition(SEPARATOR)
            if not tab:
                what = "no TAB"
            elif SEPARATOR in right:
                what = f"{line.count(SEPARATOR)} TABs"
            elif not left or not right:
                what = "an empty target" if left else "an empty source"
            else:
                continue
            quote = line[:_QUOTE_CHARS] + ("..." if len(line) > _QUOTE_CHARS else "")
            yield f"{source.name} line {number:,} has {what} ({quote!r})"
